"""The retry budget: retries as a share of calls, so that they cannot multiply an outage."""

from __future__ import annotations

import math
import os
import threading
import weakref
from collections import deque
from threading import get_ident
from typing import Any, Final

from spanguard import semconv
from spanguard.clock import SYSTEM_CLOCK, Clock
from spanguard.errors import ConfigurationError
from spanguard.telemetry import COUNTS

_PARTS: Final = 20
"""Into how many parts the window is cut: it is exact to a twentieth."""


class Deposits:
    """The calls that one thread has begun."""

    __slots__ = ("calls",)

    def __init__(self) -> None:
        self.calls = 0


class RetryBudget:
    """How many retries the calls of the last seconds pay for.

    In any window, retries stay within `max(ratio x calls, min_per_second x window)`. The idea and the defaults of 20 %
    and 10 s are those of Finagle's `RetryBudget`; failsafe-go names 20 % and 3 too. A whole twentieth of the window
    in which calls began may be left out of the count: it errs towards fewer retries.

    Args:
        name: the name in `spanguard.retry.budget.utilization`.
        ratio: retries for each call, 0 to 1000.
        window: seconds.
        min_per_second: retries a second that are allowed whatever the number of calls.
        clock: for tests.

    Raises:
        ConfigurationError: a setting is out of range.

    Attributes:
        due: the time (of the clock) from which on a call that begins must `look`; read by each call.
    """

    def __init__(
        self,
        name: str,
        *,
        ratio: float = 0.2,
        window: float = 10.0,
        min_per_second: float = 3.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check(name, ratio=ratio, window=window, min_per_second=min_per_second)
        self.name = name
        self.ratio = ratio
        self.window = window
        self.min_per_second = min_per_second
        self.clock = clock
        self.due = -math.inf
        self._deposits: dict[int, Deposits] = {}
        # Re-entrant: a garbage collection inside the lock may close a block under a retry, which asks for a retry.
        self._lock = threading.RLock()
        self._looks: deque[tuple[float, int]] = deque()
        self._spent: deque[list[float]] = deque()
        _budgets.add(self)
        where = {semconv.POLICY_NAME.key: name}
        COUNTS.observe(semconv.RETRY_BUDGET_METRIC, self, lambda budget: [(where, budget.utilization())])

    def reconfigure(self, *, ratio: float = 0.2, window: float = 10.0, min_per_second: float = 3.0) -> None:
        """Have these settings from now on; what was spent in the window stays spent.

        Raises:
            ConfigurationError: a setting is out of range.
        """
        check(self.name, ratio=ratio, window=window, min_per_second=min_per_second)
        with self._lock:
            self.ratio, self.window, self.min_per_second = ratio, window, min_per_second
            self.due = -math.inf

    def meet_thread(self) -> Deposits:
        """Return what this thread bumps as it begins a call, in a line that calls nothing and so needs no lock."""
        return self._deposits.setdefault(get_ident(), Deposits())

    def look(self, now: float) -> None:
        """Take down how many calls had begun by now, if that is due."""
        with self._lock:
            if now < self.due:
                return
            self._looks.append((now, self._calls()))
            self.due = now + self.window / _PARTS
            self._forget(now)

    def try_spend(self) -> bool:
        """Take one retry; False if none is left."""
        now = self.clock.monotonic()
        with self._lock:
            self.look(now)
            self._forget(now)
            if self._in_use() + 1 > self._allowed():
                return False
            if self._spent and now - self._spent[-1][0] < self.window / _PARTS:
                self._spent[-1][1:] = now, self._spent[-1][2] + 1
            else:
                self._spent.append([now, now, 1])
            return True

    def utilization(self) -> float:
        """Return the share that is spent now, from 0 to 1; 1 for a budget that allows nothing."""
        now = self.clock.monotonic()
        with self._lock:
            self.look(now)
            self._forget(now)
            allowed = self._allowed()
            return min(1.0, self._in_use() / allowed) if allowed >= 1 else 1.0

    def _forget(self, now: float) -> None:
        while self._looks and self._looks[0][0] <= now - self.window:
            self._looks.popleft()
        while self._spent and self._spent[0][1] <= now - self.window:
            self._spent.popleft()

    def _calls(self) -> int:
        return sum(deposits.calls for deposits in list(self._deposits.values()))

    def _allowed(self) -> float:
        in_window = self._calls() - self._looks[0][1] if self._looks else 0
        return max(self.ratio * in_window, self.min_per_second * self.window)

    def _in_use(self) -> float:
        return sum(part[2] for part in self._spent)

    def start_again_in_child(self) -> None:
        """Drop a lock that another thread of the parent may have held."""
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return (
            f"RetryBudget({self.name!r}, ratio={self.ratio}, window={self.window}, "
            f"min_per_second={self.min_per_second})"
        )

    def __reduce__(self) -> tuple[object, ...]:
        return _shared, (self.name, self.ratio, self.window, self.min_per_second)


def check(name: object, **settings: object) -> None:
    """Refuse settings that are out of range.

    Raises:
        ConfigurationError: all that is wrong, in one message.
    """
    problems = []
    if not isinstance(name, str) or not name:
        problems.append(f"retry budget: name is {name!r}; it must be a text that is not empty.")
    limits: dict[str, tuple[float, float]] = {
        "ratio": (0, 1000),
        "window": (0.001, 86_400),
        "min_per_second": (0, 1_000_000),
    }
    for key, (least, most) in limits.items():
        value = settings[key]
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
            problems.append(f"retry budget {name!r}: {key} is {value!r}; it must be from {least:g} to {most:g}.")
    if problems:
        raise ConfigurationError(problems)


class NoBudget:
    """What stands in the place of a budget where retries are free."""

    due: Final = math.inf

    def meet_thread(self) -> Deposits:
        """Return what this thread bumps; nobody reads it."""
        return Deposits()

    def look(self, now: float) -> None:
        """Take nothing down."""

    def try_spend(self) -> bool:
        """Allow every retry."""
        return True


_budgets: weakref.WeakSet[RetryBudget] = weakref.WeakSet()
_by_name: dict[str, RetryBudget] = {}
_by_name_lock = threading.Lock()


def retry_budget(name: str, **settings: Any) -> RetryBudget:
    """Return the budget of this name that this process shares; build it at the first call, with these settings.

    Args:
        name: its name.
        settings: `ratio`, `window`, `min_per_second` and `clock` of `RetryBudget`.

    Raises:
        ConfigurationError: a setting is wrong, or the budget exists with another one.
    """
    with _by_name_lock:
        known = _by_name.get(name)
        if known is None:
            return _by_name.setdefault(name, RetryBudget(name, **settings))
    problems = [
        f"retry budget {name!r}: {key} is asked to be {value!r}, but it exists with {getattr(known, key, None)!r}; "
        "settle it in one place."
        for key, value in settings.items()
        if getattr(known, key, None) != value
    ]
    if problems:
        raise ConfigurationError(problems)
    return known


def _shared(name: str, ratio: float, window: float, min_per_second: float) -> RetryBudget:
    return retry_budget(name, ratio=ratio, window=window, min_per_second=min_per_second)


def _after_fork_in_child() -> None:
    global _by_name_lock  # noqa: PLW0603 - another thread of the parent may have held it
    _by_name_lock = threading.Lock()
    for budget in list(_budgets):
        budget.start_again_in_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
