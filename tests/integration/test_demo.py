"""The demonstration without servers: exit code 0 only if each step was really observed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from spanguard.testing import OtlpReceiver, Signals
from tge_monitor.demo import script
from tge_monitor.demo.local import LocalObserver
from tge_monitor.demo.screen import NotObservedError, Screen


def test_every_step_is_observed_and_told_plainly_in_a_pipe() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tge_monitor.demo"], capture_output=True, text=True, timeout=100, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    steps = [line for line in result.stdout.splitlines() if line.startswith("✓")]
    assert len(steps) == 10
    assert "consecutive failures (failures 5, threshold 5.0, last error tge_monitor.fetching.ServerFaultError" in (
        result.stdout
    )
    assert "── guard twitter_api" in result.stdout
    assert "── attempt twitter_api" in result.stdout
    assert "\x1b[" not in result.stdout


def test_without_signals_it_says_what_was_not_seen(
    monkeypatch: pytest.MonkeyPatch, otlp_receiver: OtlpReceiver
) -> None:
    monkeypatch.setattr(script, "FIRST_SIGNAL_TIMEOUT", 1.0)
    blind = script.Stage(otlp_receiver.endpoint, LocalObserver(Signals()))
    with pytest.raises(NotObservedError, match="not seen within 1 s: the first signal"):
        script.play(Screen(), blind)
