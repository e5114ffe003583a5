"""What kind of host a URL leads to: the public internet, or somewhere a server must not be sent by its users.

The blocks are those of the IANA registries of special-purpose addresses (RFC 6890), read as of 2026. They stand here, and
are not asked of `ipaddress`, because its answers change with the version of Python.
"""

from __future__ import annotations

from bisect import bisect_right
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Final, Literal

HostKind = Literal[
    "public",
    "unspecified",
    "loopback",
    "private",
    "shared",
    "link_local",
    "multicast",
    "metadata",
    "documentation",
    "transition",
    "reserved",
    "local_name",
]
"""`shared` is the space of carrier-grade NAT (RFC 6598), `transition` an IPv6 address that stands for another one behind a
relay (6to4, Teredo, IPv4-compatible), `local_name` a name that no public DNS answers for."""

_BLOCKS: Final[dict[str, HostKind]] = {
    "0.0.0.0/8": "unspecified",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "shared",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link_local",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "reserved",
    "192.0.2.0/24": "documentation",
    "192.88.99.0/24": "transition",
    "192.168.0.0/16": "private",
    "198.18.0.0/15": "reserved",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
    "::/96": "transition",
    "::/128": "unspecified",
    "::1/128": "loopback",
    "64:ff9b:1::/48": "private",
    "2001::/23": "reserved",
    "2001::/32": "transition",
    "2001:db8::/32": "documentation",
    "2002::/16": "transition",
    "3fff::/20": "documentation",
    "fc00::/7": "private",
    "fe80::/10": "link_local",
    "fec0::/10": "private",
    "ff00::/8": "multicast",
}
_GLOBAL: Final = 0b001
"""The first three bits of the only IPv6 addresses that IANA gives out (2000::/3); all others are special or reserved."""

_EMBEDDING: Final = frozenset(int(IPv6Address(first)) >> 32 for first in ("::ffff:0:0", "::ffff:0:0:0", "64:ff9b::"))
"""The first 96 bits of IPv6 addresses whose last 32 are the IPv4 address that is reached: mapped, SIIT and NAT64."""

_METADATA: Final = {
    4: frozenset(
        int(IPv4Address(address))
        for address in (
            "169.254.169.254",  # AWS, Azure, GCP, Oracle, DigitalOcean and most others
            "169.254.170.2",  # AWS, the credentials of a container
            "169.254.170.23",  # AWS, the credentials of a pod
            "169.254.0.23",  # Tencent
            "100.100.100.200",  # Alibaba
            "168.63.129.16",  # Azure, the server of the host; it has an address of public space
            "192.0.0.192",  # Oracle
        )
    ),
    6: frozenset(
        int(IPv6Address(address))
        for address in (
            "fd00:ec2::254",  # AWS
            "fd00:ec2::23",  # AWS, the credentials of a pod
            "fd20:ce::254",  # GCP
        )
    ),
}
_METADATA_NAMES: Final = frozenset(
    {
        "instance-data",
        "instance-data.ec2.internal",
        "metadata",
        "metadata.azure.internal",
        "metadata.google.internal",
        "metadata.tencentyun.com",
    }
)
_LOCAL_DOMAINS: Final = frozenset(
    {
        # Special-use by RFC 2606, 6761, 6762, 7686, 8375, 9476 and by ICANN's reservation of .internal.
        "alt",
        "example",
        "home.arpa",
        "internal",
        "invalid",
        "local",
        "localhost",
        "onion",
        "test",
        # Never delegated, and in wide use inside networks (RFC 6762, appendix G).
        "corp",
        "home",
        "intranet",
        "lan",
        "localdomain",
        "private",
        "svc",
    }
)


class _Table:
    """The blocks of one version of IP in order."""

    def __init__(self, version: int) -> None:
        networks = [network for network in map(ip_network, _BLOCKS) if network.version == version]
        # A block stands before the narrower ones inside it, so the search meets the narrowest first.
        networks.sort(key=lambda network: (int(network[0]), -network.num_addresses))
        self._firsts = [int(network[0]) for network in networks]
        self._lasts = [int(network[-1]) for network in networks]
        self._kinds = [_BLOCKS[str(network)] for network in networks]

    def kind_of(self, number: int) -> HostKind | None:
        for place in range(bisect_right(self._firsts, number) - 1, -1, -1):
            if number <= self._lasts[place]:
                return self._kinds[place]
        return None


_V4: Final = _Table(4)
_V6: Final = _Table(6)


def kind_of_host(host: str) -> HostKind:
    """Tell where the host of a parsed URL leads, as far as its spelling says it.

    Args:
        host: as the WHATWG parser writes it: a name in lower-case ASCII, an IPv4 address in four decimal parts, or an
            IPv6 address in brackets.

    A name that looks public may still resolve to any address: see `resolve_public`.
    """
    if host.startswith("["):
        return kind_of_address(IPv6Address(host[1:-1]))
    name = host.rstrip(".")
    first, _, last = name.rpartition(".")
    if last.isdigit():
        return kind_of_address(IPv4Address(name))
    if name in _METADATA_NAMES:
        return "metadata"
    if not first or last in _LOCAL_DOMAINS or f".{name}".endswith(".home.arpa"):
        return "local_name"
    return "public"


def kind_of_address(address: IPv4Address | IPv6Address) -> HostKind:
    """Tell where an address leads. One that stands for an IPv4 address leads where that does."""
    number = int(address)
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return "link_local"
    if isinstance(address, IPv6Address) and number >> 32 in _EMBEDDING:
        return kind_of_address(IPv4Address(number & 0xFFFF_FFFF))
    if number in _METADATA[address.version]:
        return "metadata"
    if isinstance(address, IPv4Address):
        return _V4.kind_of(number) or "public"
    return _V6.kind_of(number) or ("public" if number >> 125 == _GLOBAL else "reserved")
