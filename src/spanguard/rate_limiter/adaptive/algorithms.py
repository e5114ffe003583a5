"""How a limit is found: from latency and drops, as TCP finds its window.

A server that can do `c` things at once answers `n <= c` calls as fast as one; each call beyond that waits, and makes the others
wait. Nobody knows `c`, and it changes. But the wait can be measured. The three ways here are those of Netflix's
concurrency-limits ("Performance Under Load", Netflix Technology Blog, 2018), written anew. Each looks at a window of
calls and says what the limit is to be next. None lets the limit grow while less than half of it is in use: such a window
says nothing about what more calls would do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from spanguard.errors import ConfigurationError
from spanguard.semconv import AdaptiveReason


class Window(NamedTuple):
    """What was seen in a window.

    Attributes:
        latency: the mean seconds of the calls that were measured; None if there was none.
        peak: the most calls that ran at once.
        dropped: whether one was dropped.
    """

    latency: float | None
    peak: int
    dropped: bool

    def fills(self, limit: float) -> bool:
        """Tell whether enough of the limit was in use to learn from it."""
        return self.peak * 2 >= limit


class Estimate(NamedTuple):
    """What a limit is to be next, and why."""

    limit: float
    reason: AdaptiveReason


class Estimator(Protocol):
    """What an algorithm remembers from window to window. Not locked: who calls holds a lock."""

    @property
    def baseline(self) -> float | None:
        """The latency that the next window is held against, if there is such a thing."""
        ...

    def next(self, limit: float, window: Window) -> Estimate:
        """Say what the limit is to be after this window. The limiter keeps it between its minimum and its maximum."""
        ...


class Algorithm(Protocol):
    """The settings of a way to find the limit."""

    def estimator(self) -> Estimator:
        """Return the memory of one limiter."""
        ...


@dataclass(frozen=True, slots=True)
class Aimd:
    """Additive increase, multiplicative decrease (D.-M. Chiu and R. Jain, 1989; TCP Reno): it looks for drops.

    After a window without a drop the limit grows by `increase`; after one with a drop it is multiplied by `backoff`. It finds
    the limit only by going beyond it, so it suits what drops clearly and cheaply: a server that answers 429 or 503.

    Attributes:
        increase: calls by which the limit grows in a window, above 0.
        backoff: from 0.5 to below 1. TCP halves; Netflix takes 0.9.
        latency_limit: seconds of mean latency beyond which a window counts as one with a drop; None for none.

    Raises:
        ConfigurationError: a setting is out of range.
    """

    increase: float = 1.0
    backoff: float = 0.9
    latency_limit: float | None = None

    def __post_init__(self) -> None:
        _check(
            self,
            increase=(_is_positive(self.increase), "it must be above 0 and finite"),
            backoff=(_is_number(self.backoff) and 0.5 <= self.backoff < 1, "it must be from 0.5 to below 1"),  # noqa: PLR2004 - as documented
            latency_limit=(
                self.latency_limit is None or _is_positive(self.latency_limit),
                "it must be seconds, above 0 and finite, or None",
            ),
        )

    def estimator(self) -> Estimator:
        """Return the memory of one limiter."""
        return _AimdEstimator(self)


class _AimdEstimator:
    def __init__(self, settings: Aimd) -> None:
        self._settings = settings

    @property
    def baseline(self) -> float | None:
        return self._settings.latency_limit

    def next(self, limit: float, window: Window) -> Estimate:
        if window.dropped:
            return Estimate(limit * self._settings.backoff, "drop")
        if self.baseline is not None and window.latency is not None and window.latency > self.baseline:
            return Estimate(limit * self._settings.backoff, "latency")
        return Estimate(limit + self._settings.increase if window.fills(limit) else limit, "headroom")


@dataclass(frozen=True, slots=True)
class Vegas:
    """TCP Vegas (L. Brakmo and L. Peterson, 1995): it reckons how many calls wait, and lets a few.

    With the latency `base` of a call that does not wait, and the latency `now`, limit * (1 - base / now) calls of `limit`
    wait (Little's law). With u = log10(limit), at least 1: up to u waiting calls the limit grows by 6 u, below 3 u by
    u; beyond 6 u, and after a drop, it falls by u; between 3 u and 6 u it stays.

    `base` is the least mean of a window; of one below it a fifth of the way is taken, or chance would bring it down. Netflix
    takes it anew from time to time as it comes, which under load has the wait in it. Here it is probed for, as in BBR: if the limit is in use, it is halved, and again while that makes the latency
    fall by more than a third; two windows for each half, since calls of the former limit end in the first. Then as
    many calls are let in as ran without a wait before, and 3 u.

    Attributes:
        probe_every: windows after which `base` is measured anew, at least 10. The first time it is after 10.

    Raises:
        ConfigurationError: a setting is out of range.
    """

    probe_every: int = 60

    def __post_init__(self) -> None:
        is_fine = self.probe_every.__class__ is int and self.probe_every >= _FIRST_PROBE
        _check(self, probe_every=(is_fine, f"it must be a whole number of windows, at least {_FIRST_PROBE}"))

    def estimator(self) -> Estimator:
        """Return the memory of one limiter."""
        return _VegasEstimator(self)


_FIRST_PROBE: Final = 10
_FELL: Final = 2 / 3
_UNDERCUT: Final = 0.2


class _VegasEstimator:
    def __init__(self, settings: Vegas) -> None:
        self._settings = settings
        self.baseline: float | None = None
        self._age = settings.probe_every - _FIRST_PROBE
        self._probe: _Probe | None = None

    def next(self, limit: float, window: Window) -> Estimate:
        if window.latency is None:
            return Estimate(limit - _unit(limit), "drop") if window.dropped else Estimate(limit, "headroom")
        if self._probe is not None:
            return self._go_on_probing(self._probe, limit, window.latency)
        self._age += 1
        if self._age >= self._settings.probe_every:
            if window.fills(limit):
                self._probe = _Probe(limit, window.latency)
                return Estimate(limit / 2, "probe")
            self.baseline, self._age = window.latency, 0
        former = self.baseline or window.latency
        self.baseline = former + _UNDERCUT * min(0.0, window.latency - former)
        return self._settle(limit, window, min(1.0, self.baseline / window.latency))

    def _go_on_probing(self, probe: _Probe, limit: float, latency: float) -> Estimate:
        probe.is_second = not probe.is_second
        if probe.is_second:
            return Estimate(limit, "probe")
        if latency < _FELL * probe.latency:
            probe.latency = latency
            return Estimate(limit / 2, "probe")
        self.baseline = latency
        self._age, self._probe = 0, None
        running = probe.limit * self.baseline / probe.first_latency
        return Estimate(min(probe.limit, running + 3 * _unit(running)), "probe")

    def _settle(self, limit: float, window: Window, running: float) -> Estimate:
        unit = _unit(limit)
        if window.dropped:
            return Estimate(limit - unit, "drop")
        waiting = math.ceil(limit * (1 - running))
        if waiting > 6 * unit:
            return Estimate(limit - unit, "latency")
        if not window.fills(limit) or waiting >= 3 * unit:
            return Estimate(limit, "headroom")
        return Estimate(limit + (6 * unit if waiting <= unit else unit), "headroom")


class _Probe:
    """A measurement of the latency without a wait.

    Attributes:
        limit: what it was before.
        first_latency: the latency under that limit.
        latency: the latency under the last limit that was measured.
        is_second: whether the next window is the second under the present limit.
    """

    def __init__(self, limit: float, latency: float) -> None:
        self.limit = limit
        self.first_latency = self.latency = latency
        self.is_second = False


def _unit(limit: float) -> float:
    return max(1.0, math.log10(max(limit, 1.0)))


@dataclass(frozen=True, slots=True)
class Gradient2:
    """Netflix's second gradient algorithm: it holds the latency of now against that of the last ten minutes.

    With the exponential average `long` of the windows' latency, the limit is multiplied by the gradient tolerance * long / now, kept between
    0.5 and 1, and `queue` is added, so that it grows where the latency stands. A smoothed part of that is taken: limit +
    smoothing * (limit * gradient + queue - limit). A drop counts as a gradient of 0.5 without the addition (Netflix leaves drops out
    here). If `long` is more than twice of now, it is brought down by a twentieth at once, or it would remember an overload for too long.

    It needs no latency of an idle server, which bursty calls of unequal size do not have; in exchange it adapts to a latency
    that rose for good.

    Attributes:
        queue: calls that may wait.
        tolerance: how many times `long` is still fine, at least 1.
        smoothing: the share of each new estimate that is taken, above 0 up to 1.
        long_window: windows of the long average, at least 10. The first ten count alike.

    Raises:
        ConfigurationError: a setting is out of range.
    """

    queue: int = 4
    tolerance: float = 1.5
    smoothing: float = 0.2
    long_window: int = 600

    def __post_init__(self) -> None:
        _check(
            self,
            queue=(self.queue.__class__ is int and self.queue >= 1, "it must be a whole number of calls, at least 1"),
            tolerance=(_is_positive(self.tolerance) and self.tolerance >= 1, "it must be at least 1 and finite"),
            smoothing=(_is_positive(self.smoothing) and self.smoothing <= 1, "it must be above 0 and at most 1"),
            long_window=(
                self.long_window.__class__ is int and self.long_window >= _WARM_UP,
                f"it must be a whole number of windows, at least {_WARM_UP}",
            ),
        )

    def estimator(self) -> Estimator:
        """Return the memory of one limiter."""
        return _Gradient2Estimator(self)


_WARM_UP: Final = 10
_DRIFTED: Final = 2
_DRIFT: Final = 0.95


class _Gradient2Estimator:
    def __init__(self, settings: Gradient2) -> None:
        self._settings = settings
        self.baseline: float | None = None
        self._windows = 0

    def next(self, limit: float, window: Window) -> Estimate:
        if window.latency is not None:
            self._remember(window.latency)
        if window.dropped:
            return Estimate(self._smoothed(limit, limit / 2), "drop")
        if window.latency is None or self.baseline is None or not window.fills(limit):
            return Estimate(limit, "headroom")
        gradient = max(0.5, min(1.0, self._settings.tolerance * self.baseline / window.latency))
        estimate = self._smoothed(limit, limit * gradient + self._settings.queue)
        return Estimate(estimate, "latency" if gradient < 1 else "headroom")

    def _smoothed(self, limit: float, estimate: float) -> float:
        return limit + self._settings.smoothing * (estimate - limit)

    def _remember(self, latency: float) -> None:
        self._windows += 1
        former = latency if self.baseline is None else self.baseline
        weight = 1 / self._windows if self._windows <= _WARM_UP else 2 / (self._settings.long_window + 1)
        self.baseline = former + weight * (latency - former)
        if self.baseline > _DRIFTED * latency:
            self.baseline *= _DRIFT


def _is_number(value: object) -> bool:
    return value.__class__ in (int, float)


def _is_positive(value: float) -> bool:
    return _is_number(value) and 0 < value < math.inf


def _check(settings: object, **rules: tuple[bool, str]) -> None:
    problems = [
        f"{type(settings).__name__}: {name} is {getattr(settings, name)!r}; {allowed}."
        for name, (is_fine, allowed) in rules.items()
        if not is_fine
    ]
    if problems:
        raise ConfigurationError(problems)
