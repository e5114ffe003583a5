"""A real fault in a real application, from the socket to Jaeger, Prometheus, VictoriaLogs and Alertmanager, and over again."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from stack.monitored import FEEDS, SERVICE, TWITTER, Monitored, monitored
from stack.panels import empty_panels
from stack.servers import Servers, awaited

DASHBOARDS = Path(__file__).parents[2] / "grafana" / "json"
STATE_CHANGE = "spanguard.circuit_breaker.state_change"
STORED, REPLAYED = "spanguard.dead_letter.stored", "spanguard.dead_letter.replayed"
OUTCOME = '"spanguard.dead_letter.outcome"'
POST = "TGE of the day that no mail server took at first"
APP = f'service_name="{SERVICE}"'
LOGGED = f'"service.name":="{SERVICE}"'

pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True, slots=True)
class Outage:
    """What the servers said of one outage, while it lasted and when it was over."""

    opened: dict[str, str]
    trace: list[dict[str, Any]]
    application_alert: dict[str, Any]
    rule_alert: dict[str, Any]
    closed: dict[str, str]


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the servers said of a dead letter: the events of its storing and its replay, and the trace of the latter."""

    stored: dict[str, str]
    replayed: dict[str, str]
    trace: list[dict[str, Any]]


@pytest.fixture(scope="module")
def app(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    with monitored(servers.endpoints.otlp_http, tmp_path_factory.mktemp("tge")) as running:
        awaited(lambda: running.served().get(TWITTER, {}).get("200"))
        yield running


@pytest.fixture(scope="module")
def storm(app: Monitored, servers: Servers) -> Outage:
    """Every request for posts is answered with 503, until it is healed."""
    app.break_paths(TWITTER, kind="status", status=503)
    return _outage(app, servers, "twitter_api")


@pytest.fixture(scope="module")
def slowness(app: Monitored, servers: Servers) -> Outage:
    """Every feed answers later than the application waits, until it is healed."""
    app.break_paths(*FEEDS, kind="delay", seconds=5.0)
    return _outage(app, servers, "news_feeds")


@pytest.fixture(scope="module")
def overrun(app: Monitored, servers: Servers) -> dict[int, int]:
    """Somebody asks the API much more often than its limiter allows; what the answers were."""
    statuses = app.statuses_of(400)
    awaited(lambda: _firing(servers, "RateLimiterBlocking", "api_endpoints"))
    return statuses


@pytest.fixture(scope="module")
def refusal(app: Monitored, servers: Servers) -> Refusal:
    """The mail server refuses a digest until its dead letter was seen; then the letter is replayed."""
    app.refuse_mail("451 try again later")
    app.add_post(POST)
    stored = awaited(lambda: servers.logsql(f'event_name:="{STORED}" AND {LOGGED}'))[0]
    awaited(lambda: servers.promql(f"spanguard_dead_letter_queue_size{{{APP}}} > 0"))
    awaited(lambda: servers.promql(f"spanguard_dead_letter_queue_oldest_age_seconds{{{APP}}} > 0"))
    app.refuse_mail("")
    replayed = awaited(lambda: servers.logsql(f'event_name:="{REPLAYED}" AND {LOGGED} AND {OUTCOME}:="replayed"'))[0]
    awaited(lambda: servers.promql(f"spanguard_dead_letter_queue_size{{{APP}}} == 0"))
    return Refusal(stored, replayed, awaited(lambda: _whole_trace(servers, replayed["trace_id"])))


@pytest.fixture(scope="module")
def policies(servers: Servers) -> Iterator[None]:
    """A program uses the policies that the application does not."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name("error_handling_program.py")],
        env={**environment, "OTEL_EXPORTER_OTLP_ENDPOINT": servers.endpoints.otlp_http},
        stdin=subprocess.PIPE,
    ) as program:
        yield
        program.communicate(timeout=60)
    assert program.returncode == 0


@pytest.fixture(scope="module")
def walk(
    storm: Outage,
    slowness: Outage,
    overrun: dict[int, int],
    refusal: Refusal,
    policies: None,
    servers: Servers,
) -> list[str]:
    """The panels that stay without an answer for any service, after all four faults and before the end."""
    ends = servers.endpoints
    empty: list[str] = []

    def filled() -> bool:
        empty[:] = empty_panels(
            DASHBOARDS,
            prometheus=ends.prometheus,
            victorialogs=ends.victorialogs,
            jaeger=ends.jaeger,
            alertmanager=ends.alertmanager,
        )
        return not empty

    with contextlib.suppress(AssertionError):
        awaited(filled)
    return empty


@pytest.fixture(scope="module")
def served(app: Monitored, walk: list[str]) -> dict[str, dict[str, int]]:
    """What the other ends counted in all, once the application has ended and exported its last."""
    assert app.stop() == 0
    return app.served()


def test_the_event_of_the_storm_says_why_the_breaker_opened(storm: Outage) -> None:
    assert storm.opened["spanguard.circuit_breaker.reason"] == "consecutive_failures"
    assert storm.opened["spanguard.circuit_breaker.failure.count"] == "5"
    assert storm.opened["spanguard.circuit_breaker.threshold"] == "5"
    assert storm.opened["spanguard.circuit_breaker.retry_after"] == "4"
    assert storm.opened["error.type"] == "tge_monitor.fetching.ServerFaultError"
    assert storm.opened["service.name"] == SERVICE


def test_the_event_of_the_slowness_names_the_timeout(slowness: Outage) -> None:
    assert slowness.opened["spanguard.circuit_breaker.reason"] == "consecutive_failures"
    assert slowness.opened["spanguard.circuit_breaker.failure.count"] == "10"
    assert slowness.opened["error.type"] == "spanguard.error_handling.timeout.CallTimeoutError"


def test_the_trace_of_the_storm_has_one_guard_span_under_the_poll_and_over_its_attempts(storm: Outage) -> None:
    spans = {span["name"]: span for span in storm.trace}
    poll, guard, attempt = spans["poll twitter_api"], spans["guard twitter_api"], spans["attempt twitter_api"]
    assert (guard["parentSpanId"], attempt["parentSpanId"]) == (poll["spanId"], guard["spanId"])
    assert [span["name"] for span in storm.trace].count("guard twitter_api") == 1
    requests = [span["parentSpanId"] for span in storm.trace if span["name"] == "GET"]
    assert sorted(requests) == sorted([guard["spanId"], attempt["spanId"]])


def test_the_guard_span_of_the_storm_carries_what_each_policy_made_of_the_call(storm: Outage) -> None:
    (guard,) = [span for span in storm.trace if span["name"] == "guard twitter_api"]
    attributes = {pair["key"]: next(iter(pair["value"].values())) for pair in guard["attributes"]}
    del attributes["internal.span.format"]  # Jaeger's own
    assert float(attributes.pop("spanguard.guard.time_in_queue")) >= 0
    assert attributes == {
        "spanguard.policy.name": "twitter_api",
        "spanguard.outcome": "success",
        "spanguard.circuit_breaker.state": "closed",
        "spanguard.circuit_breaker.outcome": "failure",
        "spanguard.retry.attempt.count": "2",
        "spanguard.retry.reason": "not_retryable",
        "spanguard.degradation.source": "stale",
    }
    assert guard["status"].get("code") not in (2, "STATUS_CODE_ERROR")


def test_the_trace_of_the_slowness_shows_the_requests_that_were_given_up(slowness: Outage) -> None:
    spans = {span["name"]: span for span in slowness.trace}
    guard = spans["guard news_feeds"]
    assert guard["parentSpanId"]
    assert guard["spanId"] in {span["parentSpanId"] for span in slowness.trace if span["name"] == "GET"}


@pytest.mark.parametrize("outage", ["storm", "slowness"])
def test_the_alert_leads_to_the_trace_of_the_call_that_opened_the_breaker(
    outage: str, request: pytest.FixtureRequest
) -> None:
    seen: Outage = request.getfixturevalue(outage)
    link = seen.application_alert["annotations"]["trace_url"]
    assert link.endswith(f"/trace/{seen.opened['trace_id']}")
    assert httpx.get(link, trust_env=False).status_code == httpx.codes.OK


def test_both_alerts_of_the_storm_bear_the_same_names(storm: Outage) -> None:
    application, rule = storm.application_alert["labels"], storm.rule_alert["labels"]
    assert application["severity"] == rule["severity"] == "critical"
    assert application["service_name"] == rule["service_name"] == SERVICE
    assert application["deployment_environment"] == rule["deployment_environment"] == "testing"
    assert application["spanguard_policy_name"] == rule["spanguard_policy_name"] == "twitter_api"


@pytest.mark.parametrize("outage", ["storm", "slowness"])
def test_after_recovery_the_breaker_closed_because_its_probes_succeeded(
    outage: str, request: pytest.FixtureRequest
) -> None:
    seen: Outage = request.getfixturevalue(outage)
    assert seen.closed["spanguard.circuit_breaker.reason"] == "success_threshold_reached"


def test_every_request_for_posts_is_one_call_with_the_right_outcome(
    servers: Servers, served: dict[str, dict[str, int]]
) -> None:
    counted = served[TWITTER]
    assert _total(servers, "failure", "twitter_api", counted["503"]) == counted["503"] >= 5
    assert _total(servers, "success", "twitter_api", counted["200"]) == counted["200"] >= 2


def test_every_request_for_a_feed_is_one_call_with_the_right_outcome(
    servers: Servers, served: dict[str, dict[str, int]]
) -> None:
    late = sum(served[path]["delay"] for path in FEEDS)
    good = sum(served[path]["200"] for path in FEEDS)
    assert _total(servers, "failure", "news_feeds", late) == late >= 10
    assert _total(servers, "success", "news_feeds", good) == good


@pytest.mark.parametrize("policy", ["twitter_api", "news_feeds"])
def test_the_attempts_add_up_to_the_requests_and_the_refusals_of_the_breaker(
    servers: Servers, served: dict[str, dict[str, int]], policy: str
) -> None:
    paths = [TWITTER] if policy == "twitter_api" else FEEDS
    requests = sum(sum(served[path].values()) for path in paths)
    of_policy = f'{APP},spanguard_policy_name="{policy}"'
    at_once = f'spanguard_retry_calls_total{{{of_policy},spanguard_retry_outcome="success_without_retry"}}'
    refused = f'spanguard_circuit_breaker_calls_total{{{of_policy},spanguard_circuit_breaker_outcome="rejected"}}'
    attempts = f"sum({at_once}) + sum(spanguard_retry_attempts_sum{{{of_policy}}}) - (sum({refused}) or vector(0))"
    assert _settled(servers, attempts, requests) == requests


def test_every_call_for_posts_was_answered_by_itself_or_by_the_last_good_posts(
    servers: Servers, served: dict[str, dict[str, int]]
) -> None:
    query = f'sum(spanguard_degradation_answers_total{{{APP},spanguard_policy_name="twitter_api",spanguard_degradation_source="%s"}})'
    assert _settled(servers, query % "primary", served[TWITTER]["200"]) == served[TWITTER]["200"]
    assert _settled(servers, query % "stale", 1) > 0
    assert servers.promql(query % "none") == []


def test_a_refused_digest_is_one_letter_that_was_replayed_in_a_trace_linked_to_its_own(
    servers: Servers, served: dict[str, dict[str, int]], refusal: Refusal
) -> None:
    (replay,) = [span for span in refusal.trace if span["name"] == "replay mail_digest"]
    assert [link["traceId"] for link in replay["links"]] == [refusal.stored["trace_id"]]
    query = f"sum(spanguard_dead_letter_messages_total{{{APP},spanguard_dead_letter_outcome='%s'}})"
    assert _settled(servers, query % "stored", 1) == _settled(servers, query % "replayed", 1) == 1


def test_the_digest_that_was_refused_came_once(app: Monitored, refusal: Refusal) -> None:
    assert app.mails_with(POST) == 1


def test_an_open_breaker_refused_calls_that_never_reached_the_endpoint(
    servers: Servers, served: dict[str, dict[str, int]]
) -> None:
    assert _calls(servers, "rejected", "twitter_api") > 0


def test_every_refused_api_request_is_one_rejected_permit(
    servers: Servers, served: dict[str, dict[str, int]], overrun: dict[int, int]
) -> None:
    query = f'sum(spanguard_rate_limiting_requests_total{{{APP},spanguard_policy_name="api_endpoints",spanguard_rate_limiting_result="%s"}})'
    assert set(overrun) == {200, 429}
    assert _settled(servers, query % "rejected", overrun[429]) == overrun[429]
    assert _settled(servers, query % "acquired", overrun[200]) == overrun[200]


def test_a_rejection_is_an_event_without_the_key(servers: Servers, overrun: dict[int, int]) -> None:
    query = f'event_name:="spanguard.rate_limiting.rejected" AND {LOGGED} AND "spanguard.policy.name":="api_endpoints"'
    records = awaited(lambda: servers.logsql(query))
    assert records[0]["spanguard.rate_limiting.result"] == "rejected"
    assert float(records[0]["spanguard.rate_limiting.retry_after"]) > 0


def test_the_alert_of_the_overrun_clears_when_the_storm_of_requests_is_over(
    servers: Servers, served: dict[str, dict[str, int]]
) -> None:
    assert awaited(lambda: not _firing(servers, "RateLimiterBlocking", "api_endpoints"), seconds=120)


def test_the_wait_for_a_permit_is_in_the_histogram_with_its_trace(servers: Servers, storm: Outage) -> None:
    exemplar = awaited(
        lambda: servers.exemplars(f"spanguard_rate_limiting_request_time_in_queue_seconds_bucket{{{APP}}}")
    )[0]
    assert awaited(lambda: servers.trace(exemplar["labels"]["trace_id"]))


def test_no_panel_of_any_dashboard_is_empty(walk: list[str]) -> None:
    assert walk == []


def _outage(app: Monitored, servers: Servers, policy: str) -> Outage:
    opened = awaited(lambda: _transition(servers, policy, "open"))
    trace = awaited(lambda: _whole_trace(servers, opened["trace_id"]))
    application_alert = awaited(lambda: _firing(servers, "DependencyUnavailable", policy))
    rule_alert = awaited(lambda: _firing(servers, "CircuitBreakerOpen", policy))
    app.heal()
    closed = awaited(lambda: _transition(servers, policy, "closed"))
    awaited(lambda: not _firing(servers, "DependencyUnavailable", policy))
    awaited(lambda: not _firing(servers, "CircuitBreakerOpen", policy))
    return Outage(opened, trace, application_alert, rule_alert, closed)


def _transition(servers: Servers, policy: str, to: str) -> dict[str, str] | None:
    records = servers.logsql(
        f'event_name:="{STATE_CHANGE}" AND {LOGGED} AND "spanguard.policy.name":="{policy}" '
        f'AND "spanguard.circuit_breaker.transition.to":="{to}" | sort by (_time) | limit 1'
    )
    return records[0] if records else None


def _whole_trace(servers: Servers, trace_id: str) -> list[dict[str, Any]] | None:
    spans = servers.trace(trace_id)
    return spans if any(not span.get("parentSpanId") for span in spans) else None


def _firing(servers: Servers, name: str, policy: str) -> dict[str, Any] | None:
    for alert in servers.alerts(name):
        labels = alert["labels"]
        if (labels["service_name"], labels.get("spanguard_policy_name")) == (SERVICE, policy):
            return alert
    return None


def _calls(servers: Servers, outcome: str, policy: str) -> float:
    query = (
        f'sum(spanguard_circuit_breaker_calls_total{{{APP},spanguard_policy_name="{policy}",'
        f'spanguard_circuit_breaker_outcome="{outcome}"}})'
    )
    series = servers.promql(query)
    return float(series[0]["value"][1]) if series else 0.0


def _total(servers: Servers, outcome: str, policy: str, expected: int) -> float:
    """The counter once it has arrived: it only grows, so waiting cannot hide a count too many."""
    awaited(lambda: _calls(servers, outcome, policy) >= expected)
    return _calls(servers, outcome, policy)


def _settled(servers: Servers, query: str, expected: int) -> float:
    series = awaited(lambda: [one for one in servers.promql(query) if float(one["value"][1]) >= expected])
    return float(series[0]["value"][1])
