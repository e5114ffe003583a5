"""tge_monitor and its other ends as processes of their own, for tests that break one and ask the servers what happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

TWITTER = "/2/tweets/search/recent"
FEEDS = ("/feeds/rss", "/feeds/atom")

SERVICE = "tge_monitor_under_test"
"""Its own name in the servers, which other tests send to as well."""

# The limiter of the Twitter API is slower than the polls, on any machine, so that requests wait for it. A request that is
# not broken must not time out, however busy the machine is: it would count as a failure here and as a success there.
SETTINGS = {
    "OTEL_SERVICE_NAME": SERVICE,
    "TGE_PROFILE": "demo",
    "TGE_ENVIRONMENT": "testing",
    "TGE_TWITTER_INTERVAL": "0.15",
    "TGE_FEEDS_INTERVAL": "0.3",
    "TGE_DIGEST_INTERVAL": "1",
    "SPANGUARD_RATE_LIMITERS__TWITTER_API__RATE": "2",
    "SPANGUARD_TIMEOUTS__TWITTER_API__SECONDS": "10",
    "SPANGUARD_TIMEOUTS__NEWS_FEEDS__SECONDS": "1.5",
    "TGE_RECIPIENTS": "you@example.org",
    "TGE_PORT": "0",
    "OTEL_BSP_SCHEDULE_DELAY": "100",
    "OTEL_BLRP_SCHEDULE_DELAY": "100",
    "OTEL_METRIC_EXPORT_INTERVAL": "500",
}


class Monitored:
    """The running application.

    Attributes:
        api: the base URL of what it serves.
    """

    def __init__(self, process: subprocess.Popen[str], api: str, other_ends: str) -> None:
        self._process = process
        self._http = httpx.Client(timeout=30, trust_env=False)
        self.api = api
        self._other_ends = other_ends

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def break_paths(self, *paths: str, **fault: Any) -> None:
        """Answer requests for these paths with a fault from now on."""
        for path in paths:
            self._http.put(f"{self._other_ends}/_admin/faults", json={"path": path, **fault}).raise_for_status()

    def heal(self) -> None:
        """Answer everything well again."""
        self._http.delete(f"{self._other_ends}/_admin/faults").raise_for_status()

    def refuse_mail(self, answer: str) -> None:
        """Let the mail server answer every mail so from now on; an empty answer takes mails again."""
        self._http.put(f"{self._other_ends}/_admin/mail_answer", json={"answer": answer}).raise_for_status()

    def add_post(self, text: str) -> None:
        """Let somebody post."""
        self._http.post(f"{self._other_ends}/_admin/posts", json={"text": text}).raise_for_status()

    def mails_with(self, text: str) -> int:
        """How many of the mails that the mail server took have this text."""
        mails = self._http.get(f"{self._other_ends}/_admin/mails").json()
        return sum(text in json.dumps(mail) for mail in mails)

    def served(self) -> dict[str, dict[str, int]]:
        """What the other ends counted: requests by path and outcome."""
        answer = self._http.get(f"{self._other_ends}/_admin/served")
        return answer.json()  # type: ignore[no-any-return]

    def statuses_of(self, requests: int) -> dict[int, int]:
        """Ask the application's API so many times at once; how many got which status."""
        statuses: dict[int, int] = {}
        for _ in range(requests):
            status = self._http.get(f"{self.api}/api/announcements").status_code
            statuses[status] = statuses.get(status, 0) + 1
        return statuses

    def stop(self) -> int:
        """End the application as an operator does, with SIGTERM; returns its exit code."""
        self._process.terminate()
        return self._process.wait(30)


@contextmanager
def monitored(otlp_endpoint: str, directory: Path) -> Iterator[Monitored]:
    """Run the application and its other ends for the length of the block."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "TGE_", "SPANGUARD_"))}
    with _started([sys.executable, "-m", "tge_monitor.other_ends"], clean) as (_, ends):
        environment = {
            **clean,
            **ends["settings"],
            **SETTINGS,
            "TGE_DATABASE_URL": f"sqlite:///{directory / 'tge.db'}",
            "SPANGUARD_DEAD_LETTERS__MAIL_DIGEST__URL": f"sqlite:///{directory / 'letters.db'}",
            "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_endpoint,
        }
        with _started([sys.executable, "-m", "tge_monitor"], environment) as (process, said):
            running = Monitored(process, said["api"], ends["http"])
            yield running
            running.close()


@contextmanager
def _started(command: list[str], environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.terminate()
