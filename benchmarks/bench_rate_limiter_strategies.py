"""The sliding window at ten thousand entries, decisions at a Redis server, and the slowest decision of eight threads."""

from __future__ import annotations

import atexit
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

import limits.aio.strategies
import redis
from common import Figure, Timer, timing_async
from limits import parse
from limits.storage import MemoryStorage, RedisStorage, storage_from_string
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter

from spanguard.rate_limiter import SlidingWindowLimiter, TokenBucketLimiter
from spanguard.rate_limiter.rules import bucket
from spanguard.rate_limiter.storages import Fallback, decider_at

ENTRIES, CHUNK = 10_000, 1_000
MANY = parse("1000000 per hour")
PLENTY = parse("1000000000 per hour")


def timing_from_a_state(make: Callable[[], Callable[[], object]]) -> Timer:
    """Return the timer of a call that grows what it works on: that is made anew, untimed, before it has grown by a tenth."""

    def run(loops: int) -> float:
        took = 0.0
        for begin in range(0, loops, CHUNK):
            call = make()
            start = time.process_time()
            for _ in range(min(CHUNK, loops - begin)):
                call()
            took += time.process_time() - start
        return took

    return run


def sliding_window() -> Timer:
    def filled() -> Callable[[], object]:
        limiter = SlidingWindowLimiter(MANY.amount, 3600, name="bench")
        for _ in range(ENTRIES):
            limiter.acquire(key="key")
        return lambda: limiter.acquire(key="key")

    return timing_from_a_state(filled)


def moving_window(*, stats: bool) -> Callable[[], Timer]:
    def filled() -> Callable[[], object]:
        strategy = MovingWindowRateLimiter(MemoryStorage())
        for _ in range(ENTRIES):
            strategy.hit(MANY, "key")
        if stats:
            return lambda: (strategy.hit(MANY, "key"), strategy.get_window_stats(MANY, "key"))
        return lambda: strategy.hit(MANY, "key")

    return lambda: timing_from_a_state(filled)


def token_bucket_async() -> Timer:
    limiter = TokenBucketLimiter(1e9, 1_000_000_000, name="bench")
    return timing_async(lambda: limiter.acquire_async(key="key"))


def fixed_window_async() -> Timer:
    storage: Any = storage_from_string("async+memory://")
    limiter = limits.aio.strategies.FixedWindowRateLimiter(storage)
    return timing_async(lambda: limiter.hit(PLENTY, "key"))


# --- at a server ---------------------------------------------------------------------------------------------------


def redis_url() -> str:
    """Start a redis-server that ends with this process."""
    program = shutil.which("redis-server")
    if program is None:
        raise SystemExit("redis-server is not installed (apt install redis-server)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tempfile.TemporaryDirectory()
    server = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""], cwd=folder.name, stdout=subprocess.DEVNULL
    )
    atexit.register(folder.cleanup)
    atexit.register(server.wait)
    atexit.register(server.terminate)
    client = redis.Redis(port=port)
    while True:
        try:
            client.ping()
        except redis.ConnectionError:
            time.sleep(0.01)
        else:
            client.close()
            return f"redis://127.0.0.1:{port}"


def timing_wall(call: Callable[[], object]) -> Timer:
    """Return the timer of a call whose time passes elsewhere too."""

    def run(loops: int) -> float:
        start = time.perf_counter()
        for _ in range(loops):
            call()
        return time.perf_counter() - start

    return run


def redis_decision() -> Timer:
    rules = (bucket("bench", "token_bucket", 1e6, 1_000_000),)
    decider = decider_at(redis_url(), rules, name="bench", timeout=5)
    return timing_wall(lambda: decider.decide("key"))


def redis_hit_and_stats() -> Timer:
    storage = storage_from_string(redis_url())
    assert isinstance(storage, RedisStorage)
    strategy = FixedWindowRateLimiter(storage)
    return timing_wall(lambda: (strategy.hit(PLENTY, "key"), strategy.get_window_stats(PLENTY, "key")))


def redis_takeover() -> Timer:
    """From the first question to a server that is paused until the local share has answered."""
    url = redis_url()
    rules = (bucket("bench", "token_bucket", 1e6, 1_000_000),)
    client = redis.Redis.from_url(url)

    def run(loops: int) -> float:
        took = 0.0
        for _ in range(loops):
            decider = Fallback("bench", rules, 0.5).around(decider_at(url, rules, name="bench"))
            decider.decide("key")
            client.client_pause(150, all=True)
            start = time.perf_counter()
            status = decider.decide("key")
            took += time.perf_counter() - start
            if not status.fallback:
                raise SystemExit("the server answered although it is paused")
            time.sleep(0.2)
        return took

    return run


# --- the slowest ---------------------------------------------------------------------------------------------------

THREADS, A_SECOND, SECONDS = 8, 10_000, 1


def slowest_of_a_thousand() -> Timer:
    """The 99.9th percentile of decisions that eight threads make at ten thousand a second, as seconds for one loop."""

    def run(loops: int) -> float:
        return loops * sorted(durations())[-(A_SECOND * SECONDS // 1000)]

    return run


def durations() -> list[float]:
    limiter = TokenBucketLimiter(1e9, 1_000_000_000, name="bench")
    took: list[list[float]] = [[] for _ in range(THREADS)]

    def work(mine: list[float], number: int) -> None:
        due = time.perf_counter() + number / A_SECOND
        for turn in range(A_SECOND * SECONDS // THREADS):
            pause = due - time.perf_counter()
            if pause > 0:
                time.sleep(pause)
            start = time.perf_counter()
            limiter.acquire(key=f"key-{turn % 1000}")
            mine.append(time.perf_counter() - start)
            due += THREADS / A_SECOND

    threads = [threading.Thread(target=work, args=(mine, number)) for number, mine in enumerate(took)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [seconds for mine in took for seconds in mine]


def no_time() -> Timer:
    return lambda loops: loops * 1e-9


FIGURES = [
    Figure(
        "token-bucket-async",
        "token bucket decision with retry_after, memory, async",
        0.5,
        token_bucket_async,
        fixed_window_async,
        "limits aio fixed-window hit",
    ),
    Figure(
        "sliding-window",
        "exact sliding window at 10k entries, decision with retry_after",
        0.2,
        sliding_window,
        moving_window(stats=False),
        "limits moving-window hit",
    ),
    Figure(
        "sliding-window-told",
        "exact sliding window at 10k entries, against a peer that tells as much",
        0.2,
        sliding_window,
        moving_window(stats=True),
        "limits moving-window hit + get_window_stats",
    ),
    Figure(
        "redis-decision",
        "token bucket decision with retry_after at Redis",
        0.6,
        redis_decision,
        redis_hit_and_stats,
        "limits fixed-window hit + get_window_stats",
    ),
    Figure(
        "redis-takeover",
        "from a question to a paused Redis to the local share's answer",
        0.1,
        redis_takeover,
        no_time,
        "no time",
        difference=True,
    ),
    Figure(
        "slowest-decision",
        "99.9th percentile of 10k decisions a second in 8 threads",
        0.005,
        slowest_of_a_thousand,
        no_time,
        "no time",
        difference=True,
    ),
]
