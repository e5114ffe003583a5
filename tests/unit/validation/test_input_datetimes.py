from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from spanguard.errors import ConfigurationError
from spanguard.validation import DatetimeType
from unit.validation.hostile import HOSTILE, Moment

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
LOCAL = datetime(2026, 1, 31, 12)  # noqa: DTZ001 - what it is about


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31T12:00:00Z", NOON),
        ("2026-01-31t12:00:00z", NOON),
        ("2026-01-31 12:00Z", NOON),
        ("2026-01-31T13:00:00+01:00", NOON),
        ("2026-01-31T13:00:00+0100", NOON),
        ("2026-01-31T12:00:00-00:00", NOON),
        ("2026-01-31T12:00:00.5Z", NOON + timedelta(seconds=0.5)),
        ("2026-01-31T12:00:00,25Z", NOON + timedelta(seconds=0.25)),
        ("2026-01-31T12:00:00.123456789Z", NOON + timedelta(microseconds=123456)),
        (" 2026-01-31T12:00:00Z\n", NOON),
    ],
)
def test_a_moment_in_iso_8601_is_read(text: str, moment: datetime) -> None:
    assert DatetimeType().validate(text).sanitized_value == moment


@pytest.mark.parametrize(
    "value",
    [
        "0", "1769860800", "20260131T120000Z", "2026-01-31", "2026-W05-6T12:00Z", "2026-01-31T24:00:00Z", "2026-01-31T12Z",
        "2026-02-30T12:00:00Z", "2026-01-31T12:00:60Z", "2026-13-01T12:00:00Z", "0000-01-01T00:00:00Z", "2026-01-31T12:00:00+25:00",
        "2026-01-31T12:00:00 Z", "2026-01-31T12:00:00ZZ", "2026-01-31T12:00:00.1234567890Z", "\u0662026-01-31T12:00:00Z",
        "2026-01-31T12:00:00Z\0", "now", "", 0, 1769860800, 1.5, True, None, b"2026-01-31T12:00:00Z", date(2026, 1, 31), "2" * 10_000,
    ],
)  # fmt: skip
def test_what_is_no_moment_is_refused(value: object) -> None:
    assert [problem.code for problem in DatetimeType().validate(value).errors] == ["not_a_datetime"]


def test_an_offset_is_asked_for_unless_told_otherwise() -> None:
    assert [problem.code for problem in DatetimeType().validate("2026-01-31T12:00:00").errors] == ["no_offset"]
    assert [problem.code for problem in DatetimeType().validate(LOCAL).errors] == ["no_offset"]
    naive = DatetimeType(aware=False)
    assert naive.validate("2026-01-31T12:00:00").sanitized_value == LOCAL
    assert [problem.code for problem in naive.validate("2026-01-31T12:00:00Z").errors] == ["has_offset"]


def test_a_datetime_comes_out_as_it_is() -> None:
    paris = datetime(2026, 1, 31, 13, tzinfo=timezone(timedelta(hours=1)))
    clean = DatetimeType().validate(paris).sanitized_value
    assert clean is not None
    assert clean.isoformat() == paris.isoformat()


def test_in_utc_a_moment_is_the_same_with_another_offset() -> None:
    clean = DatetimeType(to_utc=True).validate("2026-01-31T13:00:00+01:00").sanitized_value
    assert clean is not None
    assert clean.isoformat() == "2026-01-31T12:00:00+00:00"


def test_a_subclass_of_datetime_comes_out_as_a_plain_one() -> None:
    clean = DatetimeType().validate(Moment(2026, 1, 31, 12, tzinfo=UTC)).sanitized_value
    assert type(clean) is datetime
    assert clean == NOON


def test_a_zone_that_raises_makes_no_moment() -> None:
    assert not DatetimeType().validate(HOSTILE["hostile zone"]())


def test_a_moment_that_utc_has_no_room_for_is_refused() -> None:
    assert not DatetimeType(to_utc=True).validate("9999-12-31T23:59:59-01:00")


def test_the_bounds_of_a_moment_are_themselves_valid() -> None:
    kind = DatetimeType(minimum=NOON, maximum=NOON + timedelta(hours=1))
    early, first, last, late = (kind.validate(NOON + timedelta(seconds=seconds)) for seconds in (-1, 0, 3600, 3601))
    assert (first.is_valid, last.is_valid) == (True, True)
    assert [problem[:4:3] for result in (early, late) for problem in result.errors] == [
        ("too_early", "2026-01-31T12:00:00+00:00"),
        ("too_late", "2026-01-31T13:00:00+00:00"),
    ]


def test_a_strict_moment_is_no_text() -> None:
    strict = DatetimeType(strict=True)
    assert [strict.validate(value).is_valid for value in (NOON, NOON.isoformat())] == [True, False]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"minimum": LOCAL}, "it must be aware, as the values are"),
        ({"maximum": NOON, "aware": False}, "it must be naive, as the values are"),
        ({"minimum": "2026-01-31"}, "minimum is '2026-01-31'; it must be a datetime"),
        ({"minimum": NOON, "maximum": NOON - timedelta(1)}, "swap or change them"),
        ({"aware": None}, "aware is None"),
        ({"to_utc": True, "aware": False}, "there is no offset to reckon with"),
        ({"strict": 0}, "strict is 0"),
    ],
)
def test_an_option_of_a_moment_that_is_wrong_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        DatetimeType(**options)
    assert words in str(caught.value)
