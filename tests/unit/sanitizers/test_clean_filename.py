from __future__ import annotations

from pathlib import Path

import pytest

from spanguard.errors import ConfigurationError
from spanguard.validation.sanitizers import clean_filename


@pytest.mark.parametrize(
    ("given", "clean"),
    [
        ("report 2026.pdf", "report 2026.pdf"),
        ("Übersicht, Straße.pdf", "Übersicht, Straße.pdf"),
        ("日本語.txt", "日本語.txt"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\win.ini", "win.ini"),
        ("C:\\docs\\a.txt", "a.txt"),
        ("/etc/", "etc"),
        ("..", "unnamed"),
        (".", "unnamed"),
        ("../..", "unnamed"),
        ("", "unnamed"),
        (" . . ", "unnamed"),
        ("\0\u202e\ud800", "unnamed"),
        ("a:b*c?.txt", "a_b_c_.txt"),
        ('<a>|"b".txt', "_a_b_.txt"),
        ("a\nb\tc.txt", "a_b_c.txt"),
        ("a\uff0f..\uff0fb", "a_.._b"),
        ("exe\u202etxt.exe", "exetxt.exe"),
        ("a\u200bb.txt", "ab.txt"),
        (".htaccess", "htaccess"),
        ("-rf", "_rf"),
        ("~root", "_root"),
        ("name. . .", "name"),
        ("a   b", "a b"),
        ("CON", "_CON"),
        ("con.txt", "_con.txt"),
        ("NUL .txt", "_NUL .txt"),
        ("nul.tar.gz", "_nul.tar.gz"),
        ("COM1", "_COM1"),
        ("COM\u00b9.txt", "_COM\u00b9.txt"),
        ("lpt\u00b3", "_lpt\u00b3"),
        ("\uff23\uff2f\uff2e", "_\uff23\uff2f\uff2e"),
        ("CONIN$", "_CONIN$"),
        ("COM10", "COM10"),
        ("Console.txt", "Console.txt"),
        ("cafe\u0301.txt", "café.txt"),
    ],
)
def test_file_names(given: str, clean: str) -> None:
    assert clean_filename(given) == clean


def test_a_long_name_keeps_its_ending() -> None:
    name = clean_filename("ü" * 500 + ".jpeg")
    assert name == "ü" * 125 + ".jpeg"
    assert len(name.encode()) == 255


def test_a_long_ending_is_no_ending() -> None:
    assert clean_filename("a." + "b" * 500) == "a." + "b" * 253


@pytest.mark.parametrize("end", [" b", ". b", " .b.b b"])
def test_a_name_that_was_cut_ends_in_neither_a_space_nor_a_dot(end: str) -> None:
    for length in range(248, 256):
        assert clean_filename("a" * length + end + "c" * 40)[-1] in "abc"


def test_a_name_is_cut_between_characters() -> None:
    assert clean_filename("a" + "😀" * 100, max_bytes=64) == "a" + "😀" * 15


def test_the_ending_of_an_endless_name_is_seen() -> None:
    assert clean_filename("x" * 10_000_000 + ".txt").endswith("x.txt")


@pytest.mark.parametrize(
    "name", ["../x", "CON", "a" * 400, "ü" * 400, "x\u202e.txt", "a:b", " x ", "...", "😀" * 90 + ".txt"]
)
def test_a_file_of_that_name_can_be_made(name: str, tmp_path: Path) -> None:
    path = tmp_path / clean_filename(name)
    path.write_text("x")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("max_bytes", [0, 63, 256])
def test_a_limit_that_is_out_of_range_is_refused(max_bytes: int) -> None:
    with pytest.raises(ConfigurationError, match="64 to 255"):
        clean_filename("x", max_bytes=max_bytes)
