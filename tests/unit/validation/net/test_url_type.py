"""A URL is judged as browsers read it, and what other programs might read differently is refused."""

from __future__ import annotations

from typing import Any

import pytest

from spanguard.errors import ConfigurationError
from spanguard.validation.inputs import UrlType, make_type
from spanguard.validation.result import ValidationResult

URL = UrlType()
ANY_HOST = UrlType(public_only=False)


def codes(result: ValidationResult[Any]) -> list[str]:
    return [problem.code for problem in result.errors]


@pytest.mark.parametrize(
    ("given", "clean"),
    [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://EXAMPLE.com:443/A", "https://example.com/A"),
        ("  https://example.com/ ", "https://example.com/"),
        ("http://example.com:/", "http://example.com/"),
        ("http://example.com./", "http://example.com./"),
        ("http://a_b.example.com/", "http://a_b.example.com/"),
        ("http://example.com/a/../b/./c?q=ü#ß", "http://example.com/b/c?q=%C3%BC#%C3%9F"),
        ("http://example.com/?a=\\b", "http://example.com/?a=\\b"),
        ("http://bücher.example.com/", "http://xn--bcher-kva.example.com/"),
        ("http://\uff27\uff2f\u3002com/", "http://go.com/"),
        ("http://8.8.8.8:8080/", "http://8.8.8.8:8080/"),
        ("http://[2606:4700:0:0::1111]/", "http://[2606:4700::1111]/"),
        ("http://example.com/@a:b", "http://example.com/@a:b"),
    ],
)
def test_a_url_comes_out_in_its_normal_form(given: str, clean: str) -> None:
    assert URL.validate(given).raise_for_errors().sanitized_value == clean


LOOPBACK = [
    "http://127.0.0.1/",
    "http://127.0.0.1./",
    "http://127.1/",
    "http://0x7f.1/",
    "http://0x7f000001/",
    "http://0177.0.0.1/",
    "http://0177.0x0.1/",
    "http://2130706433/",
    "http://017700000001/",
    "http://%31%32%37.0.0.1/",
    "http://\uff11\uff12\uff17.\uff10.\uff10.\uff11/",
    "http://①②⑦.0.0.1/",
    "http://127\u30020\u30020\u30021/",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://user@127.0.0.1/",
    "http://example.com@127.0.0.1/",
    "https://127.0.0.1:443/",
]
INSIDE = [
    *LOOPBACK,
    "http://0/",
    "http://[::]/",
    "http://10.0.0.1/",
    "http://192.168.257/",
    "http://172.16.0.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/latest/meta-data/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[fd00:ec2::254]/",
    "http://168.63.129.16/",
    "http://100.100.100.200/",
    "http://metadata.google.internal/",
    "http://METADATA.google.internal./",
    "http://[::127.0.0.1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:7f00:1::]/",
    "http://[fe80::1]/",
    "http://[fc00::1]/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://localhost/",
    "http://LOCALHOST./",
    "http://\uff2c\uff2f\uff23\uff21\uff2c\uff28\uff2f\uff33\uff34/",
    "http://ⓛocalhost/",
    "http://%6c%6f%63alhost/",
    "http://a.localhost/",
    "http://printer.local/",
    "http://db.internal/",
    "http://redis/",
]


@pytest.mark.parametrize("url", INSIDE)
def test_a_host_inside_is_refused_in_every_spelling(url: str) -> None:
    assert "host_not_public" in codes(URL.validate(url))


@pytest.mark.parametrize("url", ["http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/", "http://[::1%0]/"])
def test_an_address_with_a_zone_is_refused(url: str) -> None:
    assert codes(URL.validate(url)) == ["bad_host"]


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "http://localhost:8000/", "http://[::1]/", "http://redis/"])
def test_a_host_inside_is_allowed_on_request(url: str) -> None:
    assert ANY_HOST.validate(url)


@pytest.mark.parametrize(
    "url", ["http://0x7f.1/", "http://2130706433/", "http://010.8.8.8/", "http://8.8.2056/", "http://ex%61mple.com/"]
)
def test_a_host_that_programs_read_differently_is_refused_even_if_any_host_is_allowed(url: str) -> None:
    assert codes(ANY_HOST.validate(url)) == ["ambiguous_host"]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("", "not_a_url"),
        ("example.com", "not_a_url"),
        ("//example.com/", "not_a_url"),
        ("http:example.com", "not_a_url"),
        ("http:/example.com", "not_a_url"),
        ("http:///example.com", "not_a_url"),
        ("javascript:alert(1)", "not_a_url"),
        ("javascript://example.com/%0aalert(1)", "scheme_not_allowed"),
        ("data:text/html,x", "not_a_url"),
        ("file:///etc/passwd", "not_a_url"),
        ("file://example.com/etc/passwd", "scheme_not_allowed"),
        ("ftp://example.com/", "scheme_not_allowed"),
        ("http://user:pw@example.com/", "userinfo"),
        ("http://@example.com/", "userinfo"),
        ("http://example.com\\@evil.com/", "backslash"),
        ("http:\\\\example.com", "not_a_url"),
        ("http://example.com/a\\b", "backslash"),
        ("http://exam\tple.com/", "bad_characters"),
        ("http://example.com/\r\nHost: a", "bad_characters"),
        ("https://example.com/\n", "bad_characters"),
        ("http://example.com/a b", "bad_characters"),
        ("http://example.com/\u202ea", "bad_characters"),
        ("http://example.com/\ud800", "bad_characters"),
        ("http://exam\u00adple.com/", "bad_characters"),
        ("http://a..example.com/", "bad_host"),
        ("http://-a.example.com/", "bad_host"),
        ("http://a'b.example.com/", "bad_host"),
        ("http://*.example.com/", "bad_host"),
        ("http://xn--a/", "bad_host"),
        ("http://1.2.3.4.5/", "bad_host"),
        ("http://256.1.1.1/", "bad_host"),
        ("http://example.0x4/", "bad_host"),
        ("http://exa%00mple.com/", "bad_host"),
        ("http://exa%2fmple.com/", "bad_host"),
        (f"http://{'a' * 64}.com/", "bad_host"),
        (f"http://{'a.' * 127}com/", "bad_host"),
        (f"http://{'%61' * 500}.com/", "bad_host"),
        ("http://example.com:65536/", "bad_host"),
        ("http://example.com:a/", "bad_host"),
        ("http://example.com:0/", "port_not_allowed"),
        (f"http://example.com/{'a' * 2_048}", "too_long"),
        (f"http://example.com/{'ü' * 400}", "too_many_bytes"),
    ],
)
def test_what_is_wrong_has_its_word(url: str, code: str) -> None:
    assert codes(URL.validate(url)) == [code]


def test_everything_that_is_wrong_is_told() -> None:
    kind = UrlType(fragment=False, ports=[443], hosts=["example.com"])
    assert codes(kind.validate("http://me@0x7f.1:80/#a")) == [
        "userinfo",
        "fragment",
        "port_not_allowed",
        "ambiguous_host",
        "host_not_allowed",
        "host_not_public",
    ]


def test_no_error_names_the_value() -> None:
    for url in (
        "http://hidden:hidden@10.0.0.1:0/hidden#hidden",
        "hidden://hidden/",
        "http://hidden\\",
        "http://hidden..a/",
    ):
        assert "hidden" not in repr(UrlType(hosts=["example.com"]).validate(url))


@pytest.mark.parametrize(
    ("host", "is_allowed"),
    [
        ("example.com", True),
        ("EXAMPLE.com.", True),
        ("www.example.com", False),
        ("example.org", True),
        ("a.b.example.org", True),
        ("badexample.org", False),
        ("xn--bcher-kva.de", True),
        ("bücher.de", True),
        ("example.com.evil.net", False),
        ("1.1.1.1", True),
        ("[2606:4700::1111]", True),
    ],
)
def test_a_list_of_hosts_names_hosts_alone_or_with_all_below(host: str, is_allowed: bool) -> None:
    hosts = ["Example.com", ".example.org", "bücher.de", "1.1.1.1", "[2606:4700:0::1111]"]
    assert UrlType(hosts=hosts).validate(f"https://{host}/").is_valid == is_allowed


@pytest.mark.parametrize(
    ("host", "is_allowed"),
    [("evil.com", False), ("a.b.evil.com", False), ("evil.com.", False), ("notevil.com", True), ("1.1.1.1", False)],
)
def test_a_blocked_host_is_blocked_with_all_below(host: str, is_allowed: bool) -> None:
    assert UrlType(blocked_hosts=["evil.com", "1.1.1.1"]).validate(f"https://{host}/").is_valid == is_allowed


def test_user_information_is_kept_on_request() -> None:
    kind = UrlType(userinfo=True)
    assert kind.validate("http://me:pw@example.com/").sanitized_value == "http://me:pw@example.com/"
    assert kind.validate("http://me@home@1.1.1.1/").sanitized_value == "http://me%40home@1.1.1.1/"
    assert codes(kind.validate("http://1.1.1.1@10.0.0.1/")) == ["host_not_public"]


def test_ports_are_those_of_the_list_the_default_of_the_scheme_included() -> None:
    kind = UrlType(ports=[443, 8443])
    assert kind.validate("https://example.com/")
    assert kind.validate("https://example.com:8443/")
    assert kind.validate("http://example.com/").errors[0].limit == "443, 8443"


def test_an_international_host_comes_with_a_warning_or_is_refused() -> None:
    assert [problem.code for problem in URL.validate("http://bücher.de/").warnings] == ["international_host"]
    assert codes(UrlType(international=False).validate("http://bücher.de/")) == ["international_host"]
    assert UrlType(international=False).validate("http://example.com/ü")


@pytest.mark.parametrize(
    "host", ["0x7f.1", "2130706433", "%31%32%37.0.0.1", "\uff11\uff12\uff17.0.0.1", "127.1", "b%C3%BCcher.de"]
)
def test_a_scheme_whose_hosts_the_parser_leaves_alone_has_them_in_plain_form(host: str) -> None:
    assert codes(UrlType(schemes=["redis"], public_only=False).validate(f"redis://{host}:6379/0")) == ["bad_host"]


def test_a_host_of_another_scheme_is_judged_too() -> None:
    assert codes(UrlType(schemes=["redis"]).validate("redis://127.0.0.1:6379/0")) == ["host_not_public"]
    assert UrlType(schemes=["redis"]).validate("redis://Cache.example.com:6379/0")


def test_a_threat_in_a_url_follows_the_policy() -> None:
    url = "https://example.com/?q=<script>alert(1)</script>"
    assert [problem.code for problem in URL.validate(url).warnings] == ["threat"]
    assert codes(UrlType(threats="block").validate(url)) == ["threat"]
    assert UrlType(threats="off").validate(url).warnings == ()


@pytest.mark.parametrize(
    "options",
    [
        {"schemes": "http"},
        {"schemes": []},
        {"schemes": ["HTTP"]},
        {"schemes": ["javascript"]},
        {"schemes": [1]},
        {"max_length": 0},
        {"max_length": True},
        {"max_length": 10**9},
        {"userinfo": 1},
        {"fragment": None},
        {"hosts": "example.com"},
        {"hosts": ["a/b"]},
        {"hosts": ["a:80"]},
        {"hosts": ["u@a"]},
        {"hosts": [""]},
        {"hosts": [7]},
        {"hosts": ["localhost"]},
        {"blocked_hosts": None},
        {"ports": []},
        {"ports": [0]},
        {"ports": ["80"]},
        {"ports": [True]},
        {"threats": "maybe"},
    ],
)
def test_a_wrong_option_is_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        make_type("url", options)


def test_all_wrong_options_stand_in_one_message() -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_type("url", {"schemes": [], "ports": [0], "hosts": ["a b"]})
    assert len(caught.value.problems) == 3


def test_a_host_inside_may_be_listed_where_such_hosts_are_allowed() -> None:
    assert UrlType(hosts=["localhost"], public_only=False).validate("http://localhost:8000/")
