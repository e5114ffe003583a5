"""The settings of a circuit breaker, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from spanguard.errors import ConfigurationError

DEFAULT_PROBE_LEASE: Final = 60.0
"""Seconds after which a probe that never ended counts as lost: as long as pybreaker's default `reset_timeout`."""


@dataclass(frozen=True, slots=True)
class CountWindow:
    """The last so many calls.

    Args:
        size: calls. 100 is the default `slidingWindowSize` of resilience4j.
    """

    size: int = 100


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """The calls of the last so many seconds, in ten buckets as Netflix Hystrix kept them.

    The oldest bucket leaves as a whole, so the window holds between 0.9 and 1 times its length.

    Args:
        seconds: the window's length. 30 is the default `SamplingDuration` of Polly.
    """

    seconds: float = 30.0


Window = CountWindow | TimeWindow


@dataclass(frozen=True, slots=True)
class FailureRate:
    """Open when this share of the calls in the window failed.

    Args:
        threshold: a ratio above 0, up to 1; reached is enough. 0.5 is the default of resilience4j and Hystrix.
        minimum_calls: calls that the window must hold before the ratio means anything, called minimum throughput
            by Polly.
    """

    threshold: float = 0.5
    minimum_calls: int = 10


@dataclass(frozen=True, slots=True)
class SlowCall:
    """Open when this share of the calls in the window was slow, as resilience4j does.

    A slow success counts as a success all the same, except for a probe: that opens the breaker again.

    Args:
        duration: seconds from which on a call is slow.
        rate: a ratio above 0, up to 1; reached is enough. 1.0 is the default of resilience4j.
        minimum_calls: calls that the window must hold before the ratio means anything.
    """

    duration: float
    rate: float = 1.0
    minimum_calls: int = 10


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """All that decides when a breaker moves; see `CircuitBreaker` for the meaning of each."""

    fail_max: int | None = 5
    reset_timeout: float = 60.0
    success_threshold: int = 1
    half_open_max_calls: int = 1
    failure_rate: FailureRate | None = None
    slow_call: SlowCall | None = None
    window: Window | None = None
    probe_lease: float = DEFAULT_PROBE_LEASE

    @property
    def effective_window(self) -> Window | None:
        """The window in use: the last 100 calls where a rate is set and no window."""
        if self.failure_rate is None and self.slow_call is None:
            return None
        return self.window or CountWindow()

    def check(self, name: str | None) -> None:
        """Refuse settings that are out of range or contradict each other.

        Raises:
            ConfigurationError: all that is wrong, in one message.
        """
        problems = [*self._out_of_range(), *self._contradictions()]
        if problems:
            which = f"circuit breaker {name!r}" if name else "circuit breaker"
            raise ConfigurationError([f"{which}: {problem}" for problem in problems])

    def _out_of_range(self) -> Iterator[str]:
        if self.fail_max is not None:
            yield from _whole("fail_max", self.fail_max, hint=", or None to go by the rates alone")
        yield from _whole("success_threshold", self.success_threshold)
        yield from _whole("half_open_max_calls", self.half_open_max_calls)
        yield from seconds("reset_timeout", self.reset_timeout, may_be_zero=True)
        yield from seconds("probe_lease", self.probe_lease)
        if self.failure_rate is not None:
            yield from _ratio("failure_rate.threshold", self.failure_rate.threshold)
            yield from _whole("failure_rate.minimum_calls", self.failure_rate.minimum_calls)
        if self.slow_call is not None:
            yield from seconds("slow_call.duration", self.slow_call.duration)
            yield from _ratio("slow_call.rate", self.slow_call.rate)
            yield from _whole("slow_call.minimum_calls", self.slow_call.minimum_calls)
        if isinstance(self.window, CountWindow):
            yield from _whole("window.size", self.window.size)
        elif isinstance(self.window, TimeWindow):
            yield from seconds("window.seconds", self.window.seconds)

    def _contradictions(self) -> Iterator[str]:
        rates = {"failure_rate": self.failure_rate, "slow_call": self.slow_call}
        if self.effective_window is None:
            if self.window is not None:
                yield (
                    f"window is {self.window}, but neither failure_rate nor slow_call is set, so nothing would look "
                    "into it; set one of them or leave window out."
                )
            if self.fail_max is None:
                yield (
                    "fail_max is None, and neither failure_rate nor slow_call is set, so the breaker would never "
                    "open; set one of the three."
                )
        if isinstance(self.effective_window, CountWindow):
            size = self.effective_window.size
            for name, rate in rates.items():
                if (
                    rate is not None
                    and _is_number(size)
                    and _is_number(rate.minimum_calls)
                    and rate.minimum_calls > size
                ):
                    yield (
                        f"{name}.minimum_calls is {rate.minimum_calls}, but the window holds {size} calls, so the rate "
                        "would never be looked at; lower it or enlarge the window."
                    )
        if (
            self.slow_call is not None
            and _is_number(self.slow_call.duration)
            and _is_number(self.probe_lease)
            and self.slow_call.duration >= self.probe_lease > 0
        ):
            yield (
                f"slow_call.duration is {self.slow_call.duration} s, but a probe counts as lost after probe_lease = "
                f"{self.probe_lease} s, so no probe could be slow; raise probe_lease above it."
            )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(name: str, value: object, *, hint: str = "") -> Iterator[str]:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        yield f"{name} is {value!r}; it must be a whole number of at least 1{hint}."


def seconds(name: str, value: object, *, may_be_zero: bool = False) -> Iterator[str]:
    """Return what is wrong with a duration."""
    if isinstance(value, int | float) and not isinstance(value, bool) and (0 < value < float("inf")):
        return
    if may_be_zero and _is_number(value) and value == 0:
        return
    yield f"{name} is {value!r}; it must be seconds, {'at least' if may_be_zero else 'above'} 0 and finite."


def _ratio(name: str, value: object) -> Iterator[str]:
    if not (isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1):
        yield f"{name} is {value!r}; it must be a ratio above 0, up to 1."
