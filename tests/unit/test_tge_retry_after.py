"""When a throttling server wants to be asked again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tge_monitor.fetching import LONGEST_RETRY_AFTER, retry_after

NOW = 1_767_603_600.0  # Mon, 05 Jan 2026 09:00:00 GMT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"retry-after": "Mon, 05 Jan 2026 09:00:30 GMT"}, 30.0),
        ({"retry-after": "Mon, 05 Jan 2026 08:00:00 GMT"}, 0.0),
        ({"retry-after": "999999999"}, LONGEST_RETRY_AFTER),
        ({"x-rate-limit-reset": str(int(NOW) + 20)}, 20.0),
        ({"retry-after": "7", "x-rate-limit-reset": str(int(NOW) + 20)}, 7.0),
        ({}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "1e9"}, None),
        ({"x-rate-limit-reset": "never"}, None),
    ],
)
def test_seconds_dates_and_resets_are_understood(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


@given(st.text(max_size=40), st.text(max_size=20))
def test_no_header_makes_it_raise_or_wait_for_ever(value: str, reset: str) -> None:
    seconds = retry_after({"retry-after": value, "x-rate-limit-reset": reset}, NOW)
    assert seconds is None or 0.0 <= seconds <= LONGEST_RETRY_AFTER
