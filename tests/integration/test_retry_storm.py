"""A storm of retries on a real HTTP server that is down: how many requests it sees for each call that is made."""

from __future__ import annotations

import asyncio
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from spanguard import semconv
from spanguard.error_handling import Retry, RetryBudget
from spanguard.testing import Signals

CALLS = 600
CALLERS = 16
ATTEMPTS = 4


class Down:
    """An HTTP server that answers 503 to everything, and counts what it is asked."""

    def __init__(self) -> None:
        self.requests = 0
        counting = threading.Lock()
        down = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with counting:
                    down.requests += 1
                self.send_response(503)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"


@pytest.fixture
def down() -> Iterator[Down]:
    service = Down()
    serving = threading.Thread(target=service.server.serve_forever)
    serving.start()
    yield service
    service.server.shutdown()
    serving.join()
    service.server.server_close()


def storm_of_threads(retry: Retry, url: str) -> None:
    def ask() -> None:
        urllib.request.urlopen(url, timeout=30).close()

    def call(_: int) -> None:
        with pytest.raises(urllib.error.HTTPError) as caught:
            retry.call(ask)
        caught.value.close()

    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(call, range(CALLS)))


def storm_of_tasks(retry: Retry, url: str) -> None:
    async def storm() -> None:
        places = asyncio.Semaphore(CALLERS)
        async with httpx.AsyncClient(timeout=30) as client:

            async def ask() -> None:
                (await client.get(url)).raise_for_status()

            async def call() -> None:
                async with places:
                    with pytest.raises(httpx.HTTPStatusError):
                        await retry.call_async(ask)

            await asyncio.gather(*(call() for _ in range(CALLS)))

    asyncio.run(storm())


@pytest.mark.parametrize("storm", [storm_of_threads, storm_of_tasks])
@pytest.mark.parametrize(("budget", "least", "most"), [(True, 1.1, 1.25), (False, ATTEMPTS, ATTEMPTS)])
def test_a_budget_keeps_a_storm_within_a_quarter_of_the_offered_load(
    down: Down, signals: Signals, storm: Callable[[Retry, str], None], budget: bool, least: float, most: float
) -> None:
    name = f"{storm.__name__} {budget}"
    paid = RetryBudget(name) if budget else None
    retry = Retry(name=name, max_attempts=ATTEMPTS, base_delay=0.01, max_delay=0.02, budget=paid)
    storm(retry, down.url)
    assert least <= down.requests / CALLS <= most
    mine = {semconv.POLICY_NAME.key: name}
    assert signals.increase(semconv.RETRY_CALLS_METRIC.name, mine) == CALLS
    assert len(signals.spans(f"attempt {name}")) == down.requests - CALLS
