"""The book's figures: one style, one function a figure. They take results and return matplotlib figures; none trains.

Figures stand on their own light ground, so they read the same on light and dark pages. Colours are safe for readers who
are colour-blind: P = 0 is vermilion, P > 0 runs from dark to light along viridis, regions take seaborn's "colorblind".
matplotlib's own settings stay as they are; `use` and `style` give figures of one's own this style.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.spatial.distance import cdist

from .regions import Visits, dwell_times, occupancy, transition_counts

try:
    import matplotlib as mpl
    import matplotlib.pyplot as plt
    import networkx as nx
    import seaborn as sns
    from IPython.display import HTML, display
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image
except ModuleNotFoundError as error:
    raise ImportError(f"alrnn.plots needs {error.name}: install alrnn[plots]") from error

__all__ = ["FLOOR", "LINEAR", "REGIONS", "STYLE", "colour", "few_colours", "picture", "show", "style", "use"]
__all__ += ["phase_portrait", "region_graph", "score_against_P", "spectrum"]
__dir__ = __all__.copy  # dir() shows what is public

LINEAR = "#D55E00"  # P = 0, and everything linear
LEGIBLE = 0.65  # a figure is not shrunk below: letters of 10 points are then 9 pixels high
FLOOR = "#444444"  # theoretical limits
REGIONS = sns.color_palette("colorblind")

STYLE = mpl.rc_params_from_file(Path(__file__).with_suffix(".mplstyle"), use_default_template=False)


@contextmanager
def style() -> Iterator[None]:
    """The book's style inside `with plots.style():` or a function so decorated; all that is here has it of itself."""
    with mpl.rc_context(STYLE):
        yield


def use() -> None:
    """The book's style from now on, for all of matplotlib."""
    mpl.rcParams.update(STYLE)


@style()
def picture(figure: Figure, alt: str, frame: bool = False) -> str:
    """The figure, closed, as HTML: a PNG with alt text. A frame of a series is small, and as large as its fellows.

    Panels in a row are there twice, and on a phone they stand under one another.
    """
    width = round(figure.get_figwidth() * 100)
    least = "" if frame else f";min-width:{round(LEGIBLE * width)}px"
    image, phone = _png(figure, frame), ""
    if not frame and width > 550 and _in_a_column(figure):
        least, phone = "", f'<source media="(max-width:620px)" srcset="{_png(figure)}">'
    plt.close(figure)
    image = f'<img src="{image}" alt="{html.escape(alt)}" style="width:100%;max-width:{width}px{least}">'
    return f"<picture>{phone}{image}</picture>" if phone else image


def _png(figure: Figure, frame: bool = False) -> str:
    """The figure as an address."""
    full, few = io.BytesIO(), io.BytesIO()
    figure.savefig(full, format="png", dpi=100 if frame else None, bbox_inches=None if frame else "tight")
    few_colours(Image.open(full).convert("RGB")).save(few, format="png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(few.getvalue()).decode()}"


def _in_a_column(figure: Figure) -> bool:
    """Put panels that stand in one row under one another; False, with nothing done, where there is no such row."""
    panels = [(ax, place) for ax in figure.axes if (place := ax.get_subplotspec())]
    places = [spec for _, place in panels for spec in (place, place.get_topmost_subplotspec())]
    rows = any(len(spec.rowspan) < spec.get_gridspec().nrows for spec in places)  # more than one
    if rows or not 1 < len(panels) == len({place for _, place in panels}) or figure.texts or figure.subfigs:
        return False
    width, height = figure.get_size_inches()
    figure.set_size_inches(4.4, len(panels) * height * min(1.2, 4.4 * len(panels) / width))
    first, column = panels[0][0], figure.add_gridspec(len(panels), 1)
    for i, (ax, _) in enumerate(panels):
        ax.set_subplotspec(column[i])
        ax.tick_params(labelleft=True)  # what a row of panels says once
        ax.set_ylabel(ax.get_ylabel() or first.get_ylabel() * bool(ax.get_shared_y_axes().joined(ax, first)))
    return True


def few_colours(image: Image.Image) -> Image.Image:
    """An RGB image in its 256 most frequent colours, other pixels in the nearest; Pillow's own ways shift pale ones."""
    pixels = np.asarray(image).astype(np.int64) @ [65536, 256, 1]
    colours, index, count = np.unique(pixels, return_inverse=True, return_counts=True)
    parts = (colours[:, None] // [65536, 256, 1]) % 256
    common = parts[np.argsort(-count, kind="stable")[:256]]
    nearest = cdist(parts, common).argmin(1).astype(np.uint8)
    few = Image.fromarray(nearest[index.reshape(pixels.shape)])
    few.putpalette(common.astype(np.uint8).tobytes())
    return few


def show(figure: Figure, caption: str, alt: str) -> None:
    """Display a figure in a notebook with a caption below it and alt text that says what a reader should see.

    On a page too narrow for its lettering its panels stand under one another, or it can be pushed sideways.
    """
    ground = "margin:1em 0;padding:.5em;background:white;color:#222;border-radius:4px"  # whatever the page's theme is
    image = picture(figure, alt)
    wide = ';overflow-x:auto" tabindex="0' if figure.get_figwidth() > 5.5 else ""  # as drawn last: not a column
    below = f'<figcaption style="font-size:90%;color:#222">{html.escape(caption)}</figcaption>'
    display(HTML(f'<figure style="{ground}{wide}">{image}{below}</figure>'))


def colour(P: int, M: int):
    """The colour of P in a net of M units, the same all through the book."""
    return LINEAR if P == 0 else mpl.colormaps["viridis"](0.85 * np.log(P) / np.log(max(M, 2)))


@style()
def score_against_P(
    table: pd.DataFrame,
    score: str = "test",
    label: str = "test score",
    limits: dict[str, float] | None = None,
    log: bool = False,
    ax: Axes | None = None,
) -> Figure:
    """One dot per net, median and interquartile range per P, dashed lines at named limits.

    table: rows with P, M and the score column, as `Sweep.table`. limits: name -> value, e.g. the linear floor.
    """
    ax = ax or plt.subplots()[1]
    sizes = sorted(table["P"].unique())
    x, M = np.arange(len(sizes)), int(table["M"].max())
    aside = np.random.default_rng(0).uniform(-0.15, 0.15, len(table))  # so that dots do not hide each other
    dots = [colour(P, M) for P in table["P"]]
    ax.scatter(np.searchsorted(sizes, table["P"]) + aside, table[score], s=25, c=dots, linewidths=0)  # type: ignore
    quartiles = table.groupby("P")[score].quantile(np.array([0.25, 0.5, 0.75])).unstack()
    spread = np.abs(quartiles[[0.25, 0.75]].to_numpy() - quartiles[[0.5]].to_numpy()).T
    ax.errorbar(x, quartiles[0.5], yerr=spread, fmt="_", color="black", markersize=16, capsize=3, zorder=3)
    for (name, value), dash in zip((limits or {}).items(), cycle(["--", ":", "-."]), strict=False):
        ax.axhline(value, color=FLOOR, linestyle=dash, linewidth=1.2, label=name)
    if limits:
        ax.legend(loc="best")
    ax.set_xticks(x, [f"{P:g}" for P in sizes])
    ax.set(xlabel="P, number of PWL units", ylabel=label, xlim=(-0.5, len(sizes) - 0.5))
    ax.set_yscale("log" if log else "linear")
    return ax.figure  # type: ignore[return-value]


@style()
def phase_portrait(
    net,
    limits: tuple[float, float, float, float] = (-2, 2, -2, 2),
    paths: dict[str, np.ndarray] | None = None,
    points: Sequence = (),
    s: np.ndarray | None = None,
    ax: Axes | None = None,
) -> Figure:
    """The whole state plane of a net with M = 2: its regions, where one step leads, trajectories and fixed points.

    limits: left, right, bottom, top. paths: name -> states (T, 2), the first one marked. points: as from
    `alrnn.regions.fixed_points`, with z, bits, real, stable. s: constant input (N,) of arrows, zero by default.
    Arrows show z -> z' - z, longer ones shortened (square root). Ground and virtual points take their region's colour.

    Raises:
        ValueError: another M.
    """
    if net.hidden_size != 2:
        raise ValueError(f"a phase portrait needs a net with M = 2, got M = {net.hidden_size}")
    ax = ax or plt.subplots(figsize=(5.2, 4.8))[1]
    P, (left, right, bottom, top) = net.nonlinear_size, limits
    x, y = np.meshgrid(np.linspace(left, right, 15), np.linspace(bottom, top, 15))
    z = torch.tensor(np.stack([x.ravel(), y.ravel()], 1), dtype=net.W.dtype, device=net.W.device)
    inputs = torch.zeros(len(z), 1, net.input_size).to(z) + torch.as_tensor(0 if s is None else s).to(z)
    with torch.no_grad():
        step = (net(inputs, z)[1][:, 0] - z).cpu().numpy()
    step /= np.sqrt(np.linalg.norm(step, axis=1, keepdims=True)) + 1e-12
    ground = _ground(ax, P, limits)
    ax.quiver(x, y, *step.T, color="0.45", angles="xy", width=0.0028, pivot="tail", zorder=1)
    for (name, path), c in zip((paths or {}).items(), cycle(("black", LINEAR, "#0072B2")), strict=False):
        ax.plot(*path.T, "o-", color=c, markersize=2.8, linewidth=1.0, zorder=2, label=name)
        ax.plot(*path[0], "s", color=c, markersize=6, zorder=2)
    kinds = {"real, stable": ("o", "black"), "real, unstable": ("o", "white"), "virtual": ("X", "")}
    for kind, (marker, face) in kinds.items():
        chosen = [p for p in points if kind == ("virtual" if not p.real else f"real, {'' if p.stable else 'un'}stable")]
        for i, p in enumerate(chosen):
            c = face or ground[tuple(int(bit) for bit in p.bits)]
            ax.plot(*p.z, marker, color=c, markeredgecolor="black", markersize=9, linestyle="", zorder=5, clip_on=False,
                    label=None if i else f"fixed point, {kind}")  # fmt: skip
    ax.set(xlim=(left, right), ylim=(bottom, top), xlabel="z₁, state of unit 1", ylabel="z₂, state of unit 2")
    ax.locator_params(nbins=5)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, fontsize="small")
    return ax.figure  # type: ignore[return-value]


def _ground(ax: Axes, P: int, limits: tuple[float, float, float, float]) -> dict[tuple[int, ...], Any]:
    """Colour and name the regions of a state plane of which the last P units are nonlinear; their colours by bits."""
    ground = {bits: REGIONS[int("0" + "".join(map(str, bits)), 2)] for bits in np.ndindex(*[2] * P)}
    rim = {"left": 0.02, "right": 0.98, "bottom": 0.02, "top": 0.98}
    for bits, c in ground.items():
        sides = np.array(limits, float).reshape(2, 2)
        for unit, on in zip(range(2 - P, 2), bits, strict=True):
            sides[unit] = np.clip(sides[unit], *((0, None) if on else (None, 0)))
        x, y = sides
        if x[0] >= x[1] or y[0] >= y[1]:
            continue
        ax.fill_between(x, *y, color=c, alpha=0.16, linewidth=0, zorder=0)
        name = "bits " + " ".join(map(str, bits)) if P else "one region"
        ha, va = "left" if x[1] <= 0 or P < 2 else "right", "bottom" if y[1] <= 0 else "top"
        box = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1.5}
        ax.text(rim[ha], rim[va], name, transform=ax.transAxes, ha=ha, va=va, bbox=box, zorder=4)
    return ground


@style()
def spectrum(eigenvalues: dict[str, np.ndarray], ax: Axes | None = None, colours: Sequence = ()) -> Figure:
    """Eigenvalues in the complex plane with the unit circle; a marker per name, colours in turn (else of regions)."""
    ax = ax or plt.subplots(figsize=(4.6, 4.4))[1]
    ax.add_patch(plt.Circle((0, 0), 1, fill=False, edgecolor="0.6", linewidth=1))
    for (name, values), marker, c in zip(eigenvalues.items(), cycle("o^sDv"), cycle(colours or REGIONS), strict=False):
        ax.scatter(values.real, values.imag, marker=marker, color=c, s=28, alpha=0.8, label=name)
    ax.set(xlabel="real part", ylabel="imaginary part", aspect="equal")
    ax.legend(loc="upper left")
    return ax.figure  # type: ignore[return-value]


@style()
def region_graph(visits: Visits, most: int = 12, ax: Axes | None = None) -> Figure:
    """The regions that states visit, and the steps between them: a symbolic view of what the net does.

    A node is a region, named by bitcode and mean dwell time in steps; its area grows with its share of the states. An
    arrow's width and number are the probability of going there when a state leaves. Only the `most` visited regions are
    drawn; the title says how many there are.

    Raises:
        ValueError: no region was visited.
    """
    if not (R := len(visits.counts)):
        raise ValueError("there is nothing to draw: no region was visited")
    ax = ax or plt.subplots(figsize=(5.2, 4.8))[1]
    n = min(R, most)
    size, dwell = 2000 + 4000 * occupancy(visits).share[:n], dwell_times(visits).mean
    counts: Any = transition_counts(visits, sparse=True)  # R may be large, and n is small
    away = counts[:n, :n].toarray() / np.maximum(counts.sum(1) - counts.diagonal(), 1)[:n, None]
    np.fill_diagonal(away, 0)
    graph = nx.from_numpy_array(away, create_using=nx.DiGraph)
    place = nx.circular_layout(graph)
    few = visits.bits.shape[1] <= 3  # then the colours are those of `phase_portrait`
    index = [int("0" + visits.codes[i], 2) if few else i % len(REGIONS) for i in range(n)]
    colours = 0.6 + 0.4 * np.array(REGIONS)[index]
    nx.draw_networkx_nodes(graph, place, node_size=size, node_color=colours, edgecolors="0.3", ax=ax)  # type: ignore
    names = {i: f"{visits.codes[i] or 'one region'}\n{dwell[i]:.1f} steps" for i in range(n)}
    nx.draw_networkx_labels(graph, place, names, font_size=9, ax=ax)
    bent, width = "arc3,rad=0.18", [0.4 + 3 * away[edge] for edge in graph.edges]
    nx.draw_networkx_edges(graph, place, width=width, node_size=size, connectionstyle=bent, edge_color="0.35", ax=ax)  # type: ignore
    chances = {edge: f"{away[edge]:.2f}" for edge in graph.edges if away[edge] >= 0.01}
    nx.draw_networkx_edge_labels(graph, place, chances, font_size=8, connectionstyle=bent, rotate=False, ax=ax)
    ax.set_title(f"{R} region{'s' * (R > 1)} visited" + f", the {n} most visited ones drawn" * (n < R))
    ax.margins(0.2)
    ax.set_axis_off()
    return ax.figure  # type: ignore[return-value]
