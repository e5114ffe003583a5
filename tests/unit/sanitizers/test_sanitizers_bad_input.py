"""Whatever is handed over: a string comes back, in bounded time."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from spanguard.validation.sanitizers import ContentSanitizer
from unit.sanitizers.samples import JSON_PIECES, MARKUP_PIECES, SIGNS
from unit.validation.hostile import HOSTILE

SANITIZER = ContentSanitizer()
METHODS = (
    *("html", "text", "filename", "json", "html_attribute", "js_string", "url_parameter", "csv_cell", "log_line"),
    "shell_argument",
)
OF_NO_TEXT = {"filename": "unnamed", "json": "null", "shell_argument": "''"}


@pytest.mark.parametrize("kind", HOSTILE)
def test_any_object_gives_a_string(kind: str) -> None:
    value = HOSTILE[kind]()
    is_text = issubclass(type(value), str)
    started = time.process_time()
    for method in METHODS:
        clean: Callable[[Any], str] = getattr(SANITIZER, method)
        result = clean(value)
        assert type(result) is str
        assert is_text or result == OF_NO_TEXT.get(method, "")
        assert clean(result) == result
    assert time.process_time() - started < 20


def test_an_endless_text_takes_little_memory() -> None:
    value = "<b>\u00e9" * 25_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for method in METHODS:
        getattr(SANITIZER, method)(value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000


def test_threads_share_one_sanitizer() -> None:
    pieces = [*MARKUP_PIECES, *JSON_PIECES, *SIGNS]
    texts = ["".join(pieces[start : start + 40]) for start in range(0, len(pieces), 7)]
    work = [(method, text) for method in METHODS for text in texts]

    def call(item: tuple[str, str]) -> str:
        result: str = getattr(SANITIZER, item[0])(item[1])
        return result

    alone = [call(item) for item in work]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(call, work * 4)) == alone * 4


def test_a_forked_child_cleans(in_child: Callable[[Callable[[], object]], str]) -> None:
    assert in_child(lambda: SANITIZER.html("<b>x<script>y</script>")) == repr("<b>x</b>")
