from __future__ import annotations

import subprocess

import pytest

from spanguard.validation.sanitizers import csv_cell, html_attribute, js_string, log_line, shell_argument, url_parameter


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a & b", "a &amp; b"),
        ("\"x\" 'y' `z` <b>", "&quot;x&quot; &#x27;y&#x27; &#96;z&#96; &lt;b&gt;"),
        ("&amp; &lt;", "&amp; &lt;"),
        ("a\r\nb\tc", "a&#10;b&#9;c"),
        ("\0\u202e\ud800", ""),
    ],
)
def test_html_attributes(text: str, written: str) -> None:
    assert html_attribute(text) == written


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("it's", "it\\u0027s"),
        ("</script>", "\\u003c/script\\u003e"),
        ("a\\b", "a\\u005cb"),
        ("`${x}`", "\\u0060\\u0024{x}\\u0060"),
        ("a\u2028b\nc", "a\\u000ab\\u000ac"),
        ("it\\u0027s", "it\\u0027s"),
        ("\\ud83d\\ude00", "\\u005cud83d\\u005cude00"),
    ],
)
def test_strings_of_javascript(text: str, written: str) -> None:
    assert js_string(text) == written


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a b&c=d", "a%20b%26c%3Dd"),
        ("ü/?#", "%C3%BC%2F%3F%23"),
        ("a%20b", "a%20b"),
        ("%0d%0aSet-Cookie: x", "%0ASet-Cookie%3A%20x"),
        ("a%00b%E2%80%AE", "ab"),
        ("100%", "100%25"),
        ("\ud800", ""),
    ],
)
def test_parameters_of_urls(text: str, written: str) -> None:
    assert url_parameter(text) == written


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain, text", "plain, text"),
        ("=1+1", "'=1+1"),
        ("+1+cmd|' /C calc'!A0", "'+1+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1", "'  =1"),
        ('"=1', "'\"=1"),
        ("\t=1", "' =1"),
        ("\r=1", "' =1"),
        ("\uff1d1", "'\uff1d1"),
        ("\u22121+1", "'\u22121+1"),
        ("\u200b=1", "'=1"),
        ("-5", "-5"),
        ("+1.5e3", "+1.5e3"),
        ("-12,5 %", "'-12,5 %"),
        ("-12,5%", "-12,5%"),
        ("a\nb", "a b"),
        ("'=1", "'=1"),
    ],
)
def test_cells(text: str, written: str) -> None:
    assert csv_cell(text) == written


@pytest.mark.parametrize("line_break", ["\n", "\r", "\r\n", "\v", "\f", "\x85", "\u2028", "\u2029"])
def test_a_line_of_a_log_cannot_be_forged(line_break: str) -> None:
    assert log_line(f"bob{line_break}ERROR all is lost") == "bob\\nERROR all is lost"


def test_an_accent_behind_a_line_break_stays_with_what_is_written() -> None:
    once = log_line("a\n\u0303b")
    assert once == "a\\ñb"
    assert log_line(once) == once


def test_a_terminal_is_not_commanded_by_a_log() -> None:
    assert log_line("\x1b[2J\x9b31m\x07x\ty") == "[2J31mx y"


@pytest.mark.parametrize(
    "text",
    ["plain", "a b", "it's", "$(id)", "`id`", "a;b|c&d", "a\nb", "'\"'\"'", "", "*", "~", "-rf", "é😀", "\\", "!x"],
)
def test_a_real_shell_sees_one_argument(text: str) -> None:
    seen = subprocess.run(
        ["sh", "-c", f"printf '%s|' x {shell_argument(text)} y"], capture_output=True, check=True, text=True
    ).stdout
    assert seen == f"x|{text}|y|"


def test_what_is_quoted_stays_quoted_once() -> None:
    assert shell_argument("a b") == "'a b'"
    assert shell_argument("'a b'") == "'a b'"
    assert shell_argument("it's") == "'it'\"'\"'s'"
    assert shell_argument("it'\"'\"'s'; rm") != "it'\"'\"'s'; rm"
