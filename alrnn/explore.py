"""Sliders over figures rendered beforehand: they work where no kernel runs, so on the static site, too."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping

try:
    import ipywidgets as widgets
    from IPython.display import display
except ModuleNotFoundError as error:
    raise ImportError(f"alrnn.explore needs {error.name}: install alrnn[plots]") from error

__all__ = ["slider"]
__dir__ = __all__.copy  # dir() shows what is public


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
