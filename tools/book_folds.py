"""Sphinx extension, named in _config.yml: neighbouring folded cells share one bar, which says what is behind it."""

from __future__ import annotations

import ast

from docutils import nodes
from sphinx.application import Sphinx

CHECKS, HELPERS, OUTPUT = "checks", "helper code", "the code of this output"


def only_checks(source: str) -> bool:
    """Whether the code of a cell without output ends in an assertion."""
    try:
        last = ast.parse(source).body[-1]
    except (SyntaxError, IndexError):  # IPython's own syntax, or nothing
        return False
    while isinstance(last, ast.For | ast.With | ast.If):
        last = last.body[-1]
    return isinstance(last, ast.Assert)


def is_folded(cell: nodes.Node | None) -> bool:
    return isinstance(cell, nodes.container) and cell.get("hide_mode") == "input"


def has_output(cell: nodes.container) -> bool:
    return any(part.get("nb_element") == "cell_code_output" for part in cell.children)


def join(cells: list[nodes.container]) -> None:
    """All code into the cell that has the output, the last one if none has; the others go."""
    kept = next(filter(has_output, cells), cells[-1])
    blocks = [block for cell in cells for block in cell.children[0].children]
    kept.children[0].children = []
    kept.children[0].extend(blocks)
    for cell in cells:
        if cell is not kept:
            cell.parent.remove(cell)
    said = OUTPUT if has_output(kept) else CHECKS if all(only_checks(b.astext()) for b in blocks) else HELPERS
    kept["prompt_show"], kept["prompt_hide"] = f"Show {said}", f"Hide {said}"


def join_folds(app: Sphinx, doctree: nodes.document) -> None:
    groups: list[list[nodes.container]] = []
    for cell in filter(is_folded, doctree.findall(nodes.container)):
        before = cell.parent.children[cell.parent.index(cell) - 1] if cell.parent.index(cell) else None
        joined = groups and groups[-1][-1] is before and not (has_output(cell) and any(map(has_output, groups[-1])))
        groups[-1].append(cell) if joined else groups.append([cell])
    for group in groups:
        join(group)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", join_folds)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
