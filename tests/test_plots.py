"""Figures that say something by their parts: the region graph."""

import numpy as np
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
