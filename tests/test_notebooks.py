"""The form of the notebooks: the chapter template's limits, no outputs, no MyST, and one install cell.

That they run is checked by tools/execute.py (`make test`), lint and format of their code by `make lint`.
"""

import json
import re
import shlex
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import notebooks as tool  # noqa: E402

NOTEBOOKS = sorted((ROOT / "book").rglob("*.ipynb"))
FRONT = {
    "intro",
    "answer",
    "how-to-choose",
    "how-to-use",
    "data",
    "cluster",
}  # pages in notebook form that are no chapters
CLOSING = ["What could mislead you", "Exercises", "Further reading"]
ASSIGNMENTS = sorted((ROOT / "assignments").glob("*.ipynb"))
every_notebook = pytest.mark.parametrize(
    "path", NOTEBOOKS + ASSIGNMENTS, ids=lambda path: path.relative_to(ROOT).as_posix()
)
every_chapter = pytest.mark.parametrize(
    "path", [p for p in NOTEBOOKS if p.stem not in FRONT], ids=lambda path: path.relative_to(ROOT / "book").as_posix()
)


def cells(path: Path, kind: str) -> list[str]:
    """The sources of a notebook's code or markdown cells."""
    return ["".join(c["source"]) for c in json.loads(path.read_text("utf-8"))["cells"] if c["cell_type"] == kind]


def headings(path: Path, level: int) -> list[str]:
    return re.findall(rf"^{'#' * level} +(.+?) *$", "\n\n".join(cells(path, "markdown")), re.MULTILINE)


def lines(source: str) -> int:
    return sum(bool(line.strip()) for line in source.splitlines())


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@every_notebook
def test_no_outputs(path: Path) -> None:
    notebook = json.loads(path.read_text("utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(ids) == len(set(ids))


@every_notebook
def test_in_the_form_that_the_tool_writes(path: Path) -> None:
    assert path.read_text("utf-8") == tool.canonical(path), "run python tools/notebooks.py"


@every_notebook
def test_install_cell_comes_first(path: Path) -> None:
    """Held by what it says and does: one line, the configured address, and only where alrnn is missing."""
    settings = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]
    first = cells(path, "code")[0]
    assert len(first.splitlines()) == 1
    assert sum("git+" in source for source in cells(path, "code")) == 1
    asked: list[tuple[str, str]] = []
    code = compile(first, "cell", "exec")
    exec(code, {"get_ipython": lambda: pytest.fail("the install cell installs although alrnn is there")})
    exec(code.replace(co_consts=tuple("no_such_package" if c == "alrnn" else c for c in code.co_consts)), {
        "get_ipython": lambda: type("Shell", (), {"run_line_magic": lambda self, *a: asked.append(a)})()
    })  # fmt: skip
    ((magic, line),) = asked
    *words, wanted = shlex.split(line)  # as the shell reads it that runs pip
    assert (magic, words) == ("pip", ["install", "-q"]), "an upgrade would change Colab's torch"
    asked_for = Requirement(wanted)
    assert (asked_for.name, asked_for.extras) == ("alrnn", {"plots"})
    assert asked_for.url == f"git+{settings['url']}@{settings['branch']}"


@every_notebook
def test_colab_link(path: Path) -> None:
    settings = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]
    owner = settings["url"].removeprefix("https://github.com/")
    name = path.relative_to(ROOT).as_posix()
    link = f"https://colab.research.google.com/github/{owner}/blob/{settings['branch']}/{name}"
    assert sum(link in source for source in cells(path, "markdown")) == 1


@every_notebook
def test_reads_well_outside_the_site(path: Path) -> None:
    """MyST directives and roles are raw text in Jupyter and Colab."""
    for source in cells(path, "markdown"):
        assert not re.search(r"^ *(:::+|```+|~~~+) *\{", source, re.MULTILINE), source
        assert not re.search(r"\{[a-z:-]+\}`", source), source


@every_notebook
def test_starts_with_one_title(path: Path) -> None:
    title, *others = headings(path, 1)
    assert cells(path, "markdown")[0].startswith(f"# {title}")
    assert not others


def open_code(path: Path) -> list[str]:
    """What a page shows of its code: neither the install cell nor what is folded."""
    notebook = nbformat.read(path, nbformat.NO_CONVERT)
    shown = [c for c in notebook.cells if c.cell_type == "code" and not {"hide-input", "remove-cell"} & tags(c)]
    return [cell.source for cell in shown]


def tags(cell: nbformat.NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", []))


@every_notebook
def test_no_longer_than_a_chapter(path: Path) -> None:
    code = open_code(path)
    assert len(code) <= 24, "at most 24 code cells that are not folded"
    assert max(map(lines, code), default=0) <= 30, "none of them has more than 30 lines"
    assert all(len(line) <= 84 for source in code for line in source.splitlines()), "what the page's column holds"
    assert sum(len(source.split()) for source in cells(path, "markdown")) <= 2400, "at most 2,400 words"


@every_notebook
def test_code_that_draws_is_folded(path: Path) -> None:
    """On the site by its tag, in Colab as a form: a page shows figures, and code where it teaches."""
    for cell in nbformat.read(path, nbformat.NO_CONVERT).cells:
        if cell.cell_type != "code" or "remove-cell" in tags(cell):
            continue
        draws = re.search(r"plots\.show\(|\bplt\.|\bax\.|\bfig\.", cell.source)
        assert not draws or "hide-input" in tags(cell), cell.source
        assert ("hide-input" in tags(cell)) == (cell.metadata.get("cellView") == "form"), cell.source


@every_chapter
def test_follows_the_chapter_template(path: Path) -> None:
    opening = cells(path, "markdown")[0]
    assert re.search(r"\b\d+ minutes?\b.*\b(CPU|GPU)\b", opening), "the first cell says minutes and device"
    sections = headings(path, 2)
    assert sections[-len(CLOSING) :] == CLOSING
    assert len(sections) - len(CLOSING) <= 7, "at most seven sections before the closing ones, one of them on the paper"
    body, closing = "\n".join(cells(path, "markdown")).split("## Exercises")
    assert re.search(r"\bIn (short|three lines)\b", body), "a summary"
    assert len(re.findall(r"^\*\*Exercise \d", closing, re.MULTILINE)) == 3, "three exercises"
    assert closing.count("<details>") == closing.count("</details>") == 3, "each with a folded solution"
    assert "import alrnn" in "\n".join(cells(path, "code")) or "from alrnn" in "\n".join(cells(path, "code"))


def test_addresses_elsewhere_are_the_configured_one() -> None:
    """README, citation file and the page for teachers cannot read _config.yml; they must agree with it."""
    url = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]["url"]
    owner = url.removeprefix("https://github.com/")
    for name in ("README.md", "CITATION.cff", "book/coursework/for-teachers.md"):
        text = (ROOT / name).read_text("utf-8")
        found = re.findall(r"(?:github\.com|colab\.research\.google\.com/github)/([\w.-]+/[\w-]+)", text)
        assert found and set(found) == {owner}, name
