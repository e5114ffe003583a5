"""What must hold for any address of mail or the web, and for any answer of a DNS server."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from fuzz import FUZZ
from spanguard.validation import EmailType, InvalidInputError, UrlType, resolve_public
from spanguard.validation.inputs.hosts import kind_of_address, kind_of_host
from spanguard.validation.inputs.url import ParsedUrl

pytestmark = pytest.mark.fuzz

URL = UrlType(threats="off")
ANY_URL = UrlType(threats="off", public_only=False, userinfo=True, schemes=["http", "https", "ws", "ftp", "redis"])
EMAIL = EmailType(threats="off", quoted=True)

PIECES = st.sampled_from(
    [
        *"/\\?#@:[].%&=;,'\"<>{}|^`~!$*()+-_ \t\r\n\0",
        *(
            "//",
            "..",
            "%00",
            "%2e",
            "%2f",
            "%40",
            "%zz",
            "http",
            "https://",
            "ftp",
            "redis://",
            ":80",
            ":0",
            "xn--",
            "com",
        ),
        *("localhost", "example.com", "127.0.0.1", "0x7f", "0177", "2130706433", "[::1]"),
        *("ü", "ß", "é", "e\u0301", "😀", "\u3002", "\uff0e", "\uff11", "\u2460"),
        *("\u200b", "\u200d", "\u202e", "\ufeff", "\ud800", "\xad"),
    ]
)
TEXTS = st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join)
URLS = (
    st.builds("{}://{}{}".format, st.sampled_from(["http", "https", "HTTP", "ws", "ftp", "redis"]), TEXTS, TEXTS)
    | TEXTS
)
EMAILS = (
    st.builds("{}@{}".format, TEXTS, TEXTS | st.sampled_from(["example.com", "bücher.de", "ü.com"]))
    | st.emails()
    | TEXTS
)
OBJECTS = st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.lists(st.text()) | st.dates()

FOUR = st.integers(0, 2**32 - 1).map(IPv4Address)
BLOCKS = [
    ip_network(block)
    for block in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
        *("192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        *(
            "224.0.0.0/4",
            "240.0.0.0/4",
            "::/8",
            "64:ff9b:1::/48",
            "100::/64",
            "2001::/23",
            "2001:db8::/32",
            "2002::/16",
        ),
        *("3fff::/20", "4000::/2", "5f00::/16", "fc00::/7", "fe80::/10", "ff00::/8"),
    )
]
INSIDE = st.sampled_from(BLOCKS).flatmap(
    lambda block: st.integers(int(block[0]), int(block[-1])).map(IPv4Address if block.version == 4 else IPv6Address)
)
INSIDE_FOUR = INSIDE.filter(lambda address: address.version == 4)


@st.composite
def spelled(draw: st.DrawFn, addresses: st.SearchStrategy[Any]) -> tuple[IPv4Address, str]:
    """An IPv4 address in one of the spellings that a browser reads: one to four parts, in three bases, in odd digits."""
    address = draw(addresses)
    number = int(address)
    parts = draw(st.integers(1, 4))
    rest = 8 * (5 - parts)
    numbers = [*(number >> shift & 0xFF for shift in range(24, rest - 8, -8)), number & ((1 << rest) - 1)]
    text = ".".join(
        draw(st.sampled_from(["{}", "0x{:x}", "0X{:X}", "0x00{:x}", "0{:o}", "000{:o}"])).format(n) for n in numbers
    )
    if draw(st.booleans()):
        text += "."
    how = draw(st.sampled_from(["plain", "wide", "percent"]))
    if how == "wide":
        text = "".join(chr(ord(char) + 0xFEE0) if char.isdigit() else char for char in text)
    elif how == "percent":
        text = "".join(f"%{ord(char):02x}" if draw(st.booleans()) else char for char in text)
    return address, text


@FUZZ
@given(st.sampled_from([URL, ANY_URL]), URLS | OBJECTS)
@example(ANY_URL, "http://ho\\st")
def test_any_object_has_an_answer_and_a_valid_url_is_its_own_normal_form(kind: UrlType, value: object) -> None:
    result = kind.validate(value)
    assert bool(result.errors) != result.is_valid
    if result:
        clean = result.sanitized_value
        assert clean is not None
        assert clean.isascii()
        assert not re.search(r"[\s\x00-\x20\x7f]", clean)
        assert len(clean) <= kind.max_length
        assert kind.validate(clean).sanitized_value == clean
        parsed = kind.parse(clean)
        assert isinstance(parsed, ParsedUrl)
        assert kind is ANY_URL or kind_of_host(parsed.host) == "public"


@FUZZ
@given(spelled(INSIDE_FOUR))
def test_an_ipv4_address_inside_is_refused_in_any_spelling(spelling: tuple[IPv4Address, str]) -> None:
    address, text = spelling
    codes = {problem.code: problem.limit for problem in URL.validate(f"http://{text}/").errors}
    assert codes["host_not_public"] == kind_of_address(address)


@FUZZ
@given(spelled(FOUR))
def test_an_ipv4_address_is_valid_in_its_plain_spelling_alone(spelling: tuple[IPv4Address, str]) -> None:
    address, text = spelling
    result = ANY_URL.validate(f"http://{text}/")
    assert result.is_valid == (text.removesuffix(".") == str(address))
    assert not result or result.sanitized_value == f"http://{address}/"


@FUZZ
@given(INSIDE_FOUR, st.sampled_from(["::ffff:0:0", "::ffff:0:0:0", "64:ff9b::", "::"]))
def test_an_ipv4_address_inside_is_refused_within_an_ipv6_address(address: IPv4Address, prefix: str) -> None:
    outer = IPv6Address(int(IPv6Address(prefix)) | int(address))
    assert [problem.code for problem in URL.validate(f"http://[{outer}]/").errors] == ["host_not_public"]


@FUZZ
@given(INSIDE.filter(lambda address: address.version == 6), st.booleans())
def test_an_ipv6_address_inside_is_refused_short_and_long(address: IPv6Address, is_long: bool) -> None:
    assume(kind_of_address(address) != "public")  # ::ffff:8.8.8.8
    text = address.exploded.upper() if is_long else str(address)
    assert [problem.code for problem in URL.validate(f"http://[{text}]/").errors] == ["host_not_public"]


@FUZZ
@given(INSIDE)
def test_an_address_of_a_special_block_is_not_public_unless_it_stands_for_another(address: Any) -> None:
    stands_for = [ip_network("::ffff:0:0/96"), ip_network("::ffff:0:0:0/96"), ip_network("64:ff9b::/96")]
    assume(not any(address in network for network in stands_for))
    assert kind_of_address(address) != "public"


@FUZZ
@given(FOUR | INSIDE_FOUR | st.integers(0, 2**128 - 1).map(IPv6Address))
def test_what_is_public_here_is_global_for_the_standard_library(address: Any) -> None:
    if kind_of_address(address) == "public":
        mapped = getattr(address, "ipv4_mapped", None)
        assert (mapped or address).is_global


@FUZZ
@given(EMAILS | OBJECTS)
def test_any_object_has_an_answer_and_a_valid_email_stays_as_it_is(value: object) -> None:
    result = EMAIL.validate(value)
    assert bool(result.errors) != result.is_valid
    if result:
        clean = result.sanitized_value
        assert clean is not None
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", clean)
        assert clean.rpartition("@")[2].isascii()
        assert len(clean.encode()) <= 254
        assert EMAIL.validate(clean).sanitized_value == clean


@FUZZ
@given(st.lists(FOUR | INSIDE | st.integers(2**125, 2**126 - 1).map(IPv6Address), min_size=1, max_size=4))
def test_a_host_is_pinned_exactly_if_all_its_addresses_are_public(addresses: list[Any]) -> None:
    def resolver(host: str, port: int, /) -> list[str]:
        return [str(address) for address in addresses]

    if all(kind_of_address(address) == "public" for address in addresses):
        pinned = resolve_public("https://example.com/", resolver=resolver)
        assert [ip_address(address) for address in pinned.addresses] == list(dict.fromkeys(addresses))
    else:
        with pytest.raises(InvalidInputError):
            resolve_public("https://example.com/", resolver=resolver)
