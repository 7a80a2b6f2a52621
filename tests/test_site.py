"""The built site: its pages are those of _toc.yml, and none shows an error. `make book` runs this after each build."""

import html as html_module
import inspect
import json
import re
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from PIL import Image

import alrnn
from alrnn import explore, plots

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import check_links  # noqa: E402

HTML = ROOT / "_build" / "html"
GENERATED = {"genindex", "search", "index", "searchindex"}

if not (HTML / "index.html").exists():
    pytest.skip("there is no site; run: make book", allow_module_level=True)


TOC = check_links.pages(yaml.safe_load((ROOT / "book" / "_toc.yml").read_text("utf-8")))
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
def test_sliders_are_complete_and_progress_is_not_shown(page: str) -> None:
    text = html(page)
    assert ("widget-view+json" in text) <= ("widget-state+json" in text), "a slider without its state shows nothing"
    assert not re.search(r"\d+%\|", text), "a progress bar"


@every_page
def test_no_error_is_shown(page: str) -> None:
    text = re.sub(r"<[^>]+>", "", html(page))
    assert "Traceback (most recent call last)" not in text
    assert "output traceback" not in html(page) and "system-message" not in html(page)
    assert not re.search(r"\b\w+(Warning|Error): ", text), "a warning or an error in an output"


def test_links_within_the_site_lead_somewhere(capsys: pytest.CaptureFixture[str]) -> None:
    """As for the published site: every file and anchor, and no page beside those of the contents."""
    handler = partial(QuietHandler, directory=str(HTML))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found_fault = check_links.main([f"http://127.0.0.1:{server.server_port}/"])
        server.shutdown()
    assert not found_fault, capsys.readouterr().out


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        pass


def fetched(text: str) -> list[str]:
    """The addresses from which a browser fetches something by itself to show this HTML: all but the links in it."""
    found = []
    for tag, attributes in re.findall(r"<([a-z]+)((?:\s+[\w:-]+(?:=\"[^\"]*\")?)*)\s*/?>", text):
        values = dict(re.findall(r'([\w:-]+)="([^"]*)"', attributes))
        relation = set(values.get("rel", "").split())
        names = {"a": [], "link": [] if relation & {"next", "prev", "canonical", "index", "search"} else ["href"]}
        for name in names.get(tag, ["src", "srcset", "data", "poster", "href", "xlink:href", "action"]):
            if name in values:
                found.append(values[name])
        found += in_styles(values.get("style", ""))
    return found + [a for style in re.findall(r"<style[^>]*>(.*?)</style>", text, re.DOTALL) for a in in_styles(style)]


def in_styles(css: str) -> list[str]:
    css = re.sub(r"/\*.*?\*/", "", html_module.unescape(css), flags=re.DOTALL)
    both = re.findall(r"""url\(\s*["']?([^"')]*)|@import\s+["']([^"']*)""", css)
    return [first or second for first, second in both]


def elsewhere(addresses: list[str]) -> list[str]:
    return [a for a in addresses if re.match(r"(?!data:|blob:)[a-z]+:|//", a.strip(), re.IGNORECASE)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('<script async src="https://example.org/a.js"></script>', 1),
        ('<img alt="" src="//example.org/a.png">', 1),
        ('<link rel="stylesheet" href="HTTPS://example.org/a.css" />', 1),
        ('<p style="background: url(&quot;http://example.org/a.png&quot;)">', 1),
        ("<style>@import 'https://example.org/a.css'; @font-face {src: url(https://example.org/b.woff)}</style>", 2),
        ('<a class="x" href="https://example.org">out</a><link rel="canonical" href="https://example.org/a.html">', 0),
        ('<img src="data:image/png;base64,AAAA" alt="x"><script src="_static/a.js"></script><p style="margin: 0">', 0),
    ],
)
def test_what_counts_as_another_host(text: str, found: int) -> None:
    assert len(elsewhere(fetched(text))) == found


@pytest.mark.parametrize("page", [path.relative_to(HTML).as_posix() for path in PAGES])
def test_nothing_comes_from_another_host(page: str) -> None:
    """Neither by the page's tags and styles nor by what its inline scripts name; the browser tests see what runs."""
    text = (HTML / page).read_text("utf-8")
    assert elsewhere(fetched(text)) == []
    inline = "".join(re.findall(r"<script(?![^>]*application/vnd)[^>]*>(.*?)</script>", text, re.DOTALL))
    assert not re.search(r"(https?:)?//[\w.-]+\.[a-z]{2,}/", inline)


def test_styles_take_nothing_from_another_host() -> None:
    sheets = sorted(HTML.rglob("*.css"))
    assert sheets and [a for sheet in sheets for a in elsewhere(in_styles(sheet.read_text("utf-8")))] == []


def test_the_theme_takes_nothing_from_another_host() -> None:
    """No script names another one, a style or a font elsewhere; but for MathJax, whose own is for ancient browsers."""
    scripts = [path for path in HTML.rglob("*.js") if "mathjax" not in path.parts]
    pattern = r"https?://(?!github\.com|raw\.githubusercontent\.com)[^\"'` )]+/[^\"'` )]+\.(?:m?js|css|woff2?)\b"
    named = {a for path in scripts for a in re.findall(pattern, path.read_text("utf-8"))}
    assert scripts and not named


def test_what_pages_ask_of_the_vendored_scripts_is_there() -> None:
    vendor = HTML / "_static" / "vendor"
    for name in ("mathjax/tex-mml-chtml.js", "require.js", "@jupyter-widgets/html-manager/dist/embed-amd.js"):
        assert (vendor / name).stat().st_size > 10_000
    manager = (vendor / "@jupyter-widgets/html-manager/dist/embed-amd.js").read_text("utf-8")
    fonts = re.findall(r'"([0-9a-f]{20}\.woff2)"', manager)
    assert fonts
    for font in fonts:
        assert (vendor / "@jupyter-widgets" / font).exists()


def test_weight() -> None:
    """Bytes on disk; what a page shows is within its HTML or beside it."""
    assert sum(path.stat().st_size for path in HTML.rglob("*") if path.is_file()) < 40e6
    for page in PAGES:
        text = page.read_text("utf-8")
        beside = {page.parent / unquote(a) for a in re.findall(r'<img [^>]*src="([^":?]+)["?]', text)}
        assert len(text.encode()) + sum(path.stat().st_size for path in beside) < 3e6, page.name


def meta(page: str, name: str) -> str:
    (content,) = re.findall(rf'<meta (?:name|property)="{name}" content="([^"]*)"', html(page))
    return html_module.unescape(content)


@every_page
def test_what_a_link_to_the_page_shows(page: str) -> None:
    assert 50 <= len(meta(page, "description")) <= 200 and meta(page, "og:description") == meta(page, "description")
    assert "\\" not in meta(page, "description") and "minutes on two" not in meta(page, "description")
    assert meta(page, "og:title") and meta(page, "og:url") == f"{check_links.address()}{page}.html"
    assert meta(page, "og:image") == f"{check_links.address()}_static/card.png"


def test_descriptions_tell_pages_apart() -> None:
    assert len({meta(page, "description") for page in TOC}) == len(TOC)


def test_card_and_icon() -> None:
    with Image.open(HTML / "_static" / "card.png") as card:
        assert card.size == (1200, 630)
    assert (HTML / "_static" / "card.png").stat().st_size < 100_000
    assert all('<link rel="icon" href="' in html(page) and "favicon.svg" in html(page) for page in TOC)


@pytest.mark.parametrize("page", [path.relative_to(HTML).with_suffix("").as_posix() for path in PAGES])
def test_images_have_alt_text(page: str) -> None:
    """Those of sliders, too, whose frames are in the widgets' state."""
    text = html(page).replace('\\"', '"').replace("\\u003c", "<")
    for image in re.findall(r"<img\b[^>]*>", text):
        alt = re.search(r'\balt="([^"]*)"', image)
        assert alt and len(alt[1]) > (20 if 'src="data:' in image else 0), image[-200:]


@pytest.mark.parametrize("i", range(len(TOC)), ids=TOC)
def test_previous_and_next(i: int) -> None:
    """The pages in their order, one leading to the next."""
    text, folder = html(TOC[i]), Path(TOC[i]).parent
    for kind, j in (("left-prev", i - 1), ("right-next", i + 1)):
        found = re.findall(rf'<a class="{kind}"\s+href="([^"]*)"', text)
        if not 0 <= j < len(TOC):
            assert not found
        else:
            assert [(HTML / folder / address).resolve() for address in found] == [HTML / f"{TOC[j]}.html"]


def test_search_finds_every_page() -> None:
    """The index names them all, and is a script, so that the search works from files, too."""
    index = (HTML / "searchindex.js").read_text("utf-8")
    found = json.loads(index.removeprefix("Search.setIndex(").removesuffix(")"))
    assert set(found["docnames"]) == set(TOC)


# These list their names.
PUBLIC = [alrnn, alrnn.datasets, alrnn.experiments, explore, alrnn.nets, alrnn.nn, plots, alrnn.recurrence]
PUBLIC += [alrnn.experiments.statistics, alrnn.regions, alrnn.tasks, alrnn.theory]


def test_the_page_on_the_library_has_every_public_name() -> None:
    """Each function and class under one of its names."""
    text = html("api")
    names: dict[int, list[str]] = {}
    for module in PUBLIC:
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isclass(thing) or inspect.isroutine(thing):
                names.setdefault(id(thing), []).append(f"{module.__name__}.{name}")
    missing = [mine for mine in names.values() if not any(f'id="{name}"' in text for name in mine)]
    assert len(names) > 100 and not missing


def test_execution_times_are_those_of_the_run() -> None:
    status = json.loads((ROOT / "executed" / "status.json").read_text("utf-8"))
    rows = re.findall(r"<tr class=.*?</tr>", html("status"), re.DOTALL)
    assert len(rows) == len(status) + 1
    for name, entry in status.items():
        (row,) = [row for row in rows if f'href="{name}.html"' in row]
        assert f"<p>{entry['seconds']:.0f}</p>" in row and entry["torch"] in row


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
