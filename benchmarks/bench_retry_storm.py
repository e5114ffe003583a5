"""How many requests a real HTTP server that is down sees for the calls that are made, with a budget and without one."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from common import Figure, Timer

from spanguard.error_handling import Retry, RetryBudget

CALLS = 200
CALLERS = 16


class Down(BaseHTTPRequestHandler):
    """Answers 503 to everything."""

    protocol_version = "HTTP/1.1"
    requests = 0
    counting = threading.Lock()

    def do_GET(self) -> None:
        with self.counting:
            type(self).requests += 1
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def down() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Down)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


def storm(make: Callable[[], Retry]) -> Timer:
    """Return what counts the requests of a storm of calls, each through the retry."""

    def requests_of_one() -> int:
        retry, before = make(), Down.requests
        with down() as url, ThreadPoolExecutor(CALLERS) as pool:

            def ask() -> None:
                urllib.request.urlopen(url, timeout=30).close()  # noqa: S310 - loopback

            def call(_: int) -> None:
                try:
                    retry.call(ask)
                except urllib.error.HTTPError as error:
                    error.close()

            list(pool.map(call, range(CALLS)))
        return Down.requests - before

    return lambda loops: float(sum(requests_of_one() for _ in range(loops)))


def with_budget() -> Timer:
    return storm(lambda: Retry(max_attempts=4, base_delay=0.01, max_delay=0.02, budget=RetryBudget("storm")))


def without_budget() -> Timer:
    return storm(lambda: Retry(max_attempts=4, base_delay=0.01, max_delay=0.02, budget=None))


def without_retry() -> Timer:
    return storm(lambda: Retry(max_attempts=1))


FIGURES = [
    Figure(
        "storm",
        "a storm of 200 calls on an HTTP server that is down, up to 4 attempts",
        1.25,
        with_budget,
        without_retry,
        "without a retry",
        counts="requests",
    ),
    Figure(
        "storm-no-budget",
        "the same without a budget",
        4.0,
        without_budget,
        without_retry,
        "without a retry",
        counts="requests",
    ),
]
