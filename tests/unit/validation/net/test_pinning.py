"""A host is looked up once, judged by all its addresses, and connected to where it was judged."""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from certificates import Certificate, certificate_for
from spanguard.errors import BlockingWaitError, ConfigurationError, DeadlineExceededError
from spanguard.telemetry.deadline import deadline
from spanguard.testing import FakeClock
from spanguard.validation import (
    HostLookupError,
    InvalidInputError,
    PinnedUrl,
    UrlType,
    resolve_public,
    resolve_public_async,
)
from spanguard.validation.inputs import pinning

HERE = ["127.0.0.1/32"]
Resolve = Callable[..., PinnedUrl]


@dataclass
class Names:
    """A resolver that answers with one list after another, and the last one for ever."""

    answers: list[list[str]]
    asked: list[tuple[str, int]] = field(default_factory=list)

    def __call__(self, host: str, port: int, /) -> Iterable[str]:
        self.asked.append((host, port))
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


def names(*answers: list[str]) -> Names:
    return Names([*answers])


def failing(error: BaseException) -> pinning.Resolver:
    def resolve(host: str, port: int, /) -> Iterable[str]:
        raise error

    return resolve


@pytest.fixture
def hanging() -> Iterator[pinning.Resolver]:
    """A resolver that answers only when the test is over."""
    over = threading.Event()

    def resolve(host: str, port: int, /) -> Iterable[str]:
        over.wait(30)
        return ["1.1.1.1"]

    yield resolve
    over.set()


@pytest.fixture(params=["sync", "async"])
def resolve(request: pytest.FixtureRequest) -> Resolve:
    """Both forms of the same function."""
    if request.param == "sync":
        return resolve_public

    def run(url: str, **options: Any) -> PinnedUrl:
        return asyncio.run(resolve_public_async(url, **options))

    return run


def test_a_public_host_is_pinned_to_its_addresses(resolve: Resolve) -> None:
    resolver = names(["93.184.215.14", "2606:2800:21f::1", "93.184.215.14"])
    pinned = resolve("https://Example.com/a?b#c", resolver=resolver)
    assert pinned == PinnedUrl("https://example.com/a?b#c", "example.com", 443, ("93.184.215.14", "2606:2800:21f::1"))
    assert resolver.asked == [("example.com", 443)]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (["127.0.0.1"], "loopback"),
        (["1.1.1.1", "10.0.0.1"], "private"),
        (["169.254.169.254", "1.1.1.1"], "metadata"),
        (["2606:4700::1111", "::ffff:127.0.0.1"], "loopback"),
        (["fe80::1%eth0"], "link_local"),
    ],
)
def test_one_address_inside_is_enough_to_refuse(resolve: Resolve, answer: list[str], kind: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        resolve("https://example.com/", resolver=names(answer))
    assert [(problem.code, problem.limit) for problem in caught.value.errors] == [("host_not_public", kind)]


@pytest.mark.parametrize("url", ["http://localhost/", "http://db.internal/", "http://redis/", "http://10.0.0.1/"])
def test_a_host_that_is_inside_by_its_name_is_never_looked_up(resolve: Resolve, url: str) -> None:
    resolver = names(["1.1.1.1"])
    with pytest.raises(InvalidInputError):
        resolve(url, resolver=resolver)
    assert resolver.asked == []


def test_an_address_is_never_looked_up(resolve: Resolve) -> None:
    resolver = names(["127.0.0.1"])
    assert resolve("https://[2606:4700::1111]/", resolver=resolver).addresses == ("2606:4700::1111",)
    assert resolve("https://1.1.1.1/", resolver=resolver).addresses == ("1.1.1.1",)
    assert resolver.asked == []


def test_what_is_wrong_with_the_url_is_told(resolve: Resolve) -> None:
    with pytest.raises(InvalidInputError, match="scheme"):
        resolve("gopher://example.com/")
    with pytest.raises(InvalidInputError, match="attack"):
        resolve("https://example.com/?<script>alert(1)</script>", url_type=UrlType(threats="block"))
    with pytest.raises(InvalidInputError, match="implies no port"):
        resolve("redis://example.com/", url_type=UrlType(schemes=["redis"]))


def test_a_host_without_an_address_is_not_found(resolve: Resolve) -> None:
    with pytest.raises(HostLookupError, match="no address"):
        resolve("https://hidden.example.com/", resolver=names([]))


@pytest.mark.parametrize(
    "error",
    [
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
        OSError("hidden"),
        TimeoutError("hidden"),
        UnicodeError("hidden"),
    ],
)
def test_a_failed_lookup_says_why_and_names_no_host(resolve: Resolve, error: Exception) -> None:
    with pytest.raises(HostLookupError, match=type(error).__name__) as caught:
        resolve("https://hidden.example.com/", resolver=failing(error))
    assert "hidden" not in str(caught.value)
    assert caught.value.is_retryable


def test_what_is_wrong_with_a_resolver_comes_through(resolve: Resolve) -> None:
    with pytest.raises(ZeroDivisionError):
        resolve("https://example.com/", resolver=failing(ZeroDivisionError()))
    with pytest.raises(ValueError, match="does not appear to be"):
        resolve("https://example.com/", resolver=names(["somewhere"]))


def test_a_lookup_that_hangs_is_given_up(resolve: Resolve, hanging: pinning.Resolver) -> None:
    with pytest.raises(HostLookupError, match=r"in 0\.02 s"):
        resolve("https://example.com/", resolver=hanging, timeout=0.02)


def test_a_lookup_keeps_to_the_deadline(resolve: Resolve, hanging: pinning.Resolver) -> None:
    with deadline(0.05), pytest.raises(HostLookupError):
        resolve("https://example.com/", resolver=hanging, timeout=60)


def test_a_lookup_is_not_begun_after_the_deadline(clock: FakeClock) -> None:
    resolver = names(["1.1.1.1"])
    with deadline(1, clock=clock):
        clock.advance(2)
        with pytest.raises(DeadlineExceededError):
            resolve_public("https://example.com/", resolver=resolver)
    assert resolver.asked == []


def test_lookups_that_hang_are_bounded_in_number(
    resolve: Resolve, hanging: pinning.Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pinning, "_slots", threading.BoundedSemaphore(1))
    with pytest.raises(HostLookupError, match="in 0"):
        resolve("https://example.com/", resolver=hanging, timeout=0.02)
    with pytest.raises(HostLookupError, match="under way"):
        resolve("https://example.com/", resolver=names(["1.1.1.1"]))


@pytest.mark.parametrize("resolver", [names([]), failing(OSError()), failing(ZeroDivisionError())])
def test_a_lookup_that_ends_makes_room(
    resolve: Resolve, resolver: pinning.Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = threading.BoundedSemaphore(1)
    monkeypatch.setattr(pinning, "_slots", slots)
    with pytest.raises((HostLookupError, ZeroDivisionError)):
        resolve("https://example.com/", resolver=resolver)
    assert slots.acquire(timeout=10)


def test_a_child_has_room_of_its_own(
    in_child: Callable[[Callable[[], object]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    full = threading.BoundedSemaphore(1)
    monkeypatch.setattr(pinning, "_slots", full)
    # As if another thread of the parent were just inside it.
    with full, full._cond:  # type: ignore[attr-defined]
        found = in_child(lambda: resolve_public("https://example.com/", resolver=names(["1.1.1.1"])).addresses)
    assert found == "('1.1.1.1',)"


async def test_a_loop_is_not_blocked_by_mistake() -> None:
    with pytest.raises(BlockingWaitError, match="resolve_public_async"):
        resolve_public("https://example.com/")


async def test_a_loop_goes_on_while_a_host_is_looked_up() -> None:
    asked, answer = threading.Event(), threading.Event()

    def resolver(host: str, port: int, /) -> Iterable[str]:
        asked.set()
        assert answer.wait(20)
        return ["1.1.1.1"]

    task = asyncio.create_task(resolve_public_async("https://example.com/", resolver=resolver, timeout=30))
    assert await asyncio.to_thread(asked.wait, 20)
    answer.set()
    assert (await task).addresses == ("1.1.1.1",)


async def test_a_task_that_is_cancelled_leaves_its_lookup() -> None:
    asked, answer, answered = threading.Event(), threading.Event(), threading.Event()

    def resolver(host: str, port: int, /) -> Iterable[str]:
        asked.set()
        answer.wait(20)
        answered.set()
        return ["1.1.1.1"]

    task = asyncio.create_task(resolve_public_async("https://example.com/", resolver=resolver, timeout=30))
    assert await asyncio.to_thread(asked.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    answer.set()
    assert answered.wait(20)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": float("nan")},
        {"timeout": float("inf")},
        {"timeout": True},
        {"timeout": "5"},
        {"allow": ["here"]},
        {"allow": ["10.0.0.1/8"]},
        {"allow": "10.0.0.1/8"},
    ],
)
def test_a_wrong_option_is_refused_by_name(resolve: Resolve, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        resolve("https://example.com/", resolver=names(["1.1.1.1"]), **options)


def test_a_network_that_is_allowed_is_as_good_as_public(resolve: Resolve) -> None:
    resolver = names(["10.1.2.3", "1.1.1.1"])
    assert resolve("http://db.internal/", allow=["10.1.0.0/16"], resolver=resolver).addresses == ("10.1.2.3", "1.1.1.1")
    with pytest.raises(InvalidInputError):
        resolve("http://db.internal/", allow=["10.2.0.0/16"], resolver=resolver)
    with pytest.raises(InvalidInputError):
        resolve("http://127.0.0.1/", allow=["10.1.0.0/16"], resolver=resolver)


def test_the_system_finds_this_machine(resolve: Resolve) -> None:
    pinned = resolve("http://localhost:8000/", allow=["127.0.0.0/8", "::1/128"])
    assert set(pinned.addresses) <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize(
    ("url", "connect", "header"),
    [
        ("https://example.com/a?b#c", "https://1.1.1.1:443/a?b#c", "example.com"),
        ("http://example.com:8080/", "http://1.1.1.1:8080/", "example.com:8080"),
        ("http://example.com?a=http://x/", "http://1.1.1.1:80/?a=http://x/", "example.com"),
        ("http://me:pw@example.com/@x", "http://me:pw@1.1.1.1:80/@x", "example.com"),
        ("http://example.com./", "http://1.1.1.1:80/", "example.com."),
    ],
)
def test_the_host_gives_way_to_the_address_and_stays_in_the_header(url: str, connect: str, header: str) -> None:
    pinned = resolve_public(url, url_type=UrlType(userinfo=True), resolver=names(["1.1.1.1", "2606:4700::1111"]))
    assert (pinned.connect_url, pinned.host_header) == (connect, header)
    assert pinned.connect_url_at("2606:4700::1111") == connect.replace("1.1.1.1", "[2606:4700::1111]")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://example.com./", "example.com"),
        ("https://[2606:4700::1111]/", "2606:4700::1111"),
        ("https://bücher.de/", "xn--bcher-kva.de"),
    ],
)
def test_the_host_is_as_a_certificate_names_it(url: str, host: str) -> None:
    assert resolve_public(url, resolver=names(["1.1.1.1"])).host == host


def test_no_other_address_is_connected_to() -> None:
    pinned = resolve_public("http://example.com/", resolver=names(["1.1.1.1"]))
    with pytest.raises(ValueError, match="none of the addresses"):
        pinned.connect_url_at("127.0.0.1")


# Against real servers


@dataclass
class Served:
    """A server on this machine and what it was asked."""

    port: int
    hosts: list[str] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    moved_to: str | None = None


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Served]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.hosts.append(self.headers["Host"])
            self.send_response(302 if served.moved_to else 200)
            if served.moved_to:
                self.send_header("Location", served.moved_to)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Served(server.server_port)
    if tls is not None:
        tls.sni_callback = lambda _socket, name, _context: served.names.append(name)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate_for("shop.example.com", tmp_path_factory.mktemp("tls"))


def fetch(pinned: PinnedUrl, verify: ssl.SSLContext | bool = True) -> httpx.Response:
    with httpx.Client(trust_env=False, follow_redirects=False, verify=verify) as client:
        return client.get(
            pinned.connect_url, headers={"Host": pinned.host_header}, extensions={"sni_hostname": pinned.host}
        )


async def fetch_async(pinned: PinnedUrl, verify: ssl.SSLContext | bool = True) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, follow_redirects=False, verify=verify) as client:
        return await client.get(
            pinned.connect_url, headers={"Host": pinned.host_header}, extensions={"sni_hostname": pinned.host}
        )


def test_httpx_connects_to_the_address_and_names_the_host() -> None:
    with serving() as served:
        pinned = resolve_public(f"http://shop.example.com:{served.port}/", allow=HERE, resolver=names(["127.0.0.1"]))
        assert fetch(pinned).status_code == 200
        assert asyncio.run(fetch_async(pinned)).status_code == 200
    assert served.hosts == [f"shop.example.com:{served.port}"] * 2


def test_httpx_checks_the_certificate_for_the_host_and_not_for_the_address(certificate: Certificate) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    trusting = ssl.create_default_context(cafile=certificate.path)
    with serving(tls) as served:
        url = f"https://shop.example.com:{served.port}/"
        pinned = resolve_public(url, allow=HERE, resolver=names(["127.0.0.1"]))
        assert fetch(pinned, trusting).status_code == 200
        assert asyncio.run(fetch_async(pinned, trusting)).status_code == 200
        other = resolve_public(url.replace("shop", "bank"), allow=HERE, resolver=names(["127.0.0.1"]))
        with pytest.raises(httpx.ConnectError, match="Hostname mismatch"):
            fetch(other, trusting)
    assert served.names == ["shop.example.com", "shop.example.com", "bank.example.com"]


def test_the_standard_library_connects_to_the_address_and_checks_the_host(certificate: Certificate) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    with serving(tls) as served:
        url = f"https://shop.example.com:{served.port}/"
        pinned = resolve_public(url, allow=HERE, resolver=names(["127.0.0.1"]))
        plain = socket.create_connection((pinned.addresses[0], pinned.port), timeout=10)
        connection = http.client.HTTPSConnection(pinned.host, pinned.port)
        connection.sock = ssl.create_default_context(cafile=certificate.path).wrap_socket(
            plain, server_hostname=pinned.host
        )
        connection.request("GET", "/", headers={"Host": pinned.host_header})
        assert connection.getresponse().read() == b""
        connection.close()
    assert served.names == ["shop.example.com"]
    assert served.hosts == [f"shop.example.com:{served.port}"]


def test_a_name_that_changes_its_mind_reaches_nothing_else() -> None:
    resolver = names(["127.0.0.1"], ["127.0.0.2"])
    with serving() as served:
        url = f"http://rebinding.example.com:{served.port}/"
        pinned = resolve_public(url, allow=HERE, resolver=resolver)
        fetch(pinned)
        fetch(pinned)
        assert served.hosts == [f"rebinding.example.com:{served.port}"] * 2
        assert len(resolver.asked) == 1
        with pytest.raises(InvalidInputError, match="loopback"):
            resolve_public(url, allow=HERE, resolver=resolver)


def test_a_redirection_inside_is_refused_where_each_is_resolved_anew() -> None:
    with serving() as served:
        served.moved_to = "http://169.254.169.254/latest/meta-data/"
        url = f"http://shop.example.com:{served.port}/"
        pinned = resolve_public(url, allow=HERE, resolver=names(["127.0.0.1"]))
        answer = fetch(pinned)
        with pytest.raises(InvalidInputError, match="metadata"):
            resolve_public(urljoin(pinned.url, answer.headers["Location"]), allow=HERE)
