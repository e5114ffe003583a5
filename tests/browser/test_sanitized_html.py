"""Hostile HTML that went through the sanitizer, in real Chromium: nothing of it runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from browser.chromium import Browser, browser
from browser.vectors import PLACES, RUN_AS_THEY_ARE, hostile_pages
from spanguard.validation.sanitizers import HtmlPolicy, clean_html, html_attribute
from unit.sanitizers.samples import RICH_TAGS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ALLOWED = (
    RICH_TAGS
    | {"html", "head", "body", "div"}
    | {f"@{name}" for name in ("id", "href", "title", "rel", "src", "alt", "width", "height", "colspan", "rowspan")}
    | {"http:", "https:", "mailto:", "about:"}
)


def corpus() -> list[str]:
    """In the long run: the lines with markup of all files in the folder that SPANGUARD_XSS_CORPUS names."""
    folder = os.environ.get("SPANGUARD_XSS_CORPUS")
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file()) if folder else []
    return sorted({line for path in files for line in path.read_text(errors="replace").splitlines() if "<" in line})


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        if os.environ.get("SPANGUARD_REQUIRE_STACK") == "1":
            pytest.fail("chromium is not installed (apt install chromium)")
        pytest.skip("chromium is not installed (apt install chromium): the check in a browser is left out")
    with browser(program) as running:
        yield running


def test_the_check_sees_each_script_that_runs(chromium: Browser) -> None:
    verdicts = chromium.judge(list(RUN_AS_THEY_ARE))
    assert [page for page, verdict in zip(RUN_AS_THEY_ARE, verdicts, strict=True) if not verdict.ran] == []


def test_hostile_html_runs_unless_it_is_sanitized(chromium: Browser) -> None:
    pages = [place.format(vector) for place in PLACES[:4] for vector in RUN_AS_THEY_ARE]
    assert sum(verdict.ran for verdict in chromium.judge(pages)) > len(pages) * 0.9


@pytest.mark.parametrize("policy", get_args(HtmlPolicy))
def test_sanitized_html_runs_nothing(chromium: Browser, policy: HtmlPolicy) -> None:
    hostile = hostile_pages() + corpus()
    assert len(hostile) > 1_000
    pages = sorted({clean_html(page, policy) for page in hostile})
    verdicts = chromium.judge(pages)
    assert [page for page, verdict in zip(pages, verdicts, strict=True) if verdict.ran] == []
    assert set().union(*(verdict.parts for verdict in verdicts)) - ALLOWED == set()


def test_an_attribute_runs_nothing(chromium: Browser) -> None:
    pages = [f"{quote}>{page}" for quote in ("'", '"', "") for page in hostile_pages()[-150:]]
    verdicts = chromium.judge(
        [f"<p title={quote}{html_attribute(page)}{quote}>x</p>" for page in pages for quote in "'\""]
    )
    assert not any(verdict.ran for verdict in verdicts)
    assert set().union(*(verdict.parts for verdict in verdicts)) == {
        "html",
        "head",
        "body",
        "div",
        "p",
        "@id",
        "@title",
    }
