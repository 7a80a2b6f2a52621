"""The house: how large its rooms may be, and that what CONTRIBUTING.md says and shows of it is true."""

import ast
import io
import re
import sys
import tokenize
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import pytest
from test_imports import imported, rooms

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import house  # noqa: E402

MODULES = sorted((ROOT / "alrnn").rglob("*.py"))
SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def code_lines(source: str) -> set[int]:
    """The numbers of the lines that hold code: not blank, and no comment or docstring alone."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in SILENT:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, *Function.__args__)) and ast.get_docstring(node) is not None:
            lines -= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return lines


def functions(source: str) -> dict[str, int]:
    """Name -> lines of code of each function, from its decorators on; those inside others count with these, too."""
    lines = code_lines(source)
    found = (node for node in ast.walk(ast.parse(source)) if isinstance(node, Function))
    first = {node: min([node.lineno, *(d.lineno for d in node.decorator_list)]) for node in found}
    return {
        f"{node.name}, line {start}": len(lines & set(range(start, node.end_lineno + 1)))
        for node, start in first.items()
    }


def test_lines_are_counted_as_said() -> None:
    source = '''"""Module,
    two lines."""

x = """no
docstring"""  # two lines


class A:
    "A docstring."

    # a comment
    @property
    def f(self):
        """Doc."""
        return (
            1
        )
'''
    assert sorted(code_lines(source)) == [4, 5, 8, 12, 13, 15, 16, 17]
    assert functions(source) == {"f, line 12": 5}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_room_can_be_read_in_one_sitting(path: Path) -> None:
    source = path.read_text("utf-8")
    assert len(code_lines(source)) <= 250, "a module has at most 250 lines of code"
    assert {name: size for name, size in functions(source).items() if size > 50} == {}, "a function has at most 50"


def test_the_library_stays_small() -> None:
    """A wing can be learned in a day. `tasks/`, `theory/`, `course/` alone grow, by one file a chapter."""
    wings: Counter[str] = Counter()
    for path in MODULES:
        wings[path.relative_to(ROOT / "alrnn").parts[0]] += len(code_lines(path.read_text("utf-8")))
    book = {"tasks", "theory", "course"}
    assert {name: size for name, size in wings.items() if size > 800 and name not in book} == {}
    assert sum(size for name, size in wings.items() if name not in book) <= 4800, "all that no single chapter needs"


def content(svg: ET.Element) -> tuple[dict[str, list[str]], set[tuple[str, str]], str]:
    """What a picture says: room -> its name and the modules in it, the arrows, the description."""
    name = "{http://www.w3.org/2000/svg}"
    groups = svg.findall(f"{name}g")
    inside = {
        group.attrib["id"]: " ".join(text.text or "" for text in group.iter(f"{name}text")).split() for group in groups
    }
    arrows = {(path.attrib["data-from"], path.attrib["data-to"]) for path in svg.findall(f"{name}path")}
    return inside, arrows, svg.findtext(f"{name}desc") or ""


COMMITTED = ET.parse(house.PICTURE).getroot()


def test_the_picture_is_what_the_tool_draws() -> None:
    assert content(COMMITTED) == content(ET.fromstring(house.draw())), "run python tools/house.py"


def test_the_picture_shows_the_imports_of_the_code() -> None:
    """As this test's own reading of the code finds them; arrows may be left out where others lead there."""
    direct: dict[str, set[str]] = {}
    for path in MODULES:
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[1] != "__init__":
            found = rooms(imported(ast.parse(path.read_text("utf-8")), parts[:-1])) - {parts[1]}
            direct.setdefault(parts[1], set()).update(found)
    inside, arrows, told = content(COMMITTED)
    assert inside.keys() == direct.keys()
    assert told == "; ".join(f"{a} imports {', '.join(sorted(direct[a]))}" for a in sorted(direct) if direct[a]) + "."

    def reached(house: dict[str, set[str]], room: str) -> set[str]:
        return house[room].union(*(reached(house, other) for other in house[room]))

    drawn = {room: {b for a, b in arrows if a == room} for room in inside}
    assert all(reached(drawn, room) == reached(direct, room) for room in direct)
    assert all(drawn[room] <= direct[room] for room in direct)
    for path in COMMITTED.iter("{http://www.w3.org/2000/svg}path"):
        across, start, *_, end = (float(number) for number in re.findall(r"[\d.]+", path.attrib["d"]))
        assert start < end, "arrows lead down"


def test_the_plan_is_shown_and_names_every_room() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    (alt,) = re.findall(r"!\[([^]]+)\]\(book/_static/house\.svg\)", text)
    assert len(alt) > 60
    table = "\n".join(line for line in text.splitlines() if line.startswith("|"))
    assert {room for room in content(COMMITTED)[0] if f"`{room}/" not in table and f"`{room}.py`" not in table} == set()


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "README.md", "data/README.md", "tools/make_data.py"])
def test_paths_that_are_named_are_there(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    names = re.findall(r"(?<![\w/.-])((?:alrnn|book|tools|tests|data|benchmarks)/[\w./-]*\w)", text)
    made = {"book/PART/NAME.ipynb", "data/results/TASK.csv"}
    assert {name for name in names if not (ROOT / name).exists()} - made == set()
