"""What works where no kernel runs, so on the static site, too: sliders, questions, nets as a page reads them."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .files import written_whole
from .nets import ALRNN

try:
    import ipywidgets as widgets
    from IPython.display import HTML, display
except ModuleNotFoundError as error:
    raise ImportError(f"alrnn.explore needs {error.name}: install alrnn[plots]") from error

__all__ = ["ask", "export", "slider"]
__dir__ = __all__.copy  # dir() shows what is public

_CHECK = Path(__file__).with_suffix(".js").read_text("utf-8")


def ask(question: str, answer: float, hints: Mapping[float, str] | None = None, within: float = 0.01) -> HTML:
    """A box for a number that the reader's browser checks, without a kernel.

    Args:
        question: the label, short. answer: computed in the cell, so that nothing is stored.
        hints: numbers that likely mistakes lead to, and what to say to them. within: relative tolerance.

    Raises:
        ValueError: an answer or a tolerance that is not finite, or a hint as near to the answer as that.
    """
    known = [(float(value), words) for value, words in (hints or {}).items()]
    if not math.isfinite(answer) or not 0 < within < 1:
        raise ValueError(f"the answer must be finite and 0 < within < 1, got {answer} and {within}")
    if taken := [value for value, _ in known if math.isclose(value, answer, rel_tol=2 * within)]:
        raise ValueError(f"a hint to {taken[0]} would be one to the answer, {answer}")
    facts = {"answer": f"{answer:.10g}", "hints": json.dumps(known), "within": f"{within:g}", "class": "ask"}
    told = "".join(f' {"" if k == "class" else "data-"}{k}="{html.escape(v)}"' for k, v in facts.items())
    return HTML(
        f'<form{told} onsubmit="{html.escape(_CHECK)}"><label>{html.escape(question)} '
        '<input type="text" inputmode="decimal" size="9" autocomplete="off"></label> '
        '<button type="submit">Check</button> <output role="status"></output></form>'
    )


def slider(name: str, frames: Mapping[str, str], caption: str = "", start: int = 0) -> widgets.VBox:
    """Display a labelled slider, for mouse and arrow keys, that moves through frames; returns the widget.

    Args:
        name: what the slider moves, e.g. "inhibition g". caption: shown below.
        frames: the value as it is to be shown -> HTML, best from `plots.picture`. Each picture needs alt text of its
            own, as a reader who cannot see them knows by it what the slider changes.
        start: number of the frame shown first.

    Raises:
        ValueError: fewer than two frames, no such start, or pictures without alt text or with that of another frame.
    """
    if len(frames) < 2 or not 0 <= start < len(frames):
        raise ValueError(f"a slider needs at least two frames and a start among them, got {len(frames)} and {start}")
    pictures = [re.findall(r"<img\b[^>]*>", page) for page in frames.values()]
    told = [tuple(re.findall(r'\balt="([^"]+)"', " ".join(tags))) for tags in pictures]
    silent = any(len(words) < len(tags) for words, tags in zip(told, pictures, strict=True))
    if silent or len(set(told)) < len(told) and any(told):
        raise ValueError("each picture of a slider needs alt text, and another one in each frame")
    pages = [widgets.HTML(page) for page in frames.values()]
    look = {"style": {"description_width": "initial"}, "layout": {"width": "100%", "max_width": "600px"}}
    control = widgets.SelectionSlider(options=list(frames), index=start, description=name, **look)
    below = widgets.HTML(f'<span style="font-size:90%">{html.escape(caption)}</span>')
    if hasattr(widgets, "Stack"):  # linked in the browser
        shown = widgets.Stack(pages, selected_index=start)
        widgets.jslink((control, "index"), (shown, "selected_index"))
        control.tooltip = name  # otherwise the browser shows "null"
    else:  # ipywidgets 7, as in Colab, has no stack; but there a kernel runs and can exchange the page
        shown = widgets.HTML(pages[start].value)
        control.observe(lambda change: shown.set_trait("value", pages[change["new"]].value), "index")
    box = widgets.VBox([control, shown, below])
    display(box)
    return box


def export(path: str | PathLike, nets: Mapping[str, ALRNN], **facts: Any) -> None:
    """Write trained nets as JSON, for a page that runs them in the browser; the file appears whole or not at all.

    Under "nets", for each name, its sizes M, N, O, P, its seed, and its weights as lists, matrices row by row. facts:
    what else the page is to know; tensors and arrays as lists. Numbers have as few digits as tell them in float32.

    Raises:
        TypeError: a net that is no ALRNN, or a fact that JSON has no word for.
    """
    if wrong := [name for name, net in nets.items() if not isinstance(net, ALRNN)]:
        raise TypeError(f"only ALRNNs can be exported, {wrong[0]!r} is {type(nets[wrong[0]]).__name__}")

    def lists(x: Any) -> Any:
        if hasattr(x, "tolist"):
            return lists(x.tolist())
        if isinstance(x, Mapping):
            return {str(name): lists(value) for name, value in x.items()}
        if isinstance(x, list | tuple):
            return [lists(value) for value in x]
        return float(str(np.float32(x))) if isinstance(x, float) else x

    def weights(net: ALRNN) -> dict[str, Any]:
        sizes = dict(M=net.hidden_size, N=net.input_size, O=net.output_size, P=net.nonlinear_size, seed=net.seed)
        with torch.no_grad():
            return sizes | {name: getattr(net, name).flatten() for name in ("A", "W", "C", "h", "D", "b")}

    text = json.dumps(lists({"nets": {name: weights(net) for name, net in nets.items()}} | facts))
    with written_whole(path) as file:
        file.write(text.encode())
