"""Where a host leads is told from its parsed form, by the registries of IANA and the lists of clouds."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from spanguard.validation.inputs.hosts import kind_of_address, kind_of_host

KINDS = {
    "unspecified": ["0.0.0.0", "0.1.2.3", "::"],
    "loopback": ["127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "::ffff:0:127.0.0.1"],
    "private": [
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "fc00::1",
        "fdff::1",
        "fec0::1",
        "64:ff9b:1::1",
    ],
    "shared": ["100.64.0.1", "100.127.255.255"],
    "link_local": ["169.254.1.1", "fe80::1", "febf::1", "fe80::1%eth0", "2606:4700::1%1"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1", "3fff:fff:ffff::1"],
    "transition": ["192.88.99.1", "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "::127.0.0.1", "::8.8.8.8"],
    "reserved": [
        "192.0.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "2001:2::1",
        "4000::1",
        "5f00::1",
    ],
    "metadata": [
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
        "::ffff:169.254.169.254",
        "64:ff9b::169.254.169.254",
    ],
    "public": [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "223.255.255.255",
        "2001:200::1",
        "2606:4700::1111",
        "3ffe:ffff::1",
        "3fff:1000::",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
    ],
}


@pytest.mark.parametrize(("kind", "address"), [(kind, address) for kind, group in KINDS.items() for address in group])
def test_an_address_is_of_its_kind(kind: str, address: str) -> None:
    assert kind_of_address(ip_address(address)) == kind


@pytest.mark.parametrize(
    "block",
    [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "2001::/23",
        "2002::/16",
        "fc00::/7",
        "fe80::/10",
        "ff00::/8",
    ],
)
def test_a_block_is_closed_from_its_first_address_to_its_last(block: str) -> None:
    network = ip_network(block)
    assert "public" not in {kind_of_address(network[0]), kind_of_address(network[-1])}


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        ("localhost", "local_name"),
        ("localhost.", "local_name"),
        ("a.localhost", "local_name"),
        ("redis", "local_name"),
        ("printer.local", "local_name"),
        ("db.prod.internal", "local_name"),
        ("nas.home.arpa", "local_name"),
        ("home.arpa", "local_name"),
        ("web.default.svc", "local_name"),
        ("web.default.svc.cluster.local", "local_name"),
        ("metadata.google.internal", "metadata"),
        ("metadata.google.internal.", "metadata"),
        ("metadata", "metadata"),
        ("metadata.tencentyun.com", "metadata"),
        ("example.com", "public"),
        ("localhost.example.com", "public"),
        ("notlocal", "local_name"),
        ("notlocal.org", "public"),
        ("nothome.arpa", "public"),
        ("b2.a1", "public"),
        ("127.0.0.1", "loopback"),
        ("[::1]", "loopback"),
        ("[::ffff:7f00:1]", "loopback"),
        ("8.8.8.8", "public"),
    ],
)
def test_a_host_is_of_its_kind(host: str, kind: str) -> None:
    assert kind_of_host(host) == kind
