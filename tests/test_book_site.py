"""What the build adds to the pages: descriptions, served scripts, docstrings as text; and the check of links."""

import inspect
import json
import re
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils import nodes
from docutils.core import publish_doctree
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import book_api  # noqa: E402
import book_folds  # noqa: E402
import book_site  # noqa: E402
import check_links  # noqa: E402

WEB = ROOT / "tools" / "web"


def test_the_lock_file_names_no_address_and_pins_all() -> None:
    """npm writes addresses of the registry in use unless told not to; the hashes say what may be installed."""
    asked = json.loads((WEB / "package.json").read_text("utf-8"))
    text = (WEB / "package-lock.json").read_text("utf-8")
    packages = json.loads(text)["packages"]
    assert "resolved" not in text and "registry." not in text
    assert all(entry["integrity"].startswith("sha512-") for name, entry in packages.items() if name)
    for name, version in (asked["dependencies"] | asked["devDependencies"]).items():
        assert re.fullmatch(r"[\d.]+", version) and packages[f"node_modules/{name}"]["version"] == version
    assert "omit-lockfile-registry-resolved=true" in (WEB / ".npmrc").read_text("utf-8").splitlines()


def page(text: str) -> nodes.document:
    return publish_doctree(text, settings_overrides={"report_level": 5})


def test_description_of_a_chapter_leaves_out_minutes_and_colab() -> None:
    text = "Title\n=====\n\n**About 2 minutes on two CPU cores.**\n\nAfter this chapter you will be able to\n\n"
    text += "- say one;\n- do two.\n\n`Open in Colab <https://example.org>`_\n\nSecond paragraph."
    assert book_site.describe(page(text)) == "After this chapter you will be able to say one; do two."


def test_description_ends_with_a_sentence_where_it_can() -> None:
    first = "A sentence of some length, which is long enough to be a description on its own."
    assert book_site.describe(page(f"{first} {'word ' * 60}end.")) == first
    cut = book_site.describe(page("word " * 60))
    assert len(cut) <= 200 and cut.endswith(" …")


def test_description_reads_math_as_text() -> None:
    assert (
        book_site.describe(page(r"The dial :math:`P` of :math:`M_{\text{all}}` units.")) == "The dial P of M_all units."
    )


def test_scripts_are_copied_or_the_build_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "web" / "dist" / "deep").mkdir(parents=True)
    (tmp_path / "web" / "dist" / "deep" / "a.js").write_text("1")
    monkeypatch.setattr(book_site, "WEB", tmp_path / "web")
    monkeypatch.setattr(book_site, "SERVED", [("dist", "deep/*.js", "x")])
    app = SimpleNamespace(outdir=str(tmp_path / "out"))
    book_site.copy_scripts(app, None)
    assert (tmp_path / "out" / "_static" / "vendor" / "x" / "deep" / "a.js").read_text() == "1"
    monkeypatch.setattr(book_site, "SERVED", [("dist", "*.css", "x")])
    with pytest.raises(FileNotFoundError, match="run make"):
        book_site.copy_scripts(app, None)


def test_card(tmp_path: Path) -> None:
    (tmp_path / "_static").mkdir()
    title = "How much nonlinearity does a sequence model need?"
    app = SimpleNamespace(outdir=str(tmp_path), srcdir=str(ROOT / "book"), config=SimpleNamespace(html_title=title))
    book_site.draw_card(app, None)
    with Image.open(tmp_path / book_site.CARD) as card:
        assert card.size == (1200, 630)
        colours = card.convert("RGB").getcolors(1 << 20)
    assert colours is not None and len(colours) > 50


def test_formulas_reach_mathjax_as_they_stand() -> None:
    matrix, own = r"W = \begin{pmatrix} 1 \\ 0 \end{pmatrix} \tag{1}", r"\begin{align} a \end{align}"
    document = page("")
    document += [nodes.math_block(text=matrix), nodes.math_block(text=own, nowrap=True)]
    book_site.keep_formulas(None, document)
    assert [block.astext() for block in document.findall(nodes.math_block)] == [rf"\[{matrix}\]", own]


def sample(first, second_one, third=None):
    """Net with z_t = W z_{t-1} and `code_`s, |z| * 2.

        z_t = a_

    Kinds (of things):
        one: the first,
            at length.
        two: the second.

    Args:
        first: A. second_one: what comes
            next.
        third: the last.

    Returns:
        x (B, T); x[:, t]: the state at t,
        and no more.

    Raises:
        ValueError: wrong shape. TypeError: no net.
        KeyError, IndexError: as elsewhere.
    """


def test_docstrings_are_read_as_plain_text() -> None:
    lines = inspect.cleandoc(sample.__doc__ or "").splitlines()
    book_api.read_as_text(None, "function", "sample", sample, None, lines)
    document = page("\n".join(lines))
    assert not list(document.findall(nodes.problematic)) and not list(document.findall(nodes.system_message))
    paragraph, formula, kinds, items, *_ = document.children
    assert paragraph.astext() == "Net with z_t = W z_{t-1} and code_s, |z| * 2."
    assert isinstance(formula, nodes.literal_block) and formula.astext() == "z_t = a_"
    assert kinds.astext() == "Kinds (of things):"
    assert [item.astext() for item in items.children] == ["one: the first, at length.", "two: the second."]
    fields = {f[0].astext(): f[1].astext() for f in document.findall(nodes.field)}
    assert fields == {
        "param first": "A",
        "param second_one": "what comes next",
        "param third": "the last",
        "returns": "x (B, T); x[:, t]: the state at t, and no more.",
        "raises ValueError": "wrong shape",
        "raises TypeError": "no net",
        "raises KeyError": "as elsewhere",
        "raises IndexError": "as elsewhere",
    }


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            pass

    (tmp_path / "a.html").write_text('<h1 id="top"></h1><a href="b.html#part">b</a><img src="x.png?v=1" alt="">')
    (tmp_path / "b.html").write_text(
        '<p id="part"></p><a class="r" href="a.html#top"></a><a href="https://example.org/">'
    )
    (tmp_path / "x.png").write_bytes(b"x")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", tmp_path
        server.shutdown()


def test_whole_site(site: tuple[str, Path]) -> None:
    base, _ = site
    assert check_links.crawl(base, ["a.html"]) == ({base + name for name in ("a.html", "b.html", "x.png")}, [])


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda folder: (folder / "b.html").unlink(), "b.html, linked from .*a.html.*404"),
        (lambda folder: (folder / "x.png").unlink(), "x.png, linked from .*404"),
        (lambda folder: (folder / "b.html").write_text("no anchor"), "b.html#part, linked from .*no such place"),
    ],
)
def test_broken_site(site: tuple[str, Path], break_it, says: str) -> None:
    base, folder = site
    break_it(folder)
    _, wrong = check_links.crawl(base, ["a.html"])
    assert len(wrong) == 1 and re.search(says, wrong[0])


def test_pages_missing_or_beside_the_contents(site: tuple[str, Path], capsys, monkeypatch) -> None:
    base, folder = site
    (folder / "index.html").write_text('<a href="a.html"></a>')
    monkeypatch.setattr(check_links, "pages", lambda contents: ["a", "b"])
    assert check_links.main([base]) == 0
    monkeypatch.setattr(check_links, "pages", lambda contents: ["a", "c"])
    assert check_links.main([base]) == 1
    out = capsys.readouterr().out
    assert "c.html, linked from the contents" in out and "b.html is linked, but not in the contents" in out


def test_address_follows_from_the_repository(tmp_path: Path) -> None:
    (tmp_path / "_config.yml").write_text("repository: {url: https://github.com/someone/some-book}\n")
    assert check_links.address(tmp_path) == "https://someone.github.io/some-book/"


def test_terms_by_all_their_names() -> None:
    glossary = "Words.\n\n```{glossary}\nPWL unit\n  A ReLU.\n\nfixed point, real or virtual\n  A state.\n```\n"
    assert book_site.terms(glossary) == {
        "pwl unit": "PWL unit",
        "fixed point": "fixed point, real or virtual",
        "fixed point, real or virtual": "fixed point, real or virtual",
    }


def test_a_term_links_where_it_is_first_explained(tmp_path: Path) -> None:
    (tmp_path / "glossary.md").write_text("```{glossary}\nregion\n  Where the bits are the same.\n```\n", "utf-8")
    doctree = page("Title\n=====\n\nA *region*, *Regions*, and **another** word.\n")
    app = SimpleNamespace(srcdir=tmp_path, env=SimpleNamespace(docname="chapter"))
    book_site.link_terms(app, doctree)
    (link,) = doctree.findall(book_site.pending_xref)
    assert link.astext() == "region" and link["reftarget"] == "region" and link["reftype"] == "term"


def code_cell(source: str, output: str = "", folded: bool = True) -> nodes.container:
    """As MyST-NB writes one."""
    cell = nodes.container(nb_element="cell_code", **{"hide_mode": "input"} if folded else {})
    cell += nodes.container("", nodes.literal_block(source, source), nb_element="cell_code_source")
    if output:
        cell += nodes.container("", nodes.paragraph(output, output), nb_element="cell_code_output")
    return cell


def folds(*cells: nodes.Node) -> list[tuple[str, str, str]]:
    """Of what the page then has: the code, what the bar says, the output."""
    doctree = nodes.section("", *cells)
    book_folds.join_folds(None, doctree)
    found = [child for child in doctree.children if "nb_element" in child]
    return [(c[0].astext(), c.get("prompt_show", ""), "".join(x.astext() for x in c[1:])) for c in found]


def test_neighbouring_folds_share_a_bar() -> None:
    said = f"Show {book_folds.OUTPUT}"
    joined = "a = 1\n\nprint(a)\n\nassert a"
    a, show, check = "a = 1", "print(a)", "assert a"
    assert folds(code_cell(a), code_cell(show, "1"), code_cell(check)) == [(joined, said, "1")]
    apart = [("print(a)", said, "1"), ("print(a)", said, "1")]
    assert folds(code_cell(show, "1"), code_cell(show, "1")) == apart
    text = nodes.paragraph("", "words")
    assert [fold[0] for fold in folds(code_cell(a), text, code_cell(show, "1"))] == [a, show]
    assert folds(code_cell(a, folded=False), code_cell(show, "1"))[0] == (a, "", "")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("best = 1\nassert best", book_folds.CHECKS),
        ("for x in (1, 2):\n    assert x", book_folds.CHECKS),
        ("def f(x):\n    assert x\n    return x", book_folds.HELPERS),
        ("%load_ext autoreload", book_folds.HELPERS),
        ("", book_folds.HELPERS),
    ],
)
def test_the_bar_over_folded_code_says_what_it_holds(source: str, said: str) -> None:
    assert folds(code_cell(source))[0][1] == f"Show {said}"
