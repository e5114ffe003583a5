"""What a server keeps of one breaker, and the script that alone changes it: each request is one atomic step.

A breaker is a hash (its state, epoch, end of being open, successful probes) and a sorted set (the probes under way
and when their leases end). Both keys bear the breaker's name as hash tag, so they live in one slot of a cluster. Time is
the server's. Each move makes a new epoch: the server's time in microseconds, or one more than the last if that is later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import quote

from spanguard.instrumentation.pybreaker import State

UNKNOWN: Final = "0"
"""The epoch of a breaker that the server knows nothing of."""

SCRIPT: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local request, time_to_live = ARGV[1], ARGV[2]
local known = redis.call('HMGET', KEYS[1], 'state', 'epoch', 'open_until', 'successes')
local state, epoch = known[1] or '', tonumber(known[2] or 0)
local open_until, successes = tonumber(known[3] or 0), tonumber(known[4] or 0)
local granted = 0

local function digits(number) return string.format('%.0f', number) end

local function enter(target, open_for)
    state, epoch, open_until, successes = target, math.max(epoch + 1, now), now + open_for, 0
    redis.call('HSET', KEYS[1], 'state', state, 'epoch', digits(epoch), 'open_until', digits(open_until), 'successes', 0)
    redis.call('DEL', KEYS[2])
end

if request == 'move' then
    local target, open_for, expected = ARGV[3], tonumber(ARGV[4]), ARGV[5]
    if state == '' or expected == '' or expected == digits(epoch) then
        enter(target, open_for)
        granted = 1
    end
elseif request == 'admit' then
    local most, lease_end = tonumber(ARGV[3]), now + tonumber(ARGV[4])
    if state == '' or (state == 'open' and open_until <= now) then enter('half_open', 0) end
    if state == 'half_open' then
        redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', digits(now))
        local free = most - redis.call('ZCARD', KEYS[2])
        while granted < free and ARGV[5 + granted] do
            redis.call('ZADD', KEYS[2], digits(lease_end), ARGV[5 + granted])
            granted = granted + 1
        end
    end
elseif request == 'settle' then
    local threshold, lease, lease_epoch, succeeded = tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6]
    local was_under_way = redis.call('ZREM', KEYS[2], lease) == 1
    if was_under_way and succeeded == '1' and state == 'half_open' and lease_epoch == digits(epoch) then
        successes = redis.call('HINCRBY', KEYS[1], 'successes', 1)
        if successes >= threshold then
            enter('closed', 0)
            granted = 1
        end
    end
end
if request ~= 'read' then
    redis.call('PEXPIRE', KEYS[1], time_to_live)
    redis.call('PEXPIRE', KEYS[2], time_to_live)
end
return {state, digits(epoch), digits(math.max(0, open_until - now)), granted}
"""

DIGEST: Final = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
"""The name under which a server knows the script."""


def keys_of(prefix: str, name: str) -> tuple[str, str]:
    """Return the two keys of a breaker; a brace in its name would end the hash tag, so names are quoted."""
    key = f"{prefix}:{{{quote(name, safe='')}}}"
    return key, f"{key}:probes"


@dataclass(frozen=True, slots=True)
class View:
    """What the server answered.

    Attributes:
        state: the breaker's state, None if the server knows nothing of it.
        epoch: of the entry into that state.
        open_for: seconds that it will stay open.
        granted: how many probes were let through; 1 for a move that was made, 0 for one that was not.
    """

    state: State | None
    epoch: str
    open_for: float
    granted: int


def view_of(reply: Sequence[Any]) -> View:
    """Read the script's reply."""
    state, epoch, open_for, granted = (text_of(part) for part in reply)
    return View(cast("State", state) if state else None, epoch, int(open_for) / 1e6, int(granted))


def text_of(value: Any) -> str:
    """Return a reply as text, whether or not the client decodes."""
    return value.decode() if isinstance(value, bytes) else str(value)


def milliseconds(seconds: float) -> int:
    """Return a time to live as servers take it."""
    return int(seconds * 1e3)


def microseconds(seconds: float) -> int:
    """Return a duration as the script takes it."""
    return int(seconds * 1e6)
