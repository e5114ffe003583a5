from __future__ import annotations

from pathlib import Path

import pytest

from spanguard.stack.logs import last_lines, read_logs


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "server.log"


def replace(log: Path, text: str) -> None:
    log.write_text(text)


def test_the_last_lines_of_a_log_that_is_not_there_are_none(log: Path) -> None:
    assert last_lines(log, 5) == []


@pytest.mark.parametrize(("count", "lines"), [(0, []), (1, ["c"]), (2, ["b", "c"]), (9, ["a", "b", "c"])])
def test_as_many_last_lines_come_as_asked_for(log: Path, count: int, lines: list[str]) -> None:
    log.write_text("a\nb\nc\n")
    assert last_lines(log, count) == lines
    assert list(read_logs({"s": log}, lines=count, follow=False, sleep=lambda _: None)) == [
        ("s", line) for line in lines
    ]


def test_a_last_line_without_an_end_counts_as_a_line(log: Path) -> None:
    log.write_text("a\nb\nhalf")
    assert last_lines(log, 2) == ["b", "half"]
    assert list(read_logs({"s": log}, lines=2, follow=False, sleep=lambda _: None)) == [("s", "b"), ("s", "half")]


def test_what_is_no_utf_8_is_shown_as_well_as_can_be(log: Path) -> None:
    log.write_bytes(b"\xff!\n")
    assert last_lines(log, 1) == ["\ufffd!"]


def test_a_followed_line_comes_once_and_whole(log: Path) -> None:
    log.write_text("a\nha")
    additions = iter(["lf", "\nnext\n"])

    def add(_: float) -> None:
        with log.open("a") as writer:
            writer.write(next(additions))

    followed = read_logs({"s": log}, lines=5, follow=True, sleep=add)
    assert [next(followed) for _ in range(3)] == [("s", "a"), ("s", "half"), ("s", "next")]


def test_a_log_that_begins_anew_is_followed_from_its_beginning(log: Path) -> None:
    log.write_text("of the run before\n")
    followed = read_logs({"s": log}, lines=1, follow=True, sleep=lambda _: replace(log, "new\n"))
    assert [next(followed) for _ in range(2)] == [("s", "of the run before"), ("s", "new")]


def test_a_log_that_comes_later_is_followed_too(log: Path) -> None:
    followed = read_logs({"s": log}, lines=1, follow=True, sleep=lambda _: replace(log, "first\n"))
    assert next(followed) == ("s", "first")
