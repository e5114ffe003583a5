"""What the retries of one name did."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from spanguard import semconv
from spanguard.telemetry import COUNTS


@dataclass(frozen=True, slots=True)
class RetryStats:
    """What all retries of one name did in this process: policies of the same name are counted as one.

    Attributes:
        name: the policy's name.
        success_without_retry: calls whose first attempt succeeded.
        success_with_retry: calls that succeeded later.
        failure_without_retry: calls that failed at the first attempt and were not made again.
        failure_with_retry: calls that failed in the end.
        cancelled: calls whose caller went away.
        budget_utilization: the share of the budget that is spent now, from 0 to 1; None where retries are free.
    """

    name: str
    success_without_retry: int
    success_with_retry: int
    failure_without_retry: int
    failure_with_retry: int
    cancelled: int
    budget_utilization: float | None


def read_stats(name: str, budget_utilization: float | None) -> RetryStats:
    """Return them, from the counts that are exported."""
    counted: Counter[str] = Counter()
    for attributes, value in COUNTS.read(semconv.RETRY_CALLS_METRIC):
        if attributes.get(semconv.POLICY_NAME.key) == name:
            counted[str(attributes[semconv.RETRY_OUTCOME.key])] += int(value)
    return RetryStats(
        name=name,
        success_without_retry=counted["success_without_retry"],
        success_with_retry=counted["success_with_retry"],
        failure_without_retry=counted["failure_without_retry"],
        failure_with_retry=counted["failure_with_retry"],
        cancelled=counted["cancelled"],
        budget_utilization=budget_utilization,
    )
