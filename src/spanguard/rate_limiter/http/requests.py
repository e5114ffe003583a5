"""Whom a request counts for: the address of its client, a header, or whatever a function says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from spanguard.errors import ConfigurationError

_Address = IPv4Address | IPv6Address
_FIELD_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What a limiter may know of a request, the same for ASGI and WSGI.

    Attributes:
        method: "GET" and the like.
        path: the path that was asked for, decoded, without the query.
        client: the address at the other end of the connection; "" where the server does not tell, as on a Unix socket.
        headers: the header fields by their names in lower case; what came more than once is joined with ", ".
    """

    method: str
    path: str
    client: str
    headers: Mapping[str, str]


KeyOf = Callable[[HttpRequest], str | None]
"""Says whose limit a request counts against; None if it counts against none and goes through."""


def client_address(*, trusted_proxies: Iterable[str] = (), ipv6_prefix: int = 64) -> KeyOf:
    """Count each client by its address.

    `X-Forwarded-For` is believed only as far as trusted proxies wrote it: from the connection's own address backwards,
    the first that is not a trusted proxy is the client. Anybody can send that header, so without `trusted_proxies` it is
    not looked at.

    Args:
        trusted_proxies: addresses and networks of the proxies in front, such as "10.0.0.0/8".
        ipv6_prefix: how many bits of an IPv6 address tell clients apart. One client commonly has a whole /64 network to
            take addresses from (RFC 6177).

    Raises:
        ConfigurationError: a network is none, or the prefix is not from 1 to 128.
    """
    networks = [_network(proxy) for proxy in trusted_proxies]
    if ipv6_prefix.__class__ is not int or not 1 <= ipv6_prefix <= 128:  # noqa: PLR2004 - the bits of an address
        raise ConfigurationError(f"client_address: ipv6_prefix is {ipv6_prefix!r}; it must be a whole number, 1 to 128")

    def is_trusted(address: _Address) -> bool:
        return any(address in network for network in networks)

    def key(request: HttpRequest) -> str:
        address = _parsed(request.client)
        if address is None:
            return request.client
        hops = request.headers.get("x-forwarded-for", "").split(",")
        while hops and is_trusted(address):
            before = _parsed(hops.pop())
            if before is None:
                break
            address = before
        return _group(address, ipv6_prefix)

    return key


def header(name: str) -> KeyOf:
    """Count each value of a header field apart, such as an API key; requests without it share one limit.

    Only for what was checked before: whoever may send any value has as many limits as there are values.

    Raises:
        ConfigurationError: this is not the name of a header field.
    """
    if not _FIELD_NAME.fullmatch(name):
        raise ConfigurationError(f"header: {name!r} is not the name of a header field, such as 'X-Api-Key'")
    lower = name.lower()

    def key(request: HttpRequest) -> str:
        return request.headers.get(lower, "")

    return key


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise ConfigurationError(
            f"client_address: trusted_proxies has {text!r}, which is neither an address nor a network: {error}"
        ) from None


def _parsed(text: str) -> _Address | None:
    """Return the address in one hop of the header; some proxies add the port."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _group(address: _Address, ipv6_prefix: int) -> str:
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, ipv6_prefix), strict=False))
    return str(address)
