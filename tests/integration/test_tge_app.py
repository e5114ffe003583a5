"""The application as its own process: started, asked, ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
from sqlalchemy.engine import URL

from spanguard import semconv
from spanguard.testing import OtlpReceiver
from tge_monitor.other_ends import Fault, FaultKind, OtherEnds
from tge_monitor.other_ends.content import TWITTER_PATH

DEADLINE = 30.0
NO_TELEMETRY = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}


class Server(Protocol):
    """A server that can be stopped and started."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


class App:
    """A running `python -m tge_monitor`."""

    def __init__(self, environment: dict[str, str]) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "TGE_", "SPANGUARD_"))}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tge_monitor"],
            env={**clean, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.log: list[str] = []
        self._reader = threading.Thread(target=self.log.extend, args=(self.process.stderr,), daemon=True)
        self._reader.start()
        first = self.process.stdout.readline()
        self.url = json.loads(first)["api"] if first else ""

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(self.url + path, timeout=10, **options)

    def wait_for(self, condition: Callable[[dict[str, Any]], Any], what: str) -> None:
        """Ask for the status until the condition holds."""
        deadline = time.monotonic() + DEADLINE
        while not condition(self.get("/status").json()):
            assert time.monotonic() < deadline, what
            threading.Event().wait(0.05)

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(DEADLINE)
        self._reader.join(DEADLINE)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()
        return code


Start = Callable[..., App]


@pytest.fixture
def start(other_ends: OtherEnds, otlp_receiver: OtlpReceiver, tmp_path: Path) -> Iterator[Start]:
    """Start the application against the other ends, its telemetry going to the receiver."""
    started: list[App] = []

    def run(**environment: str) -> App:
        settings = {
            **other_ends.settings(),
            "TGE_PROFILE": "demo",
            "TGE_PORT": "0",
            "TGE_DATABASE_URL": f"sqlite:///{tmp_path / 'tge.db'}",
            "TGE_TWITTER_INTERVAL": "0.2",
            "TGE_FEEDS_INTERVAL": "0.5",
            "TGE_DIGEST_INTERVAL": "0.3",
            "TGE_RECIPIENTS": "desk@example.com",
            "SPANGUARD_DEAD_LETTERS__MAIL_DIGEST__URL": f"sqlite:///{tmp_path / 'letters.db'}",
            "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_receiver.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_BLRP_SCHEDULE_DELAY": "100",
            "OTEL_METRIC_EXPORT_INTERVAL": "200",
        }
        started.append(App(settings | environment))
        return started[-1]

    yield run
    for app in started:
        app.end(signal.SIGKILL)


def breaker(status: dict[str, Any], name: str = "twitter_api") -> Any:
    return status["system"]["circuit_breakers"][name]


def test_it_finds_stores_and_mails_what_is_announced(start: Start, other_ends: OtherEnds) -> None:
    app = start()
    app.wait_for(lambda s: s["announcements"] == {"stored": 7, "unmailed": 0}, "seven announcements are mailed")
    answer = app.get("/api/announcements", params={"source": "rss"}).json()
    assert [one["title"] for one in answer["announcements"]] == [
        "Acme Protocol sets the date of its TGE",
        "Nimbus Labs opens token sale registration",
    ]
    assert app.end() == 0
    mailed = "".join(mail.text for mail in other_ends.mailbox.mails())
    assert mailed.count("Acme Protocol confirms its token generation event") == 1


def test_it_lives_and_is_ready(start: Start) -> None:
    app = start()
    assert (app.get("/livez").status_code, app.get("/readyz").status_code) == (200, 200)
    assert app.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_well_when_asked_to(start: Start, number: int) -> None:
    app = start()
    app.wait_for(lambda s: s["rounds"]["twitter_api"]["rounds"], "the first round ended")
    assert app.end(number) == 0
    assert not [line for line in app.log if "Traceback" in line]


def test_a_round_under_way_is_ended_before_it_stops(start: Start, other_ends: OtherEnds, tmp_path: Path) -> None:
    other_ends.http.faults.break_path(TWITTER_PATH, Fault(FaultKind.DELAY, seconds=1.0))
    app = start(TGE_FEEDS="")
    deadline = time.monotonic() + DEADLINE
    while not other_ends.http.count_of(TWITTER_PATH, "delay"):
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)
    assert app.end() == 0
    with sqlite3.connect(tmp_path / "tge.db") as connection:
        assert connection.execute("SELECT count(*) FROM announcements").fetchone() == (3,)
    connection.close()


def test_nothing_is_stored_or_mailed_twice_over_a_restart(start: Start, other_ends: OtherEnds) -> None:
    first = start()
    first.wait_for(lambda s: s["announcements"] == {"stored": 7, "unmailed": 0}, "all are mailed")
    assert first.end() == 0
    other_ends.http.content.add_post("One more TGE")
    second = start()
    second.wait_for(lambda s: s["announcements"] == {"stored": 8, "unmailed": 0}, "the new one is mailed")
    assert second.end() == 0
    text = "".join(mail.text for mail in other_ends.mailbox.mails())
    assert (text.count("One more TGE"), text.count("Acme Protocol confirms")) == (1, 1)


def test_killed_without_warning_it_goes_on_where_it_was(start: Start, other_ends: OtherEnds) -> None:
    other_ends.mailbox.refuse_with("451 later")
    first = start()
    first.wait_for(lambda s: s["announcements"] == {"stored": 7, "unmailed": 7}, "all are stored")
    first.end(signal.SIGKILL)
    other_ends.mailbox.refuse_with("")
    second = start()
    second.wait_for(lambda s: s["announcements"] == {"stored": 7, "unmailed": 0}, "all are mailed")
    assert second.end() == 0
    assert [mail.subject for mail in other_ends.mailbox.mails()] == ["7 token announcements"]


def test_a_storm_is_seen_from_the_breaker_to_the_alert_and_clears(
    start: Start, other_ends: OtherEnds, otlp_receiver: OtlpReceiver
) -> None:
    other_ends.http.faults.break_path(TWITTER_PATH, Fault(FaultKind.STATUS, status=503))
    app = start()
    app.wait_for(lambda s: breaker(s)["rejected"] >= 3, "the open breaker refuses calls")
    status = app.get("/status").json()
    assert breaker(status)["state"] == "open"
    assert breaker(status)["failure"] == 5 == other_ends.http.count_of(TWITTER_PATH, "503")
    assert [alert["labels"] for alert in status["system"]["alerts"]] == [{"spanguard_policy_name": "twitter_api"}]

    other_ends.http.faults.heal()
    app.wait_for(lambda s: breaker(s)["state"] == "closed", "the breaker closes again")
    app.wait_for(lambda s: not s["system"]["alerts"], "the alert is resolved")
    assert app.end() == 0

    signals = otlp_receiver.signals
    opened, *_ = signals.events(semconv.BREAKER_STATE_CHANGE_EVENT.name)
    assert opened.attributes[semconv.BREAKER_REASON.key] == "consecutive_failures"
    (root,) = [s for s in signals.spans("poll twitter_api") if s.trace_id == opened.trace_id]
    (guarded,) = [s for s in signals.spans("guard twitter_api") if s.trace_id == opened.trace_id]
    assert guarded.parent_id == root.span_id
    failures = {semconv.POLICY_NAME.key: "twitter_api", semconv.BREAKER_OUTCOME.key: "failure"}
    served = other_ends.http.faults.served()[TWITTER_PATH]
    assert signals.value(semconv.BREAKER_CALLS_METRIC.name, failures) == served["503"]
    successes = failures | {semconv.BREAKER_OUTCOME.key: "success"}
    assert signals.value(semconv.BREAKER_CALLS_METRIC.name, successes) == served["200"]
    states = [event.attributes[semconv.ALERT_STATE.key] for event in signals.events(semconv.ALERT_EVENT.name)]
    assert (states[0], states[-1]) == ("firing", "resolved")


def test_too_many_requests_are_told_when_to_come_back(start: Start, otlp_receiver: OtlpReceiver) -> None:
    app = start(SPANGUARD_RATE_LIMITERS__API_ENDPOINTS__RATE="0.1", SPANGUARD_RATE_LIMITERS__API_ENDPOINTS__BURST="3")
    answers = [app.get("/api/announcements") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 10
    assert app.get("/livez").status_code == 200
    assert app.get("/status").json()["system"]["rate_limiters"]["api_endpoints"]["rejected"] == 2
    assert app.end() == 0
    rejected = [
        event
        for event in otlp_receiver.signals.events(semconv.LIMITER_REJECTED_EVENT.name)
        if event.attributes[semconv.POLICY_NAME.key] == "api_endpoints"
    ]
    requests = {span.trace_id: span for span in otlp_receiver.signals.spans("GET /api/announcements")}
    assert len(rejected) == 2
    assert [requests[event.trace_id].attributes["http.response.status_code"] for event in rejected] == [429, 429]


def test_the_trace_of_the_client_goes_on_in_the_application(start: Start, otlp_receiver: OtlpReceiver) -> None:
    app = start()
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    app.get("/api/announcements", headers={"traceparent": f"00-{trace}-{parent}-01"})
    assert app.end() == 0
    (span,) = otlp_receiver.signals.spans("GET /api/announcements")
    assert (span.trace_id, span.parent_id, span.kind) == (trace, parent, "server")


def test_a_search_that_looks_like_an_attack_is_answered_and_told(start: Start, otlp_receiver: OtlpReceiver) -> None:
    app = start()
    answer = app.get("/api/announcements?q=%27%20OR%201%3D1%20--%20")
    assert (answer.status_code, answer.json()["announcements"]) == (200, [])
    assert app.end() == 0
    (request,) = otlp_receiver.signals.spans("GET /api/announcements")
    (event,) = otlp_receiver.signals.events(semconv.VALIDATION_THREAT_EVENT.name)
    assert event.trace_id == request.trace_id
    assert event.attributes[semconv.VALIDATION_FAMILIES.key] == "sql_injection"
    assert "OR 1" not in repr(event)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("limit=0", "limit must be a whole number from 1 to 200"),
        ("limit=201", "limit must be a whole number from 1 to 200"),
        ("limit=%D9%A3", "limit must be a whole number from 1 to 200"),
        ("before=x", "before must be a whole number from 1 to 2147483647"),
        ("q=%00", "q must be 1 to 100 printable characters"),
        ("q=", "q must be 1 to 100 printable characters"),
        ("page=2", "unknown parameter; known are before, limit, q, source"),
    ],
)
def test_a_wrong_parameter_is_told(ask: Callable[[str], httpx.Response], query: str, told: str) -> None:
    answer = ask(f"/api/announcements?{query}")
    assert (answer.status_code, answer.json()) == (400, {"error": told})


def test_pages_lead_to_each_other(ask: Callable[[str], httpx.Response]) -> None:
    first = ask("/api/announcements?limit=4").json()
    second = ask(f"/api/announcements?limit=4&before={first['next_before']}").json()
    ids = [one["id"] for one in first["announcements"] + second["announcements"]]
    assert (len(ids), ids, second["next_before"]) == (7, sorted(ids, reverse=True), None)


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], httpx.Response]]:
    """Ask one application that has found all seven announcements; it serves every test of this module."""
    with OtherEnds() as ends:
        settings = {
            **ends.settings(),
            "TGE_PORT": "0",
            "TGE_DATABASE_URL": f"sqlite:///{tmp_path_factory.mktemp('db') / 'tge.db'}",
        }
        app = App(settings | NO_TELEMETRY)
        app.wait_for(lambda s: s["announcements"]["stored"] == 7, "seven announcements are stored")
        yield app.get
        assert app.end() == 0


def test_the_database_away_is_503_and_not_ready(start: Start, tmp_path: Path) -> None:
    app = start(SPANGUARD_CIRCUIT_BREAKERS__DATABASE__RESET_TIMEOUT="60")
    with sqlite3.connect(tmp_path / "tge.db") as connection:
        connection.execute("DROP TABLE announcements")
    connection.close()
    app.wait_for(lambda s: breaker(s, "database")["state"] == "open", "the breaker opens")
    answer = app.get("/api/announcements")
    assert (answer.status_code, answer.json()) == (503, {"error": "the database is away"})
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert app.get("/status").json()["announcements"] is None
    assert app.end() == 0


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_an_outage_of_the_database_is_survived_and_nothing_is_lost(
    start: Start, other_ends: OtherEnds, database: URL, postgresql_server: Server
) -> None:
    app = start(TGE_DATABASE_URL=database.render_as_string(hide_password=False))
    app.wait_for(lambda s: s["announcements"] == {"stored": 7, "unmailed": 0}, "all are mailed")
    postgresql_server.stop()
    try:
        other_ends.http.content.add_post("A TGE in the dark")
        app.wait_for(lambda s: breaker(s, "database")["state"] == "open", "the breaker opens")
        assert app.get("/readyz").status_code == 503
        assert app.get("/livez").status_code == 200
    finally:
        postgresql_server.start()
    app.wait_for(lambda s: s["announcements"] == {"stored": 8, "unmailed": 0}, "the new one is stored and mailed")
    app.wait_for(lambda s: breaker(s, "database")["state"] == "closed", "the breaker closes")
    assert app.get("/readyz").status_code == 200
    assert app.end() == 0
    text = "".join(mail.text for mail in other_ends.mailbox.mails())
    assert (text.count("A TGE in the dark"), text.count("Acme Protocol confirms")) == (1, 1)


def run_to_end(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "TGE_", "SPANGUARD_"))}
    return subprocess.run(
        [sys.executable, "-m", "tge_monitor"],
        env={**clean, **NO_TELEMETRY, "TGE_FEEDS": "a=http://127.0.0.1:1/", **environment},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"TGE_PORT": "-1"}, "TGE_PORT is '-1'"),
        ({"TGE_HOST": "192.0.2.1"}, "TGE_HOST 192.0.2.1 with TGE_PORT 8080 cannot be used"),
        ({"TGE_PROFILE": "demoo"}, "profile 'demoo' is not known"),
        (
            {"TGE_DATABASE_URL": "sqlite:////no/such/folder/tge.db", "TGE_PORT": "0"},
            "TGE_DATABASE_URL is sqlite:////no/such/folder/tge.db: the database cannot be used",
        ),
    ],
)
def test_what_is_wrong_is_one_message_and_exit_code_2(environment: dict[str, str], told: str) -> None:
    result = run_to_end(environment)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"tge_monitor: {told}")
    assert "Traceback" not in result.stderr


def test_a_taken_port_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run_to_end({"TGE_PORT": str(port)})
    assert result.returncode == 2
    assert result.stderr.startswith(
        f"tge_monitor: TGE_HOST 127.0.0.1 with TGE_PORT {port} cannot be used: Address already"
    )


def test_the_other_ends_run_as_a_program() -> None:
    process = subprocess.Popen([sys.executable, "-m", "tge_monitor.other_ends"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        where = json.loads(process.stdout.readline())
        fault = {"path": "/feeds/rss", "kind": "status", "status": 500, "times": 1}
        assert httpx.put(f"{where['http']}/_admin/faults", json=fault).json() == {"/feeds/rss": "500"}
        assert [httpx.get(f"{where['http']}/feeds/rss").status_code for _ in range(2)] == [500, 200]
        assert httpx.get(f"{where['http']}/_admin/served").json() == {"/feeds/rss": {"500": 1, "200": 1}}
        assert httpx.put(f"{where['http']}/_admin/faults", json={"path": "/x", "kind": "fire"}).status_code == 400
        socket.create_connection(("127.0.0.1", where["smtp_port"]), timeout=5).close()
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
