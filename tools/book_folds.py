"""Sphinx extension, named in _config.yml: the bar over folded code says what is behind it."""

from __future__ import annotations

import ast

from docutils import nodes
from sphinx.application import Sphinx

CHECKS, HELPERS, OUTPUT = "checks", "helper code", "the code of this output"


def content(source: str, has_output: bool) -> str:
    """What a folded cell holds: what makes the output under it, checks alone or, with other code, helpers."""
    if has_output:
        return OUTPUT
    try:
        last = ast.parse(source).body[-1]
    except (SyntaxError, IndexError):  # IPython's own syntax, or nothing
        return HELPERS
    while isinstance(last, ast.For | ast.With | ast.If):
        last = last.body[-1]
    return CHECKS if isinstance(last, ast.Assert) else HELPERS


def name_folds(app: Sphinx, doctree: nodes.document) -> None:
    for cell in doctree.findall(nodes.container):
        if cell.get("nb_element") == "cell_code" and cell.get("hide_mode") == "input":
            parts = [part.get("nb_element") for part in cell.children]
            said = content(cell.children[0].astext(), "cell_code_output" in parts)
            cell["prompt_show"], cell["prompt_hide"] = f"Show {said}", f"Hide {said}"


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", name_folds)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
