"""Whom a request counts for."""

from __future__ import annotations

import pytest

from spanguard.errors import ConfigurationError
from spanguard.rate_limiter.http import HttpRequest, client_address, header


def request(client: str, **headers: str) -> HttpRequest:
    return HttpRequest("GET", "/", client, {name.replace("_", "-"): value for name, value in headers.items()})


BEHIND_PROXIES = client_address(trusted_proxies=["10.0.0.0/8", "192.0.2.7", "fd00::/8"])


@pytest.mark.parametrize(
    ("client", "forwarded", "expected"),
    [
        ("203.0.113.1", "198.51.100.9", "203.0.113.1"),
        ("10.0.0.1", "198.51.100.9", "198.51.100.9"),
        ("10.0.0.1", "198.51.100.9, 192.0.2.7, 10.1.1.1", "198.51.100.9"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.9", "198.51.100.9"),
        ("10.0.0.1", "10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "6.6.6.6, unknown, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "198.51.100.9:4711", "198.51.100.9"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::/64"),
        ("fd00::1", "198.51.100.9", "198.51.100.9"),
        ("::ffff:10.0.0.1", "::ffff:198.51.100.9", "198.51.100.9"),
    ],
)
def test_the_client_is_the_first_from_behind_that_is_no_trusted_proxy(
    client: str, forwarded: str, expected: str
) -> None:
    assert BEHIND_PROXIES(request(client, x_forwarded_for=forwarded)) == expected


def test_the_addresses_of_one_ipv6_network_are_one_client() -> None:
    key = client_address()
    assert key(request("2001:db8:0:1::a")) == key(request("2001:db8:0:1:ffff::b"))
    assert key(request("2001:db8:0:1::a")) != key(request("2001:db8:0:2::a"))


def test_the_length_of_an_ipv6_network_can_be_set() -> None:
    key = client_address(ipv6_prefix=128)
    assert key(request("2001:db8::a")) != key(request("2001:db8::b"))


@pytest.mark.parametrize("client", ["", "testclient", "/run/app.sock"])
def test_a_client_without_an_address_counts_by_what_the_server_says(client: str) -> None:
    assert client_address()(request(client, x_forwarded_for="198.51.100.9")) == client


@pytest.mark.parametrize("proxy", ["nonsense", "10.0.0.1/8", "10.0.0.0/33", ""])
def test_a_proxy_that_is_no_network_is_refused(proxy: str) -> None:
    with pytest.raises(ConfigurationError, match="trusted_proxies has"):
        client_address(trusted_proxies=[proxy])


@pytest.mark.parametrize("prefix", [0, 129, True, 64.0])
def test_a_prefix_out_of_range_is_refused(prefix: int) -> None:
    with pytest.raises(ConfigurationError, match="ipv6_prefix is"):
        client_address(ipv6_prefix=prefix)


def test_requests_without_the_header_share_one_limit() -> None:
    key = header("X-Api-Key")
    assert (key(request("a")), key(request("b", x_api_key="k"))) == ("", "k")


@pytest.mark.parametrize("name", ["", "two words", "X-Api-Key:"])
def test_a_name_that_no_header_can_have_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="not the name of a header field"):
        header(name)
