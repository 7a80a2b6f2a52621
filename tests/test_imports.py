"""Imports run one way, and only packages that are declared are imported."""

import ast
import json
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A room of the house -> the rooms it may import, and with them whatever those may import.
HOUSE: dict[str, set[str]] = {
    "checks": set(),
    "kernel": set(),
    "recurrence": {"checks", "kernel"},
    "leap": {"recurrence"},
    "model": {"leap"},
    "registry": set(),
    "datasets": {"registry"},
    "tasks": {"checks", "datasets"},
    "train": {"model", "tasks"},
    "theory": {"model"},
    "negation": {"theory"},
    "modes": {"model"},
    "fixedpoints": {"modes"},
    "regions": {"fixedpoints"},
    "plots": {"regions", "theory"},
    "explore": {"plots"},
    "statistics": set(),
    "baselines": {"train"},
    "experiments": {"baselines"},
    "__main__": {"experiments"},
}
MODULES = sorted(path for path in (ROOT / "alrnn").rglob("*.py") if path != ROOT / "alrnn" / "__init__.py")


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


def test_the_packages_declared_are_those_imported() -> None:
    """By the package and by the notebooks, which run where alrnn and what it declares is all there is.

    One is declared though nothing imports it by name: tqdm draws its bars in notebooks with ipywidgets.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = {re.split(r"[^\w.-]", entry)[0].lower() for entry in project["dependencies"]}
    sources = [(path.read_text("utf-8"), path.relative_to(ROOT).parts[:-1]) for path in MODULES]
    sources += [(code_of(path), ()) for path in (ROOT / "book").rglob("*.ipynb")]
    names = set().union(*(imported(ast.parse(source), package) for source, package in sources))
    tops = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"alrnn", ""}
    providers = packages_distributions()
    assert {providers[top][0].lower() for top in tops} | {"ipywidgets"} == declared
