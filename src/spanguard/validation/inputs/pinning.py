"""Look up the host of a URL once, refuse it if it leads inside, and connect to what was judged and to nothing else.

A check of a host before a request is undone by a name that resolves to another address the second time (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import os
import socket
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import ClassVar, Final, NamedTuple, Protocol

from spanguard.errors import BlockingWaitError, ConfigurationError, SpanguardError
from spanguard.telemetry.deadline import check_deadline, remaining
from spanguard.validation.errors import InvalidInputError
from spanguard.validation.inputs.hosts import kind_of_address
from spanguard.validation.inputs.options import bad_seconds
from spanguard.validation.inputs.url import ParsedUrl, UrlType, not_public
from spanguard.validation.problem import Problem

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_DEFAULT: Final = UrlType()
_NO_PORT: Final = Problem("port_missing", "Its scheme implies no port; write one after the host.")

MAX_LOOKUPS: Final = 256
"""Lookups of one process that may be under way at once, those included that nobody waits for any more."""


class Resolver(Protocol):
    """What finds the addresses of a name. It may block: it is called in a thread of its own."""

    def __call__(self, host: str, port: int, /) -> Iterable[str]:
        """Return the addresses of a host, IPv4 or IPv6, best first.

        Raises:
            OSError: they cannot be found.
        """


class HostLookupError(SpanguardError, OSError):
    """The host of a URL has no address, or none was found in time. The message does not name it."""

    is_retryable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class PinnedUrl:
    """A URL and the addresses it led to when it was judged.

    Attributes:
        url: the URL in its normal form.
        host: its host without brackets and without a dot at its end, for the check of the server's certificate (SNI).
        port: its port.
        addresses: where it leads, all of them judged, best first.
    """

    url: str
    host: str
    port: int
    addresses: tuple[str, ...]

    @property
    def host_header(self) -> str:
        """The value of the header `Host`."""
        return self._authority(self.url).rpartition("@")[2]

    @property
    def connect_url(self) -> str:
        """The URL with the first address in place of the host."""
        return self.connect_url_at(self.addresses[0])

    def connect_url_at(self, address: str) -> str:
        """Return the URL with one of the addresses in place of the host.

        Raises:
            ValueError: it is none of them.
        """
        if address not in self.addresses:
            raise ValueError(f"{address!r} is none of the addresses that were judged: {', '.join(self.addresses)}.")
        authority = self._authority(self.url)
        userinfo, at, _ = authority.rpartition("@")
        literal = f"[{address}]" if ":" in address else address
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{userinfo}{at}{literal}:{self.port}{rest[len(authority) :]}"

    @staticmethod
    def _authority(url: str) -> str:
        rest = url.partition("://")[2]
        ends = [place for mark in "/?#" if (place := rest.find(mark)) >= 0]
        return rest[: min(ends, default=len(rest))]


def system_resolver(host: str, port: int, /) -> list[str]:
    """Return the addresses that the system knows for a host, in the order of RFC 6724 (`getaddrinfo`)."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def resolve_public(
    url: str,
    *,
    url_type: UrlType = _DEFAULT,
    allow: Iterable[str | Network] = (),
    timeout: float = 5.0,
    resolver: Resolver = system_resolver,
) -> PinnedUrl:
    """Look up the host of a URL once, and refuse it if one of its addresses is not of the public internet.

    Connect to `PinnedUrl.addresses`, never to the name again; and judge every redirection in the same way.

    Args:
        url: a URL.
        url_type: what is allowed of the URL besides.
        allow: networks that are taken as public, such as "10.1.0.0/16". With any, names such as `localhost` are looked up.
        timeout: seconds for the lookup, above 0 and finite. A deadline that ends sooner stands.
        resolver: what finds the addresses; for tests, or for a DNS client of your own.

    Raises:
        InvalidInputError: the URL is not valid, or leads to an address that is not public.
        HostLookupError: it has no address, or none was found in time.
        DeadlineExceededError: the deadline of this work has passed.
        BlockingWaitError: this thread runs an event loop; await `resolve_public_async`.
        ConfigurationError: `allow` or `timeout` is wrong.
    """
    networks, seconds = _settings(allow, timeout)
    if asyncio._get_running_loop() is not None:  # noqa: SLF001 - the public getter raises
        raise BlockingWaitError(
            "resolve_public: a lookup would block the event loop of this thread; use `await resolve_public_async(...)`"
        )
    target = _target(url, url_type, networks)
    if target.literal:
        return _pinned(target, [target.literal], networks)
    future = _looked_up(target, resolver)
    try:
        found = future.result(seconds)
    except TimeoutError:
        raise _too_late(seconds) from None
    return _pinned(target, found, networks)


async def resolve_public_async(
    url: str,
    *,
    url_type: UrlType = _DEFAULT,
    allow: Iterable[str | Network] = (),
    timeout: float = 5.0,  # noqa: ASYNC109 - the lookup's own, which outlives the wait for it
    resolver: Resolver = system_resolver,
) -> PinnedUrl:
    """Do what `resolve_public` does without blocking the event loop: the lookup has a thread of its own."""
    networks, seconds = _settings(allow, timeout)
    target = _target(url, url_type, networks)
    if target.literal:
        return _pinned(target, [target.literal], networks)
    future = _looked_up(target, resolver)
    try:
        found = await asyncio.wait_for(asyncio.wrap_future(future), seconds)
    except TimeoutError:
        raise _too_late(seconds) from None
    return _pinned(target, found, networks)


class _Target(NamedTuple):
    url: str
    host: str
    port: int
    literal: str
    """The host if it is an address, without brackets; otherwise empty."""


def _settings(allow: Iterable[str | Network], timeout: float) -> tuple[list[Network], float]:
    problems = [f"resolve_public: {problem}" for problem in bad_seconds("timeout", timeout)]
    networks = []
    for network in (allow,) if isinstance(allow, str) else allow:
        try:
            networks.append(ip_network(network))
        except ValueError as error:
            problems.append(
                f"resolve_public: allow names {network!r}; it must be a network, as '10.1.0.0/16': {error}."
            )
    if problems:
        raise ConfigurationError(problems)
    check_deadline("the lookup of a host")
    left = remaining()
    return networks, timeout if left is None else min(left, timeout)


def _target(url: str, url_type: UrlType, networks: list[Network]) -> _Target:
    kind = dataclasses.replace(url_type, public_only=False) if networks else url_type
    parsed = kind.parse(url)
    if not isinstance(parsed, ParsedUrl):
        raise InvalidInputError(parsed.errors)
    kind.judged(parsed.text).raise_for_errors()
    if parsed.port is None:
        raise InvalidInputError((_NO_PORT,))
    host = parsed.host.rstrip(".")
    is_literal = host.startswith("[") or host.rpartition(".")[2].isdigit()
    return _Target(parsed.text, parsed.host, parsed.port, host.strip("[]") if is_literal else "")


def _looked_up(target: _Target, resolver: Resolver) -> Future[list[str]]:
    """Begin a lookup. Nothing can end one that hangs, so it has a thread that no exit of the process waits for."""
    slots = _slots
    if not slots.acquire(blocking=False):
        raise HostLookupError(f"no address was looked up: {MAX_LOOKUPS} lookups are under way; see to the DNS server.")
    future: Future[list[str]] = Future()
    future.set_running_or_notify_cancel()
    context = contextvars.copy_context()

    def look_up() -> None:
        try:
            future.set_result(list(context.run(resolver, target.host, target.port)))
        except (OSError, UnicodeError) as error:
            future.set_exception(_not_found(error))
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            future.set_exception(error)
        finally:
            slots.release()

    try:
        threading.Thread(target=look_up, name="spanguard-lookup", daemon=True).start()
    except BaseException:
        slots.release()
        raise
    return future


def _pinned(target: _Target, found: list[str], networks: list[Network]) -> PinnedUrl:
    addresses = [ip_address(address) for address in dict.fromkeys(found)]
    if not addresses:
        raise HostLookupError("the host has no address.")
    for address in addresses:
        kind = kind_of_address(address)
        if kind != "public" and not any(address in network for network in networks):
            raise InvalidInputError((not_public(kind),))
    name = target.host.strip("[]").rstrip(".")
    return PinnedUrl(target.url, name, target.port, tuple(map(str, addresses)))


def _not_found(error: Exception) -> HostLookupError:
    # What the system says of it is a number and its meaning; other texts could name the host.
    reason = f": {error.strerror}" if isinstance(error, socket.gaierror) and error.strerror else ""
    return HostLookupError(f"no address was found ({type(error).__name__}{reason}).")


def _too_late(seconds: float) -> HostLookupError:
    return HostLookupError(f"no address was found in {seconds:.3g} s.")


_slots = threading.BoundedSemaphore(MAX_LOOKUPS)


def _after_fork_in_child() -> None:
    # The lookups of the parent do not run here, and one of them may have held the lock of the semaphore.
    global _slots  # noqa: PLW0603 - the one place where it changes
    _slots = threading.BoundedSemaphore(MAX_LOOKUPS)


os.register_at_fork(after_in_child=_after_fork_in_child)
