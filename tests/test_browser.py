"""The built site in a real browser: every page, light and dark, wide and on a phone. Run by `make book`."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
import torch
from chromium import chromium
from playwright.sync_api import Browser, ConsoleMessage, Page, expect
from test_site import HTML, ROOT, TOC, html

import alrnn

AXE = ROOT / "tools" / "web" / "node_modules" / "axe-core" / "axe.min.js"
PAGES = [*TOC, "search", "genindex"]
SLIDERS = [page for page in TOC if "SliderModel" in html(page)]
ASKING = [page for page in TOC if 'class="ask"' in html(page)]
VIEWS = [(theme, width) for width in (1300, 390) for theme in ("light", "dark")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


class Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    refused: ClassVar[list[str]] = []  # what was asked for and is not there

    def send_error(self, code: int, *args: Any) -> None:
        self.refused.append(f"{code}: {self.path}")
        super().send_error(code, *args)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The address at which the built pages are served."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(HTML))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@dataclass
class Visit:
    """An open page, its sliders and formulas in place, and what went wrong on the way."""

    page: Page
    name: str
    theme: str
    width: int
    troubles: list[str] = field(default_factory=list)

    def leave(self, part: str) -> None:
        """Close the page: nothing went wrong, and all numbers in this part of it are numbers."""
        assert not re.search("NaN|undefined|Infinity", self.page.locator(part).inner_html())
        assert not self.troubles
        self.page.close()


@pytest.fixture(scope="module")
def reader(browser: Browser, site: str) -> Iterator[Callable[[str, str, int], Visit]]:
    """Opens a page in a theme at a width; one browser context, so one cache, for each theme and width."""

    @cache
    def context(theme: str, width: int):
        reader = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
        reader.set_default_timeout(60_000)
        reader.add_init_script(f"localStorage.mode = localStorage.theme = '{theme}'")
        return reader

    def open_page(name: str, theme: str = "light", width: int = 1300) -> Visit:
        page = context(theme, width).new_page()
        visit = Visit(page, name, theme, width)

        def said(message: ConsoleMessage) -> None:
            if message.type == "error":
                visit.troubles.append(f"console: {message.text}")

        page.on("console", said)
        page.on("pageerror", lambda error: visit.troubles.append(f"uncaught: {error}"))
        page.on("requestfailed", lambda request: visit.troubles.append(f"asks another host: {request.url[:200]}"))
        Handler.refused.clear()
        page.goto(f"{site}/{name}.html")
        page.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
        if page.locator(".math").count():
            page.wait_for_function("window.MathJax?.startup?.promise?.then(() => true)")
        if name in SLIDERS:
            page.locator(".noUi-handle").first.wait_for()
        page.wait_for_function("[...document.images].every(image => image.complete)")
        page.wait_for_function("document.getAnimations().every(one => one.playState === 'finished')")  # folds fade in
        return visit

    yield open_page


@pytest.fixture(
    scope="module",
    params=[(page, theme, width) for theme, width in VIEWS for page in PAGES],
    ids=lambda parameters: "-".join(map(str, parameters)),
)
def visit(request: pytest.FixtureRequest, reader: Callable[..., Visit]) -> Iterator[Visit]:
    visit = reader(*request.param)
    yield visit
    visit.page.close()


def test_nothing_goes_wrong(visit: Visit) -> None:
    """No console error, no request to another host, nothing missing; and the theme is the one asked for."""
    assert not visit.troubles
    assert not Handler.refused
    assert visit.page.evaluate("document.documentElement.dataset.theme") == visit.theme


def test_formulas_are_drawn(visit: Visit) -> None:
    assert visit.page.locator("mjx-merror").count() == 0
    bare = visit.page.locator(".math:not(:has(mjx-container))")
    assert bare.count() == 0, bare.all_text_contents()
    begin = "e => e.getBoundingClientRect().left - e.closest('div.math').getBoundingClientRect().left"
    lefts = f"[...document.querySelectorAll('div.math mjx-container, div.math mjx-mtable')].map({begin})"
    assert all(left > -1 for left in visit.page.evaluate(lefts)), "a formula begins where no scrolling leads"
    text = visit.page.locator("main").inner_text()
    assert not re.search(r"\\[(\[]|\$\$|\\(frac|mathbb|begin)\b", text)


def test_images_are_there(visit: Visit) -> None:
    """Loaded, and told in words to those who do not see them."""
    images = "[...document.images].map(i => [i.currentSrc.slice(0, 80), i.naturalWidth, i.getAttribute('alt')])"
    for address, width, alt in visit.page.evaluate(images):
        assert width > 0, f"not loaded: {address}"
        assert alt and alt.strip(), f"no alt text: {address}"


def test_no_sideways_scroll(visit: Visit) -> None:
    wide = """[...document.querySelectorAll("main *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1)
              .slice(0, 5).map(e => e.outerHTML.slice(0, 120))"""
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= visit.width, visit.page.evaluate(wide)


def test_accessible(visit: Visit) -> None:
    """By all of axe's default rules: landmarks, names of controls, contrast and so on; formulas are MathJax's matter.

    All rules in the light theme, wide and on a phone; the dark theme differs in its colours alone.
    """
    if visit.theme == "dark" and visit.width < 1000:
        return
    visit.page.evaluate(AXE.read_text("utf-8"))
    only = {"runOnly": ["color-contrast"]} if visit.theme == "dark" else {}
    run = "options => axe.run({exclude: ['mjx-container']}, options).then(result => result.violations)"
    report = [
        f"{rule['id']} ({rule['impact']}): {' '.join(node['html'].split())[:160]}"
        for rule in visit.page.evaluate(run, {"resultTypes": ["violations"], **only})
        for node in rule["nodes"][:5]
    ]
    assert not report, "\n".join(report)


@pytest.mark.parametrize("width", [1300, 390])
@pytest.mark.parametrize("page", SLIDERS)
def test_sliders_move_frames(page: str, width: int, reader: Callable[..., Visit]) -> None:
    """By keyboard and by mouse, each slider of the page; another picture is shown, with other alt text."""
    visit = reader(page, "light", width)
    for slider in visit.page.locator(".widget-slider").all():
        output = slider.locator("xpath=ancestor::div[contains(@class, 'cell_output')][1]")
        handle, picture = slider.locator(".noUi-handle"), output.locator("img:visible")
        assert handle.get_attribute("aria-label"), "a slider without a name"
        handle.focus()
        visit.page.keyboard.press("Home")
        shown = picture.first.get_attribute("alt") or ""
        assert shown
        visit.page.keyboard.press("ArrowRight")
        expect(picture.first).not_to_have_attribute("alt", shown)
        expect(handle).to_have_attribute("aria-valuetext", slider.locator(".widget-readout").inner_text())
        visit.page.keyboard.press("Home")
        expect(picture.first).to_have_attribute("alt", shown)
        track = slider.locator(".noUi-base")
        box = track.bounding_box()
        assert box
        track.click(position={"x": box["width"] - 2, "y": box["height"] / 2})
        expect(picture.first).not_to_have_attribute("alt", shown)
    assert not visit.troubles
    visit.page.close()


@pytest.mark.parametrize("name", ASKING)
def test_boxes_check_numbers(name: str, reader: Callable[..., Visit]) -> None:
    """By keyboard: no number, a wrong one, each likely mistake with its hint, the answer of this very build."""
    visit = reader(name, "light", 390)
    for box in visit.page.locator("form.ask").all():
        known = {box.get_attribute("data-answer") or "": "Right."}
        hints = json.loads(box.get_attribute("data-hints") or "[]")
        known |= {f"{value:.10g}": f"No. {words}" for value, words in hints}
        for typed, answer in {"?": "A number, please, such as 0.25 or 1/4.", "-77": "Not yet.", **known}.items():
            box.locator("input").fill(typed)
            box.locator("input").press("Enter")
            expect(box.locator("output")).to_have_text(answer)
    assert not visit.troubles
    visit.page.close()


def test_search_finds_a_word(reader: Callable[..., Visit]) -> None:
    visit = reader("intro")
    visit.page.keyboard.press("Control+K")
    visit.page.keyboard.type("nonlinearity")
    visit.page.keyboard.press("Enter")
    results = visit.page.locator("#search-results li a")
    results.first.wait_for()
    expect(visit.page.locator("#search-results")).to_contain_text("matching the search query")
    addresses = {link.get_attribute("href") for link in results.all()}
    assert any("intro" in (address or "") for address in addresses)
    assert not visit.troubles
    visit.page.close()


@pytest.mark.parametrize("name", ["intro", *SLIDERS])
def test_readable_without_scripts(name: str, browser: Browser, site: str) -> None:
    """Text, code and pictures are in the page itself; formulas then stand as TeX."""
    reader = browser.new_context(viewport={"width": 390, "height": 900}, java_script_enabled=False)
    page = reader.new_page()
    page.goto(f"{site}/{name}.html")
    assert page.locator("article h1").is_visible()
    parts = page.locator(":is(main section > p, main .cell_input pre, main figure img):not(details *)")
    hidden = "parts => parts.filter(part => !part.checkVisibility()).map(part => part.outerHTML.slice(0, 200))"
    assert parts.count() > 5 and parts.evaluate_all(hidden) == []
    reader.close()


def test_the_live_network(reader: Callable[..., Visit]) -> None:
    """A click moves the start, arrow keys move weights and P; drawing, table and summary follow, and nothing is NaN."""
    visit = reader("live", "light", 390)
    page, summary = visit.page, visit.page.locator(".live-summary")
    expect(summary).to_contain_text("comes to rest at (0.71, 0.71)")
    box = page.locator(".live-plane").bounding_box()
    assert box
    page.locator(".live-plane").click(position={"x": 0.9 * box["width"], "y": 0.75 * box["height"]})
    expect(summary).to_contain_text("From (1.60, −1.00)")
    page.locator('[name="W12"]').focus()
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    expect(summary).to_contain_text("bits 01: real, stable")
    page.locator('[name="P"][value="2"]').focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".live-table tbody tr")).to_have_count(2)
    for option in page.locator('[name="preset"] option').all_text_contents():
        page.select_option('[name="preset"]', option)
        for value in ("-2", "0.05", "2"):
            page.locator('[name="W22"]').fill(value)
            assert not re.search("NaN|undefined|Infinity", page.locator("#live").inner_html()), (option, value)
    assert not visit.troubles
    page.close()


@pytest.mark.parametrize("width", [1300, 390])
def test_the_adder(width: int, reader: Callable[..., Visit]) -> None:
    """A click or a key marks another number; the gate's answer follows and the linear one stays, in words, too."""
    visit = reader("intro", "light", width)
    page, said = visit.page, visit.page.locator(".adder-say")
    box = page.locator("#adder svg").bounding_box()
    assert box and box["y"] + box["height"] < (900 if width > 1000 else 1000), "the first picture is in the first view"
    linear = page.locator(".adder-say .adder-p0").inner_text()
    first = page.locator(".adder-say .adder-p1").inner_text()
    page.locator('#adder [data-t="4"]').click()
    expect(page.locator('#adder [data-t="4"]')).to_have_attribute("aria-pressed", "true")
    second = page.locator(".adder-say .adder-p1").inner_text()
    page.locator('#adder [data-t="8"]').focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator('#adder [data-t="9"]')).to_be_focused()
    expect(said).to_contain_text("It has not moved once, whatever you marked")
    assert len({first, second, page.locator(".adder-say .adder-p1").inner_text()}) == 3
    assert page.locator(".adder-say .adder-p0").inner_text() == linear
    assert linear in (page.locator("#adder svg").get_attribute("aria-label") or "")
    assert not visit.troubles
    page.close()


def test_the_cobweb(reader: Callable[..., Visit]) -> None:
    """Its buttons and sliders change the drawing, the words and the text for those who do not see it."""
    visit = reader("foundations/almost-linear", "light", 390)
    page, said = visit.page, visit.page.locator(".cobweb-say")
    expect(said).to_contain_text("comes to rest at 1.00")
    for button, words in (
        ("swings", "cycle of 2 steps"),
        ("never repeats", "repeats nothing"),
        ("stays or", "comes to rest"),
    ):
        page.get_by_role("button", name=button).click()
        expect(said).to_contain_text(words)
        assert words in (page.locator("#cobweb svg").first.get_attribute("aria-label") or "")
    page.locator('#cobweb [name="z"]').focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    expect(said).to_contain_text("grows without bound")
    visit.leave("#cobweb")


def test_the_mode(reader: Callable[..., Visit]) -> None:
    """Its buttons and sliders move the eigenvalue and the run, in words, too."""
    visit = reader("foundations/linear-memory", "dark", 390)
    page, said = visit.page, visit.page.locator(".modes-say")
    expect(said).to_contain_text("is left")
    words_of = {
        "turns and fades": "turns once in 12 steps",
        "keeps": "as it is, for ever",
        "alternates": "sign changes",
    }
    for button, words in {**words_of, "explodes": "without end"}.items():
        page.get_by_role("button", name=button).click()
        expect(said).to_contain_text(words)
        assert words in (page.locator("#modes svg").first.get_attribute("aria-label") or "")
    page.locator('#modes [name="size"]').focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    expect(said).to_contain_text("for ever")
    page.keyboard.press("Home")
    expect(said).to_contain_text("Nothing is left")
    visit.leave("#modes")


def test_the_cups(reader: Callable[..., Visit]) -> None:
    """Swaps by keyboard, many at random, more cups, and a unit cut out: what is true and what the net says."""
    visit = reader("foundations/cups", "light", 390)
    page, said = visit.page, visit.page.locator(".cups-say")
    expect(said).to_contain_text("12 swaps: the ball is under cup 2. The network says 2.")
    page.get_by_role("button", name="2 and 3").focus()
    page.keyboard.press("Enter")
    expect(said).to_contain_text("13 swaps: the ball is under cup 3. The network says 3.")
    page.locator('#cups [name="n"]').select_option("5")
    page.get_by_role("button", name="20 at random").click()
    expect(said).to_contain_text("at 21 of 21 moments, with four PWL units")
    page.get_by_role("button", name="Begin again").click()
    page.locator('#cups [name="out"]').select_option("1")
    page.get_by_role("button", name="2 and 3").click()
    expect(said).to_contain_text("of which one is cut out")
    expect(said).to_contain_text("at 1 of 2 moments")
    assert "1 swap: the ball is under cup 3." in (page.locator("#cups svg").get_attribute("aria-label") or "")
    visit.leave("#cups")


def test_the_recall(reader: Callable[..., Visit]) -> None:
    """Symbols, a wait and a network are chosen; the one by hand is right however long it waits."""
    visit = reader("tasks/copy", "light", 390)
    page, shares = visit.page, visit.page.locator("#recall .suite-scores")
    said = page.locator("#recall .suite-say")
    expect(said).to_contain_text("Asked after 10 steps for AC, it says AC: right. The trained networks have met")
    page.locator('#recall [name="wait"]').focus()
    page.keyboard.press("End")
    page.locator('#recall [name="a"]').select_option("3")
    expect(said).to_contain_text("Asked after 40 steps for DC, it says DC: right. The trained networks have never met")
    expect(shares).to_contain_text("by hand, P = 1 100%")
    page.locator('#recall [name="net"]').select_option("2")
    assert "Asked after 40 steps" in (page.locator("#recall svg").get_attribute("aria-label") or "")
    visit.leave("#recall")


def test_a_spike_and_a_clip(reader: Callable[..., Visit]) -> None:
    """A spike makes the steps tiny, a clip far below all gradients does not; without a spike nothing changes."""
    visit = reader("foundations/keeping-training-alive", "dark", 390)
    page, said = visit.page, visit.page.locator("#clip .suite-say")
    expect(said).to_contain_text("Nothing is clipped. The largest step is 3.2 learning rates")
    expect(said).to_contain_text("a step is 0.004 on average")
    page.locator('#clip [name="clip"]').focus()
    page.keyboard.press("ArrowLeft")
    expect(said).to_contain_text("The clip cuts only the spike.")
    page.keyboard.press("Home")
    expect(said).to_contain_text(re.compile(r"cuts 100% of the gradients.* a step is 0\.9\d on average"))
    assert said.inner_text() in (page.locator("#clip svg").get_attribute("aria-label") or "")
    page.get_by_role("button", name="no spike").click()
    expect(said).to_contain_text(re.compile(r"a step is ([\d.]+) on average, and \1 without"))
    visit.leave("#clip")


def test_a_recording_is_stopped(reader: Callable[..., Visit]) -> None:
    """Before its end, on padding, and where it is read out; the last one is lost with the kink that it needs."""
    visit = reader("tasks/spoken-digits", "light", 390)
    page, said = visit.page, visit.page.locator("#listen .suite-say")
    expect(said).to_contain_text(re.compile(r"frames before the end of the word: P = 0 says \d .* The word is 0\."))
    page.locator('#listen [name="stop"]').focus()
    page.keyboard.press("End")
    expect(said).to_contain_text("steps too late, on padding")
    assert said.inner_text() in (page.locator("#listen svg").get_attribute("aria-label") or "")
    names = page.locator('#listen [name="clip"] option').all_text_contents()
    page.locator('#listen [name="clip"]').select_option(names[-1])
    needed = re.fullmatch(r"(\d), which needs (unit \d)", names[-1])
    assert needed
    expect(said).to_contain_text(re.compile(rf"One blank step after the word.* P = 5 says {needed[1]} "))
    page.locator('#listen [name="unit"]').select_option(needed[2])
    expect(said).to_contain_text(re.compile(rf"P = 5 with {needed[2]} straight says (?!{needed[1]})\d"))
    visit.leave("#listen")


def test_the_decision(reader: Callable[..., Visit]) -> None:
    """Choices by keyboard; what both networks expect next, and how well they have done; beginning again."""
    visit = reader("tasks/stimulus-selection", "dark", 390)
    page, said, score = visit.page, visit.page.locator(".decision-say"), visit.page.locator(".decision-score")
    expect(said).to_contain_text("expected to be left at 75%, linearly right at 74%")
    page.get_by_role("button", name="Begin again").click()
    expect(said).to_contain_text("expect left and right alike")
    page.get_by_role("button", name="right picture").focus()
    for _ in range(20):
        page.keyboard.press("Enter")
    expect(said).to_contain_text("You chose right")
    expect(score).to_contain_text("(20 choices)")
    assert said.inner_text() in (page.locator("#decision svg").get_attribute("aria-label") or "")
    linear = re.search(r"([\d.]+) linear", score.inner_text())
    assert linear and float(linear[1]) < 1, "it repeats choices, and so did we"
    page.get_by_role("button", name="Begin again").click()
    expect(score).to_have_text("")
    visit.leave("#decision")


def test_the_suite(reader: Callable[..., Visit]) -> None:
    """Tasks, directions, networks and a lost unit change the answer, in words, too, and the scores."""
    visit = reader("tasks/multitask", "light", 390)
    page, said, scores = visit.page, visit.page.locator(".suite-say"), visit.page.locator(".suite-scores")
    expect(said).to_contain_text(re.compile(r"DelayAnti: asked for fixation 0.0 and \(.0.5, .0.9\).*: right"))
    expect(scores.locator("span")).to_have_count(11)
    expect(scores).not_to_contain_text("\u2193")
    page.get_by_label("task").select_option("Match")
    page.locator('#suite [name="second"]').focus()
    page.keyboard.press("Home")
    expect(said).to_contain_text("asked for fixation 0.0 and (1.0, 0.0)")
    assert "Match" in (page.locator("#suite svg").first.get_attribute("aria-label") or "")
    page.get_by_label("take out").select_option("unit 7")
    expect(scores).to_contain_text("\u2193")
    page.get_by_label("network").select_option("trained, P = 0")
    expect(scores).not_to_contain_text("\u2193")
    expect(said).to_contain_text("wrong")
    visit.leave("#suite")


def test_a_command_step_by_step(reader: Callable[..., Visit]) -> None:
    """The net built by hand obeys, its unit is told; "after" and "and" differ; keys go back and on."""
    visit = reader("tasks/scan", "light", 390)
    page, said, strip = visit.page, visit.page.locator("#scan .steps-say"), visit.page.locator("#scan .steps")
    expect(said).to_contain_text("It has read walk thrice after jump twice, and said nothing yet.")
    for _ in range(6):
        page.get_by_role("button", name="Next step").click()
    expect(said).to_have_text(re.compile(r"It says JUMP JUMP WALK WALK WALK STOP\. The unit is off, on, .* Right\."))
    expect(page.get_by_role("button", name="Next step")).to_be_disabled()
    page.get_by_label("word between").select_option("and")
    expect(said).to_contain_text("It says WALK WALK WALK JUMP JUMP STOP")
    expect(strip).to_have_attribute("aria-label", re.compile("built by hand. Command: walk thrice and jump twice"))
    page.locator('#scan [name="step"]').focus()
    page.keyboard.press("Home")
    expect(said).to_contain_text("nothing so far")
    for _ in range(6):
        page.get_by_role("button", name="Next step").click()
    expect(said).to_have_text(re.compile(r"It says WALK\. The unit is on\."))
    page.get_by_label("word between").select_option("")
    expect(said).to_contain_text("It says WALK WALK WALK STOP")
    page.get_by_label("P = 0, trained").check()
    expect(said).to_contain_text("There is no PWL unit")
    visit.leave("#scan")


def test_typing(reader: Callable[..., Visit]) -> None:
    """Two nets follow what is typed and the slider, in words, too; characters that they do not know are named."""
    visit = reader("tasks/language-model", "dark", 390)
    page, said = visit.page, visit.page.locator("#typing .steps-say")
    expect(said).to_contain_text('After "the q" the likeliest is u')
    page.locator('#typing input[type="range"]').focus()
    page.keyboard.press("ArrowRight")
    expect(said).to_contain_text('After "the qu"')
    page.get_by_label("your text").fill("thé 2")
    expect(said).to_contain_text("left out: é 2")
    expect(page.locator("#typing .letters")).to_have_attribute("aria-label", re.compile('After "th "'))
    page.get_by_label("your text").fill("")
    expect(page.locator("#typing tbody tr")).to_have_count(10)
    visit.leave("#typing")


def test_the_ball_on_the_plateau(reader: Callable[..., Visit]) -> None:
    """Put down and let roll by keyboard: it stays, comes down by Adam, is shaken, and lies where no precision helps."""
    visit = reader("foundations/training", "light", 390)
    page, said = visit.page, visit.page.locator(".plateau-say")
    expect(said).to_contain_text("The ball is put down at 0.50. Will it move?")
    steps = page.locator("#plateau").get_by_role("button", name="1,000 steps")
    steps.focus()
    page.keyboard.press("Enter")
    expect(said).to_contain_text("After 1,000 steps from 0.50 the ball is at 0.500")
    expect(said).to_contain_text("It has hardly moved.")
    for rule, words in (("Adam", "It lies in the valley"), ("Adam, gradient shaken", "It wanders")):
        page.locator('#plateau [name="rule"]').select_option(rule)
        expect(said).to_contain_text("Will it move?")
        steps.press("Enter")
        expect(said).to_contain_text(words)
    page.locator('#plateau [name="rule"]').select_option("plain gradient descent")
    page.locator('#plateau [name="T"]').press("End")
    for _ in range(4):
        page.locator('#plateau [name="w"]').press("ArrowLeft")
    expect(said).to_contain_text(
        "put down at 0.30. Will it move? The loss is 0.50, the slope 1.7 \u00d7 10\u207b\u2075\u2070"
    )
    expect(said).to_contain_text("helps no more")
    assert "put down at 0.30" in (page.locator("#plateau svg").get_attribute("aria-label") or "")
    visit.leave("#plateau")


def test_what_twenty_units_know(reader: Callable[..., Visit]) -> None:
    """Networks, noise and size of weights by keyboard; the totals are those of the chapter."""
    visit = reader("foundations/memory-capacity", "dark", 390)
    page, said = visit.page, visit.page.locator(".memory-say")
    expect(said).to_contain_text(
        "Spread slow modes, r = 0.983, noise of 0.01 in the readout: the total is 5.9, of at most 20."
    )
    noise, net = page.locator('#memory [name="noise"]'), page.locator('#memory [name="net"]')
    noise.press("ArrowRight")
    noise.press("ArrowRight")
    net.select_option("rotations")
    expect(said).to_contain_text(
        "noise of 0.1 in the readout: the total is 17.4, of at most 20. R\u00b2 is a half or more for each of the last"
    )
    net.select_option("delay line")
    page.locator('#memory [name="place"]').select_option("in every unit")
    expect(said).to_contain_text("the total is 18.1")
    for _ in range(20):
        page.locator('#memory [name="r"]').press("ArrowRight")
    expect(said).to_contain_text("Delay line, r = 1.20, noise of 0.1 in every unit: the total is 19.4")
    net.select_option("equal slow modes")
    expect(said).to_contain_text("for no single input")
    assert "delay line 19.4" in (page.locator("#memory svg").get_attribute("aria-label") or "")
    visit.leave("#memory")


FIGURES = [page for page in TOC if "<figure" in html(page)]


@pytest.mark.parametrize("page", FIGURES)
def test_fits_a_phone(page: str, reader: Callable[..., Visit]) -> None:
    """No figure is shrunk so far that its lettering cannot be read; tables are no wider than the column."""
    visit = reader(page, "light", 390)
    full = "i.closest('picture') ? i.naturalWidth / 1.6 : parseFloat(i.style.maxWidth) || 0"  # of 160 pixels an inch
    sizes = f"i => [i.getBoundingClientRect().width, {full}, i.alt]"
    drawn = f"[...document.querySelectorAll('main figure img')].map({sizes})"
    for width, full, alt in visit.page.evaluate(drawn):  # lettering of 10 points is 14 pixels high in full size
        assert not full or 13.9 * width / full >= 9, alt[:80]
    wide = """[...document.querySelectorAll("main .cell_output table")].filter(t => t.checkVisibility() &&
      t.getBoundingClientRect().width > t.closest("article").getBoundingClientRect().width + 1)
      .map(t => t.innerText.slice(0, 80))"""
    assert visit.page.evaluate(wide) == []
    visit.page.close()


def test_training_in_the_page(reader: Callable[..., Visit]) -> None:
    """A recorded run at first; a small run of one's own that is paused and goes on, a net that is opened, a reset."""
    visit = reader("train-here", "light", 390)
    page, status = visit.page, visit.page.locator("#train .status")
    expect(status).to_contain_text("15 nets, 1,000 steps")
    expect(status).to_contain_text("P = 0: 0 of 5")
    for name, value in (("steps", "400"), ("T", "16"), ("seeds", "2"), ("M", "8")):
        page.locator(f'#train [name="{name}"]').fill(value)
    page.get_by_role("button", name="Train", exact=True).focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Pause").click()
    expect(status).to_contain_text("Paused after")
    page.get_by_role("button", name="Go on").click()
    expect(status).to_contain_text("6 nets, 400 steps", timeout=60_000)
    expect(status).to_contain_text("in your browser")
    first = page.locator("#train tbody").inner_text()
    page.get_by_role("button", name="P = 4, seed 1").click()
    told = page.locator("#train .told")
    expect(told).to_contain_text("regions are used")
    before = told.inner_text()
    page.get_by_role("button", name="Another trial").click()
    expect(told).not_to_have_text(before)
    page.get_by_role("button", name="Train", exact=True).click()
    expect(status).to_contain_text("in your browser", timeout=60_000)
    assert page.locator("#train tbody").inner_text() == first, "the same settings, the same curves"
    for task in ("inversion", "copy"):
        page.select_option('#train [name="task"]', task)
        for name, value in (("steps", "100"), ("seeds", "1"), ("M", "8")):
            page.locator(f'#train [name="{name}"]').fill(value)
        page.get_by_role("button", name="Train", exact=True).click()
        expect(status).to_contain_text("3 nets, 100 steps", timeout=60_000)
        page.locator("#train tbody button").last.click()
        expect(told).to_contain_text("right is")
        assert not re.search("NaN|undefined|Infinity", page.locator("#train").inner_html()), task
    page.get_by_role("button", name="Reset").click()
    expect(status).to_contain_text("A recorded run")
    assert not visit.troubles
    page.close()


def test_without_simd_there_is_a_recorded_run(browser: Browser, site: str) -> None:
    context = browser.new_context()
    context.add_init_script("WebAssembly.validate = () => false")
    page = context.new_page()
    page.goto(f"{site}/train-here.html")
    expect(page.locator("#train .able")).to_be_visible()
    expect(page.locator("#train .status")).to_contain_text("15 nets")
    expect(page.get_by_role("button", name="Train", exact=True)).to_be_disabled()
    page.get_by_role("button", name="P = 1, seed 0").click()
    expect(page.locator("#train .told")).to_contain_text("right is")
    context.close()


def test_pages_that_compute_work_from_files(browser: Browser) -> None:
    page = browser.new_page()
    page.goto((HTML / "trained.html").as_uri())
    for part in ("adding", "inversion", "reviews"):
        expect(page.locator(f"#hands-{part} .status")).to_contain_text("P = 0" if part == "reviews" else "Right is")
    page.goto((HTML / "train-here.html").as_uri())
    page.locator('#train [name="steps"]').fill("100")
    page.get_by_role("button", name="Train", exact=True).click()
    expect(page.locator("#train .status")).to_contain_text("15 nets, 100 steps", timeout=60_000)
    page.close()


def test_trained_nets_on_the_readers_input(reader: Callable[..., Visit]) -> None:
    """Trials are set and gone through by keyboard; the exact net makes no error; nothing is NaN."""
    visit = reader("trained", "light", 390)
    page = visit.page
    adding, inversion = (page.locator(f"#hands-{name}") for name in ("adding", "inversion"))
    expect(adding.locator(".status")).to_contain_text("Right is 1.150.")
    adding.locator('[name="first"]').fill("20")
    adding.locator('[name="one"]').focus()
    page.keyboard.press("End")
    expect(adding.locator(".status")).to_contain_text("Right is 1.350.")
    expect(adding.locator("tbody tr").nth(1)).to_contain_text("0.000")
    adding.locator('[name="step"]').fill("20")
    expect(adding.locator('[data-kind="exact"] .region')).to_contain_text("bit 1")
    adding.locator('[name="second"]').fill("20")
    adding.locator('[name="second"]').fill("80")
    expect(adding.locator(".status")).to_contain_text("no such trial was in training")
    pieces = inversion.locator('[name="piece"]')
    signs = "buttons => buttons.map(button => button.textContent).join('')"
    before = pieces.evaluate_all(signs)
    pieces.first.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    expect(pieces.nth(1)).to_be_focused()
    page.keyboard.press("Space")
    after = pieces.evaluate_all(signs)
    assert after[2:] == before[2:] and after[0] != before[0] and after[1] != before[1], "the order is the reader's"
    expect(inversion.locator('[name="plus"]')).to_have_value(str(after.count("+")))
    pieces.nth(5).click()
    assert pieces.evaluate_all(signs)[5] != after[5]
    inversion.locator('[name="step"]').fill("7")
    sign = "" if pieces.evaluate_all(signs)[5] == "+" else "\u2212"
    shown = re.compile(rf"After step 7, input \(0\.00, 0\.00, {sign}(1\.0|0\.9)\d, 0\.00\)")
    expect(inversion.locator('[data-kind="exact"] .region')).to_have_text(shown)
    for rule, plus in (("0", "20"), ("1", "20"), ("0", "3"), ("1", "0")):
        inversion.locator(f'[name="rule"][value="{rule}"]').check()
        inversion.locator('[name="plus"]').fill(plus)
        expect(inversion.locator("tbody tr").nth(1)).to_contain_text("right")
    assert not re.search("NaN|undefined|Infinity", page.locator("main").inner_html())
    assert not visit.troubles
    page.close()


def test_a_drawn_digit(reader: Callable[..., Visit]) -> None:
    """A one, drawn by mouse and by keyboard; test digits; the dial, rows and lesions; an empty drawing is named so."""
    visit = reader("trained", "light", 1300)
    page, digits = visit.page, visit.page.locator("#hands-digits")
    status, pad = digits.locator(".status"), digits.locator(".pad")
    expect(status).to_contain_text("Nothing is drawn yet")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"]
    page.mouse.move(x, y + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(x - 6, y + 0.8 * box["height"], steps=5)
    page.mouse.up()
    expect(status).to_contain_text(re.compile(r"the net reads \d"))
    digits.get_by_role("button", name="Clear").click()
    expect(status).to_contain_text("Nothing is drawn yet")
    pad.focus()
    page.keyboard.press("Space")
    expect(status).to_contain_text("hardly more than a dot")
    for _ in range(14):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    expect(status).to_contain_text(re.compile(r"the net reads \d"))
    right = 0
    for digit in range(10):
        digits.get_by_role("button", name="Clear").click()
        expect(pad).to_have_attribute("aria-label", "Drawing area, empty")
        digits.get_by_role("button", name=f"test digit {digit}").click()
        expect(pad).to_have_attribute("aria-label", re.compile("reads it as"))
        right += (pad.get_attribute("aria-label") or "").endswith(f"as {digit}")
    assert right >= 6
    digits.locator('[name="P"][value="5"]').check()
    expect(digits.locator('[name="unit"]')).to_have_count(5)
    digits.locator('[name="unit"]').first.uncheck()
    expect(status).to_contain_text("With 1 unit off; intact it reads")
    expect(status).to_contain_text(re.compile(r"silencing it changes accuracy by, in points: unit 1 [\u2212+]?\d+\.\d"))
    before = digits.locator(".plane").get_attribute("aria-label")
    digits.locator('[name="row"]').fill("5")
    expect(digits.locator(".bars")).to_have_attribute("aria-label", re.compile("After row 5"))
    assert digits.locator(".plane").get_attribute("aria-label") != before
    digits.locator('[name="P"][value="0"]').check()
    expect(digits.locator(".units")).to_contain_text("With P = 0 there is none")
    assert not re.search("NaN|undefined|Infinity", digits.inner_html())
    assert not visit.troubles
    page.close()


def test_a_typed_text(reader: Callable[..., Visit]) -> None:
    """Known and unknown words, shuffling and back, examples, steps; nothing, nonsense and far too much are named so."""
    visit = reader("trained", "light", 390)
    page, part = visit.page, visit.page.locator("#hands-reviews")
    status, text, rows = part.locator(".status"), part.locator("textarea"), part.locator("tbody tr")
    expect(status).to_contain_text("All words are known.")
    text.fill("It isn\u2019t a zzyzx of a film, it is superb!")
    expect(status).to_contain_text(re.compile(r"P = 0: \w+ \([+\u2212]\d\.\d\d\); P = 5: .* Unknown: zzyzx\."))
    assert part.locator(".unknown").all_text_contents() == ["zzyzx"]
    expect(rows).to_have_count(11)
    first, typed = rows.all_inner_texts(), part.locator(".read").inner_text()
    part.get_by_role("button", name="Shuffle").click()
    expect(status).to_contain_text("as typed")
    assert sorted(part.locator(".read").inner_text().split()) == sorted(typed.split())
    part.get_by_role("button", name="As typed").click()
    assert rows.all_inner_texts() == first and part.locator(".read").inner_text() == typed
    before = part.locator(".answers").first.get_attribute("aria-label") or ""
    part.locator('[name="word"]').focus()
    page.keyboard.press("ArrowLeft")
    expect(part.locator(".answers").first).to_have_attribute("aria-label", re.compile("after 10 of 11 words"))
    assert "after 11 of 11 words" in before
    part.get_by_role("button", name="Another").click()
    expect(text).to_have_value(re.compile("^Not bad"))
    for given, words in (
        ("", "There is no word"),
        (" ,;: \u2014 ", "There is no word"),
        ("zzyzx qqqq", 'all they read is "unknown", 2 times'),
        ("film " * 10_000, "There are 10,000 words; the last 200 are read"),
        ("<img src=x onerror=alert(1)> & co", "P = 0"),
        ("x" * 20_000, "None of these words"),
    ):
        text.fill(given)
        expect(status).to_contain_text(words)
        assert not re.search("NaN|undefined|Infinity", part.inner_html()), given[:20]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not visit.troubles
    page.close()


def test_reviews_are_read_in_their_chapter(reader: Callable[..., Visit]) -> None:
    """What the reader types, word by word; shuffled, the same words in another order."""
    visit = reader("tasks/sentiment", "light", 390)
    page, part = visit.page, visit.page.locator("#hands-reviews")
    part.locator("textarea").fill("not bad at all")
    expect(part.locator(".status")).to_contain_text("All words are known.")
    assert part.locator(".read").inner_text().split() == ["not", "bad", "at", "all"]
    part.get_by_role("button", name="Shuffle the words").focus()
    page.keyboard.press("Enter")
    expect(part.locator(".status")).to_contain_text("Shuffled. P = 0: ")
    assert sorted(part.locator(".read").inner_text().split()) == ["all", "at", "bad", "not"]
    assert not visit.troubles and page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()


def test_nets_answer_in_the_page_as_in_alrnn(reader: Callable[..., Visit]) -> None:
    """Every net that a chapter exported, on random inputs or words: answers to 1e-5 of the largest."""
    visit = reader("trained")
    g, count = torch.Generator().manual_seed(0), 0
    for chapter, names in visit.page.evaluate("Object.entries(NETS).map(([x, { nets }]) => [x, Object.keys(nets)])"):
        for name in names:
            given = visit.page.evaluate(f"NETS.{chapter}.nets[{name!r}]")
            net = alrnn.ALRNN(*(given[size] for size in "NMPO")).double()
            with torch.no_grad():
                for part, own in net.named_parameters():
                    own.copy_(torch.tensor(given[part], dtype=torch.float64).view(own.shape))
            words = chapter == "sentiment"
            s = torch.randint(given["N"], (1, 30), generator=g) if words else torch.rand(1, 29, given["N"], generator=g)
            run = f"s => (net => nets.states(net, s).map(z => nets.answer(net, z)))(NETS.{chapter}.nets[{name!r}])"
            ours = torch.tensor(visit.page.evaluate(run, s[0].tolist()), dtype=torch.float64)
            theirs = net(s if words else s.double())[0][0].detach()
            assert torch.allclose(ours, theirs, rtol=0, atol=1e-5 * max(1, float(theirs.abs().max()))), (chapter, name)
            count += 1
    assert count >= 13, "adding, context, two each; digits, seven; sentiment, two"
    visit.page.close()


def test_training_sleeps_and_goes_on(reader: Callable[..., Visit]) -> None:
    """A tab that is frozen in mid-training has lost nothing when it wakes: the same nets as without the sleep."""
    visit = reader("train-here")
    page, status = visit.page, visit.page.locator("#train .status")
    for name, value in (("steps", "600"), ("T", "16"), ("seeds", "2"), ("M", "8")):
        page.locator(f'#train [name="{name}"]').fill(value)
    tables = []
    for sleeps in (False, True):
        page.get_by_role("button", name="Train", exact=True).click()
        if sleeps:
            session = page.context.new_cdp_session(page)
            session.send("Page.setWebLifecycleState", {"state": "frozen"})
            time.sleep(1)
            session.send("Page.setWebLifecycleState", {"state": "active"})
        expect(status).to_contain_text("6 nets, 600 steps", timeout=60_000)
        tables.append(page.locator("#train tbody").inner_text())
    assert tables[0] == tables[1]
    assert not visit.troubles
    page.close()


def test_settings_that_cannot_be(reader: Callable[..., Visit]) -> None:
    visit = reader("train-here")
    page, over = visit.page, visit.page.locator("#train .over")
    page.locator('#train [name="M"]').fill("5")
    page.locator('#train [name="P"][value="8"]').check()
    expect(over).to_have_text("Left out: P = 8, more than there are units.")
    for box in page.locator('#train [name="P"]').all():
        box.uncheck()
    expect(over).to_have_text("Choose at least one P.")
    expect(page.get_by_role("button", name="Train", exact=True)).to_be_disabled()
    page.close()


@pytest.mark.parametrize("name", ["trained", "train-here"])
def test_pages_that_compute_stay_small(name: str, browser: Browser, site: str) -> None:
    """Under 3 MB with all that they load."""
    page, sizes = browser.new_page(), []
    page.on("response", lambda response: sizes.append(len(response.body())))
    page.goto(f"{site}/{name}.html")
    page.wait_for_load_state("networkidle")
    assert len(sizes) > 10 and sum(sizes) < 3_000_000
    page.close()
