"""The list of references and the chapters agree: who is named under "Further reading" is in it, and nobody else."""

import json
import re
import unicodedata
from pathlib import Path

import pytest

BOOK = Path(__file__).resolve().parent.parent / "book"
NOTEBOOKS = sorted(BOOK.rglob("*.ipynb"))


def plain(text: str) -> str:
    """Without accents, neither as letters nor as TeX writes them."""
    text = re.sub(r"\\[\"'`^~]\{?(\w)\}?", r"\1", text).replace("{", "").replace("}", "")
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def entries() -> dict[tuple[str, str], str]:
    """(family name of the first author, year) -> key."""
    found = {}
    for key, body in re.findall(r"@\w+\{([\w:-]+),(.*?)\n\}", (BOOK / "references.bib").read_text("utf-8"), re.DOTALL):
        author = re.search(r"author\s*=\s*\{(.*?)\},\n", body, re.DOTALL)
        year = re.search(r"year\s*=\s*\{(\d+)\}", body)
        assert author and year, key
        found[plain(re.split(r",| and ", author[1])[0]).strip(), year[1]] = key
    return found


def text(path: Path) -> str:
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return plain("\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.relative_to(BOOK).as_posix())
def test_what_to_read_further_is_in_the_list(path: Path) -> None:
    known = entries()
    if "## Further reading" not in text(path):
        return
    for line in re.findall(r"^- (.+)$", text(path).split("## Further reading")[1], re.MULTILINE):
        year = re.search(r"\((\d{4})\)", line)
        if not year:
            assert re.match(r"\[[^]]+\]\((?!http)", line), f"no work with its year, no page of the book: {line}"
            continue
        first = re.split(r",| and | & ", line[: year.start()])[0]
        family = re.sub(r"^((\w\.[- ]?)+ ?)", "", first).strip()
        assert any(name.endswith(family) and when == year[1] for name, when in known), (family, year[1])


def test_what_is_in_the_list_is_named_in_the_book() -> None:
    pages = [text(path) for path in NOTEBOOKS] + [plain(path.read_text("utf-8")) for path in BOOK.rglob("*.md")]
    everything = "\n".join(pages)
    missing = [
        key
        for (family, year), key in entries().items()
        if not re.search(rf"{re.escape(family)}\b[^\n]{{0,200}}?{year}", everything) and f"`{key}`" not in everything
    ]
    assert not missing
