"""What a teacher takes from the chapters: how long they are, what to set as homework, and slides of their figures.

    python tools/teaching.py minutes                            a table of all chapters, as on the page for teachers
    python tools/teaching.py minutes foundations/regions        a chapter, section by section
    python tools/teaching.py slides --out FILE [CHAPTER ...]    their figures, one a slide: a file for any browser

Reading is counted: 200 words or 20 lines of open code a minute, half a minute for a formula or a figure. Computing is
that of the last execution. Both, and the figures, are of the notebooks that `make book` left in executed/.
"""

from __future__ import annotations

import argparse
import html
import json
import re
import sys
from pathlib import Path

import check_links
import nbformat
import yaml

ROOT = Path(__file__).resolve().parent.parent
EXERCISE = re.compile(r"^\*\*Exercise \d+\. Extend\.\*\* *(.+?[.?!])(?=\s)", re.MULTILINE | re.DOTALL)
FIGURE = re.compile(r"<figure .*?</figure>", re.DOTALL)
STYLE = """
html { scroll-snap-type: y mandatory; font: 1.1rem/1.4 system-ui, sans-serif; color: #222; background: white }
body { margin: 0 }
section { box-sizing: border-box; height: 100vh; padding: 3vh 5vw; scroll-snap-align: start; break-after: page;
  display: flex; flex-direction: column; align-items: center; justify-content: center; text-align: center }
h1, h2 { margin: 0 0 .3em } h2 { font-size: 1.3rem } header { color: #555 }
figure { margin: 0 !important; min-height: 0; display: flex; flex-direction: column; align-items: center }
figure img { min-height: 0; max-width: 90vw !important; width: auto !important; object-fit: contain }
figcaption { max-width: 60em; padding-top: .5em }
"""


def chapters(root: Path = ROOT) -> list[str]:
    """The pages that have exercises, in the order of the book."""
    pages = check_links.pages(yaml.safe_load((root / "book" / "_toc.yml").read_text("utf-8")))
    found = [page for page in pages if (root / "book" / f"{page}.ipynb").exists()]
    return [page for page in found if "\n## Exercises" in prose(notebook(page, root))]


def notebook(page: str, root: Path = ROOT) -> nbformat.NotebookNode:
    """As it was executed, or else as it is in the book."""
    executed = root / "executed" / "book" / f"{page}.ipynb"
    return nbformat.read(executed if executed.exists() else root / "book" / f"{page}.ipynb", 4)


def prose(nb: nbformat.NotebookNode) -> str:
    return "\n".join(["", *(cell.source for cell in nb.cells if cell.cell_type == "markdown")])


def sections(nb: nbformat.NotebookNode) -> dict[str, float]:
    """Heading -> minutes of reading; folded code and solutions are not in them."""
    found, name = {}, ""
    for cell in nb.cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "code":
            lines = 0 if {"hide-input", "remove-cell"} & {*tags} else len(cell.source.splitlines())
            drawn = len(figures(cell)) or "plots.show(" in cell.source
            found[name] = found.get(name, 0) + lines / 20 + drawn / 2
            continue
        source = re.sub(r"<details>.*?</details>|<[^>]+>|\(https?:[^)]*\)", "", cell.source, flags=re.DOTALL)
        for part in re.split(r"^(?=##? )", source, flags=re.MULTILINE):
            if heading := re.match(r"##? +(.+)", part):
                name = heading[1].strip()
            found[name] = found.get(name, 0) + len(part.split()) / 200 + part.count("$$") / 4
    return found


def minutes(root: Path = ROOT) -> str:
    """A table in Markdown: for each chapter minutes of reading, seconds of computing, and its last exercise."""
    path = root / "executed" / "status.json"
    status = json.loads(path.read_text("utf-8")) if path.exists() else {}
    lines = ["| chapter | reading, minutes | computing, seconds | to take home |", "|---|--:|--:|---|"]
    for page in chapters(root):
        nb = notebook(page, root)
        seconds = f"{status[page]['seconds']:.0f}" if page in status else "–"
        task = EXERCISE.search(prose(nb))
        lines.append(f"| [](../{page}.ipynb) | {sum(sections(nb).values()):.0f} | {seconds} | {table_text(task)} |")
    return "\n".join(lines)


def table_text(found: re.Match | None) -> str:
    return " ".join(found[1].split()).replace("|", r"\|") if found else ""


def figures(cell: nbformat.NotebookNode) -> list[str]:
    """The figures with captions that a cell shows."""
    shown = ["".join(output.get("data", {}).get("text/html", "")) for output in cell.get("outputs", [])]
    return [figure for text in shown for figure in FIGURE.findall(text)]


def slides(pages: list[str], root: Path = ROOT) -> str:
    """A page of slides.

    Raises:
        ValueError: none of these chapters has a figure, as they have not been executed.
    """
    parts, count = [], 0
    for page in pages:
        nb, title, name = notebook(page, root), "", ""
        for cell in nb.cells:
            if cell.cell_type == "markdown":
                for level, words in re.findall(r"^(##?) +(.+)", cell.source, re.MULTILINE):
                    title, name = (words, "") if level == "#" else (title, words)
                    if level == "#":
                        parts.append(f"<section><h1>{html.escape(words)}</h1></section>")
                continue
            for figure in figures(cell):
                head = f"<header>{html.escape(title)}</header>" if name else ""
                parts.append(f"<section>{head}<h2>{html.escape(name or title)}</h2>{figure}</section>")
                count += 1
    if not count:
        raise ValueError("there are no figures yet: run make book, then this once more")
    head = f'<meta charset="utf-8"><title>Slides</title><style>{STYLE}</style>'
    return f'<!DOCTYPE html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("minutes", "slides"))
    parser.add_argument("chapters", nargs="*", help="by default all")
    parser.add_argument("--out", type=Path, default=Path("slides.html"))
    given = parser.parse_args(arguments)
    known = chapters()
    for page in given.chapters:
        if page not in known:
            parser.error(f"there is no chapter {page!r}; there are {', '.join(known)}")
    if given.what == "slides":
        try:
            text = slides(given.chapters or known)
        except ValueError as error:
            parser.error(str(error))
        given.out.write_text(text, "utf-8")
        print(f"{given.out}: {text.count('<figure')} figures, {len(text) / 1e6:.1f} MB")
    elif given.chapters:
        for page in given.chapters:
            print(page, *(f"{m:5.1f}  {name}" for name, m in sections(notebook(page)).items() if name), sep="\n")
    else:
        print(minutes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
