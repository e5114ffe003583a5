"""Adaptive limits on real HTTP, on the server's side and on the client's."""

from __future__ import annotations

import asyncio
import http.client
import statistics
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

import httpx

from spanguard.rate_limiter import AdaptiveLimiter, AdaptiveLimitExceededError, Aimd, Vegas

WORKERS = 4
WORK = 0.05
DEADLINE = 60.0


class Backend:
    """What a request needs: one of a few workers, for a while."""

    def __init__(self) -> None:
        self._workers = threading.Semaphore(WORKERS)
        self._lock = threading.Lock()
        self._inside = 0

    def work(self) -> None:
        with self._workers:
            threading.Event().wait(WORK)

    def work_if_few_wait(self, places: int) -> bool:
        with self._lock:
            if self._inside >= WORKERS + places:
                return False
            self._inside += 1
        try:
            self.work()
        finally:
            with self._lock:
                self._inside -= 1
        return True


@contextmanager
def served(answer: Callable[[], int]) -> Iterator[int]:
    """A server on loopback whose answers have the status that `answer` returns; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(answer())
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class Crowd:
    """Clients that never rest; each has one connection."""

    def __init__(self, port: int, clients: int) -> None:
        self.statuses: list[int] = []
        self._stop = threading.Event()
        self._port = port
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=DEADLINE)
        while not self._stop.is_set():
            connection.request("GET", "/")
            response = connection.getresponse()
            response.read()
            self.statuses.append(response.status)
            if response.status != http.client.OK:
                self._stop.wait(WORK)
        connection.close()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        polls = int(DEADLINE / 0.01)
        assert any(condition() or self._stop.wait(0.01) for _ in range(polls))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_a_server_finds_how_many_requests_it_can_take_at_once() -> None:
    backend = Backend()
    limiter = AdaptiveLimiter(Vegas(), initial=24, maximum=24, window=0.25, window_calls=10, name="server")
    limits: list[int] = []

    def answer() -> int:
        try:
            limiter.call(backend.work)
        except AdaptiveLimitExceededError:
            return 503
        limits.append(limiter.limit)
        return 200

    with served(answer) as port, Crowd(port, 24) as crowd:
        crowd.wait_until(lambda: limiter.stats().running > 2 * WORKERS)
        # 24 at once wait six times as long as they are served: that is seen, and ended.
        crowd.wait_until(lambda: limiter.limit <= 3 * WORKERS)
        seen = len(limits)
        crowd.wait_until(lambda: len(limits) >= seen + 150)
    # Lower for a moment, while it probes.
    assert WORKERS / 2 <= statistics.median(limits[seen:]) <= 3 * WORKERS
    assert max(limits[seen:]) < 24
    assert 503 in crowd.statuses
    assert limiter.stats().running == 0


async def test_a_client_finds_how_many_requests_the_server_bears() -> None:
    backend = Backend()
    limiter = AdaptiveLimiter(Aimd(), initial=24, maximum=24, queue=100, window=0.1, window_calls=5, name="client")
    limits: list[int] = []
    is_over = False

    async def ask(client: httpx.AsyncClient) -> None:
        while not is_over:
            async with limiter.calling() as call:
                response = await client.get("/")
                if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                    call.drop()
                else:
                    limits.append(limiter.limit)

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():  # noqa: ASYNC110 - a server brings it about
                await asyncio.sleep(0.005)

    with served(lambda: 200 if backend.work_if_few_wait(4) else 503) as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=DEADLINE) as client:
            tasks = [asyncio.create_task(ask(client)) for _ in range(24)]
            # Four are served and four wait: with more in flight the server drops.
            await until(lambda: limiter.limit <= WORKERS + 4)
            seen = len(limits)
            await until(lambda: len(limits) >= seen + 100)
            is_over = True
            await asyncio.gather(*tasks)
    assert limiter.stats().dropped > 0
    assert min(limits[seen:]) >= WORKERS
    assert max(limits[seen:]) <= 2 * (WORKERS + 4)
