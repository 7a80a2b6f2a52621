r"""The book's own Sphinx extension, named in _config.yml: what every page of the site needs and no source file says.

- The scripts that draw math and move sliders, copied out of tools/web/node_modules: no page asks another host.
- A description, from the page's first lines, and the picture that goes with a link to it.
- Displayed formulas reach MathJax as they stand in the notebook; Sphinx would wrap a matrix so that \tag fails in it.
- Links to the glossary: a term that a page sets in italics or bold, the first time it does.
- The directives `status`, a table of when each notebook ran, for how long and on what, and `minutes`, for teachers.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import textwrap
from pathlib import Path

import check_links
import teaching
from docutils import nodes
from docutils.statemachine import StringList
from PIL import Image, ImageDraw, ImageFont
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.docutils import SphinxDirective

WEB = Path(__file__).resolve().parent / "web"
SERVED = [  # (folder below tools/web, files, folder below _static/vendor)
    ("node_modules/mathjax/es5", "tex-mml-chtml.js", "mathjax"),
    ("node_modules/mathjax/es5", "a11y/*.js", "mathjax"),
    ("node_modules/mathjax/es5", "input/tex/extensions/*.js", "mathjax"),
    ("node_modules/mathjax/es5", "output/chtml/fonts/woff-v2/*.woff", "mathjax"),
    ("node_modules/mathjax/es5", "sre/mathmaps/base.json", "mathjax"),
    ("node_modules/mathjax/es5", "sre/mathmaps/en.json", "mathjax"),
    ("node_modules/mathjax/es5", "sre/mathmaps/nemeth.json", "mathjax"),
    ("node_modules/requirejs", "require.js", ""),
    (".", "widgets-compat.js", ""),
    ("node_modules/@jupyter-widgets/html-manager/dist", "embed-amd.js", "@jupyter-widgets/html-manager/dist"),
    ("node_modules/@jupyter-widgets/html-manager/dist", "*.woff2", "@jupyter-widgets/html-manager/dist"),
    ("node_modules/@jupyter-widgets/html-manager/dist", "*.woff2", "@jupyter-widgets"),  # its other modules look here
]
CARD = "_static/card.png"


def copy_scripts(app: Sphinx, exception: Exception | None) -> None:
    if exception:
        return
    for folder, pattern, below in SERVED:
        files = sorted((WEB / folder).glob(pattern))
        if not files:
            raise FileNotFoundError(f"{WEB / folder / pattern}: run make, which installs tools/web/package-lock.json")
        for path in files:
            target = Path(app.outdir, "_static/vendor", below, path.relative_to(WEB / folder))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def draw_card(app: Sphinx, exception: Exception | None) -> None:
    """The picture shown beside a link to the book: its title over its first figure, 1200 x 630 pixels."""
    if exception:
        return
    card = Image.new("RGB", (1200, 630), "#0f4c5c")
    draw = ImageDraw.Draw(card)
    title = textwrap.fill(app.config.html_title, 34)
    draw.multiline_text((60, 26), title, "white", ImageFont.load_default(54), spacing=14)
    figure = Image.open(Path(app.srcdir, "_static", "answer.png")).convert("RGB")
    figure.thumbnail((1080, 390))
    left, top = (1200 - figure.width) // 2, 630 - figure.height - 40
    draw.rounded_rectangle((left - 16, top - 16, left + figure.width + 16, top + figure.height + 16), 12, "white")
    card.paste(figure, (left, top))
    card.quantize(256).save(Path(app.outdir, CARD), optimize=True)


def describe(doctree: nodes.document, longest: int = 200) -> str:
    """The page's first lines of prose, without those that say how long it takes or where else it can be opened."""
    text = ""
    for block in doctree.findall(lambda node: isinstance(node, (nodes.paragraph, nodes.bullet_list))):
        words = plain(block)
        if isinstance(block, nodes.paragraph) and re.match(r"About \d+ minutes?\b|Open in Colab$", words):
            continue
        text = f"{text} {words}".strip()
        if not text.endswith("able to"):  # then the list comes next
            break
    whole = re.match(rf".{{60,{longest - 1}}}[.?!;](?=\s)", text)  # up to the last sentence that fits
    return whole[0].rstrip(";") if len(text) > longest and whole else textwrap.shorten(text, longest, placeholder=" …")


def plain(node: nodes.Node) -> str:
    if isinstance(node, nodes.Text):
        return node.astext()
    if isinstance(node, nodes.bullet_list):
        return " ".join(plain(item) for item in node.children)
    if isinstance(node, nodes.math):
        return re.sub(r"\\(text|mathrm)?|[{}$]", "", node.astext())
    return " ".join("".join(plain(child) for child in node.children).split())


def add_description(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    if doctree is None:
        return
    description, base = describe(doctree), app.config.html_baseurl
    tags = {
        "og:type": "website",
        "og:site_name": app.config.html_title,
        "og:title": html.unescape(re.sub(r"<[^>]+>", "", context["title"])),
        "og:description": description,
        "og:url": f"{base}{page}.html",
        "og:image": f"{base}{CARD}",
        "og:image:alt": "The book's title and its first figure: the score of networks against P, for two tasks.",
    }
    meta = [("name", "description", description), ("name", "twitter:card", "summary_large_image")]
    meta += [("property", name, content) for name, content in tags.items()]
    context["metatags"] += "".join(f'<meta {k}="{name}" content="{html.escape(text)}" />\n' for k, name, text in meta)


def set_address(app: Sphinx, config: Config) -> None:
    config.html_baseurl = check_links.address()


def keep_formulas(app: Sphinx, doctree: nodes.document) -> None:
    for block in doctree.findall(nodes.math_block):
        if not block.get("nowrap"):
            block[:] = [nodes.Text(rf"\[{block.astext()}\]")]
            block["nowrap"] = True


def terms(glossary: str) -> dict[str, str]:
    """Names by which a term may be called -> the term, from the glossary's source."""
    lines = re.findall(r"^(?=\w)(.+)$", glossary.split("```{glossary}")[1].split("```")[0], re.MULTILINE)
    names = {part.strip(): line for line in lines for part in line.split(",") if not part.startswith(" real")}
    return {name.lower(): line for name, line in [*names.items(), *zip(lines, lines, strict=True)]}


def link_terms(app: Sphinx, doctree: nodes.document) -> None:
    """Where a page first sets a term in italics or bold it explains the term, and there it links to the glossary."""
    page, linked = app.env.docname, set()
    if page == "glossary":
        return
    known = terms(Path(app.srcdir, "glossary.md").read_text("utf-8"))
    for node in list(doctree.findall(lambda node: isinstance(node, (nodes.emphasis, nodes.strong)))):
        if not all(isinstance(child, nodes.Text) for child in node.children):
            continue  # a link within, for one
        words = node.astext().lower().rstrip(".:")
        term = known.get(words) or known.get(words.removesuffix("s"))
        inside = node.parent
        while inside is not None and not isinstance(inside, (nodes.title, nodes.reference)):
            inside = inside.parent
        if term and term not in linked and inside is None:
            linked.add(term)
            target = {"refdomain": "std", "reftype": "term", "reftarget": term, "refexplicit": True, "refwarn": True}
            node.replace_self(pending_xref("", node.deepcopy(), refdoc=page, **target))


class Table(SphinxDirective):
    """One that is made when the site is built."""

    def lines(self) -> list[str]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        parent = nodes.Element()
        self.state.nested_parse(StringList(self.lines(), self.name), self.content_offset, parent)
        return parent.children


class Minutes(Table):
    """How long the chapters take."""

    def lines(self) -> list[str]:
        return teaching.minutes().splitlines()


class Status(Table):
    """A table of executed/status.json, which tools/execute.py writes."""

    def lines(self) -> list[str]:
        status = json.loads(Path(self.env.srcdir).with_name("status.json").read_text("utf-8"))
        order = [page for page in self.env.external_site_map if page in status]
        lines = ["| chapter | seconds | on | Python | NumPy | PyTorch |", "|---|--:|---|---|---|---|"]
        for page in order:
            entry = status[page]
            cells = [f"[]({page}.ipynb)", f"{entry['seconds']:.0f}", entry["date"]]
            cells += [entry[name] for name in ("python", "numpy", "torch")]
            lines.append(f"| {' | '.join(cells)} |")
        minutes = sum(status[page]["seconds"] for page in order) / 60
        return [*lines, "", f"{len(order)} notebooks, {minutes:.0f} minutes of computing in all."]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("status", Status)
    app.add_directive("minutes", Minutes)
    app.connect("config-inited", set_address)
    app.connect("doctree-read", keep_formulas)
    app.connect("doctree-read", link_terms)
    app.connect("html-page-context", add_description)
    app.connect("build-finished", draw_card)
    app.connect("build-finished", copy_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
