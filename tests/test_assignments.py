"""The assignments: solutions get all points, empty notebooks none, and mistakes are told in words."""

import csv
import getpass
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import torch
from nbgrader_env import nbgrader_python, plain

import alrnn
from alrnn import course, regions, theory
from alrnn.course import a1, a4
from alrnn.course.core import plain_answers

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import execute  # noqa: E402

KEY = "I teach this course and grade it myself"  # as the page for teachers says
spec = importlib.util.spec_from_file_location("course_tool", ROOT / "tools" / "course.py")
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)
SOLUTIONS = tool.opened(tool.SEALED.read_text("utf-8"), KEY)


def answers(assignment: str, id: str, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """What the solution's cells define, run here."""
    space: dict[str, Any] = {"alrnn": alrnn, "np": np, "torch": torch, "regions": regions, "theory": theory}
    space["v"] = course.variant(assignment, id)
    for name, code in tool.cells_of(SOLUTIONS[assignment]).items():
        if name not in without:
            exec(code, space)
    return space


def total(marks: list[course.Mark]) -> int:
    return sum(mark.points for mark in marks)


@pytest.fixture(scope="module")
def solved() -> dict[str, dict[str, Any]]:
    return {assignment: answers(assignment, "4711") for assignment in course.ASSIGNMENTS}


@pytest.mark.parametrize("assignment", course.ASSIGNMENTS)
def test_the_solution_gets_all_points(assignment: str, solved: dict[str, dict[str, Any]]) -> None:
    marks = course.mark_all(assignment, "4711", solved[assignment])
    assert [m for m in marks[:-1] if m.points != m.of] == [] and total(marks) == 16
    assert marks[-1].message == course.READ and sum(m.of for m in marks) == 20


@pytest.mark.parametrize("assignment", ["A1", "A2"])
def test_solutions_hold_for_every_student(assignment: str) -> None:
    for id in range(12):
        assert total(course.mark_all(assignment, id, answers(assignment, str(id)))) == 16, id


def test_nets_by_hand_hold_for_every_student() -> None:
    for id in range(12):
        given = answers("A4", str(id), without=("trained", "errors", "on"))
        assert course.mark("A4", id, given, "by_hand").points == 5
        assert course.mark("A4", id, given, "floor").points == 3


def test_a_net_trained_as_the_text_of_A4_says_passes() -> None:
    """With four PWL units at the first try and all settings left as they are; with one, from the start it hints at."""
    for id in range(1, 6):
        v = course.variant("A4", id)
        hint = alrnn.Init("slow", value=v.forget)
        first = alrnn.sweep(v.task, 8, [4], 1, progress=False)
        one = alrnn.sweep(v.task, 8, [1], 2, hint, progress=False)
        passed = [course.mark("A4", id, {"trained": net}, "trained").points == 3 for net in (*first.nets, *one.nets)]
        assert passed[0] and any(passed[1:]), (v, passed)


@pytest.mark.parametrize("assignment", course.ASSIGNMENTS)
def test_an_untouched_notebook_gets_nothing(assignment: str, capsys: pytest.CaptureFixture[str]) -> None:
    space: dict[str, Any] = {}
    for cell in nbformat.read(ROOT / "assignments" / f"{assignment}.ipynb", 4).cells[3:]:
        if cell.cell_type == "code" and cell.id != "install":
            exec(cell.source, space)
    marks = course.mark_all(assignment, "demo", space)
    assert total(marks) == 0 and all(len(m.message) > 10 for m in marks)
    assert capsys.readouterr().out.count("0 of") == len(marks), "each quick check says so"


def net_with(net: Any, **weights: Any) -> Any:
    parts = {name: getattr(net, name).detach() for name in ("A", "W", "C", "h", "D", "b")} | weights
    return alrnn.ALRNN.from_weights(**parts, nonlinear=net.nonlinear_size)


Change = Callable[[dict[str, Any]], dict[str, Any]]
# What a student may have got wrong: assignment, the question that loses its points, what is changed, what is said.
MISTAKES: list[tuple[str, str, Change, str]] = [
    ("A1", "memory", lambda a: {"eigenvalue": a["v"].share}, "after all the steps"),
    ("A1", "memory", lambda a: {"eigenvalue": 1.02}, "nothing is forgotten"),
    ("A1", "memory", lambda a: {"time_constant": -a["time_constant"]}, "above 0"),
    ("A1", "memory", lambda a: {"eigenvalue": float("nan")}, "NaN"),
    ("A1", "probabilities", lambda a: {"p": a["p"] / 2}, "add up to 2"),
    ("A1", "probabilities", lambda a: {"p": a["p"] + np.linspace(-1, 1, len(a["p"]))}, "not each"),
    ("A1", "probabilities", lambda a: {"p": a["p"][1:]}, "shape"),
    ("A1", "constant", lambda a: {"constant_error": 1 / 6}, "[0, 1]"),
    ("A1", "constant", lambda a: {"constant_error": a["constant_error"] ** 0.5}, "root"),
    ("A1", "floor", lambda a: {"floor": a["constant_error"]}, "error of a constant"),
    ("A1", "floor", lambda a: {"floor": "0.3?"}, "should be"),
    ("A1", "map", lambda a: {"bias": a["bias"] + 1}, "Only the bias"),
    ("A1", "map", lambda a: {"x_weights": np.ones(a["v"].T)}, "expected error"),
    ("A1", "linear", lambda a: {"linear": net_with(a["linear"], D=a["linear"].D.detach().flip(1))}, "Unroll it"),
    ("A1", "linear", lambda a: {"linear": a["gated"]}, "P = 1"),
    ("A1", "gated", lambda a: {"gated": net_with(a["gated"], b=[7.5])}, "off by"),
    ("A1", "gated", lambda a: {"gated": theory.exact_variable_copy()}, "shape"),
    ("A2", "codes", lambda a: {"codes": a["codes"][1:]}, "One state is missing"),
    ("A2", "codes", lambda a: {"codes": [c[::-1] for c in a["codes"]]}, "reverse"),
    ("A2", "codes", lambda a: {"codes": 5}, "list of texts"),
    ("A2", "jacobians", lambda a: {"jacobians": {
        d: J - np.diag(a["v"].A) for d, J in a["jacobians"].items()}}, "A is missing"),
    ("A2", "jacobians", lambda a: {"jacobians": {
        d: np.diag(a["v"].A) + np.diag([int(b) for b in d]) @ a["v"].W for d in a["jacobians"]}}, "column"),
    ("A2", "jacobians", lambda a: {"jacobians": {"00": np.eye(2)}}, "keys"),
    ("A2", "points", lambda a: {"points": {d: -z for d, z in a["points"].items()}}, "moves its point"),
    ("A2", "real", lambda a: {"real": [d for d in a["points"] if d not in a["real"]]}, "virtual"),
    ("A2", "radius", lambda a: {"radius": {d: r + 0.1 for d, r in a["radius"].items()}}, "modulus"),
    ("A2", "cycle", lambda a: {"cycle": np.concatenate([a["cycle"]] * 2)}, "2 times"),
    ("A2", "cycle", lambda a: {"cycle": a["cycle"][::-1]}, "elsewhere"),
    ("A2", "cycle", lambda a: {"cycle": a["cycle"] + 3}, "none that the run"),
    ("A2", "growth", lambda a: {"growth": a["growth"] ** (1 / len(a["cycle"]))}, "in one step"),
    ("A3", "chosen", lambda a: {"chosen": {P: 0.019 - rate for P, rate in a["chosen"].items()}}, "rate"),
    ("A3", "chosen", lambda a: {"chosen": [0.004] * 4}, "dict"),
    ("A3", "intervals", lambda a: {"intervals": {P: normal(a, P) for P in a["chosen"]}}, "Wilson"),
    ("A3", "intervals", lambda a: {"intervals": {P: (0, 1) for P in a["chosen"]}}, "another interval"),
    ("A3", "excess", lambda a: {"excess": [e + theory.adding_floor(a["v"].T) for e in a["excess"]]}, "take the floor"),
    ("A3", "excess", lambda a: {"excess": [-0.001, *a["excess"][1:]]}, "below 0"),
    ("A3", "excess", lambda a: {"excess": a["excess"][:2]}, "one number a seed"),
    ("A3", "smallest", lambda a: {"smallest": 0}, "Not the smallest"),
    ("A4", "floor", lambda a: {
        "floor": a["floor"] / np.sum(a["v"].forget ** (2 * np.arange(a["v"].T)))}, "one step leaves"),
    ("A4", "floor", lambda a: {"floor": a["floor"] * 1.1}, "Not the least"),
    ("A4", "by_hand", lambda a: {"by_hand": net_with(a["by_hand"], b=[3.0])}, "the bias"),
    ("A4", "by_hand", lambda a: {"by_hand": net_with(a["by_hand"], D=2 * a["by_hand"].D.detach())}, "error"),
    ("A4", "by_hand", lambda a: {"by_hand": net_with(a["by_hand"], h=[0.0, 0.77])}, "bend"),
    ("A4", "trained", lambda a: {"trained": alrnn.ALRNN(1, 8, 0, 1)}, "P = 0"),
    ("A4", "trained", lambda a: {"trained": alrnn.ALRNN(1, 8, 2, 1)}, "quarter"),
    ("A4", "trained", lambda a: {"trained": a["by_hand"]}, "no trained net"),
    ("A4", "errors", lambda a: {"errors": {"by_hand": 0.0, "trained": 1e-9}}, "held-out"),
    ("A4", "on", lambda a: {"on": {k: 1 - np.asarray(x) for k, x in a["on"].items()}}, "off"),
    ("A4", "on", lambda a: {"on": {"by_hand": [0.1, 0.2], "trained": 0.5}}, "one number for each"),
]  # fmt: skip


def normal(a: dict[str, Any], P: int) -> tuple[float, float]:
    part = a["table"][(a["table"].P == P) & (a["table"].lr == a["chosen"][P])]
    share = (part.test < a["v"].threshold).mean()
    half = 1.96 * (share * (1 - share) / len(part)) ** 0.5
    return share - half, share + half


@pytest.mark.parametrize(("assignment", "question", "change", "said"), MISTAKES,
                         ids=[f"{m[0]}-{m[1]}-{i}" for i, m in enumerate(MISTAKES)])  # fmt: skip
def test_mistakes_are_told_and_cost_their_question_alone(
    assignment: str, question: str, change: Change, said: str, solved: dict[str, dict[str, Any]]
) -> None:
    given = solved[assignment] | change(solved[assignment])
    marks = {m.question: m for m in course.mark_all(assignment, "4711", given)}
    assert marks[question].points == 0 and said in marks[question].message, marks[question]
    assert "\n" not in marks[question].message and len(marks[question].message) < 300
    name = next(iter(change(solved[assignment])))
    touched = {q.name for q in course.questions(assignment) if name in q.variables}
    assert all(m.points == m.of for q, m in marks.items() if q not in touched | {"explanation"})


def test_a_sweep_whose_table_is_not_that_of_its_nets_gets_nothing(solved: dict[str, dict[str, Any]]) -> None:
    a = solved["A3"]
    table = a["sweep"].table
    forged = alrnn.Sweep(table.assign(test=table.test / 10), a["sweep"].nets)
    fewer = alrnn.Sweep(table[:-1], a["sweep"].nets[:-1])
    other = course.mark_all("A3", "4712", a)  # a friend's answers
    for sweep, said in ((forged, "not those of the nets"), (fewer, "1 are missing")):
        mark = course.mark("A3", "4711", a | {"sweep": sweep}, "sweep")
        assert mark.points == 0 and said in mark.message
    assert total(other) == 0


@pytest.mark.parametrize("assignment", ["A1", "A2", "A4"])
def test_a_friends_answers_do_not_fit(assignment: str, solved: dict[str, dict[str, Any]]) -> None:
    found = [total(course.mark_all(assignment, f"{id}", solved[assignment])) for id in range(4)]
    assert max(found) <= 8 and np.mean(found) < 7


def test_variants_are_fixed_and_differ() -> None:
    for assignment in course.ASSIGNMENTS:
        assert repr(course.variant(assignment, " ab12 ")) == repr(course.variant(assignment, "AB12"))
        assert len({repr(course.variant(assignment, id)).split("id=")[1].split(",", 1)[1] for id in range(20)}) > 17
    with pytest.raises(ValueError, match="student number"):
        course.variant("A1", " ")
    with pytest.raises(ValueError, match="no assignment 'A9'"):
        course.variant("A9", "1")
    with pytest.raises(ValueError, match="no question 'flor'"):
        course.variant("A1", "1").check("flor", {})


def test_floors_are_those_of_least_squares_on_samples() -> None:
    """Another way to the same numbers: fit affine maps to many sequences."""
    for id in range(3):
        v = course.variant("A1", id)
        batch = v.task.sample(40_000, torch.Generator().manual_seed(id))
        assert residual(batch.s[:, : v.T].reshape(len(batch), -1), batch.target) == pytest.approx(
            a1._floor(v), rel=0.03
        )
        w = course.variant("A4", id)
        batch = w.task.sample(40_000, torch.Generator().manual_seed(id))
        assert residual(batch.s[:, : w.T, 0], batch.target) == pytest.approx(a4._floor(w), rel=0.03)


def residual(x: torch.Tensor, y: torch.Tensor) -> float:
    X = np.c_[x.double().numpy(), np.ones(len(x))]
    y = y.double().numpy().ravel()
    return float(np.mean((y - X @ np.linalg.lstsq(X, y, rcond=None)[0]) ** 2))


def test_the_expected_error_of_a_map_is_that_of_samples() -> None:
    for id in range(3):
        v, rng = course.variant("A1", id), np.random.default_rng(id)
        x, m, bias = rng.normal(size=v.T), rng.normal(size=v.T), rng.normal()
        batch = v.task.sample(60_000, torch.Generator().manual_seed(id))
        s = batch.s[:, : v.T].double().numpy()
        error = np.mean((s[..., 0] @ x + s[..., 1] @ m + bias - batch.target.double().numpy().ravel()) ** 2)
        assert a1.expected_error(v, x, m, bias) == pytest.approx(error, rel=0.03)


def test_eight_decimals_of_an_eigenvalue_are_enough_and_one_step_more_is_wrong() -> None:
    for id in range(200):
        v = course.variant("A1", id)
        for steps, points in ((v.steps, 2), (v.steps + 1, 0)):
            value = round(v.share ** (1 / steps), 8)
            given = {"eigenvalue": value, "time_constant": -1 / np.log(value)}
            assert course.mark("A1", id, given, "memory").points == points, v


def test_nets_of_A2_have_what_is_asked_for() -> None:
    for id in range(10):
        v = course.variant("A2", id)
        points = regions.fixed_points(v.net)
        assert 0 < sum(p.real for p in points) < 4
        assert any(c.real and c.stable for k in range(3, 7) for c in regions.cycles(v.net, k))


def test_answers_become_plain_data_whatever_they_are() -> None:
    class Odd:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("no")

        def __reduce__(self) -> Any:
            raise RuntimeError("pickled!")

    loop: list = []
    loop.append(loop)
    given = {
        "a": Odd(),
        "b": loop,
        "c": {1: np.float32(2)},
        "d": torch.ones(2),
        "e": ...,
        "f": lambda: 0,
        "g": "x" * 10**6,
    }
    plain = plain_answers(given)
    json.dumps(plain)
    assert plain["c"] == {"1": 2.0} and plain["d"] == [1.0, 1.0] and plain["e"] is None and len(plain["g"]) == 20_000
    for value in given.values():
        assert course.mark("A1", "1", {"floor": value}, "floor").points == 0


def test_make_puts_the_number_in(tmp_path: Path) -> None:
    notebook = course.make("A2", "s123", tmp_path / "A2")
    assert 'ID = \\"s123\\"' in notebook.read_text("utf-8") and (tmp_path / "A2" / "test_A2.py").exists()
    with pytest.raises(FileExistsError, match="left as it is"):
        course.make("A2", "s123", tmp_path / "A2")


def test_released_notebooks_run_alone_on_the_wheel(tmp_path: Path) -> None:
    """In an empty folder, with nothing of the checkout: no cell fails, and no solution travels with them."""
    wheel = execute.build_wheel(tmp_path / "dist")
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if "solution" in name]
        archive.extractall(tmp_path / "wheel")
    for path in (tmp_path / "wheel").rglob("*"):
        if path.suffix in (".py", ".ipynb", ".txt"):
            text = path.read_text("utf-8").replace('\\"', '"')
            assert not [line for line in secrets() if line in text], path
    code = """if True:
        from alrnn import course
        print(course.__file__)
        for name in course.ASSIGNMENTS:
            result = course.grade(course.make(name, "S7"), name)
            print(name, result.id, result.points, result.wrong)
    """
    env = os.environ | {"PYTHONPATH": str(tmp_path / "wheel")}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    used, *found = done.stdout.splitlines()
    assert Path(used).is_relative_to(tmp_path) and found == [f"{name} s7 0 []" for name in course.ASSIGNMENTS]


def test_words_are_read_by_a_rubric_of_their_own() -> None:
    found = set()
    for assignment in course.ASSIGNMENTS:
        nb = nbformat.read(ROOT / "assignments" / f"{assignment}.ipynb", 4)
        (told,) = [cell.source for cell in nb.cells if "**Rubric**" in cell.source]
        rubric = told.split("**Rubric**, a point each: ")[1]
        assert len(rubric.split("; ")) == 4
        found.add(rubric)
    assert len(found) == 4


def test_sealed_solutions_are_opened_by_their_key_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert tool.opened(tool.sealed({"A1": "x = 1"}, "other"), "Other ") == {"A1": "x = 1"}
    with pytest.raises(ValueError, match="does not open"):
        tool.opened(tool.SEALED.read_text("utf-8"), "guess")


def secrets() -> set[str]:
    """Lines of the solutions that no stub has."""
    lines = {line.strip() for script in SOLUTIONS.values() for line in script.splitlines()}
    return {line for line in lines if len(line) > 30 and not line.startswith(("explanation", "for ", "from ", "print"))}


def test_no_solution_is_in_what_students_get() -> None:
    """Neither in the notebooks nor the wheel's files nor the book (nor its built site, if there is one)."""
    given = [p for top in ("assignments", "alrnn", "book", "executed/book", "_build/html")
             for p in (ROOT / top).rglob("*") if p.suffix in (".ipynb", ".py", ".md", ".html", ".txt")]  # fmt: skip
    assert len(given) > 50 and len(secrets()) > 30
    for path in given:
        text = path.read_text("utf-8").replace('\\"', '"')
        assert not [line for line in secrets() if line in text], path


def test_nbgrader_and_otter_forms() -> None:
    for assignment, script in SOLUTIONS.items():
        nb = tool.for_nbgrader(assignment, script)
        marks = [cell.metadata["nbgrader"] for cell in nb.cells if "nbgrader" in cell.metadata]
        assert sum(mark.get("points", 0) for mark in marks) == 20
        assert len({mark["grade_id"] for mark in marks}) == len(marks)
        for text in tool.otter_tests(assignment).values():
            space: dict[str, Any] = {}
            exec(text, space)
            assert space["test"]["points"] > 0
            assert not [line for line in secrets() if line in text]


@pytest.mark.parametrize("assignment", course.ASSIGNMENTS)
def test_nbgrader_end_to_end(assignment: str, tmp_path: Path) -> None:
    """Release, collect, autograde, feedback and the table of grades, with nbgrader itself.

    A solution is handed in through its exchange; an empty notebook lies beside it.
    """
    python, name = nbgrader_python(), f"{assignment}.ipynb"
    env = plain(python) | {f"JUPYTER_{what}_DIR": str(tmp_path / "jupyter") for what in ("DATA", "CONFIG")}
    teacher, student, exchange = (tmp_path / folder for folder in ("teacher", "student", "exchange"))
    config = 'c = get_config()\nc.CourseDirectory.course_id = "alrnn"\nc.ExecutePreprocessor.timeout = 300\n'
    for folder in (teacher, student, exchange):
        folder.mkdir()
        (folder / "nbgrader_config.py").write_text(f"{config}c.Exchange.root = {str(exchange)!r}\n")
    exchange.chmod(0o777)

    def nbgrader(*words: str, cwd: Path = teacher) -> None:
        done = subprocess.run([python, "-m", "nbgrader", *words], cwd=cwd, capture_output=True, text=True, env=env)
        assert done.returncode == 0, done.stderr[-3000:]

    (teacher / "source" / assignment).mkdir(parents=True)
    nbformat.write(tool.for_nbgrader(assignment, SOLUTIONS[assignment]), teacher / "source" / assignment / name)
    nbgrader("generate_assignment", assignment)
    nbgrader("release_assignment", assignment)
    nbgrader("fetch_assignment", assignment, cwd=student)
    released = (student / assignment / name).read_text("utf-8").replace('\\"', '"')
    assert not [line for line in secrets() if line in released]
    shutil.copytree(student / assignment, teacher / "submitted" / "idle" / assignment)
    nb, cells = nbformat.read(student / assignment / name, 4), tool.cells_of(SOLUTIONS[assignment])
    for cell in nb.cells:
        cell.source = cells.get(cell.id, cell.source).replace('ID = "demo"', 'ID = "4711"')
    nbformat.write(nb, student / assignment / name)
    nbgrader("submit", assignment, cwd=student)
    nbgrader("collect", assignment)
    nbgrader("autograde", assignment)
    nbgrader("generate_feedback", assignment)
    nbgrader("export")
    rows = {row["student_id"]: row for row in csv.DictReader((teacher / "grades.csv").open())}
    own = getpass.getuser()
    assert {id: float(row["raw_score"]) for id, row in rows.items()} == {own: 16, "idle": 0}
    assert list((teacher / "feedback" / own / assignment).glob("*.html"))


def test_without_packages_nbgrader_is_left_out_aloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("NO_INDEX", "1"), ("FIND_LINKS", ""), ("CONFIG_FILE", os.devnull)):
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.delenv("ALRNN_NBGRADER", raising=False)
    for _ in range(2):  # what was left half made is not taken for whole
        with pytest.warns(UserWarning, match="cannot be reached"), pytest.raises(pytest.skip.Exception):
            nbgrader_python(tmp_path / "venv")
    monkeypatch.setenv("ALRNN_NBGRADER", "required")
    with pytest.raises(AssertionError, match="from versions: none"):
        nbgrader_python(tmp_path / "venv")


def test_the_page_for_teachers_names_the_key_and_every_assignment() -> None:
    page = (ROOT / "book" / "coursework" / "for-teachers.md").read_text("utf-8")
    assert KEY in page and all(name in page for name in course.ASSIGNMENTS)
    assert re.search(r"does not protect", page)
    assert sys.version_info >= (3, 11)
