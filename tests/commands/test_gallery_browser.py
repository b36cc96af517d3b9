"""The page of runs in a real Chromium: it renders and plays, nothing hostile acts, and nothing leaves the machine.

    uv run --group browser pytest -q -n 0 -m browser tests/commands/test_gallery_browser.py

needs a Chromium or Chrome on PATH (Debian: apt install chromium); Playwright only drives it. CI always has one.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.commands import call, fast_sandbox
from support.gallery import HOSTILE, batch, by_hand, failed, succeeded

pytestmark = pytest.mark.browser
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
QUIET = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"]
QUIET += ["--disable-component-update", "--autoplay-policy=no-user-gesture-required"]
OPENS_S = 1.0  # a page of 200 runs, up to its load event


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs `uv run --group browser`")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium on PATH")
    as_root = ["--no-sandbox"] if sys.platform != "win32" and os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=[*QUIET, *as_root])
        yield browser
        browser.close()


class Tab:
    """A page with all that it asked for and all that it complained of."""

    def __init__(self, page: Any, file: Path) -> None:
        self.page, self.file = page, file
        self.asked: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("console", lambda said: self.complaints.append(said.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (self.complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.goto(file.as_uri())

    def count(self, selector: str) -> int:
        return int(self.page.locator(selector).count())

    def visible(self) -> list[str]:
        """Run ids in the order in which they are shown."""
        shown = self.page.locator("article:visible code")
        return [str(text) for text in shown.all_text_contents()]

    def choose(self, name: str, value: str) -> None:
        self.page.select_option(f"select[name={name}]", value)

    def until(self, expression: str) -> None:
        """Playwright's own wait evaluates text within the page, which the page's policy refuses."""
        end = time.monotonic() + 20
        while not self.page.evaluate(expression):
            assert time.monotonic() < end, f"never: {expression}"
            self.page.wait_for_timeout(20)

    def well_behaved(self) -> None:
        assert self.complaints == []
        assert self.asked and all(url.startswith("file://") for url in self.asked), self.asked


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Any]:
    contexts = []

    def opened(file: str | Path, **options: Any) -> Tab:
        context = chromium.new_context(viewport={"width": 1280, "height": 900}, **options)
        contexts.append(context)
        return Tab(context.new_page(), Path(file))

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def root(workspace: Path) -> Path:
    return workspace / "a b#c?d%20ü" / "runs"


def written(root: Path, *words: str) -> str:
    done = call("gallery.py", "--artifacts-dir", str(root), *words)
    assert done.exit_code == 0, done.stdout
    return str(done.final["file"])


def rehearsed(root: Path, run_id: str = "boat", prompt: str = "a paper boat in the rain") -> Path:
    """The video of a sandbox run."""
    words = ("--prompt", prompt, "--duration", "4", "--run-id", run_id)
    with fast_sandbox():
        done = call("create_and_wait.py", "--sandbox", *words, "--artifacts-dir", str(root))
    assert done.exit_code == 0
    return root / run_id / "outputs" / "video.mp4"


def test_it_renders_and_plays_a_rehearsal(root: Path, open_page: Any, full_videos: None) -> None:
    rehearsed(root)
    tab = open_page(written(root, "--sandbox"))
    assert tab.page.title() == "The newest 1 runs"
    assert tab.page.locator("article .prompt").inner_text() == "a paper boat in the rain"
    can_play = tab.page.evaluate("document.createElement('video').canPlayType('video/mp4; codecs=\"avc1.42E01E\"')")
    assert can_play, "this Chromium was built without H.264: use the distribution's, or Chrome"
    tab.until("document.querySelector('article').classList.contains('seen')")  # its first frame, unasked
    assert tab.page.evaluate("document.querySelector('video').paused")
    tab.page.click("button.cover")
    tab.until("document.querySelector('video').currentTime > 0.4")
    told = tab.page.locator("video").evaluate("(v) => [v.videoWidth, v.videoHeight, v.duration, v.controls]")
    assert told == [1280, 720, pytest.approx(4, abs=0.1), True]
    tab.well_behaved()
    video = (root / "boat" / "outputs" / "video.mp4").as_uri()
    assert {url.replace("'", "%27") for url in tab.asked} == {Path(tab.file).as_uri(), video}


def test_nothing_hostile_acts_and_nothing_is_asked_of_a_network(root: Path, open_page: Any) -> None:
    succeeded(root, "good", prompt=HOSTILE, model=HOSTILE, provider=HOSTILE)
    failed(root, "bad", HOSTILE, prompt=HOSTILE)
    crossed = {HOSTILE: HOSTILE, "model": HOSTILE}
    rows = [{"run_id": name, "status": HOSTILE, "matrix": {**crossed, "model": name}} for name in ("good", "bad")]
    batch(root, [*rows, {"status": HOSTILE, "matrix": crossed, "error": {"message": HOSTILE}}])
    for words in ((), ("--batch", "shorts")):
        tab = open_page(written(root, *words))
        before = tab.count("script"), tab.count("style"), tab.count("img")
        for layout in tab.page.locator("select[name=layout] option").all():
            tab.choose("layout", layout.get_attribute("value"))
        for text in tab.page.locator("article .prompt").all_text_contents():
            assert text.startswith("</script><script>alert(1)</script>") and "{{7*7}}" in text and "\\x1b" in text
        assert (tab.count("script"), tab.count("style"), tab.count("img")) == before == (1, 1, 0)
        tab.well_behaved()
    # The policy holds for what would come past the escaping, too.
    tab.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.acted = 1\">')")
    script = "const s = document.createElement('script'); s.textContent = 'window.acted = 2'; document.body.append(s)"
    tab.page.evaluate(f"(() => {{ {script} }})()")
    refused = tab.page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', (error) => error.name)")
    assert refused == "TypeError" and tab.page.evaluate("window.acted") is None
    assert any("Content Security Policy" in text for text in tab.complaints)


def test_it_finds_sorts_and_sets_side_by_side(root: Path, open_page: Any) -> None:
    rows = []
    for number, (model, prompt) in enumerate([("m1", "fox"), ("m2", "fox"), ("m1", "owl"), ("m2", "owl")]):
        run = succeeded(root, f"r{number}", prompt=prompt, model=model, at=1.8e9 + number)
        run.record("ended", 1.8e9, status="succeeded", outcome="succeeded", cost=float(9 - number), cost_unit="credits")
        crossed = {"prompt": prompt, "model": model}
        rows.append({"line": number + 2, "run_id": run.run_id, "status": "succeeded", "matrix": crossed})
    rows.append({"line": 9, "status": "invalid", "matrix": {"prompt": "elk", "model": "m1"}})
    batch(root, rows)
    tab = open_page(written(root, "--batch", "shorts"))

    headings = tab.page.locator(".group h2 span")
    assert headings.all_text_contents() == ["prompt: fox", "prompt: owl", "The others"]
    lefts = [round(card.bounding_box()["x"]) for card in tab.page.locator(".beside article").all()]
    assert lefts[0] == lefts[2] < lefts[1] == lefts[3], "one column for each model"
    assert tab.page.locator(".column:visible").all_text_contents() == ["m1", "m2", "m1", "m2", "m1"]

    tab.choose("layout", "")
    assert tab.visible() == ["r0", "r1", "r2", "r3"] and tab.count("article:visible") == 5
    tab.choose("sort", "cost")
    assert tab.visible() == ["r3", "r2", "r1", "r0"]
    tab.choose("sort", "newest")
    assert tab.visible() == ["r3", "r2", "r1", "r0"]
    tab.choose("model", "m2")
    assert tab.visible() == ["r3", "r1"]
    tab.choose("model", "")
    tab.choose("status", "invalid")
    assert tab.visible() == [] and tab.count("article:visible") == 1
    tab.choose("status", "")
    tab.page.fill("input[name=search]", "OWL m2")
    assert tab.visible() == ["r3"] and tab.page.locator("output").inner_text() == "1 of 5"
    tab.well_behaved()


def test_the_keyboard_reaches_everything(root: Path, open_page: Any) -> None:
    rehearsed(root, "boat")
    rehearsed(root, "kite", "a kite")
    tab = open_page(written(root, "--sandbox", "--run-id", "boat", "--run-id", "kite"))
    focused = "document.activeElement.querySelector('code')?.textContent"
    keyboard = tab.page.keyboard
    keyboard.press("j")
    assert tab.page.evaluate(focused) == "boat"
    keyboard.press("ArrowRight")
    assert tab.page.evaluate(focused) == "kite"
    keyboard.press("Space")
    tab.until("document.activeElement.querySelector('video').currentTime > 0")
    keyboard.press("Space")
    tab.until("document.activeElement.querySelector('video').paused")
    keyboard.press("k")
    assert tab.page.evaluate(focused) == "boat"
    keyboard.press("/")
    keyboard.type("jtgf kite")
    assert tab.visible() == [], "letters are letters in the search"
    keyboard.press("Escape")
    assert tab.visible() == ["boat", "kite"]
    dark = "document.documentElement.className"
    before = tab.page.evaluate(dark)
    keyboard.press("t")
    assert tab.page.evaluate(dark) != before
    keyboard.press("g")
    assert tab.page.evaluate("document.forms[0].elements.layout.value") != ""
    tab.page.click("text=Play all")
    tab.until("[...document.querySelectorAll('video')].filter((video) => !video.paused).length >= 1")
    tab.well_behaved()


def test_dark_and_light_follow_the_system(root: Path, open_page: Any) -> None:
    succeeded(root, "boat")
    file = written(root)
    shade = {}
    for scheme in ("dark", "light"):
        colour = open_page(file, color_scheme=scheme).page.evaluate("getComputedStyle(document.body).backgroundColor")
        shade[scheme] = sum(map(int, re.findall(r"\d+", colour)[:3]))
    assert shade["dark"] < 150 and shade["light"] > 600


def test_without_script_the_page_is_whole(root: Path, open_page: Any) -> None:
    rehearsed(root)
    failed(root, "bad", "no", mode="sandbox")
    tab = open_page(written(root, "--sandbox"), java_script_enabled=False)
    assert tab.visible() and tab.count("article:visible") == 2
    assert tab.count("form:visible") == 0 and tab.count("video[controls]") == 1 and tab.count("button:visible") == 0


def test_a_video_that_nothing_vouches_for_waits_to_be_asked(root: Path, open_page: Any, monkeypatch: Any) -> None:
    from videotasks.runs.store import Run

    rehearsed(root)
    monkeypatch.setattr(Run, "made_here", False)
    tab = open_page(written(root, "--sandbox"))
    tab.page.wait_for_timeout(300)
    assert tab.asked == [Path(tab.file).as_uri()], "not even its first frame is read"
    tab.page.click("button.cover")
    tab.until("document.querySelector('video').currentTime > 0")


def test_a_file_that_the_browser_cannot_play_is_said(root: Path, open_page: Any) -> None:
    succeeded(root, "boat")
    tab = open_page(written(root))
    tab.until("document.querySelector('button.cover').disabled")
    assert "another player" in tab.page.locator("button.cover").inner_text()


def test_200_runs_open_in_under_a_second(root: Path, open_page: Any) -> None:
    video = rehearsed(root)
    for number in range(200):
        by_hand(root, f"run-{number}", f"a video of {number} words " * 20, video)
    file = written(root, "--latest", "200")
    tab = open_page(file)
    measures = tab.page.context.new_cdp_session(tab.page)
    measures.send("Performance.enable")
    tab.page.reload()
    told = {each["name"]: each["value"] for each in measures.send("Performance.getMetrics")["metrics"]}
    assert tab.count("article") == 200
    # The processor time of the page's own thread: what it takes where nothing else runs, however busy this machine is.
    assert told["ThreadTime"] < OPENS_S, told
    assert len(tab.asked) < 60, "a video far below the screen is not opened"
    tab.well_behaved()
