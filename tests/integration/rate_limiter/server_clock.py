"""A server's clock that a test sets: the one line of the script that reads the time reads a key instead."""

from __future__ import annotations

import pytest
import redis

from spanguard.rate_limiter.storages import wire

READ_CLOCK = "redis.call('TIME')"
BEGIN = 1_700_000_000 * 1_000_000


class ServerClock:
    """What the script takes for the server's clock.

    Attributes:
        now: microseconds since the Unix epoch.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self.set(BEGIN)

    def set(self, microseconds: int) -> None:
        """Set the clock."""
        self.now = microseconds
        seconds, rest = divmod(microseconds, 1_000_000)
        self._client.hset("clock", mapping={"seconds": seconds, "rest": rest})

    def advance(self, microseconds: int) -> None:
        """Set it forward, or back."""
        self.set(self.now + microseconds)


def read_clock_from_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let deciders that are made from now on go by a `ServerClock`."""
    assert wire.SCRIPT.count(READ_CLOCK) == 1
    script = wire.SCRIPT.replace(READ_CLOCK, "redis.call('HMGET', 'clock', 'seconds', 'rest')")
    monkeypatch.setattr("spanguard.rate_limiter.storages.redis.SCRIPT", script)
