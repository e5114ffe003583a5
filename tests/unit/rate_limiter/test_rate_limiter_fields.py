"""The header fields of a limit, to the letter."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any

import http_sf
import pytest

from spanguard.rate_limiter import RateLimitStatus
from spanguard.rate_limiter.http.fields import limit_fields, refusal
from spanguard.rate_limiter.rules import Rule

ADMITTED = RateLimitStatus(True, 7, 0.0, 12.3, 10)
REFUSED = RateLimitStatus(False, 0, 2.1, 12.3, 10)


def rule(limit: int, period: float | Fraction) -> Rule:
    return Rule("token_bucket", limit, Fraction(period))


def fields(rules: list[Rule], status: RateLimitStatus, name: str = "api") -> dict[str, str]:
    return dict(limit_fields(name, rules, status))


def test_an_admitted_request_is_told_when_the_limit_is_whole_again_rounded_up() -> None:
    assert fields([rule(10, 60)], ADMITTED) == {
        "RateLimit-Policy": '"api";q=10;w=60',
        "RateLimit": '"api";r=7;t=13',
    }


def test_a_refused_request_is_told_when_to_come_back_rounded_up() -> None:
    told, body = refusal("api", [rule(10, 60)], REFUSED, tell=True)
    assert told == [
        ("RateLimit-Policy", '"api";q=10;w=60'),
        ("RateLimit", '"api";r=0;t=3'),
        ("Retry-After", "3"),
        ("Content-Type", "application/problem+json"),
        ("Content-Length", str(len(body))),
    ]
    assert json.loads(body) == {
        "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
        "title": "Too Many Requests",
        "status": 429,
        "violated-policies": ["api"],
    }


@pytest.mark.parametrize(
    ("limit", "period", "promise"),
    [
        (20, 2, "q=20;w=2"),
        (3, Fraction(3, 2), "q=3;w=2"),
        (10, Fraction(1, 100), "q=1000;w=1"),
        (1, Fraction(3, 4), "q=1;w=1"),
    ],
)
def test_a_window_is_told_in_whole_seconds(limit: int, period: Fraction, promise: str) -> None:
    assert fields([rule(limit, period)], ADMITTED)["RateLimit-Policy"] == f'"api";{promise}'


def test_of_several_limits_the_one_that_decided_is_told() -> None:
    told = fields([rule(10, 1), rule(1000, 3600)], ADMITTED._replace(limit=1000))
    assert told == {
        "RateLimit-Policy": '"api-1";q=10;w=1, "api-2";q=1000;w=3600',
        "RateLimit": '"api-2";r=7;t=13',
    }


@pytest.mark.parametrize("name", ['with "quotes"', "back\\slash", "émile", "new\nline", "x" * 500])
def test_any_name_makes_fields_that_can_be_parsed(name: str) -> None:
    told = fields([rule(10, 60)], ADMITTED, name)
    parsed: list[Any] = [http_sf.parse(value.encode(), tltype="list") for value in told.values()]
    (policy,), (left,) = parsed
    expected = "".join(letter if " " <= letter <= "~" else "_" for letter in name)
    assert (policy[0], left[0]) == (expected, expected)


def test_what_can_never_be_admitted_is_told_to_come_back_very_late() -> None:
    told: dict[str, Any] = dict(refusal("api", [rule(10, 60)], REFUSED._replace(retry_after=math.inf), tell=False)[0])
    assert told["Retry-After"] == "999999999999999"
