"""A suite of eleven tasks for one net: the rule, on during the trial, says which it is (Yang et al. 2019)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ..checks import integer
from .base import Answer, Batch, Task
from .losses import Score

Steps = int | Sequence[int]  # a period's length: fixed, or one of these, all equally likely
EPOCHS = ("idle", "context", "stimulus", "delay", "test", "response")


class Rule(NamedTuple):
    """What a task asks. periods: those before the response, after the context. answer, sign: what is said after go."""

    periods: tuple[str, ...]
    answer: Literal["direction", "second", "category", "match", "go"]
    sign: int = 1


RULES = {
    "DelayPro": Rule(("stimulus", "delay"), "direction"),
    "DelayAnti": Rule(("stimulus", "delay"), "direction", -1),
    "ReactPro": Rule((), "direction"),
    "ReactAnti": Rule((), "direction", -1),
    "CatPro": Rule(("stimulus", "delay"), "category"),
    "CatAnti": Rule(("stimulus", "delay"), "category", -1),
    "Match": Rule(("stimulus", "delay", "test"), "match"),
    "NonMatch": Rule(("stimulus", "delay", "test"), "match", -1),
    "CtxInt1": Rule(("stimulus", "delay"), "direction"),
    "CtxInt2": Rule(("stimulus", "delay"), "second"),
    "GoNoGo": Rule(("stimulus", "delay"), "go"),
}
NAMES = tuple(RULES)
BOTH = ("CtxInt1", "CtxInt2")  # both channels carry a stimulus, each its own
RADIUS = 0.5
SETTLED = 2  # the last steps, over whose mean an answer is judged


class Suite(Task):
    """Eleven tasks, one after the other in a batch; the net is told which by a rule input that is on all trial long.

    Inputs (N = 16): fixation, 1 from the trial's start until go; two ring channels (cos, sin); the rule, one-hot over
    all eleven, whichever are asked, so that a net can go on with others. Outputs (3): fixation, and a direction (x, y).
    Until go, hold: fixation 1, direction 0. After go answer: fixation 0 and a unit vector, by task, of the stimulus
    angle, uniform:

        Delay (Pro, Anti)   the stimulus, or its opposite, after a delay
        React (Pro, Anti)   the same of a stimulus that comes with go and stays
        Cat (Pro, Anti)     (1, 0) if the stimulus points up (sin > 0), else (-1, 0), or the opposite
        Match, NonMatch     (1, 0) if a second stimulus is within 22.5 degrees of the first, else (-1, 0); it is so in
                            half of the trials, and else at least 45 degrees off; or the opposite
        CtxInt1, CtxInt2    the stimulus of the first, or of the second channel; they are independent
        GoNoGo              the stimulus if it points up, else go on holding

    Only CtxInt has a stimulus in the second channel. A trial ends with the sequence, so idle steps without any input
    come first: T is the longest trial. Target and weight stand at every step: 1 before go, `emphasis` after it, 0 while
    idle, at go and the step after. The loss is the squared error.

    Args:
        tasks: which, by name. context, stimulus, delay, test: how long these periods are, a number of steps or several,
            equally likely (`range(3, 7)`). response: steps from go on. noise: standard deviation, on both channels and
            each step of the trial. hold: whether the steps before go count in the loss.

    Scores: "right", the share of trials whose mean output over the last two steps is within 0.5 of the target, the
    direction by its distance and fixation by its own; "held", of those that are right and in which the direction also
    stayed within 0.5 of zero until go; then both for each task, "DelayPro" and "DelayPro_held" and so on.

    chance: the most that a constant output can get on "right"; by task `chances`. Alone, 1/6 where a direction is
    asked, as 60 degrees are within reach of a vector of length cos 30, and 1/2 elsewhere.
    """

    name = "suite"
    paper = "Brenner & Koppe 2026, after Yang et al. 2019 and Driscoll et al. 2024"
    tags = ("synthetic", "memory", "context", "gating", "many tasks")
    input_size, output_size = 5 + len(NAMES), 3
    metric = "mse"

    def __init__(
        self,
        tasks: Sequence[str] = NAMES,
        context: Steps = range(3, 7),
        stimulus: Steps = range(4, 9),
        delay: Steps = range(3, 9),
        test: Steps = range(4, 9),
        response: int = 5,
        noise: float = 0.1,
        hold: bool = True,
        emphasis: float = 5.0,
    ):
        self.tasks = (tasks,) if isinstance(tasks, str) else tuple(tasks)
        if not self.tasks or len(set(self.tasks)) < len(self.tasks) or not set(self.tasks) <= RULES.keys():
            raise ValueError(f"tasks must be some of {', '.join(NAMES)}, each once, got {tasks!r}")
        self.context, self.stimulus = _steps("context", context), _steps("stimulus", stimulus)
        self.delay, self.test = _steps("delay", delay, 0), _steps("test", test)
        self.response = integer("response", response, SETTLED + 2)
        if not 0 <= noise < math.inf or not 0 < emphasis < math.inf:
            raise ValueError(f"noise must be at least 0, emphasis above 0, both finite, got {noise}, {emphasis}")
        self.noise, self.hold, self.emphasis = noise, bool(hold), emphasis
        self.chance = self._chance()

    @property
    def length(self) -> int:
        """T, the longest trial."""
        longest = {name: max(getattr(self, name)) for name in EPOCHS[1:-1]}
        return max(longest["context"] + sum(longest[p] for p in RULES[t].periods) for t in self.tasks) + self.response

    @property
    def chances(self) -> dict[str, float]:
        """The score of the best constant output on each task alone."""
        return {t: 1 / 6 if RULES[t].answer in ("direction", "second") else 1 / 2 for t in self.tasks}

    @property
    def better(self) -> Literal["higher", "lower"]:
        """Of the score, a share of trials; the loss is a squared error."""
        return "higher"

    def _chance(self) -> float:
        """Of one constant for all: to withhold, or a vector near (1, 0) and 60 degrees of the ring that point up."""
        go = self.tasks.count("GoNoGo")
        answer = sum(x for t, x in self.chances.items() if t != "GoNoGo") + go / 6
        return max(answer, go / 2) / len(self.tasks)

    def sample(self, n: int, generator: torch.Generator) -> Batch:
        """n trials, s (n, T, 16), target (n, T, 3), the tasks in turn.

        info: task (n,), its place in `tasks.suite.NAMES`; epoch (n, T), in `EPOCHS`; angle (n, 3), of the stimulus in
        each channel and of the second one; go (n,), the step; yes (n,), whether it matches, points up, is to be
        answered, 1 where nothing of the kind is asked.
        """
        task = torch.tensor([NAMES.index(t) for t in self.tasks])[torch.arange(n) % len(self.tasks)]
        angle, match = self._angles(n, task, generator)
        epoch = self._periods(n, task, generator)
        trial, after = epoch > 0, epoch == EPOCHS.index("response")
        shown = (epoch == EPOCHS.index("stimulus")) | (after & _is(task, "ReactPro", "ReactAnti")[:, None])
        ring = torch.stack([angle.cos(), angle.sin()], -1)  # (n, 3, 2)
        s = torch.zeros(n, self.length, self.input_size)
        s[..., 0] = (trial & ~after).float()
        s[..., 1:3] = (
            shown[..., None] * ring[:, None, 0] + (epoch == EPOCHS.index("test"))[..., None] * ring[:, None, 2]
        )
        s[..., 3:5] = (shown & _is(task, *BOTH)[:, None])[..., None] * ring[:, None, 1]
        s[..., 1:5] += self.noise * trial[..., None] * torch.randn(n, self.length, 4, generator=generator)
        s[..., 5:] = torch.nn.functional.one_hot(task, len(NAMES))[:, None] * trial[..., None]
        answer, yes = _answers(task, ring, match)
        withhold = _is(task, "GoNoGo") & ~yes
        target = torch.zeros(n, self.length, 3)
        target[..., 0] = (trial & (~after | withhold[:, None])).float()
        target[..., 1:] = after[..., None] * answer[:, None]
        weight = (trial & ~after) * float(self.hold)
        weight[:, -self.response + 2 :] = self.emphasis
        info = {"task": task, "epoch": epoch, "angle": angle, "yes": yes}
        return Batch(s, target, weight, info | {"go": torch.full((n,), self.length - self.response)})

    def _angles(self, n: int, task: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Of the stimuli, (n, 3), and whether the second one matches the first."""
        angle = 2 * math.pi * torch.rand(n, 3, generator=generator)
        match = torch.rand(n, generator=generator) < 0.5
        near, far = (torch.rand(n, generator=generator) for _ in range(2))
        away = torch.where(match, (2 * near - 1) * math.pi / 8, math.pi / 4 + 1.5 * math.pi * far)
        angle[:, 2] = (angle[:, 0] + away) % (2 * math.pi)
        return angle, match

    def _periods(self, n: int, task: Tensor, generator: torch.Generator) -> Tensor:
        """The epoch of each step, (n, T): periods are laid one before the other, from go back."""
        step, end = torch.arange(self.length), torch.full((n, 1), self.length - self.response)
        epoch = torch.where(step >= end, EPOCHS.index("response"), 0)
        for place in range(len(EPOCHS) - 2, 0, -1):
            name = EPOCHS[place]
            choice = torch.tensor(getattr(self, name))
            steps = choice[torch.randint(len(choice), (n,), generator=generator)]
            if name != "context":
                steps = steps * _is(task, *(t for t in NAMES if name in RULES[t].periods))
            start = end - steps[:, None]
            epoch = epoch.where((step < start) | (step >= end), torch.tensor(place))
            end = start
        return epoch

    def scores(self, output: Answer | Tensor, batch: Batch) -> dict[str, Score]:
        """ "right" and "held", of all trials and of each task's; see the class."""
        y = batch.read(output if isinstance(output, Tensor) else output.y)
        right = self.right(y, batch)
        parts = {"right": right, "held": right & self.held(y, batch)}
        task, found = batch.info["task"], {}
        for name in ("", *self.tasks):
            mine = _is(task, name) if name else torch.ones_like(task, dtype=torch.bool)
            for kind, good in parts.items():
                label = kind if not name else name if kind == "right" else f"{name}_held"
                top = (good & mine).sum(-1).double()
                found[label] = Score(top, mine.sum(-1).double().expand(top.shape), "higher")
        return found

    def right(self, y: Tensor, batch: Batch) -> Tensor:
        """Whether each trial's answer is right, (..., B), from y (..., B, T, 3); no number is no answer."""
        off = y[..., -SETTLED:, :].mean(-2) - batch.target[..., -1, :]
        return (off[..., 1:].norm(dim=-1) < RADIUS) & (off[..., 0].abs() < RADIUS)

    def held(self, y: Tensor, batch: Batch) -> Tensor:
        """Whether the direction stayed near zero until go, (..., B), from y (..., B, T, 3)."""
        epoch = batch.info["epoch"]
        before = (epoch > 0) & (epoch < EPOCHS.index("response"))
        return ((y[..., 1:].norm(dim=-1) < RADIUS) | ~before).all(-1)


def _answers(task: Tensor, ring: Tensor, match: Tensor) -> tuple[Tensor, Tensor]:
    """What is to be said after go, (n, 2), and the yes or no that is in it, (n,)."""
    asked = {kind: _is(task, *(t for t in NAMES if RULES[t].answer == kind)) for kind in ("category", "match", "go")}
    up = ring[:, 0, 1] > 0
    yes = torch.where(asked["match"], match, up | ~(asked["category"] | asked["go"]))
    said = torch.where(_is(task, "CtxInt2")[:, None], ring[:, 1], ring[:, 0]) * yes[:, None]
    axis = torch.stack([2.0 * yes - 1, torch.zeros(len(task))], -1)
    sign = torch.tensor([rule.sign for rule in RULES.values()])[task]
    return sign[:, None] * torch.where((asked["category"] | asked["match"])[:, None], axis, said), yes


def _is(task: Tensor, *names: str) -> Tensor:
    """Which trials are of these tasks."""
    return torch.tensor([name in names for name in NAMES], device=task.device)[task]


def _steps(name: str, given: Steps, least: int = 1) -> tuple[int, ...]:
    """A period's possible lengths."""
    several = tuple(given) if isinstance(given, Iterable) else (given,)
    if not several:
        raise ValueError(f"{name} must be a number of steps or several, got {given!r}")
    return tuple(integer(name, steps, least) for steps in several)
