"""Sphinx extension of the page on the library: alrnn's docstrings, which are plain text, become reStructuredText."""

from __future__ import annotations

import inspect
import re
from itertools import pairwise
from typing import is_typeddict

from sphinx.application import Sphinx

FIELDS = {"Args:": "param", "Raises:": "raises", "Returns:": "returns"}


def read_as_text(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Make reStructuredText of a docstring: its sections, and lines set apart, as a list or as they are."""
    has_arguments = callable(obj) and what != "exception" and not is_typeddict(obj)
    names = [*(inspect.signature(obj).parameters if has_arguments else ()), r"[A-Z]\w+Error"]
    next_item = rf"[.;]\s(?=(?:{'|'.join(names)}): )"  # several may share a line
    joined = re.sub(r"\n {8,}", " ", "\n".join(lines)).split("\n")  # the rest of an item
    text: list[str] = []
    inside = ""  # what the indented lines at hand are: a section, a list, a formula, or the rest of a sentence
    for before, line in pairwise(["", *joined]):
        indented, words = line.startswith("    "), escape(line.strip())
        if indented and not inside:
            kind = "formula" if not before else "list" if before[-1] == ":" else "rest"
            inside = before if before in FIELDS else kind
            text += {"formula": ["::", ""], "list": [""]}.get(inside, [])
        elif line and not indented:
            text += [""] if inside else []
            inside = ""
        if inside == "formula":
            text.append(line)
        elif inside == "Returns:" and before != inside:
            text[-1] += f" {words}"
        elif inside == "Returns:":
            text.append(f":returns: {words}")
        elif inside in FIELDS and line:
            for item in re.split(next_item, words):
                heads, _, what_it_is = item.partition(": ")
                text += [f":{FIELDS[inside]} {head}: {what_it_is.removesuffix('.')}" for head in heads.split(", ")]
        elif line not in FIELDS:
            text.append(f"- {words}" if inside == "list" and line else words)
    lines[:] = text


def escape(words: str) -> str:
    parts = words.split("`")
    parts[::2] = [re.sub(r"[*|]|(?<=\w)_(?!\w)", r"\\\g<0>", part) for part in parts[::2]]
    parts[2::2] = [re.sub(r"^(?=\w)", r"\\ ", part) for part in parts[2::2]]  # a plural after a name
    return "``".join(parts)


def shorten(app, what, name, obj, options, signature: str | None, returns: str | None) -> tuple[str | None, str | None]:
    """Arrays by their plain names."""

    def short(text: str | None) -> str | None:
        plain = re.sub(r"~(?:\w+\.)*", "", text or "")
        return re.sub(r"ndarray\[tuple\[Any, \.\.\.\], dtype\[(\w+)\]\]", r"NDArray[\1]", plain) or None

    return short(signature), short(returns)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", read_as_text)
    app.connect("autodoc-process-signature", shorten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
