"""Sphinx extension, named in _config.yml: what the theme and Sphinx write that screen readers stumble on, mended.

The theme's icons come as a font; the script that draws them once more, 1.5 MB a page, is left out.
"""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx


def plain(found: re.Match[str]) -> str:
    return f'<div class="arguments">\n{found[1]}</div>'.replace("<dd>", "<div>").replace("</dd>", "</div>")


MENDED = [  # (what is written, what is to stand there)
    (r'(<div class="bd-sidebar-primary[^"]*")', r'\1 role="navigation" aria-label="Book"'),  # no text out of landmarks
    (r'(<button class="btn search-button-field[^>]*?) aria-label="Search"', r"\1"),  # its text says more
    (r'(<summary) aria-label="Toggle hidden content"', r"\1"),  # likewise
    (r'role="doc-biblioentry"', 'role="listitem"'),  # the former is withdrawn
    (r'<th( class="blank[^"]*")? ?>(?:&nbsp;)?</th>', r"<td\1></td>"),  # an empty corner of a table heads nothing
    (r'\s*<script src="[^"]*/fontawesome/[^"]*\.js[^"]*"></script>', ""),
    (r"<dl>\n((?:<dd>.*</dd>\n)+)</dl>", plain),  # a signature's arguments, written as definitions without terms
]


def mend(app: Sphinx, exception: Exception | None) -> None:
    for path in [] if exception else Path(app.outdir).rglob("*.html"):
        text = path.read_text("utf-8")
        for written, better in MENDED:
            text = re.sub(written, better, text)
        path.write_text(text, encoding="utf-8")
    if not exception:  # what no page loads any more, what only developers of the theme do, fonts for old browsers
        for path in Path(app.outdir).rglob("fontawesome/**/*.css"):
            text = re.sub(r',url\([^)]*\.ttf\) format\("truetype"\)', "", path.read_text("utf-8"))
            path.write_text(text, encoding="utf-8")
        for left in ("fontawesome/**/*.js", "fontawesome/**/*.ttf", "_static/**/*.map"):
            for path in Path(app.outdir).rglob(left):
                path.unlink()


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
