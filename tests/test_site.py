"""The built site: its pages are those of _toc.yml, and none shows an error. `make book` runs this after each build."""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
HTML = ROOT / "_build" / "html"
GENERATED = {"genindex", "search", "index", "searchindex", "py-modindex"}

if not (HTML / "index.html").exists():
    pytest.skip("there is no site; run: make book", allow_module_level=True)


def named(toc: dict | list) -> list[str]:
    """All pages named in a table of contents, in order."""
    if isinstance(toc, list):
        return [page for entry in toc for page in named(entry)]
    own = [toc[key] for key in ("root", "file") if key in toc]
    return own + [page for key in ("parts", "chapters", "sections") for page in named(toc.get(key, []))]


TOC = named(yaml.safe_load((ROOT / "book" / "_toc.yml").read_text("utf-8")))
PAGES = sorted(p for p in HTML.rglob("*.html") if not p.relative_to(HTML).parts[0].startswith("_"))
every_page = pytest.mark.parametrize("page", TOC)


def html(page: str) -> str:
    return (HTML / f"{page}.html").read_text("utf-8")


def test_the_pages_are_those_of_the_contents() -> None:
    built = {path.relative_to(HTML).with_suffix("").as_posix() for path in PAGES} - GENERATED
    assert built == set(TOC)
    assert len(TOC) == len(set(TOC))


def test_every_source_is_in_the_contents() -> None:
    book = ROOT / "book"
    sources = {p.relative_to(book).with_suffix("").as_posix() for p in book.rglob("*") if p.suffix in (".md", ".ipynb")}
    assert sources == set(TOC)


@every_page
def test_no_error_is_shown(page: str) -> None:
    text = re.sub(r"<[^>]+>", "", html(page))
    assert "Traceback (most recent call last)" not in text
    assert "output traceback" not in html(page) and "system-message" not in html(page)
    assert not re.search(r"\b\w+(Warning|Error): ", text), "a warning or an error in an output"


@every_page
def test_links_within_the_site_lead_somewhere(page: str) -> None:
    folder = (HTML / f"{page}.html").parent
    for address in re.findall(r'(?:href|src)="([^"#?]+)', html(page)):
        if not re.match(r"[a-z]+:|//|#", address):
            assert (folder / unquote(address)).exists(), address


@every_page
def test_no_page_is_large(page: str) -> None:
    """With the frames of its sliders, which are part of it."""
    assert (HTML / f"{page}.html").stat().st_size < 3_000_000


@every_page
def test_math_is_handed_to_mathjax(page: str) -> None:
    """Not left as dollars, and the page loads what draws it."""
    math = re.findall(r'class="math notranslate[^"]*">(.*?)</(?:span|div)>', html(page), re.DOTALL)
    assert all(re.match(r"\s*\\[(\[]", formula) for formula in math)
    assert not math or "mathjax" in html(page).lower()
    assert "$$" not in re.sub(r"<(script|pre)\b.*?</\1>", "", html(page), flags=re.DOTALL)


@pytest.mark.parametrize("page", [page for page in TOC if (ROOT / "book" / f"{page}.ipynb").exists()])
def test_notebooks_show_their_results(page: str) -> None:
    """Every code cell was executed, in order, and the page opens in Colab from the configured address."""
    notebook = json.loads((ROOT / "executed" / "book" / f"{page}.ipynb").read_text("utf-8"))
    counts = [cell["execution_count"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))
    settings = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]
    owner = settings["url"].removeprefix("https://github.com/")
    launch = f"https://colab.research.google.com/github/{owner}/blob/{settings['branch']}/book/{page}.ipynb"
    assert html(page).count(launch) >= 2, "the link in the text and the button above it"
    assert "get_ipython" not in html(page), "the install cell is not shown"
