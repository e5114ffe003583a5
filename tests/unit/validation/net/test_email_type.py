"""One address of mail, judged by its syntax; no DNS is asked."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from spanguard.errors import ConfigurationError
from spanguard.validation.inputs import EmailType, email, make_type
from spanguard.validation.result import ValidationResult

EMAIL = EmailType()


def codes(result: ValidationResult[Any]) -> list[str]:
    return [problem.code for problem in result.errors]


@pytest.mark.parametrize(
    ("given", "clean"),
    [
        ("name@example.com", "name@example.com"),
        ("  name@example.com ", "name@example.com"),
        ("First.Last+tag@EXAMPLE.com", "First.Last+tag@example.com"),
        ("name@bücher.de", "name@xn--bcher-kva.de"),
        ("name@\uff27\uff2f.com", "name@go.com"),
        ("ju\u0308rgen@example.com", "jürgen@example.com"),
        ("sql'or'1'='1'or'x@y.com", "sql'or'1'='1'or'x@y.com"),
    ],
)
def test_an_address_comes_out_clean(given: str, clean: str) -> None:
    assert EMAIL.validate(given).raise_for_errors().sanitized_value == clean


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("", "not_an_email"),
        ("name", "not_an_email"),
        ("@example.com", "not_an_email"),
        ("name@", "not_an_email"),
        ("a@b@example.com", "not_an_email"),
        ("a..b@example.com", "not_an_email"),
        (".a@example.com", "not_an_email"),
        ("a b@example.com", "not_an_email"),
        ("a@localhost", "not_an_email"),
        ("a@example.test", "not_an_email"),
        ("a@printer.local", "not_an_email"),
        ("a@[127.0.0.1]", "not_an_email"),
        ("a@127.0.0.1", "not_an_email"),
        ("a@-b.com", "not_an_email"),
        ("a@b_c.com", "not_an_email"),
        ("Name <a@example.com>", "not_an_email"),
        ("a(comment)@example.com", "not_an_email"),
        ("a@example.com, b@example.com", "not_an_email"),
        (f"{'a' * 65}@example.com", "not_an_email"),
        (f"a@{'b' * 64}.com", "not_an_email"),
        ('"a b"@example.com', "quoted_local_part"),
        ("a@example.com\r\nBcc: b@example.com", "bad_characters"),
        ("a@example.com\n", "bad_characters"),
        ("a\u202eb@example.com", "bad_characters"),
        ("a\u200bb@example.com", "bad_characters"),
        ("\ud800@example.com", "bad_characters"),
        ("a\0@example.com", "bad_characters"),
        (f"a@{'b.' * 130}com", "too_long"),
        (f"{'ü' * 64}@{'ü.' * 16}com", "not_an_email"),
    ],
)
def test_what_is_wrong_has_its_word(address: str, code: str) -> None:
    assert codes(EMAIL.validate(address)) == [code]


def test_no_error_names_the_value() -> None:
    for address in ("hidden", "hidden(hidden)@hidden.com", "hidden@hidden.test", '"hidden"@hidden.com'):
        assert "hidden" not in repr(EmailType(domains=["example.com"]).validate(address))


def test_letters_beyond_ascii_come_with_a_warning_or_are_refused() -> None:
    for address in ("jürgen@example.com", "name@bücher.de"):
        assert [problem.code for problem in EMAIL.validate(address).warnings] == ["international_email"]
        assert codes(EmailType(international=False).validate(address)) == ["international_email"]


def test_quotes_are_allowed_on_request() -> None:
    assert EmailType(quoted=True).validate('"a b"@example.com').sanitized_value == '"a b"@example.com'


def test_an_attack_that_is_a_valid_address_follows_the_policy() -> None:
    attack = "sql'or'1'='1'or'x@y.com"
    assert [problem.code for problem in EMAIL.validate(attack).warnings] == ["threat"]
    assert codes(EmailType(threats="block").validate(attack)) == ["threat"]
    assert EmailType(threats="off").validate(attack).warnings == ()


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("a@example.com", None),
        ("a@sub.example.com", "domain_not_allowed"),
        ("a@example.org", None),
        ("a@sub.example.org", None),
        ("a@bücher.de", None),
        ("a@evil.example.org", "domain_blocked"),
        ("a@x.evil.example.org", "domain_blocked"),
        ("a@notexample.org", "domain_not_allowed"),
    ],
)
def test_domains_are_those_of_the_lists(address: str, code: str | None) -> None:
    kind = EmailType(domains=["example.com", ".example.org", "bücher.de"], blocked_domains=["evil.example.org"])
    assert codes(kind.validate(address)) == ([code] if code else [])


def test_no_dns_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*args: object, **options: object) -> None:
        raise AssertionError("DNS was asked")

    monkeypatch.setattr(socket, "getaddrinfo", ask)
    monkeypatch.setattr(socket.socket, "connect", ask)
    monkeypatch.setattr(socket.socket, "sendto", ask)
    assert EMAIL.validate("name@does-not-exist.com")


@pytest.mark.parametrize("text", ["a" * 254, f"{'a' * 65}@example.com", "e\u0301" * 33 + "@example.com"])
def test_what_cannot_be_an_address_costs_no_more_than_its_length(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    asked: list[str] = []
    monkeypatch.setattr(email, "validate_email", lambda text, **_: asked.append(text))
    assert codes(EMAIL.validate(text)) == ["not_an_email"]
    assert asked == []


@pytest.mark.parametrize(("letters", "is_valid"), [(32, True), (33, False)])
def test_a_part_before_the_at_that_composing_lengthens_is_counted_as_it_comes_out(letters: int, is_valid: bool) -> None:
    result = EMAIL.validate(f"{chr(0x958) * letters}@example.com")
    assert result.is_valid == is_valid
    assert not result or EMAIL.validate(result.sanitized_value).is_valid


@pytest.mark.parametrize(
    "options",
    [
        {"international": 1},
        {"quoted": None},
        {"domains": "example.com"},
        {"domains": ["a@b.com"]},
        {"blocked_domains": None},
        {"blocked_domains": [b"a.com"]},
        {"threats": True},
        {"families": frozenset()},
    ],
)
def test_a_wrong_option_is_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        make_type("email", options)
