"""SCAN: what no linear pair can answer, a linear encoder that keeps every word, and one kink that is enough."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..nets import ALRNN, EncoderDecoder
from ..tasks import SCAN
from ..tasks.scan import Command, scan_phrases
from .affine import _net, _units

__all__ = ["ScanLimits", "scan_limits", "scan_quadruples", "scan_affine", "exact_reader", "exact_mini_scan"]


@dataclass(frozen=True)
class ScanLimits:
    """What nets with P_enc = P_dec = 0 can answer. commands: how many. exact: the largest share answered right.

    quadruples: disjoint sets of four commands of which one at least is wrong. wrong: the fewest wrong commands, where
    the sign of "and" against "after" is counted, too; exact = 1 - wrong / commands.
    """

    commands: int
    quadruples: int
    wrong: int
    exact: float


def scan_limits(mini: bool = False) -> ScanLimits:
    r"""SCAN without nonlinearity: at most 1 - 2199 / 20910 = .8948 of the commands; mini-SCAN: 1 - 54 / 300 = .82.

    Before it has said anything, a net with P = 0 in encoder and decoder is affine in the one-hot words by position from
    the end, so the margin between two first actions a and b is f(S1) + g(S2) + c(word between), whatever M is and even
    with weights that change from step to step. "S1 and S2" starts as S1 does, "S1 after S2" as S2 does. If S1 starts
    with a and S2 with b, all right means c(and) > c(after). Let S1' and S2', as long as S1 and S2, start with b and a:
    they ask for c(and) < c(after). So of the four commands one is wrong: at its first action, before anything is fed
    back. What is fed back cannot mend it.

    c depends on the actions and on the number of words of S2 alone. For each of these lengths the actions are ordered
    by c(and) - c(after), and each pair a, b loses the commands of one of its two kinds: `wrong` is the least over all
    orders. It is no less than the number of disjoint quadruples, 2,159, which alone give .8967.
    """
    first = Counter((len(words), actions[0]) for words, actions in scan_phrases(mini).items())
    lengths, names = sorted({n for n, _ in first}), sorted({a for _, a in first})
    phrases, quadruples, wrong = sum(first.values()), 0, 0
    for n2 in lengths:
        lost = {  # commands "S1 and S2", or "S1 after S2", in which S1 starts with a and S2 with b
            (a, b): sum(first[n1, a] * first[n2, b] for n1 in lengths) for a, b in permutations(names, 2)
        }
        quadruples += sum(
            min(first[n1, a] * first[n2, b], first[n1, b] * first[n2, a])
            for n1 in lengths
            for a, b in combinations(names, 2)
        )
        wrong += min(sum(lost[pair] for pair in combinations(order, 2)) for order in permutations(names))
    commands = phrases + 2 * phrases**2
    return ScanLimits(commands, quadruples, wrong, 1 - wrong / commands)


def scan_quadruples(mini: bool = False) -> list[tuple[Command, Command, Command, Command]]:
    """The disjoint quadruples of `scan_limits`: S1 and S2, S1 after S2, S1' and S2', S1' after S2'."""
    by: dict[tuple[int, str], list[Command]] = {}
    phrases = scan_phrases(mini)
    for words, actions in phrases.items():
        by.setdefault((len(words), actions[0]), []).append(words)
    lengths, names = sorted({n for n, _ in by}), sorted({a for _, a in by})
    found = []
    for n1 in lengths:
        for n2 in lengths:
            for a, b in combinations(names, 2):
                here, there = (
                    [(x, y) for x in by.get((n1, p), []) for y in by.get((n2, q), [])] for p, q in ((a, b), (b, a))
                )
                for (s1, s2), (t1, t2) in zip(here, there, strict=False):
                    pairs = ((s1, s2), (t1, t2))
                    found.append(tuple((*x, w, *y) for x, y in pairs for w in ("and", "after")))
    return found  # type: ignore[return-value]


def scan_affine(task: SCAN, steps: int | None = None, ridge: float = 1e-6, iterations: int = 300) -> Tensor:
    """Where convex training ends: at each step a map of its own, affine in all words and all actions said so far.

    These maps contain every net with P_enc = P_dec = 0 and its feedback. They are fitted by cross-entropy, which is
    convex, on the training commands with the right actions fed, and then answer by themselves. That is no limit on
    accuracy, unlike `scan_limits`: it is what a linear pair that is trained to the end would come near, or fall below.

    Args:
        steps: of the answer; all by default. ridge: times the sum of squared weights, is added to the mean loss.

    Returns:
        (B, steps), of the training commands: whether the answer is right up to and with each step; at the last one,
        whether it is exact.
    """
    s, target, many = task.parts["train"]
    L = int(many.max()) + 1 if steps is None else steps
    words = F.one_hot(s + 1, task.input_size + 1)[..., 1:].flatten(1).double()
    own = words.new_zeros(len(s), 0)  # its own actions
    right: list[Tensor] = []
    for t in range(L):
        here = t <= many
        true = F.one_hot(target[:, :t], task.output_size).flatten(1).double()
        W = _logistic(torch.cat([words, true], 1)[here], target[here, t], task.output_size, ridge, iterations)
        said = (F.pad(torch.cat([words, own], 1), (0, 1), value=1.0) @ W).argmax(1)
        ended = target[:, t - 1] == task.stop if t else torch.zeros_like(here)
        now = (said == target[:, t]) | ended
        right.append(now & right[-1] if t else now)
        own = torch.cat([own, F.one_hot(said, task.output_size).double()], 1)
    return torch.stack(right, 1)


def _logistic(x: Tensor, y: Tensor, classes: int, ridge: float, iterations: int) -> Tensor:
    """Weights (features + 1, classes) of the least mean cross-entropy, by L-BFGS."""
    x = F.pad(x, (0, 1), value=1.0)
    W = nn.Parameter(x.new_zeros(x.shape[1], classes))
    descent = torch.optim.LBFGS([W], max_iter=iterations, history_size=20, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        descent.zero_grad()
        total = F.cross_entropy(x @ W, y) + ridge * W.square().sum()
        total.backward()
        return total

    descent.step(loss)  # type: ignore[arg-type]
    return W.detach()


def exact_reader(words: int = 13, longest: int = 9) -> ALRNN:
    """P = 0, M = words * longest: an encoder that forgets nothing, a row of words each of which moves on by one place.

    After a command, unit words * k + w is 1 if word w stood k places from its end, else 0. float64.
    """
    M = words * longest
    return _net(P=0, W=torch.diag(torch.ones(M - words), -words), C=torch.eye(M, words))


def exact_mini_scan() -> EncoderDecoder:
    r"""P_enc = 0, P_dec = 1: answers all 300 commands of mini-SCAN. No P = 0 can (`scan_limits`), so 1 is the least.

    **Reading is linear.** Let u_i, k_i, i = 1, 2, be verb and number of times of the phrase before and after the word
    between ("walk twice": u_2, k_2 = 2, and k_1 = 0). By position from the end u_2 stands at 1 or 2 and u_1 at 3 to 5,
    where the position says how many of both phrases are repeated: so the verbs, the k_i, c = +-1 for "and" or not, and
    B = [both are repeated] are sums over words by position, as is "u_i, if it alone is repeated".

    **Writing.** x^m y^n, x = u_1 and m = k_1 after "and", else x = u_2, m = k_2. That the answer ends after k_1 + k_2
    actions is a comparison with a clock, which the argmax makes. Verbs that do not occur lose by a large margin. What
    is left is x or y, a product with c, and the one PWL unit v takes three decisions, one before each step:

        r_0 = [and] (u_1 - u_2 + eps (b_1 - b_2) + R), verbs as numbers, b_i = [k_i = 3]: from it, linearly,
              T = c (u_1 - u_2) + eps c (b_1 - b_2), whose sign makes the first action x;
        r_1 = mu B (T + R): the second action is x where both are repeated; where one is, the argmax knows which;
        r_2 = [m = 3] (x - y + R): the first action was x, and was fed back: so c (u_1 - u_2) is known now, hence m.

    From step 2 on all else is "not what was said first", that is y: the logits fall with an old memory of x that grows
    faster than what came later. All of it grows by lambda a step, so the net wants float64.
    """
    of = _mini_sums()
    M, u = _units(old=32, here=4, one=1, left=1, said=4, e=3, T=1, g=1, f=2, m=1, j=2, hint=12, v=1)
    w = of["difference"] + EPS * of["threes apart"]
    starts = {  # unit -> its state when the decoder begins, a sum over the words by position (5, 8)
        "one": [of["one"]],
        "left": [-of["times"] - of["one"] / 2],
        "e": [  # what comes into v, one step after the other; -1e4: no more decisions
            MU * (-2 * R * of["and"] - w + (R - K) * of["one"] + K * of["both"]),
            -LEAN * of["sum"] + (R - K) * of["one"] + K * of["threes"] / 2,
            -1e4 * of["one"],
        ],
        "f": [-2 * R * of["and"] - w, -2 * MU * R * of["both"]],
        "j": [0 * w, of["sum"] / (2 * EPS) + of["threes"] / 2],
        "v": [w + (R - K) * of["one"] + K * of["and"]],
        "here": of["verbs"],
        "hint": [0 * w] * 8 + list(of["hint"]),
    }
    W, C = torch.zeros(M, M, dtype=torch.float64), torch.zeros(M, 8, dtype=torch.float64)
    W[8:32, :24], C[:8] = torch.eye(24), torch.eye(8)  # the words before the last; the last one comes in through C
    for name, sums in starts.items():
        for unit, weights in zip(u[name], sums, strict=True):
            C[unit], W[unit, :32] = weights[0], weights[1:].flatten()
    net = EncoderDecoder(8, M, 1, 5, 0, 6, stop=4).double()
    with torch.no_grad():
        for p in net.parameters():
            p.zero_()
        net.encoder.W.copy_(W), net.encoder.C.copy_(C)
        _write(net.decoder, u)
    return net


# The numbers of `exact_mini_scan`: verbs as numbers; what grows, by how much; weights of lesser things; R and K bounds.
VERB, GROWTH, MU, EPS, R, K = torch.arange(4, dtype=torch.float64) - 1.5, 300.0, 0.01, 0.5, 4.0, 8.0
LEAN = 1 - K / (2 * EPS)


def _write(net: ALRNN, u: dict[str, Tensor]) -> None:
    """The decoder's weights, by the units' names."""
    v, e, f, j, hint, T = (u[name] for name in ("v", "e", "f", "j", "hint", "T"))
    W, C, D = net.W, net.C, net.D
    for name in ("here", "one", "left", "said"):
        W[u[name], u[name]] = GROWTH
    W[u["left"], u["one"]] = GROWTH
    for row in (e, f, j):
        W[row[:-1], row[1:]] = 1
    W[hint[:8], hint[4:]] = W[e[2], e[2]] = 1
    W[v, v], W[v, e[0]], W[v, T], C[v, :4] = 2 * MU, 1, K / (2 * EPS), 2 * LEAN * VERB
    for name in ("T", "g"):
        W[u[name], v], W[u[name], f[0]] = 2, 1
    W[u["m"], T], W[u["m"], j[0]], C[u["m"], :4] = 1 / (2 * EPS), 1, -VERB / EPS
    W[u["g"], u["m"]] = -2 * R
    for a in range(4):
        C[u["said"][a], a] = 1
        D[a, u["here"][a]], D[a, hint[a]], D[a, u["said"][a]], D[a, u["g"]] = 1, 1, -0.005, VERB[a]
    D[4, u["left"]] = 10


def _mini_sums() -> dict[str, Any]:
    """What is read of a command of mini-SCAN: weights of words by position from the end, (5, 8) or a list of four."""
    twice, thrice, joined = 4, 5, 6
    place = torch.eye(5, dtype=torch.float64)[:, :, None] * torch.ones(8, dtype=torch.float64)  # (5, 5, 8)
    word = torch.eye(8, dtype=torch.float64)[:, None]  # (8, 1, 8)
    second, first = place[0] + place[1], place[2] + place[3] + place[4]  # where verbs of the phrases stand
    number = torch.cat([VERB, torch.zeros(4, dtype=torch.float64)])
    verb = word[:4].sum(0)
    return {
        "one": second * verb,
        "and": (place[1] + place[2]) * word[joined],
        "both": place[4] * verb,
        "times": torch.ones(5, 1, dtype=torch.float64) * (verb + word[twice] + 2 * word[thrice]),
        "threes": (place[0] + place[2] + place[3]) * word[thrice],
        "threes apart": (place[2] + place[3] - place[0]) * word[thrice],
        "sum": (first + second) * number,
        "difference": (first - second) * number,
        "verbs": [(first + second) * word[a] for a in range(4)],
        "hint": [(place[1] + place[4] + place[3] / 2) * word[a] for a in range(4)],
    }
