"""Bring every notebook, the assignments' too, into one form: no outputs, Colab link, install cell, numbered equations.

    python tools/notebooks.py            rewrite what differs
    python tools/notebooks.py --check    change nothing; name what differs and exit with 1

The repository's address is read from _config.yml, the one place where it stands.
"""

from __future__ import annotations

import argparse
import itertools
import re
import sys
from pathlib import Path

import nbformat
import nbstripout
import yaml

ROOT = Path(__file__).resolve().parent.parent
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def repository(root: Path = ROOT) -> tuple[str, str, str]:
    """Address, branch and folder of the book, from _config.yml."""
    settings = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["repository"]
    return settings["url"], settings["branch"], settings["path_to_book"]


def install_line(root: Path = ROOT) -> str:
    """One line, the same in every notebook: `%pip install` where alrnn is missing, and nothing where it is there.

    Chapters need what is in [plots], too. Without --upgrade pip keeps every package that meets alrnn's low bounds, so
    torch and numpy stay as they are.
    """
    url, branch, _ = repository(root)
    wanted = f'install -q "alrnn[plots] @ git+{url}@{branch}"'
    return (
        'if not __import__("importlib.util").util.find_spec("alrnn"): '
        f"get_ipython().run_line_magic('pip', '{wanted}')  # fmt: skip  # noqa: E501, E701"
    )


def colab_link(notebook: Path, root: Path = ROOT) -> str:
    """A link, not the usual badge: its picture would be fetched from another host."""
    url, branch, _ = repository(root)
    path = notebook.relative_to(root).as_posix()
    address = f"{url.removeprefix('https://github.com/')}/blob/{branch}/{path}"
    return f"[Open in Colab](https://colab.research.google.com/github/{address})"


def number_equations(cells: list) -> None:
    r"""Write \tag{1}, \tag{2}, ... into displayed formulas: Jupyter, Colab and the site all show them as (1), (2)."""
    number = itertools.count(1)

    def tagged(match: re.Match) -> str:
        formula = re.sub(r"\s*\\tag\{\d+\}", "", match[1])
        end = len(formula.rstrip())
        return f"$${formula[:end]} \\tag{{{next(number)}}}{formula[end:]}$$"

    for cell in cells:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"\$\$(.+?)\$\$", tagged, cell.source, flags=re.DOTALL)


def canonical(notebook: Path, root: Path = ROOT) -> str:
    """The text that the notebook's file should have."""
    nb = nbformat.read(notebook, as_version=4)
    nbstripout.strip_output(
        nb, keep_output=False, keep_count=False, keep_id=True, extra_keys=["metadata.vscode", "metadata.widgets"]
    )
    nb.metadata = nbformat.from_dict({"kernelspec": KERNEL, **pick(nb.metadata, "execution")})
    link = nbformat.v4.new_markdown_cell(colab_link(notebook, root), id="colab")
    install = nbformat.v4.new_code_cell(install_line(root), id="install", metadata={"tags": ["remove-cell"]})
    cells = [cell for cell in nb.cells if cell.get("id") not in ("colab", "install")]
    nb.cells = [*cells[:1], link, install, *cells[1:]]
    number_equations(nb.cells)
    nb.nbformat_minor = 5
    return nbformat.writes(nb, version=nbformat.NO_CONVERT) + "\n"


def pick(metadata: dict, key: str) -> dict:
    return {key: metadata[key]} if key in metadata else {}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Bring every notebook of the book into its one form.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 where something differs")
    check = parser.parse_args(argv).check
    notebooks = sorted([*(ROOT / "book").rglob("*.ipynb"), *(ROOT / "assignments").glob("*.ipynb")])
    differs = [path for path in notebooks if path.read_text("utf-8") != canonical(path)]
    for path in differs:
        print(f"{path.relative_to(ROOT)}: {'not in its form; run python tools/notebooks.py' if check else 'rewritten'}")
        if not check:
            path.write_text(canonical(path), encoding="utf-8")
    return int(check and bool(differs))


if __name__ == "__main__":
    sys.exit(main())
