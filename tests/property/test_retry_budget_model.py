"""The budget against a model that remembers every call and every retry: never more than was promised, in any window."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from spanguard.error_handling import Retry, RetryBudget
from spanguard.testing import FakeClock

STEPS = st.lists(
    st.tuples(st.sampled_from(["calls", "spend", "look"]), st.integers(1, 30), st.floats(0, 6)), max_size=60
)


@settings(max_examples=200, deadline=None)
@given(steps=STEPS, ratio=st.sampled_from([0.0, 0.2, 1.0]), minimum=st.sampled_from([0.0, 0.5, 3.0]))
def test_retries_in_any_window_stay_within_the_promise(
    steps: list[tuple[str, int, float]], ratio: float, minimum: float
) -> None:
    clock = FakeClock(1000.0)
    budget = RetryBudget("model", ratio=ratio, window=10.0, min_per_second=minimum, clock=clock)
    guarded = Retry(name="model", budget=budget, clock=clock)(int)
    calls: list[float] = []
    granted: list[float] = []
    for what, count, pause in steps:
        now = clock.monotonic()
        for _ in range(count):
            if what == "calls":
                guarded()
                calls.append(now)
            elif what == "spend":
                recent = sum(1 for moment in granted if moment > now - 10.0)
                promised = max(ratio * sum(1 for moment in calls if moment > now - 10.0), minimum * 10.0)
                allowed = budget.try_spend()
                assert not allowed or recent + 1 <= promised
                # What is promised whatever the calls is kept, but for a twentieth of the window.
                kept = sum(1 for moment in granted if moment > now - 10.5)
                assert allowed or kept + 1 > minimum * 10.0
                granted += [now] * allowed
            else:
                assert 0 <= budget.utilization() <= 1
        clock.advance(pause)
