"""What a response says of a limit: the header fields, and the body of a refusal.

`RateLimit-Policy` and `RateLimit` follow draft-ietf-httpapi-ratelimit-headers-10 of 27 September 2025: lists of Structured
Field items (RFC 9651), a string with integer parameters. `Retry-After` is that of RFC 9110, section 10.2.3, in seconds;
status 429 that of RFC 6585, section 4.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Final

from spanguard.rate_limiter.rules import Rule
from spanguard.rate_limiter.status import RateLimitStatus

Fields = list[tuple[str, str]]

TOO_MANY_REQUESTS: Final = 429
QUOTA_EXCEEDED: Final = "https://iana.org/assignments/http-problem-types#quota-exceeded"

_LARGEST: Final = 999_999_999_999_999  # of a Structured Field integer


def limit_fields(name: str, rules: Sequence[Rule], status: RateLimitStatus) -> Fields:
    """Return the fields of any response: what is promised, and what is left of it.

    "t" is when the limit is whole again or, after a refusal, when the same request would be admitted.
    """
    names = policy_names(name, rules)
    policies = [f"{_string(named)};{_promise(rule)}" for named, rule in zip(names, rules, strict=True)]
    until = status.reset_after if status.allowed else status.retry_after
    left = f"{_string(names[_binding(rules, status)])};r={status.remaining};t={_delay(until)}"
    return [("RateLimit-Policy", ", ".join(policies)), ("RateLimit", left)]


def refusal(name: str, rules: Sequence[Rule], status: RateLimitStatus, *, tell: bool) -> tuple[Fields, bytes]:
    """Return the fields and the body of a response with status 429.

    Args:
        name: the policy.
        rules: its limits.
        status: the decision.
        tell: whether to say more than when to come back.
    """
    body: dict[str, object] = {"title": "Too Many Requests", "status": TOO_MANY_REQUESTS}
    fields: Fields = []
    if tell:
        fields = limit_fields(name, rules, status)
        violated = policy_names(name, rules)[_binding(rules, status)]
        body = {"type": QUOTA_EXCEEDED, **body, "violated-policies": [violated]}
    content = json.dumps(body).encode()
    return [
        *fields,
        ("Retry-After", str(_delay(status.retry_after))),
        ("Content-Type", "application/problem+json"),
        ("Content-Length", str(len(content))),
    ], content


def policy_names(name: str, rules: Sequence[Rule]) -> list[str]:
    """Return what to call each of a limiter's limits: the limiter's name, numbered if there are several."""
    text = "".join(character if " " <= character <= "~" else "_" for character in name)
    return [text] if len(rules) == 1 else [f"{text}-{number}" for number in range(1, len(rules) + 1)]


def _binding(rules: Sequence[Rule], status: RateLimitStatus) -> int:
    """Return which limit the status speaks of; of two with the same amount, the one over the longer time."""
    return max(range(len(rules)), key=lambda index: (rules[index].limit == status.limit, rules[index].period))


def _string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _promise(rule: Rule) -> str:
    # Windows are whole seconds: what comes again within one is told as what a whole second brings.
    if rule.period < 1:
        return f"q={int(rule.rate)};w=1"
    return f"q={rule.limit};w={math.ceil(rule.period)}"


def _delay(seconds: float) -> int:
    return min(math.ceil(seconds), _LARGEST) if math.isfinite(seconds) else _LARGEST
