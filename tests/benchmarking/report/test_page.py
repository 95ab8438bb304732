"""The report opened in a real browser: it asks the network for nothing, says no error, fits a telephone."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longbio.benchmarking import report
from longbio.corpus.records import Document, Span

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "chrome")


class Browser:
    """A headless Chromium, told what to do over two pipes in its DevTools protocol.

    Args:
        program: the browser.
        profile: an empty folder of its own.
    """

    def __init__(self, program: str, profile: Path) -> None:
        commands, self.commands = os.pipe()
        self.replies, replies = os.pipe()
        # The protocol's pipes are descriptors 3 and 4 of the browser, whatever they are here.
        shell = f'exec "$0" "$@" 3<&{commands} 4>&{replies}'
        flags = (
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
        )
        self.process = subprocess.Popen(
            ["bash", "-c", shell, program, *flags], pass_fds=(commands, replies), stderr=subprocess.DEVNULL
        )
        os.close(commands)
        os.close(replies)
        self.events: list[dict[str, Any]] = []
        self.number, self.rest, self.session = 0, b"", ""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of one command; events that come meanwhile are kept."""
        self.number += 1
        message: dict[str, Any] = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while (reply := self._next()).get("id") != self.number:
            self.events.append(reply)
        assert "error" not in reply, reply["error"]
        return reply["result"]

    def open(self, page: Path, *, width: int, dark: bool = False, medium: str = "screen") -> None:
        """Open a page in a window of so many CSS pixels, and wait until it is there."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", media=medium, features=[scheme])
        self.events.clear()
        self.ask("Page.navigate", url=page.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def value(self, script: str) -> Any:
        """What a JavaScript expression gives in the page."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def said(self, method: str) -> list[dict[str, Any]]:
        """The parameters of all events of a kind since the page was opened."""
        self.value("1")
        return [event["params"] for event in self.events if event.get("method") == method]

    def close(self) -> None:
        """End it."""
        os.close(self.commands)
        self.process.wait(timeout=20)
        os.close(self.replies)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            piece = os.read(self.replies, 1 << 20)
            assert piece, "the browser has ended"
            self.rest += piece
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The browser that $LONGBIO_BROWSER names, or a Chromium on the path."""
    asked = os.environ.get("LONGBIO_BROWSER")
    program = asked or next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        assert "LONGBIO_NEEDS_BROWSER" not in os.environ, "no Chromium was installed"
        pytest.skip("no Chromium: install chromium-headless-shell, or name a browser in LONGBIO_BROWSER")
    found = Browser(program, tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, sample: dict[str, Any]) -> Path:
    """A report with every part it can have."""
    note = "Given aspirin daily, and a_very_long_word_without_a_place_to_break_" + 20 * "on_and_on_"
    gold = Document("note", note, spans=(Span.of(6, 13, "Drug"),))
    found = Document("note", note, spans=(Span.of(6, 13, "Drug"), Span.of(14, 19, "Dosage")))
    missed = Document("note", note)
    folder = tmp_path_factory.mktemp("report")
    report.write(folder, sample, [("CRAFT", gold, {"longformer": found, "bigbird": missed})])
    return folder / "report.html"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_opens_in_peace_and_fits(browser: Browser, page: Path, width: int, dark: bool) -> None:
    browser.open(page, width=width, dark=dark)
    asked = [event["request"]["url"] for event in browser.said("Network.requestWillBeSent")]
    assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]
    for trouble in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
        assert browser.said(trouble) == []
    assert browser.said("Page.javascriptDialogOpening") == []
    assert browser.value("document.scripts.length") == 0
    browser.value("document.querySelectorAll('details').forEach(each => { each.open = true })")
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value("innerWidth") == width


def test_titles_and_names_are_whole(browser: Browser, page: Path, sample: dict[str, Any]) -> None:
    browser.open(page, width=1280)
    assert browser.value("document.title") == sample["title"]
    assert browser.value("document.querySelector('h1').textContent") == sample["title"]
    arms = browser.value("[...document.querySelector('.key').children].map(each => each.textContent.trim())")
    assert arms == [arm["name"] for arm in sample["tasks"][0]["arms"]]


def test_wide_tables_scroll_in_their_own_boxes_on_a_telephone(browser: Browser, page: Path) -> None:
    browser.open(page, width=390)
    boxes = "[...document.querySelectorAll('section > .scroll')]"
    assert browser.value(f"{boxes}.filter(box => box.scrollWidth > box.clientWidth).length") >= 3
    assert browser.value(f"{boxes}.every(box => box.getBoundingClientRect().right <= 390)")
    heights = "[...document.querySelectorAll('figure text')].map(text => text.getBoundingClientRect().height)"
    assert browser.value(f"Math.min(...{heights})") >= 10


def test_every_picture_has_a_name(browser: Browser, page: Path) -> None:
    browser.open(page, width=1280)
    nodes = browser.ask("Accessibility.getFullAXTree")["nodes"]
    pictures = [
        node for node in nodes if node.get("role", {}).get("value") in ("image", "img", "graphics-document")
    ]
    drawn = browser.value("document.querySelectorAll('figure svg').length")
    assert len(pictures) == drawn > 0
    assert all(len(node["name"]["value"]) > 30 for node in pictures)
    hidden = "[...document.querySelectorAll('svg:not([role=img])')].every(svg => svg.ariaHidden === 'true')"
    assert browser.value(hidden)


# The contrast of each piece of text with the first opaque colour behind it, by WCAG.
CONTRAST = """(() => {
  const rgba = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour.length === 3) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll('body *')) {
    const says = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!says) continue;
    const style = getComputedStyle(element);
    const colour = rgba(element.tagName === 'text' ? style.fill : style.color);
    const [low, high] = [luminance(colour), luminance(behind(element))].sort((a, b) => a - b);
    found.push([(high + 0.05) / (low + 0.05), element.tagName + '.' + element.getAttribute('class')]);
  }
  return found;
})()"""


@pytest.mark.parametrize("dark", [False, True])
def test_all_text_can_be_read(browser: Browser, page: Path, dark: bool) -> None:
    browser.open(page, width=1280, dark=dark)
    found = browser.value(CONTRAST)
    assert len(found) > 500
    assert {name for ratio, name in found if ratio < 4.5} == set()
    assert browser.value("getComputedStyle(document.body).backgroundColor") == (
        "rgb(20, 24, 29)" if dark else "rgb(255, 255, 255)"
    )


def test_it_prints_on_white_with_everything_open(browser: Browser, page: Path) -> None:
    browser.open(page, width=700, dark=True, medium="print")
    assert browser.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert {name for ratio, name in browser.value(CONTRAST) if ratio < 4.5} == set()
    commands = "[...document.querySelectorAll('section > details pre')]"
    assert browser.value(f"{commands}.length > 0 && {commands}.every(each => each.checkVisibility())")
    boxes = "[...document.querySelectorAll('.scroll')]"
    assert browser.value(f"{boxes}.every(box => getComputedStyle(box).overflowX === 'visible')")
    printed = base64.b64decode(browser.ask("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)["data"])
    assert printed.startswith(b"%PDF")
