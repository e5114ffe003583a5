"""What the tables of a profile hold: plain values, read once and never changed."""

from __future__ import annotations

from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator


class Section(BaseModel):
    """A table: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def given(self) -> dict[str, Any]:
        """Return what the table says itself, without the defaults."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class FailureRateSettings(Section):
    """`failure_rate`: the parameters of `spanguard.error_handling.FailureRate`."""

    threshold: float = 0.5
    minimum_calls: int = 10


class SlowCallSettings(Section):
    """`slow_call`: the parameters of `spanguard.error_handling.SlowCall`."""

    duration: float
    rate: float = 1.0
    minimum_calls: int = 10


class WindowSettings(Section):
    """`window`: the last `size` calls, or the calls of the last `seconds` seconds."""

    size: int | None = None
    seconds: float | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.size is None) == (self.seconds is None):
            raise ValueError("give either size (calls) or seconds, not both and not neither")
        return self


class BreakerSettings(Section):
    """One `[circuit_breakers.<name>]`: the parameters of `spanguard.error_handling.CircuitBreaker`, and its alert.

    `alert` is the severity of the application alert `DependencyUnavailable`, which stands from the breaker's opening
    until it is closed again; "none" raises none. `storage` is the URL of a `RedisBreakerStorage`, through which processes
    share the breaker; it may hold a password, so it is in no text of this object.
    """

    fail_max: int = 5
    reset_timeout: float = 60.0
    success_threshold: int = 1
    half_open_max_calls: int = 1
    probe_lease: float = 60.0
    failure_rate: FailureRateSettings | None = None
    slow_call: SlowCallSettings | None = None
    window: WindowSettings | None = None
    storage: SecretStr | None = None
    alert: Literal["critical", "warning", "info", "none"] = "critical"


class LimiterSettings(Section):
    """One `[rate_limiters.<name>]`: the parameters of the limiter for its strategy, and where it is kept.

    A token bucket takes `rate` and `burst`, a leaky bucket `rate` and `capacity`, a sliding window `limit` and `window`;
    any of them `limits` instead, such as "10/second; 1000/hour". `storage` is the URL of a server, through which processes
    share the limiter; it may hold a password, so it is in no text of this object.
    """

    strategy: Literal[
        "token_bucket", "leaky_bucket", "leaky_bucket_queue", "sliding_window_log", "sliding_window_estimate"
    ] = "token_bucket"
    rate: float | None = None
    burst: int | None = None
    capacity: int | None = None
    limit: int | None = None
    window: float | None = None
    limits: str | None = None
    storage: SecretStr | None = None
    storage_timeout: float = 0.05
    fallback_share: float | None = None
    max_waiters: int = 1000

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers of the one limit by their names; none if there are `limits`."""
        return {} if self.limits is not None else {name: getattr(self, name) for name in _NUMBERS[self.strategy]}

    @model_validator(mode="after")
    def _whole_and_without_contradiction(self) -> Self:
        wanted = () if self.limits is not None else _NUMBERS[self.strategy]
        given = [name for name in dict.fromkeys(sum(_NUMBERS.values(), ())) if getattr(self, name) is not None]
        problems = [
            f"{name} is missing; {self.strategy} takes {' and '.join(wanted)}" for name in wanted if name not in given
        ]
        taken = "limits alone" if self.limits is not None else f"{' and '.join(wanted)}, or limits"
        problems += [f"{name} has no place here; {self.strategy} takes {taken}" for name in given if name not in wanted]
        if self.storage is None:
            problems += [
                f"{name} has no meaning without storage; give the URL, or leave it out"
                for name in ("storage_timeout", "fallback_share")
                if name in self.model_fields_set
            ]
        if problems:
            raise ValueError("; ".join(problems))
        return self


_NUMBERS: Final[dict[str, tuple[str, ...]]] = {
    "token_bucket": ("rate", "burst"),
    "leaky_bucket": ("rate", "capacity"),
    "leaky_bucket_queue": ("rate", "capacity"),
    "sliding_window_log": ("limit", "window"),
    "sliding_window_estimate": ("limit", "window"),
}


class BudgetSettings(Section):
    """`budget` of a retry: the parameters of `spanguard.error_handling.RetryBudget`.

    Retries that name the same one share it; left out, it is the retry's own. Without `enabled` retries are free.
    """

    enabled: bool = True
    name: str = ""
    ratio: float = 0.2
    window: float = 10.0
    min_per_second: float = 3.0


class RetrySettings(Section):
    """One `[retries.<name>]`: the plain settings of `spanguard.error_handling.RetryConfig`."""

    max_attempts: int | None = 3
    base_delay: float = 0.1
    max_delay: float = 30.0
    multiplier: float = 2.0
    jitter: Literal["none", "full", "equal", "decorrelated"] = "full"
    timeout: float | None = None
    honor_retry_after: bool = True
    max_retry_after: float = 60.0
    budget: BudgetSettings = BudgetSettings()


class TimeoutSettings(Section):
    """One `[timeouts.<name>]`: the seconds that a call, or one attempt of it, has."""

    seconds: float


class BulkheadSettings(Section):
    """One `[bulkheads.<name>]`: the parameters of `spanguard.error_handling.Bulkhead`."""

    limit: int
    queue: int = 0
    max_wait: float | None = None


class DeadLetterSettings(Section):
    """One `[dead_letters.<name>]`: the parameters of `spanguard.error_handling.DeadLetterQueue`.

    The URL may hold a password, so it is in no text of this object.
    """

    url: SecretStr = SecretStr("sqlite:///dead_letters.db")
    max_payload_bytes: int = 262_144
    max_replays: int = 5
    replay_backoff: float = 60.0
    max_replay_backoff: float = 3600.0
    lease: float = 60.0
    handler_timeout: float | None = None
    max_age: float | None = 30 * 86_400.0
    max_letters: int | None = 100_000
    keep_error_messages: bool = False


class GuardSettings(Section):
    """One `[guards.<name>]`: which policies a guard is made of.

    Each is the name of a policy of the section for it, or "none"; left out, it is the policy that bears the guard's own
    name, if there is one. `deadline` is seconds for the whole call, `max_wait` seconds for which a call may wait
    for the rate limiter (0: it is refused at once).
    """

    rate_limiter: str | None = None
    bulkhead: str | None = None
    retry: str | None = None
    circuit_breaker: str | None = None
    timeout: str | None = None
    dead_letter: str | None = None
    deadline: float | None = None
    max_wait: float = 0.0


class AlertSettings(Section):
    """`[alerts]`: how often a standing alert is sent again, and where runbooks are found."""

    resend_interval: float = 60.0
    runbook_url: str = "https://github.com/spanguard/spanguard/blob/main/docs/runbooks/{name}.md"
