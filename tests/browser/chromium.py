"""A real browser that tells which pages ran a script, and what they are made of."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import BrowserContext, Frame, Page, Route, sync_playwright

ORIGIN = "http://pages.test/"
AT_ONCE = 40
DEADLINE = 30.0

# In every frame, before anything of the page: what a script that is not ours would call.
BEFORE = """
for (const name of ["alert", "confirm", "prompt", "print"]) window[name] = () => window.ran();
"""

# Show each page in a frame, and wait until it is loaded, with its pictures.
SHOW = """
(pages) => Promise.all(pages.map(([name, html]) => new Promise((resolve) => {
  const frame = document.createElement("iframe");
  frame.name = name;
  frame.onload = resolve;
  frame.srcdoc = "<!doctype html><div id=page>" + html;
  document.body.append(frame);
})))
"""

# Put each page into an element, as a script does; then touch all there is, in both, and judge what they are made of.
TOUCH = """
([pages, events]) => {
  const found = {};
  for (const [name, html] of pages) {
    const frame = [...document.querySelectorAll("iframe")].find((frame) => frame.name === name);
    const inside = frame && frame.contentDocument;
    if (!inside || !inside.body) { found[name] = ["gone"]; continue; }
    const own = inside.createElement("div");
    own.innerHTML = html;
    inside.body.append(own);
    const elements = [...inside.querySelectorAll("*")];
    found[name] = elements.flatMap((element) => [
      element.localName,
      ...[...element.attributes].map((attribute) => "@" + attribute.name),
      ...["href", "src"].filter((name) => element[name] && String(element[name]).includes(":"))
        .map((name) => String(element[name].baseVal ?? element[name]).split(":")[0] + ":"),
    ]);
    for (const element of elements) {
      if (element.localName === "iframe") continue;
      for (const event of events) element.dispatchEvent(new Event(event, { bubbles: false, cancelable: true }));
      if (element.click) element.click(); else element.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    }
    // Comes after all that the touching has put in line.
    const last = inside.createElement("a");
    last.href = "javascript:done()";
    inside.body.append(last);
    last.click();
  }
  return found;
}
"""

EVENTS = (
    "mouseover mouseenter mousedown pointerover pointerdown focus focusin blur load error toggle animationstart"  # noqa: SIM905
    " transitionend keydown input change submit wheel scroll dblclick contextmenu copy beforetoggle start begin".split()
)


@dataclass(slots=True)
class Verdict:
    """What a page did, and what it is made of.

    Attributes:
        ran: whether any script ran.
        parts: names of its elements, `@` and names of their attributes, and the schemes of its links.
    """

    ran: bool = False
    parts: set[str] = field(default_factory=set)


class Browser:
    """Shows pages, many at once, and touches everything on them."""

    def __init__(self, context: BrowserContext) -> None:
        self._ran: set[str] = set()
        self._done: set[str] = set()
        self._number = itertools.count()  # a name is never used twice: what ran late is not another page's
        self._page = self._prepared(context)

    def judge(self, pages: list[str]) -> list[Verdict]:
        """Return a verdict on each page, in their order."""
        return [
            verdict
            for start in range(0, len(pages), AT_ONCE)
            for verdict in self._judge(pages[start : start + AT_ONCE])
        ]

    def _prepared(self, context: BrowserContext) -> Page:
        context.set_default_timeout(DEADLINE * 1000)
        context.expose_binding("ran", lambda source: self._ran.add(_shown_in(source["frame"])))
        context.expose_binding("done", lambda source: self._done.add(_shown_in(source["frame"])))
        context.add_init_script(BEFORE)
        context.route("**/*", _answer)
        return context.new_page()

    def _judge(self, pages: list[str]) -> list[Verdict]:
        self._page.goto(ORIGIN)
        named = [(f"page-{next(self._number)}", page) for page in pages]
        self._page.evaluate(SHOW, named)
        found = self._page.evaluate(TOUCH, [named, EVENTS])
        deadline = time.monotonic() + DEADLINE
        # A page that went elsewhere when it was touched has nothing more to run.
        while waiting := {name for name, _ in named if found[name] != ["gone"]} - self._done - self._ran:
            assert time.monotonic() < deadline, f"{len(waiting)} pages did not come to an end"
            self._page.wait_for_timeout(5)  # lets the browser's messages in
        return [Verdict(name in self._ran, set(found[name])) for name, _ in named]


def _shown_in(frame: Frame) -> str:
    while not frame.name.startswith("page-") and frame.parent_frame is not None:
        frame = frame.parent_frame
    return frame.name


def _answer(route: Route) -> None:
    """An empty page at first; nothing at all behind links, so that the page stays; no picture."""
    request = route.request
    if request.url == ORIGIN and request.frame.parent_frame is None:
        route.fulfill(content_type="text/html", body="<!doctype html><meta charset=utf-8><body>")
    elif request.is_navigation_request():
        route.fulfill(status=204)
    else:
        route.fulfill(status=404)


@contextmanager
def browser(program: str) -> Iterator[Browser]:
    """Start Chromium, and end it."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield Browser(chromium.new_context())
        finally:
            chromium.close()
