"""Variants, questions and marks; and answers as plain data, which is all of a submission that a grader looks at."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from ..nets import ALRNN

READ = "Here, and read by your teacher."  # of a part in words
ASSIGNMENTS = ("A1", "A2", "A3", "A4")
PARTS = ("A", "W", "C", "h", "D", "b")
LARGEST = 64  # units of a net that is handed in
Answers = Mapping[str, Any]
_READ, _WRITE = json.loads, json.dumps  # taken before a submission can replace them


class Wrong(Exception):
    """An answer is not right; the message says in one line what may be the matter."""


@dataclass(frozen=True)
class Question:
    """name, points; variables: what the notebook must define; check: raises `Wrong` if the answers are not right."""

    name: str
    points: int
    variables: tuple[str, ...]
    check: Callable[[Answers, Any], None]


@dataclass(frozen=True)
class Mark:
    """Points for one question, of how many, and what is said to it in one line."""

    question: str
    points: int
    of: int
    message: str


@dataclass(frozen=True)
class Variant:
    """One student's numbers in one assignment; each assignment adds its own."""

    assignment: str
    id: str

    def check(self, question: str, namespace: Answers) -> None:
        """Print what the grader says to one question: `v.check("floor", globals())`."""
        found = mark(self.assignment, self.id, namespace, question)
        print(f"{found.question}: {found.points} of {found.of} points. {found.message}")


def questions(assignment: str) -> tuple[Question, ...]:
    """Those of an assignment, in order.

    Raises:
        ValueError: there is no such assignment.
    """
    return _module(assignment).QUESTIONS


def variant(assignment: str, id: str | int) -> Any:
    """The numbers of the student with this number: always the same, and other ones for another student.

    Raises:
        ValueError: no such assignment, or an empty student number.
    """
    own = str(id).strip().lower()
    if not own:
        raise ValueError("a student number is needed: any text that is yours alone")
    seed = hashlib.sha256(f"alrnn course {assignment} {own}".encode()).digest()
    return _module(assignment).draw(own, np.random.default_rng(int.from_bytes(seed[:8], "big")))


def mark_all(assignment: str, id: str | int, answers: Answers) -> list[Mark]:
    """One mark a question, recomputed from answers (any values, by variable) and the variant of this student."""
    return [mark(assignment, id, answers, question.name) for question in questions(assignment)]


def mark(assignment: str, id: str | int, answers: Answers, question: str) -> Mark:
    """The mark of one question.

    Raises:
        ValueError: no such assignment or question, or no student number.
    """
    asked = [q for q in questions(assignment) if q.name == question]
    if not asked:
        names = ", ".join(q.name for q in questions(assignment))
        raise ValueError(f"{assignment} has no question {question!r}; it has {names}")
    given = {name: answers[name] for name in asked[0].variables if name in answers}
    return _one(asked[0], plain_answers(given), variant(assignment, id))


def _module(assignment: str) -> Any:
    if assignment not in ASSIGNMENTS:
        raise ValueError(f"there is no assignment {assignment!r}; there are {', '.join(ASSIGNMENTS)}")
    return import_module(f".{assignment.lower()}", __package__)


def _one(question: Question, answers: Answers, own: Variant) -> Mark:
    missing = [name for name in question.variables if answers.get(name) is None]
    if missing:
        what = f"There is no {' and no '.join(f'`{name}`' for name in missing)}: not filled in, renamed or deleted?"
        return Mark(question.name, 0, question.points, what)
    try:
        question.check(answers, own)
    except Wrong as why:
        return Mark(question.name, 0, question.points, " ".join(str(why).split()))
    except Exception as error:  # whatever else a hostile answer sets off
        told = " ".join(str(error).split())[:200]
        return Mark(question.name, 0, question.points, f"The answer cannot be read ({type(error).__name__}: {told}).")
    return Mark(question.name, question.points, question.points, "Right.")


def plain_answers(values: Answers) -> dict[str, Any]:
    """Values as plain data, those that cannot be read as a text that no question takes."""
    found = {}
    for name, value in values.items():
        try:
            found[name] = _READ(_WRITE(_plain(value)))
        except Exception as error:
            found[name] = {"unreadable": type(error).__name__}
    return found


def _plain(x: Any) -> Any:
    if x is None or x is Ellipsis:
        return None
    if isinstance(x, (bool, str)):
        return x[:20_000] if isinstance(x, str) else x
    if isinstance(x, (int, float)):
        return x
    if isinstance(x, np.generic):
        return x.item()
    if all(hasattr(x, name) for name in (*PARTS, "nonlinear_size")):  # a net, by whatever name
        return {"P": int(x.nonlinear_size)} | {name: _plain(getattr(x, name)) for name in PARTS}
    if hasattr(x, "table") and hasattr(x, "nets"):  # a sweep
        rows = x.table.astype(object).where(x.table.notna(), None).to_dict("records")
        return {"rows": [_plain(row) for row in rows], "nets": [_plain(net) for net in x.nets]}
    if isinstance(x, Mapping) or hasattr(x, "items"):
        return {str(_plain(key)): _plain(value) for key, value in x.items()}
    if hasattr(x, "detach"):
        x = x.detach().cpu().double().numpy() if x.is_floating_point() else x.cpu().numpy()
    if isinstance(x, np.ndarray):
        return x.tolist()
    if isinstance(x, (list, tuple, set)):
        return [_plain(value) for value in x]
    return {"unreadable": type(x).__name__}


def number(answers: Answers, name: str) -> float:
    """A finite number; one in an array of size 1 will do."""
    x = array(answers, name)
    if x.size != 1:
        raise Wrong(f"`{name}` should be one number, it has shape {x.shape}.")
    return float(x.ravel()[0])


def array(answers: Answers, name: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Finite numbers (of a shape)."""
    value = answers[name]
    if value is None:
        raise Wrong(f"`{name}` is not filled in.")
    kind = "a number" if shape is None else f"numbers of shape {shape}"
    try:
        x = np.asarray(value, dtype=float)
    except (TypeError, ValueError, OverflowError):
        raise Wrong(f"`{name}` should be {kind}, it is {type(value).__name__} {str(value)[:60]!r}.") from None
    if shape is not None and x.shape != shape:
        raise Wrong(f"`{name}` should have shape {shape}, it has {x.shape}.")
    if not np.isfinite(x).all():
        raise Wrong(f"`{name}` holds NaN or an infinite number.")
    return x


def mapping(answers: Answers, name: str, keys: Any = None) -> dict[str, Any]:
    """A dict with these keys, as text."""
    value = answers[name]
    if not isinstance(value, dict) or "unreadable" in value:
        raise Wrong(f"`{name}` should be a dict.")
    wanted = set(map(str, keys if keys is not None else value))
    if set(value) != wanted:
        raise Wrong(f"`{name}` should have the keys {', '.join(sorted(wanted))}; it has {', '.join(sorted(value))}.")
    return value


def net(answers: Answers, name: str, N: int, P: int, exact: bool = True) -> ALRNN:
    """A net with N inputs, one output, and P (exact) or at most P PWL units, rebuilt in float64 from its numbers."""
    return built(answers[name], f"`{name}`", N, P, exact)


def built(value: Any, what: str, N: int, P: int, exact: bool = True) -> ALRNN:
    """As `net`, of plain data."""
    if not isinstance(value, dict) or not {"P", *PARTS} <= set(value):
        raise Wrong(f"{what} should be a net, alrnn.ALRNN; it is {type(value).__name__}.")
    parts: dict[str, Any] = {part: np.asarray(value[part], dtype=float) for part in PARTS}
    M = len(parts["W"])
    if M > LARGEST:
        raise Wrong(f"{what} has {M} units, more than {LARGEST}: fewer will do.")
    for part, x in parts.items():
        if not np.isfinite(x).all():
            raise Wrong(f"{what} has NaN or an infinite number in {part}.")
    if parts["C"].shape != (M, N) or parts["D"].shape != (1, M):
        wanted = f"C of shape (M, {N}) and D of shape (1, M)"
        raise Wrong(f"{what} needs {wanted}, it has {parts['C'].shape} and {parts['D'].shape}.")
    if value["P"] != P if exact else value["P"] > P:
        raise Wrong(f"{what} has P = {value['P']}, asked for is {'' if exact else 'at most '}P = {P}.")
    return ALRNN.from_weights(**parts, nonlinear=value["P"])


def near(x: float, y: float, rtol: float = 1e-3, atol: float = 1e-12) -> bool:
    """Whether two numbers are the same but for rounding to three or four digits."""
    return math.isclose(x, y, rel_tol=rtol, abs_tol=atol)


def words(name: str, least: int, points: int) -> Question:
    """A part in words: the grader sees only whether it is there, and a person gives the points by the rubric."""

    def check(answers: Answers, own: Variant) -> None:
        text = answers[name]
        count = len(text.split()) if isinstance(text, str) else 0
        if count < least:
            raise Wrong(f"`{name}` has {count} words; at least {least} are asked for.")
        raise Wrong(READ)

    return Question(name, points, (name,), check)
