"""Figures that say something by their parts, the region graph above all; and one style, which stays in the figures."""

import subprocess
import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from alrnn import plots, regions, theory


def visits(word: list[str], P: int) -> regions.Visits:
    """Visits of one sequence, given as bitcodes; regions in alphabetic order."""
    codes, index, counts = np.unique(word, return_inverse=True, return_counts=True)
    bits = np.array([[int(bit) for bit in code] for code in codes], dtype=np.int8).reshape(len(codes), P)
    return regions.Visits(bits, index[None], counts)


def texts(figure) -> set[str]:
    return {text.get_text() for text in figure.axes[0].texts}


def test_region_graph_names_regions_dwell_times_and_chances() -> None:
    word = ["00", "00", "00", "01", "00", "11", "11", "00", "01"]
    figure = plots.region_graph(visits(word, 2))
    assert texts(figure) == {"00\n1.7 steps", "01\n1.0 steps", "11\n2.0 steps", "0.67", "0.33", "1.00"}
    ends = figure.axes[0].patches  # one arrow each for 00 -> 01, 00 -> 11, 01 -> 00, 11 -> 00; staying is no arrow
    assert len(ends) == 4
    sizes = np.sort(figure.axes[0].collections[0].get_sizes())
    assert np.allclose(np.diff(sizes), [4000 * 0 / 9, 4000 * 3 / 9])


def test_region_graph_draws_the_most_visited_and_says_so() -> None:
    ranked = regions.Visits(np.eye(4, dtype=np.int8), np.array([[0, 0, 0, 1, 1, 2, 3]]), np.array([3, 2, 1, 1]))
    figure = plots.region_graph(ranked, most=2)
    assert texts(figure) == {"1000\n3.0 steps", "0100\n2.0 steps", "1.00"}
    assert figure.axes[0].get_title(loc="left") == "4 regions visited, the 2 most visited ones drawn"


def test_region_graph_of_a_linear_net_is_one_node_and_of_nothing_an_error() -> None:
    assert texts(plots.region_graph(visits([""] * 5, 0))) == {"one region\n5.0 steps"}
    with pytest.raises(ValueError, match="no region was visited"):
        plots.region_graph(regions.Visits(np.zeros((0, 2), np.int8), np.zeros((1, 0), int), np.zeros(0, int)))


def test_every_named_line_is_drawn_however_many_there_are() -> None:
    figure = plots.spectrum({str(i): np.array([0.1 * i]) for i in range(12)})
    assert len(figure.axes[0].collections) == 12
    paths = {str(i): np.zeros((3, 2)) for i in range(5)}
    legend = plots.phase_portrait(theory.exact_adding(), paths=paths).axes[0].get_legend()
    assert legend is not None and len(legend.get_texts()) == 5
    with pytest.raises(ValueError, match="M = 2, got M = 3"):
        plots.phase_portrait(theory.exact_inversion())


def table() -> pd.DataFrame:
    return pd.DataFrame({"P": [0, 0, 1, 1], "M": 2, "test": [0.1, 0.2, 0.3, 0.4], "net": [0, 1, 2, 3], "step": 0})


FIGURES = {
    "score_against_P": lambda: plots.score_against_P(table()),
    "phase_portrait": lambda: plots.phase_portrait(theory.exact_adding()),
    "spectrum": lambda: plots.spectrum({"a": np.ones(1)}),
    "region_graph": lambda: plots.region_graph(visits(["0", "1"], 1)),
}


def test_all_figures_are_listed() -> None:
    gives = {name: getattr(getattr(plots, name), "__annotations__", {}).get("return") for name in dir(plots)}
    assert {name for name, kind in gives.items() if kind == "Figure"} == set(FIGURES)


def test_importing_plots_changes_no_setting_of_matplotlib() -> None:
    code = "import matplotlib as mpl, matplotlib.pyplot; before = dict(mpl.rcParams)\n"
    code += "import alrnn.plots, alrnn.explore; assert dict(mpl.rcParams) == before"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", FIGURES)
def test_figures_bring_their_style_and_leave_the_settings(name: str) -> None:
    """A reader's own settings neither reach the book's figures nor are changed by them."""
    with mpl.rc_context({"axes.spines.top": True, "font.size": 30, "figure.constrained_layout.use": False}):
        before = dict(mpl.rcParams)
        figure = FIGURES[name]()
        pictured = plots.picture(figure, "alt")
        assert dict(mpl.rcParams) == before
    ax = figure.axes[0]
    assert not ax.spines["top"].get_visible() and ax.xaxis.label.get_size() < 15
    assert type(figure.get_layout_engine()).__name__ == "ConstrainedLayoutEngine"
    with mpl.rc_context():
        plots.use()
        assert plots.picture(FIGURES[name](), "alt") == pictured


def test_dots_are_those_of_the_table_and_their_places_are_always_the_same() -> None:
    random = np.random.get_state()[1]
    places = [plots.score_against_P(table()).axes[0].collections[0].get_offsets() for _ in range(2)]
    assert np.array_equal(*places) and np.array_equal(random, np.random.get_state()[1])
    assert np.array_equal(places[0][:, 1], table()["test"]) and np.abs(places[0][:, 0] - table()["P"]).max() <= 0.15


def test_figures_of_ones_own_get_the_style_on_request() -> None:
    assert plt.subplots()[1].spines["top"].get_visible()
    with plots.style():
        assert not plt.subplots()[1].spines["top"].get_visible()
    assert plt.subplots()[1].spines["top"].get_visible()
    with mpl.rc_context():
        plots.use()
        assert (mpl.rcParams["font.size"], mpl.rcParams["savefig.dpi"]) == (10.5, 160)
    plt.close("all")
