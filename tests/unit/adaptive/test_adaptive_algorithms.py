"""What each algorithm makes of a window, by the numbers."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from spanguard.errors import ConfigurationError
from spanguard.rate_limiter import Aimd, Gradient2, Vegas
from spanguard.rate_limiter.adaptive import Estimate, Window


def window(latency: float | None = 0.1, peak: int = 100, *, dropped: bool = False) -> Window:
    return Window(latency, peak, dropped)


# --- AIMD ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "estimate"),
    [
        (window(), Estimate(21, "headroom")),
        (window(peak=10), Estimate(21, "headroom")),
        (window(peak=9), Estimate(20, "headroom")),
        (window(dropped=True), Estimate(18, "drop")),
        (window(None, dropped=True), Estimate(18, "drop")),
        (window(0.5), Estimate(21, "headroom")),
        (window(0.51), Estimate(18, "latency")),
    ],
)
def test_aimd_adds_one_and_takes_a_tenth(seen: Window, estimate: Estimate) -> None:
    assert Aimd(latency_limit=0.5).estimator().next(20, seen) == estimate


# --- Vegas ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("latency", "estimate"),
    [
        # 100 calls, log10 of them is 2: up to 2 that wait grow by 12, below 6 by 2, up to 12 it stays.
        (0.100, Estimate(112, "headroom")),
        (0.102, Estimate(112, "headroom")),
        (0.105, Estimate(102, "headroom")),
        (0.110, Estimate(100, "headroom")),
        (0.113, Estimate(100, "headroom")),
        (0.120, Estimate(98, "latency")),
    ],
)
def test_vegas_keeps_a_few_calls_waiting(latency: float, estimate: Estimate) -> None:
    vegas = Vegas().estimator()
    vegas.next(100, window(0.1))
    assert vegas.next(100, window(latency)) == estimate


def test_vegas_takes_a_drop_for_a_wait() -> None:
    vegas = Vegas().estimator()
    assert vegas.next(100, window(dropped=True)) == Estimate(98, "drop")
    assert vegas.next(100, window(None, dropped=True)) == Estimate(98, "drop")


def test_vegas_does_not_grow_while_less_than_half_is_in_use() -> None:
    assert Vegas().estimator().next(100, window(peak=49)) == Estimate(100, "headroom")


def test_a_window_below_the_base_brings_it_down_by_a_fifth_of_the_way() -> None:
    vegas = Vegas().estimator()
    vegas.next(100, window(0.1))
    vegas.next(100, window(0.05))
    assert vegas.baseline == pytest.approx(0.09)
    vegas.next(100, window(0.2))
    assert vegas.baseline == pytest.approx(0.09)


def waits(limit: float, workers: int) -> Window:
    """The window of a server with so many workers that is asked for more."""
    return window(0.1 * max(1.0, limit / workers), peak=int(limit))


def test_vegas_finds_the_base_under_a_load_that_never_ends() -> None:
    vegas = Vegas().estimator()
    limit, course = 80.0, []
    for _ in range(20):
        limit, reason = vegas.next(limit, waits(limit, workers=10))
        if reason == "probe":
            course.append(limit)
    # Halved while that helps, each for two windows; then what ran without a wait, and three more.
    before = course[0] * 2
    assert course[:-1] == [before / 2**power for power in (1, 1, 2, 2, 3, 3, 4, 4)]
    assert course[-1] == pytest.approx(13)
    assert vegas.baseline == pytest.approx(0.1)


def test_vegas_probes_again_after_so_many_windows_and_no_sooner() -> None:
    vegas = Vegas(probe_every=30).estimator()
    limit, is_probing = 20.0, []
    for _ in range(120):
        limit, reason = vegas.next(limit, waits(limit, workers=10))
        is_probing.append(reason == "probe")
    between = [len(list(group)) for probing, group in itertools.groupby(is_probing) if not probing]
    assert between[:3] == [9, 29, 29]


def test_where_there_is_no_load_the_base_is_taken_anew_without_a_probe() -> None:
    vegas = Vegas(probe_every=10).estimator()
    vegas.next(20, window(0.1, peak=1))
    for _ in range(9):
        assert vegas.next(20, window(0.2, peak=1)).reason != "probe"
    assert vegas.baseline == 0.2


# --- Gradient2 -----------------------------------------------------------------------------------------------------


def warm(settings: Gradient2) -> Any:
    """An estimator that has seen 0.1 s for a long time."""
    estimator = settings.estimator()
    for _ in range(100):
        estimator.next(100, window(0.1))
    return estimator


@pytest.mark.parametrize(
    ("latency", "limit", "reason"),
    [
        (0.1, 100 + 0.2 * 4, "headroom"),
        (0.15, 100 + 0.2 * 4, "headroom"),
        (0.2, 100 + 0.2 * (75 + 4 - 100), "latency"),
        (10.0, 100 + 0.2 * (50 + 4 - 100), "latency"),
    ],
)
def test_gradient2_follows_the_ratio_of_long_and_present_latency(latency: float, limit: float, reason: str) -> None:
    estimate = warm(Gradient2(long_window=1_000_000)).next(100, window(latency))
    assert estimate.limit == pytest.approx(limit, abs=0.01)
    assert estimate.reason == reason


def test_gradient2_takes_a_drop_for_the_greatest_gradient() -> None:
    assert warm(Gradient2()).next(100, window(dropped=True)) == Estimate(90, "drop")


@pytest.mark.parametrize("seen", [window(peak=49), window(None)])
def test_gradient2_stays_where_a_window_says_nothing(seen: Window) -> None:
    assert warm(Gradient2()).next(100, seen) == Estimate(100, "headroom")


def test_the_long_average_counts_its_first_ten_windows_alike() -> None:
    estimator = Gradient2().estimator()
    for number in range(1, 11):
        estimator.next(20, window(number / 10))
    assert estimator.baseline == pytest.approx(0.55)


def test_the_long_average_comes_down_faster_after_a_long_overload() -> None:
    estimator = warm(Gradient2())
    for _ in range(40):
        estimator.next(100, window(0.01))
    # The average alone would need 660 windows.
    assert estimator.baseline < 0.02


# --- settings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "settings"),
    [
        (Aimd, {"increase": 0}),
        (Aimd, {"backoff": 1}),
        (Aimd, {"backoff": 0.49}),
        (Aimd, {"latency_limit": float("nan")}),
        (Vegas, {"probe_every": 9}),
        (Vegas, {"probe_every": 10.5}),
        (Gradient2, {"queue": 0}),
        (Gradient2, {"tolerance": 0.9}),
        (Gradient2, {"smoothing": 1.1}),
        (Gradient2, {"long_window": 9}),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(algorithm: Any, settings: dict[str, Any]) -> None:
    (name,) = settings
    with pytest.raises(ConfigurationError, match=f"{algorithm.__name__}: {name} is"):
        algorithm(**settings)
