"""Imports run one way, only packages that are declared are imported, and no more of them than what is done needs."""

import ast
import importlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A room of the house -> the rooms it may import, and with them whatever those may import.
HOUSE: dict[str, set[str]] = {
    "checks": set(),
    "recurrence": {"checks"},
    "datasets": set(),
    "nets": {"recurrence"},
    "nn": {"nets"},
    "tasks": {"checks", "datasets"},
    "files": set(),
    "train": {"files", "nets", "tasks"},
    "theory": {"nets", "tasks"},
    "regions": {"nets", "tasks"},
    "sweep": {"train", "theory", "regions"},
    "crossval": {"sweep"},
    "experiments": {"sweep"},
    "statistics": {"experiments"},
    "plots": {"regions", "theory"},
    "explore": {"files", "plots"},
    "minimal": set(),
    "course": {"files", "statistics", "sweep"},
    "__main__": {"experiments", "course"},
}
LIBRARY = ROOT / "alrnn"
MODULES = sorted(path for path in LIBRARY.rglob("*.py") if path != LIBRARY / "__init__.py")


def may_import(room: str) -> set[str]:
    return HOUSE[room].union(*(may_import(other) for other in HOUSE[room]))


def imported(tree: ast.AST, package: tuple[str, ...]) -> set[str]:
    """Absolute names of all that a module imports; package is where the module lies, for relative imports."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            origin = ".".join([*base, *([node.module] if node.module else [])])
            names |= {f"{origin}.{alias.name}" for alias in node.names}
    return names


def rooms(names: set[str]) -> set[str]:
    """The rooms among imported names; `alrnn` itself stands for all of them, so a module may not import it."""
    return {[*name.split("."), "alrnn"][1] for name in names if name.split(".")[0] == "alrnn"} - {"__version__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_run_one_way(path: Path) -> None:
    parts = path.relative_to(ROOT).with_suffix("").parts
    room = parts[1]
    assert room in HOUSE, f"{room} is not in the table of rooms above"
    found = rooms(imported(ast.parse(path.read_text("utf-8")), parts[:-1]))
    allowed = may_import(room) | ({room} if len(parts) > 2 else set())
    assert found <= allowed, f"{room} may not import {sorted(found - allowed)}"


def test_relative_and_absolute_imports_are_both_seen() -> None:
    code = "from . import a\nfrom .b import c\nfrom .. import d\nfrom ..e.f import g\nimport alrnn.h as i\nimport alrnn"
    assert rooms(imported(ast.parse(code), ("alrnn", "tasks"))) == {"tasks", "d", "e", "h", "alrnn"}


def code_of(notebook: Path) -> str:
    """The notebook's Python as one module, magics left out."""
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    lines = (line for cell in cells if cell["cell_type"] == "code" for line in "".join(cell["source"]).splitlines())
    return "\n".join(line for line in lines if not re.match(r"\s*[%!]", line))


def packages(sources: list[tuple[str, tuple[str, ...]]]) -> set[str]:
    """The packages that provide what these modules import; each comes with the folder it lies in."""
    names = set().union(*(imported(ast.parse(source), package) for source, package in sources))
    tops = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"alrnn", ""}
    providers = packages_distributions()
    return {providers[top][0].lower() for top in tops}


def test_the_packages_declared_are_those_imported() -> None:
    """By the library and by the notebooks, which run where alrnn[plots] is all there is.

    One is declared though not all that needs it imports it by name: tqdm draws its bars in notebooks with ipywidgets.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = {"": project["dependencies"], **project["optional-dependencies"]}
    base, plots, experiments, cluster = (
        {re.split(r"[^\w.-]", entry)[0].lower() for entry in declared[extra]}
        for extra in ("", "plots", "experiments", "cluster")
    )
    figures = {LIBRARY / "plots.py", LIBRARY / "explore.py"}
    rest = [path for path in MODULES if path not in figures]
    of = {path: (path.read_text("utf-8"), path.relative_to(ROOT).parts[:-1]) for path in MODULES}
    assert packages([of[path] for path in rest]) == base | experiments | cluster
    assert packages([of[path] for path in rest if not {"experiments", "__main__.py"} & {*path.parts}]) <= base
    assert packages([of[path] for path in figures]) - base == plots
    assert packages([(code_of(path), ()) for path in (ROOT / "book").rglob("*.ipynb")]) <= base | plots


def python(code: str, *options: str, given: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter."""
    done = subprocess.run([sys.executable, *options, "-c", code, *given], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


NEVER = [
    "matplotlib",
    "seaborn",
    "networkx",
    "IPython",
    "ipywidgets",
    "PIL",
    "loky",
    "cloudpickle",
    "distributed",
]  # for training and analysis
LATER = ["pandas", "scipy", "pooch", "requests"]  # when first needed


def test_import_alrnn_is_light() -> None:
    """It loads nothing beside torch that takes its time, and takes at most half as long again as torch."""
    code = "import torch, sys; before = set(sys.modules); import alrnn; print(*sorted(set(sys.modules) - before))"
    loaded = set(python(code).stdout.split())
    assert not {name.split(".")[0] for name in loaded} & {*NEVER, *LATER}
    assert not loaded & {f"alrnn.{name}" for name in ("experiments", "plots", "explore")}

    def share() -> float:
        lines = python("import torch; import alrnn", "-X", "importtime").stderr.splitlines()
        total = {name.strip(): float(time) for _, time, name in (line.split("|") for line in lines[1:] if "|" in line)}
        return total["alrnn"] / total["torch"]

    assert min(share() for _ in range(2)) < 0.5


WITHOUT = """
import sys
from importlib.machinery import PathFinder

class Finder(PathFinder):
    def find_spec(name, path=None, target=None):
        return None if name.split(".")[0] in %r else PathFinder.find_spec(name, path, target)

sys.meta_path[:] = [Finder if finder is PathFinder else finder for finder in sys.meta_path]
import alrnn
from alrnn import *
task = alrnn.tasks.Adding(10)
nets = [alrnn.ALRNN(2, 4, P, 1, seed=0) for P in (0, 2)]
print(alrnn.fit(nets, task, steps=2, batch_size=4, progress=False).loss.shape)
print(alrnn.evaluate(nets, task, task.held_out("test", 10)).shape)
sweep = alrnn.sweep(task, 4, [1, 2], seeds=2, steps=2, progress=False)
net = sweep.net(P=2, seed=1)
y, z = net(task.held_out("test", 10).s)
seen = alrnn.regions.visits(net, z)
print(len(sweep.table), seen.counts.sum(), len(alrnn.regions.fixed_points(net)) > 0, alrnn.theory.adding_floor(10) > 0)
print(len(alrnn.statistics.solved(sweep.table, 1.0, "lower")), "adding" in alrnn.experiments.EXPERIMENTS)
for name in ("plots", "explore"):
    try:
        getattr(alrnn, name)
    except ImportError as error:
        print(error)
try:
    from alrnn.plots import spectrum
except ImportError as error:
    print(error)
try:
    alrnn.experiments.run([alrnn.experiments.Experiment(task, 4, [1])], sys.argv[1], jobs=2)
except ImportError as error:
    print(error)
"""


def test_training_and_analysis_need_no_plotting_and_no_notebook(tmp_path: Path) -> None:
    lines = python(WITHOUT % NEVER, given=[str(tmp_path / "table.csv")]).stdout.splitlines()
    assert not any(tmp_path.iterdir())
    assert lines[:4] == ["(2, 2)", "torch.Size([2])", "4 100 True True", "2 True"]
    assert re.fullmatch(r"alrnn\.plots needs \w+: install alrnn\[plots\]", lines[4]) and lines[6] == lines[4]
    assert re.fullmatch(r"alrnn\.explore needs \w+: install alrnn\[plots\]", lines[5])
    assert lines[7] == "several jobs at once need loky: install alrnn[experiments]"


WINGS = ["datasets", "experiments", "explore", "nets", "nn", "plots", "recurrence", "regions", "tasks", "theory"]


@pytest.mark.parametrize("wing", ["", *WINGS])
def test_dir_shows_what_is_public(wing: str) -> None:
    module = importlib.import_module(f"alrnn.{wing}" if wing else "alrnn")
    later = set() if wing else {"course", "explore", "plots"}  # which need an extra, so `import *` leaves them out
    assert set(dir(module)) == set(module.__all__) | later
    assert all(hasattr(module, name) for name in dir(module))
    assert all(not name.startswith("_") for name in dir(module))
