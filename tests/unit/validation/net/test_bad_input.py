"""Whatever the value is, the answer is a result, and nothing that the value brings along is called."""

from __future__ import annotations

from typing import Any

import pytest

from spanguard.validation import EmailType, InvalidInputError, UrlType, resolve_public


class Hostile:
    """Fails whatever is asked of it, and says that it is text."""

    def _fail(self, *args: object) -> Any:
        raise RuntimeError("asked")

    __str__ = __repr__ = __eq__ = __hash__ = __len__ = __bool__ = __iter__ = __format__ = __bytes__ = _fail

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return str


class Text(str):
    """Text that fails whatever is asked of it."""

    __slots__ = ()

    def _fail(self, *args: object, **options: object) -> Any:
        raise RuntimeError("asked")

    __str__ = __repr__ = __eq__ = __hash__ = __len__ = __iter__ = __getitem__ = __contains__ = strip = encode = (
        lower
    ) = _fail


def nested(levels: int) -> object:
    value: object = "a"
    for _ in range(levels):
        value = [value]
    return value


def cyclic() -> object:
    value: dict[str, object] = {}
    value["self"] = value
    return value


NO_TEXT: list[Any] = [
    None,
    True,
    7,
    1.5,
    b"https://example.com/",
    bytearray(b"a"),
    [],
    {},
    object(),
    str,
    Hostile(),
    cyclic(),
]
KINDS: list[Any] = [UrlType(), EmailType()]


@pytest.mark.parametrize("kind", KINDS, ids=["url", "email"])
@pytest.mark.parametrize("value", NO_TEXT, ids=lambda value: type(value).__name__)
def test_what_is_no_text_is_refused(kind: Any, value: object) -> None:
    assert [problem.code for problem in kind.validate(value).errors] == ["not_a_string"]


@pytest.mark.parametrize("value", [v for v in NO_TEXT if v is not str], ids=lambda value: type(value).__name__)
def test_no_host_is_looked_up_for_what_is_no_text(value: Any) -> None:
    with pytest.raises(InvalidInputError, match="must be text"):
        resolve_public(value)


@pytest.mark.parametrize("kind", KINDS, ids=["url", "email"])
def test_what_is_deeply_nested_is_refused(kind: Any) -> None:
    value = nested(100_000)
    assert not kind.validate(value)
    while isinstance(value, list):  # piece by piece, as the collector would go down all levels at once
        value = value.pop()


@pytest.mark.parametrize("kind", KINDS, ids=["url", "email"])
def test_text_of_a_subclass_is_read_as_text_and_comes_out_as_such(kind: Any) -> None:
    clean = {"url": "https://example.com/", "email": "name@example.com"}[kind.name]
    found = kind.validate(Text(clean)).sanitized_value
    assert (found, type(found)) == (clean, str)


@pytest.mark.parametrize("kind", KINDS, ids=["url", "email"])
@pytest.mark.parametrize("unit", ["a", "@", "http://", "\ud800", " ", "ü", "%61"])
def test_of_a_text_of_a_hundred_megabytes_only_the_length_is_looked_at(kind: Any, unit: str) -> None:
    text = unit * (100_000_000 // len(unit.encode("utf-8", "surrogatepass")))
    assert [problem.code for problem in kind.validate(text).errors] == ["too_long"]


@pytest.mark.parametrize("part", ["a.", "%61", "xn--a", "ü", "1.", "[", ":", "@", "\u0301", "é.", "-", "\u200d"])
def test_a_host_is_never_longer_than_dns_allows_however_it_is_spelled(part: str) -> None:
    kind = UrlType(max_length=65_536, userinfo=True)
    assert [problem.code for problem in kind.validate(f"http://{part * 9_000}/").errors] in (
        ["bad_host"],
        ["ambiguous_host"],
    )
