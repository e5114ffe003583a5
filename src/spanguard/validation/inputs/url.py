"""Addresses of the web, judged as the parser of browsers reads them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final, NamedTuple

from pydantic_core import SchemaValidator, Url, ValidationError, core_schema

from spanguard.validation.inputs.hosts import HostKind, kind_of_host
from spanguard.validation.inputs.options import bad_flag, check, is_whole
from spanguard.validation.inputs.threat_policy import ThreatPolicy, bad_policy
from spanguard.validation.problem import Problem
from spanguard.validation.result import ValidationResult, refused

MAX_LENGTH: Final = 65_536
"""The most that `max_length` may be."""

_MAX_NAME: Final = 253
_MAX_PORT: Final = 65_535
_PARSED_FULLY: Final = frozenset({"ftp", "http", "https", "ws", "wss"})
_NOT_IN_A_HOST: Final = re.compile(r"[/?#@\\%\s]|:(?![^\]]*\])")
_NEVER: Final = frozenset({"about", "blob", "data", "file", "filesystem", "javascript", "vbscript", "view-source"})
_PARSER: Final = SchemaValidator(core_schema.url_schema())
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*")
_BEGINNING: Final = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*)://(?P<authority>[^/?#\\]*)(?P<path>[^?#]*)")
_UNSEEN: Final = re.compile(
    r"[\x00-\x20\x7f-\xa0\xad\u061c\u1680\u180e\u2000-\u200b\u200e\u200f\u2028-\u202f\u205f-\u206f\u3000"
    r"\ud800-\udfff\ufeff\ufff9-\uffff]"
)
_LABEL: Final = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")

_NOT_A_STRING: Final = refused(Problem("not_a_string", "It must be text."))
_NOT_A_URL: Final = refused(
    Problem("not_a_url", "It must be a whole URL with a scheme and a host, such as https://example.com/page.")
)
_BAD_CHARACTERS: Final = refused(
    Problem("bad_characters", "It holds white space, a control or a character that nobody sees; write it in percents.")
)
_BACKSLASH: Final = refused(Problem("backslash", "It holds a backslash before its query; a URL is written with `/`."))
_BAD_HOST: Final = refused(
    Problem("bad_host", "Its host is no valid name: parts of letters, digits and hyphens with dots between them.")
)
_USERINFO: Final = Problem("userinfo", "It holds a user name or an @ before its host; leave that out.")
_ODD_HOST: Final = Problem(
    "ambiguous_host", "Its host is an address in a spelling that programs read differently; write it in its plain form."
)
_FRAGMENT: Final = Problem("fragment", "It holds a fragment, from # on; leave that out.")
_PORT_ZERO: Final = Problem("port_not_allowed", f"Its port must be from 1 to {_MAX_PORT}.", (), _MAX_PORT)
_INTERNATIONAL: Final = Problem("international_host", "Its host has letters beyond a-z, which others may look like.")
_HOST_NOT_ALLOWED: Final = Problem("host_not_allowed", "Its host is none of those that are allowed.")
_HOST_BLOCKED: Final = Problem("host_blocked", "Its host is one of those that are blocked.")


class ParsedUrl(NamedTuple):
    """A URL as browsers read it.

    Attributes:
        text: the URL in its normal form, in ASCII.
        scheme: in lower case, such as `https`.
        host: a name in lower-case ASCII, an IPv4 address in four decimal parts, or an IPv6 address in brackets.
        port: the port it names or its scheme implies; None if neither does.
    """

    text: str
    scheme: str
    host: str
    port: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlType(ThreatPolicy):
    """A URL with a host, as the WHATWG parser of browsers reads it; the clean value is its normal form, in ASCII.

    Spaces around it are dropped. Where the standard mends what is wrong, this refuses it: white space, controls and
    backslashes, slashes that are missing, addresses such as 0x7f.1. Use the clean value, not what was sent.

    Args:
        schemes: the schemes that are allowed, in lower case.
        max_length: the most code points as it was sent, and the most bytes of the clean value, in which letters beyond
            ASCII take 6 to 12; at most `MAX_LENGTH`.
        userinfo: allow a user name and a password before the host.
        fragment: allow a fragment.
        international: allow host names beyond ASCII (IDNA); they come with a warning.
        hosts: the only hosts that are allowed; `example.com` is that host alone, `.example.com` also all below it.
            None for no such list.
        blocked_hosts: hosts that are refused, with all that are below them.
        ports: the only ports that are allowed; None for all from 1 on.
        public_only: refuse hosts that are not of the public internet: private, loopback and link-local addresses, the
            metadata services of clouds, names such as `localhost`, in any spelling. A public name can still resolve to
            a private address: connect through `resolve_public`.
        threats: see `ThreatPolicy`.
        profile: see `ThreatPolicy`.
        families: see `ThreatPolicy`.

    Raises:
        ConfigurationError: an option is wrong; all that is wrong stands in the one message.
    """

    name: ClassVar[str] = "url"
    schemes: Collection[str] = ("http", "https")
    max_length: int = 2_048
    userinfo: bool = False
    fragment: bool = True
    international: bool = True
    hosts: Collection[str] | None = None
    blocked_hosts: Collection[str] = ()
    ports: Collection[int] | None = None
    public_only: bool = True

    def __post_init__(self) -> None:
        check(self.name, self._problems())
        for option in ("schemes", "ports"):
            if (given := getattr(self, option)) is not None:
                object.__setattr__(self, option, tuple(given))
        for option in ("hosts", "blocked_hosts"):
            if (given := getattr(self, option)) is not None:
                object.__setattr__(self, option, frozenset(map(plain_host, given)))

    def _problems(self) -> Iterator[str]:
        yield from _bad_schemes(self.schemes)
        if not is_whole(self.max_length) or not 1 <= self.max_length <= MAX_LENGTH:
            yield f"max_length is {self.max_length!r}; it must be a whole number from 1 to {MAX_LENGTH}."
        for option in ("userinfo", "fragment", "international", "public_only"):
            yield from bad_flag(option, getattr(self, option))
        yield from bad_hosts("hosts", self.hosts, is_optional=True, public_only=self.public_only is True)
        yield from bad_hosts("blocked_hosts", self.blocked_hosts)
        yield from _bad_ports(self.ports)
        yield from bad_policy(self)

    def validate(self, value: object) -> ValidationResult[str]:
        """Judge any object; see `InputType`."""
        url = self.parse(value)
        if not isinstance(url, ParsedUrl):
            return url
        return self.judged(url.text, (_INTERNATIONAL,) if "xn--" in url.host else ())

    def parse(self, value: object) -> ParsedUrl | ValidationResult[Any]:
        """Return the parts of a URL that these options allow, threats aside; or the result that says why not."""
        if not issubclass(type(value), str):
            return _NOT_A_STRING
        text = str.__str__(value)
        if len(text) > self.max_length:
            return refused(
                Problem("too_long", f"It may have at most {self.max_length} characters.", (), self.max_length)
            )
        text = text.strip(" ")
        found = _beginning(text)
        if isinstance(found, ValidationResult):
            return found
        scheme, authority = found["scheme"].lower(), found["authority"]
        if scheme not in self.schemes:
            return refused(self._scheme_not_allowed())
        raw_host = authority.rpartition("@")[2]
        url = _read(text)
        host = None if url is None else _host_of(url)
        if url is None or host is None:
            return _BAD_HOST
        parsed = ParsedUrl(str(url), scheme, host, url.port)
        errors = [*self._errors(parsed, authority, raw_host, has_fragment="#" in text)]
        return refused(*errors) if errors else parsed

    def _errors(self, url: ParsedUrl, authority: str, raw_host: str, *, has_fragment: bool) -> Iterator[Problem]:
        if len(url.text) > self.max_length:
            yield Problem("too_many_bytes", f"It may have at most {self.max_length} bytes.", (), self.max_length)
        if "@" in authority and not self.userinfo:
            yield _USERINFO
        if has_fragment and not self.fragment:
            yield _FRAGMENT
        yield from self._bad_port(url.port)
        if _is_odd(url.host, raw_host):
            yield _ODD_HOST
        if not self.international and "xn--" in url.host:
            yield _INTERNATIONAL
        yield from self._refused_host(url.host)

    def _bad_port(self, port: int | None) -> Iterator[Problem]:
        if port == 0:
            yield _PORT_ZERO
        elif self.ports is not None and port not in self.ports:
            allowed = ", ".join(map(str, self.ports))
            yield Problem("port_not_allowed", f"Its port must be one of: {allowed}.", (), allowed)

    def _refused_host(self, host: str) -> Iterator[Problem]:
        plain = host.rstrip(".")
        if self.hosts is not None and not is_listed(plain, self.hosts):
            yield _HOST_NOT_ALLOWED
        if self.blocked_hosts and is_listed(plain, self.blocked_hosts, with_all_below=True):
            yield _HOST_BLOCKED
        if self.public_only and (kind := kind_of_host(host)) != "public":
            yield not_public(kind)

    def _scheme_not_allowed(self) -> Problem:
        allowed = ", ".join(self.schemes)
        return Problem("scheme_not_allowed", f"Its scheme must be one of: {allowed}.", (), allowed)


def not_public(kind: HostKind) -> Problem:
    """Return what is wrong with a host that is not of the public internet."""
    return Problem("host_not_public", f"Its host is not of the public internet: {kind.replace('_', ' ')}.", (), kind)


def is_listed(host: str, listed: Collection[str], *, with_all_below: bool = False) -> bool:
    """Tell whether a host is one of a list, in which `.example.com` stands for that host and all below it."""
    if host in listed or f".{host}" in listed:
        return True
    above = host.partition(".")[2]
    while above:
        if f".{above}" in listed or (with_all_below and above in listed):
            return True
        above = above.partition(".")[2]
    return False


def plain_host(host: str) -> str:
    """Return a host of a list as the parser writes it, without a dot at its end; one at its start is kept.

    Raises:
        ValueError: it is no host.
    """
    name = host.removeprefix(".")
    url = None if _NOT_IN_A_HOST.search(name) else _read(f"http://{name}/")
    found = None if url is None else _host_of(url)
    if found is None:
        raise ValueError("not a host")
    return f"{host[: len(host) - len(name)]}{found.rstrip('.')}"


def bad_hosts(option: str, hosts: object, *, is_optional: bool = False, public_only: bool = False) -> Iterator[str]:
    """Yield what is wrong with a list of hosts."""
    if hosts is None and is_optional:
        return
    if isinstance(hosts, str) or not isinstance(hosts, Collection):
        yield f"{option} is {hosts!r}; it must be a collection of host names, such as ('example.com', '.example.org')."
        return
    for host in hosts:
        try:
            kind = kind_of_host(plain_host(host).removeprefix("."))
        except (ValueError, TypeError, AttributeError):
            yield f"{option} names {host!r}; it must be a host alone: 'example.com', '192.0.2.1' or '[2001:db8::1]'."
        else:
            if public_only and kind != "public":
                yield f"{option} names {host!r}, which public_only refuses ({kind}); leave it out, or set public_only=False."


def _beginning(text: str) -> re.Match[str] | ValidationResult[Any]:
    """Return the scheme, the authority and the path as they are spelled; refuse what the parser would mend or pass over."""
    if _UNSEEN.search(text):
        return _BAD_CHARACTERS
    found = _BEGINNING.match(text)
    if found is None or not found["authority"]:
        return _NOT_A_URL
    return _BACKSLASH if "\\" in found["path"] else found


def _read(text: str) -> Url | None:
    try:
        url: Url = _PARSER.validate_python(text)
    except ValidationError:
        return None
    return url


def _host_of(url: Url) -> str | None:
    """Return the host as the parser writes that of a web page, if it is a valid one."""
    host = url.host
    if host and url.scheme not in _PARSED_FULLY:
        # Of other schemes the parser leaves the host as it stands; a client may read an address in any spelling.
        again = _read(f"http://{host}/")
        if again is None or again.host != host.lower():
            return None
        host = again.host
    if not host:
        return None
    if host.startswith("[") or (len(host.rstrip(".")) <= _MAX_NAME and _NAME.fullmatch(host)):
        return host
    return None


def _is_odd(host: str, raw_host: str) -> bool:
    if host.startswith("["):
        return False
    raw = raw_host.partition(":")[0]
    return "%" in raw or (host.rpartition(".")[2].isdigit() and raw.rstrip(".") != host)


def _bad_schemes(schemes: object) -> Iterator[str]:
    if isinstance(schemes, str) or not isinstance(schemes, Collection) or not schemes:
        yield f"schemes is {schemes!r}; it must be a collection of one scheme at least, such as ('http', 'https')."
        return
    for scheme in schemes:
        if not isinstance(scheme, str) or not _SCHEME.fullmatch(scheme):
            yield f"schemes names {scheme!r}; a scheme is written in lower case, such as 'https'."
        elif scheme in _NEVER:
            yield f"schemes names {scheme!r}, which leads to no host, or runs what stands in it; leave it out."


def _bad_ports(ports: object) -> Iterator[str]:
    if ports is None:
        return
    if isinstance(ports, str | bytes) or not isinstance(ports, Collection) or not ports:
        yield f"ports is {ports!r}; it must be a collection of port numbers, or None for all."
        return
    for port in ports:
        if not is_whole(port) or not 1 <= port <= _MAX_PORT:
            yield f"ports names {port!r}; a port is a whole number from 1 to {_MAX_PORT}."
