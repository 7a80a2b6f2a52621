"""The book's figures: one style, one function a figure. They take results and return matplotlib figures; none trains.

Figures stand on their own light ground, so they read the same on light and dark pages. Colours are safe for colour-blind
readers: P = 0 is always vermilion, P > 0 runs from dark to light along viridis, regions take seaborn's colorblind palette.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import HTML, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

LINEAR = "#D55E00"  # P = 0, and everything linear
FLOOR = "#444444"  # theoretical limits
REGIONS = sns.color_palette("colorblind")

STYLE = {
    "figure.facecolor": "white",
    "figure.figsize": (7.0, 3.6),
    "figure.dpi": 110,
    "savefig.dpi": 160,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": "medium",
    "axes.titlelocation": "left",
    "font.size": 10.5,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "figure.constrained_layout.use": True,
}
mpl.rcParams.update(STYLE)


def show(figure: Figure, caption: str, alt: str) -> None:
    """Display a figure in a notebook with a caption below it and alt text that says what a reader should see."""
    file = io.BytesIO()
    figure.savefig(file, format="png", bbox_inches="tight")
    plt.close(figure)
    data = base64.b64encode(file.getvalue()).decode()
    width = round(figure.get_figwidth() * 100)
    display(
        HTML(
            f'<figure style="margin:1em 0"><img src="data:image/png;base64,{data}" alt="{html.escape(alt)}" '
            f'style="width:100%;max-width:{width}px;background:white;border-radius:4px">'
            f'<figcaption style="font-size:90%">{html.escape(caption)}</figcaption></figure>'
        )
    )


def colour(P: int, M: int):
    """The colour of P in a net of M units, the same all through the book."""
    return LINEAR if P == 0 else mpl.colormaps["viridis"](0.85 * np.log(P) / np.log(max(M, 2)))


def palette(sizes: Sequence[int], M: int) -> dict[int, object]:
    """P -> colour, for seaborn."""
    return {P: colour(P, M) for P in sizes}


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
    colours = palette(sizes, int(table["M"].max()))
    sns.stripplot(table, x="P", y=score, hue="P", palette=colours, order=sizes, jitter=0.15, size=5, legend=False, ax=ax)
    quartiles = table.groupby("P")[score].quantile([0.25, 0.5, 0.75]).unstack()
    x = np.arange(len(sizes))
    spread = np.abs(quartiles[[0.25, 0.75]].to_numpy() - quartiles[[0.5]].to_numpy()).T
    ax.errorbar(x, quartiles[0.5], yerr=spread, fmt="_", color="black", markersize=16, capsize=3, zorder=3)
    for (name, value), dash in zip((limits or {}).items(), ["--", ":", "-."], strict=False):
        ax.axhline(value, color=FLOOR, linestyle=dash, linewidth=1.2, label=name)
    if limits:
        ax.legend(loc="best")
    if log:
        ax.set_yscale("log")
    ax.set(xlabel="P, number of PWL units", ylabel=label)
    return ax.figure  # type: ignore[return-value]


def loss_curves(history, smooth: int = 25, label: str = "training loss", value: str = "loss") -> Figure:
    """Training loss (or value="grad_norm") against step: median over seeds per P, band from lowest to highest seed."""
    figure, ax = plt.subplots()
    table = history.table()
    for P, rows in table.groupby("P"):
        curves = rows.pivot(index="step", columns="net", values=value).rolling(smooth, min_periods=1).mean()
        c = colour(int(P), max(history.P))  # type: ignore[call-overload]
        ax.plot(curves.index, curves.median(axis=1), color=c, label=f"P = {P}")
        ax.fill_between(curves.index, curves.min(axis=1), curves.max(axis=1), color=c, alpha=0.15, linewidth=0)
    ax.set(yscale="log", xlabel="training step", ylabel=label)
    ax.legend(ncols=2)
    return figure


def trajectory(z: np.ndarray, region: np.ndarray, marks: dict[str, int] | None = None, ax: Axes | None = None) -> Figure:
    """One trial's states z (T, 2), two coordinates, joined in time and coloured by region (T,); marks: name -> step."""
    ax = ax or plt.subplots(figsize=(5.5, 4.2))[1]
    ax.plot(*z.T, color="0.75", linewidth=0.8, zorder=1)
    for i, r in enumerate(np.unique(region)):
        here = region == r
        ax.scatter(*z[here].T, color=REGIONS[i % len(REGIONS)], s=16, zorder=2, label=f"region {r}")
    for name, step in (marks or {}).items():
        ax.annotate(name, z[step], xytext=(6, 6), textcoords="offset points")
    ax.legend()
    return ax.figure  # type: ignore[return-value]


def spectrum(eigenvalues: dict[str, np.ndarray], ax: Axes | None = None) -> Figure:
    """Eigenvalues in the complex plane with the unit circle; one marker per name."""
    ax = ax or plt.subplots(figsize=(4.6, 4.4))[1]
    circle = np.exp(1j * np.linspace(0, 2 * np.pi, 200))
    ax.plot(circle.real, circle.imag, color="0.6", linewidth=1)
    for (name, values), marker, c in zip(eigenvalues.items(), "o^sDv", REGIONS, strict=False):
        ax.scatter(values.real, values.imag, marker=marker, color=c, s=28, alpha=0.8, label=name)
    ax.set(xlabel="real part", ylabel="imaginary part", aspect="equal")
    ax.legend(loc="upper left")
    return ax.figure  # type: ignore[return-value]
