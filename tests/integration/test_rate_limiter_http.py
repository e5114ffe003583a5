"""The middleware on real servers, over sockets: uvicorn for ASGI, waitress and wsgiref for WSGI."""

from __future__ import annotations

import asyncio
import json
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import http_sf
import httpx
import pytest
import uvicorn
import waitress.server
import waitress.wasyncore

from spanguard.errors import ConfigurationError
from spanguard.rate_limiter import RateLimiter, TokenBucketLimiter, rate_limit_manager
from spanguard.rate_limiter.http import (
    AsgiRateLimitMiddleware,
    HttpRequest,
    WsgiRateLimitMiddleware,
    client_address,
    header,
)
from spanguard.testing import FakeClock, Signals

Serve = Callable[..., str]
HOUR = 3600.0


async def hello_asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "hello"})
        await send({"type": "websocket.close"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-app", b"yes")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def measure_asgi(scope: Any, receive: Any, send: Any) -> None:
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message["body"])
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - polls a condition with a deadline
            await asyncio.sleep(0.001)


def hello_wsgi(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("X-App", "yes"), ("Content-Length", "5")])
    return [b"hello"]


@contextmanager
def uvicorn_serving(app: Any, **options: Any) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="warning", proxy_headers=False, **options)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()


@contextmanager
def waitress_serving(app: Any) -> Iterator[str]:
    # Of its own accord waitress drops what a proxy says of the client.
    server: Any = waitress.server.create_server(
        app, host="127.0.0.1", port=0, threads=4, clear_untrusted_proxy_headers=False
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"
    finally:
        # In its own thread: closed under its feet, the loop would fail.
        server.trigger.pull_trigger(lambda: waitress.wasyncore.close_all(server._map))
        thread.join(20)
        server.task_dispatcher.shutdown()


class Silent(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def wsgiref_serving(app: Any) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, handler_class=Silent)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(20)
        server.server_close()


@pytest.fixture(params=["uvicorn", "waitress", "wsgiref"])
def serve(request: pytest.FixtureRequest) -> Iterator[Serve]:
    """Serve the small application behind the middleware; the answer is the server's address."""
    running: list[Any] = []

    def start(limiter: RateLimiter | str, **options: Any) -> str:
        if request.param == "uvicorn":
            serving = uvicorn_serving(AsgiRateLimitMiddleware(hello_asgi, limiter, **options))
        else:
            server = waitress_serving if request.param == "waitress" else wsgiref_serving
            serving = server(WsgiRateLimitMiddleware(hello_wsgi, limiter, **options))
        running.append(serving)
        return serving.__enter__()

    yield start
    for serving in running:
        serving.__exit__(None, None, None)


def slow_limiter(burst: int, **options: Any) -> TokenBucketLimiter:
    """So slow that no permit comes back while a test runs."""
    return TokenBucketLimiter(burst / HOUR, burst, name="public api", **options)


def items(response: httpx.Response, field: str) -> list[tuple[str, dict[str, int]]]:
    parsed: Any = http_sf.parse(response.headers[field].encode(), tltype="list")
    return [(name, dict(parameters)) for name, parameters in parsed]


def test_a_request_with_a_permit_gets_the_applications_answer(serve: Serve) -> None:
    response = httpx.get(serve(slow_limiter(2)))
    assert (response.status_code, response.text, response.headers["x-app"]) == (200, "hello", "yes")
    assert "retry-after" not in response.headers


def test_a_request_without_a_permit_is_answered_with_429(serve: Serve) -> None:
    url = serve(slow_limiter(1))
    httpx.get(url)
    response = httpx.get(url)
    assert response.status_code == 429
    assert "x-app" not in response.headers
    assert response.headers["content-type"] == "application/problem+json"
    assert json.loads(response.content)["violated-policies"] == ["public api"]
    assert 3590 < int(response.headers["retry-after"]) <= 3600


def test_the_fields_are_structured_fields_that_say_what_is_promised_and_what_is_left(serve: Serve) -> None:
    url = serve(slow_limiter(3))
    httpx.get(url)
    response = httpx.get(url)
    assert items(response, "ratelimit-policy") == [("public api", {"q": 3, "w": 3600})]
    ((name, left),) = items(response, "ratelimit")
    assert (name, left["r"]) == ("public api", 1)
    assert 2390 < left["t"] <= 2400


def test_a_refusal_does_not_ask_back_before_the_reset_it_tells(serve: Serve) -> None:
    url = serve(slow_limiter(1))
    httpx.get(url)
    response = httpx.get(url)
    ((_, left),) = items(response, "ratelimit")
    assert left == {"r": 0, "t": int(response.headers["retry-after"])}


def test_several_limits_are_several_policies_and_the_one_that_binds_is_told(serve: Serve) -> None:
    url = serve(RateLimiter("3/hour; 5/day", name="two"))
    responses = [httpx.get(url) for _ in range(4)]
    assert items(responses[-1], "ratelimit-policy") == [
        ("two-1", {"q": 3, "w": 3600}),
        ("two-2", {"q": 5, "w": 86400}),
    ]
    assert responses[-1].status_code == 429
    ((name, left),) = items(responses[-1], "ratelimit")
    assert (name, left["r"]) == ("two-1", 0)
    assert json.loads(responses[-1].content)["violated-policies"] == ["two-1"]


def test_the_fields_can_be_left_out_but_not_the_time_to_come_back(serve: Serve) -> None:
    url = serve(slow_limiter(1), tell=False)
    first, second = httpx.get(url), httpx.get(url)
    assert not {"ratelimit", "ratelimit-policy"} & {*first.headers, *second.headers}
    assert "retry-after" in second.headers
    assert "public api" not in second.text


def test_requests_count_by_the_clients_address(serve: Serve) -> None:
    url = serve(slow_limiter(1))
    other = httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2"))
    with other:
        assert [httpx.get(url).status_code, other.get(url).status_code, httpx.get(url).status_code] == [200, 200, 429]


def test_a_forwarded_address_is_not_believed_without_a_trusted_proxy(serve: Serve) -> None:
    url = serve(slow_limiter(1))
    httpx.get(url, headers={"X-Forwarded-For": "203.0.113.1"})
    assert httpx.get(url, headers={"X-Forwarded-For": "203.0.113.2"}).status_code == 429


def test_a_trusted_proxy_tells_clients_apart(serve: Serve) -> None:
    url = serve(slow_limiter(1), key=client_address(trusted_proxies=["127.0.0.0/8"]))
    addresses = ["203.0.113.1", "203.0.113.2", "203.0.113.1"]
    answers = [httpx.get(url, headers={"X-Forwarded-For": address}).status_code for address in addresses]
    assert answers == [200, 200, 429]


def test_a_header_tells_clients_apart(serve: Serve) -> None:
    url = serve(slow_limiter(1), key=header("X-Api-Key"))
    answers = [httpx.get(url, headers={"X-Api-Key": value}).status_code for value in ("a", "b", "a")]
    assert answers == [200, 200, 429]


def test_a_function_tells_clients_apart_and_lets_some_through(serve: Serve) -> None:
    def key(request: HttpRequest) -> str | None:
        return None if request.path == "/livez" else f"{request.method} {request.path}"

    url = serve(slow_limiter(1), key=key)
    paths = ["/livez", "/a", "/livez", "/b", "/a"]
    assert [httpx.get(url + path).status_code for path in paths] == [200, 200, 200, 200, 429]


def test_a_request_may_cost_more_than_one_permit(serve: Serve) -> None:
    url = serve(slow_limiter(3), cost=lambda request: 2 if request.method == "POST" else 1)
    assert [httpx.post(url).status_code, httpx.post(url).status_code, httpx.get(url).status_code] == [200, 429, 200]


def test_a_request_may_wait_for_its_permit(serve: Serve) -> None:
    limiter = slow_limiter(1)
    url = serve(limiter, max_wait=2 * HOUR)
    httpx.get(url)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(httpx.get, url, timeout=None)
        deadline = time.monotonic() + 10
        while not limiter.stats().waiting:
            assert time.monotonic() < deadline
        limiter.reset(key="127.0.0.1")
        assert waiting.result(10).status_code == 200
    assert limiter.stats().waited == 1


def test_a_request_that_would_wait_too_long_is_refused_at_once(serve: Serve) -> None:
    url = serve(slow_limiter(1), max_wait=60)
    httpx.get(url)
    assert httpx.get(url, timeout=10).status_code == 429


def test_a_limiter_is_found_by_its_name_when_a_request_comes(serve: Serve) -> None:
    rate_limit_manager.reset()
    url = serve("late")
    rate_limit_manager.configure("late", rate=1 / HOUR, burst=1)
    try:
        assert [httpx.get(url).status_code, httpx.get(url).status_code] == [200, 429]
    finally:
        rate_limit_manager.reset()


def test_no_key_gets_into_any_signal(serve: Serve, signals: Signals) -> None:
    url = serve(slow_limiter(1), key=header("X-Api-Key"))
    for _ in range(3):
        httpx.get(url, headers={"X-Api-Key": "secret-of-anna"})
    assert signals.events()
    assert "secret-of-anna" not in f"{signals.spans()} {signals.events()} {signals.points()}"


def test_a_very_long_key_is_as_good_as_another(serve: Serve) -> None:
    limiter = slow_limiter(1)
    url = serve(limiter, key=lambda request: request.path * 10_000)
    assert [httpx.get(f"{url}/a").status_code for _ in range(2)] == [200, 429]
    assert httpx.get(f"{url}/b").status_code == 200


# --- ASGI only -----------------------------------------------------------------------------------------------------


def test_the_start_and_stop_of_an_application_go_through() -> None:
    app = AsgiRateLimitMiddleware(hello_asgi, slow_limiter(1))
    with uvicorn_serving(app, lifespan="on") as url:
        assert httpx.get(url).status_code == 200


async def test_a_web_socket_goes_through() -> None:
    limiter = slow_limiter(1)
    limiter.acquire(key="127.0.0.1")
    sent: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await AsgiRateLimitMiddleware(hello_asgi, limiter)({"type": "websocket"}, receive, send)
    assert sent == ["websocket.accept", "websocket.send", "websocket.close"]


async def test_a_waiting_request_holds_up_no_other() -> None:
    limiter = slow_limiter(1)
    app = AsgiRateLimitMiddleware(hello_asgi, limiter, key=header("X-Api-Key"), max_wait=2 * HOUR)
    with uvicorn_serving(app) as url:
        async with httpx.AsyncClient() as client:
            await client.get(url, headers={"X-Api-Key": "slow"})
            waiting = asyncio.create_task(client.get(url, headers={"X-Api-Key": "slow"}, timeout=None))
            await until(lambda: limiter.stats().waiting)
            assert (await client.get(url, headers={"X-Api-Key": "other"})).status_code == 200
            limiter.reset(key="slow")
            assert (await waiting).status_code == 200


async def test_a_client_that_goes_away_leaves_the_line() -> None:
    limiter = slow_limiter(1)
    limiter.acquire(key="127.0.0.1")
    with uvicorn_serving(AsgiRateLimitMiddleware(hello_asgi, limiter, max_wait=2 * HOUR)) as url:
        _, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await until(lambda: limiter.stats().waiting == 1)
        writer.close()
        await until(lambda: limiter.stats().waiting == 0)
        assert limiter.stats().cancelled == 1


@pytest.mark.parametrize("size", [5, 1_000_000])
async def test_what_a_client_sends_while_it_waits_reaches_the_application(size: int) -> None:
    limiter = slow_limiter(1)
    limiter.acquire(key="127.0.0.1")
    with uvicorn_serving(AsgiRateLimitMiddleware(measure_asgi, limiter, max_wait=2 * HOUR)) as url:
        async with httpx.AsyncClient() as client:
            answering = asyncio.create_task(client.post(url, content=b"x" * size, timeout=20))
            await until(lambda: limiter.stats().waiting == 1)
            limiter.reset(key="127.0.0.1")
            assert (await answering).text == str(size)


# --- settings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_wait", [-1, math.nan])
def test_a_max_wait_that_is_no_time_is_refused(max_wait: float) -> None:
    with pytest.raises(ConfigurationError, match="max_wait is"):
        AsgiRateLimitMiddleware(hello_asgi, slow_limiter(1, clock=FakeClock()), max_wait=max_wait)
