"""The demonstration on the real servers: everything it shows was fetched back from them."""

from __future__ import annotations

from contextlib import closing

import pytest

from stack.servers import Servers
from tge_monitor.demo.screen import Screen
from tge_monitor.demo.script import Stage, play
from tge_monitor.demo.servers import ServerObserver


@pytest.mark.timeout(300)
def test_every_step_is_fetched_back_from_the_servers(servers: Servers, capsys: pytest.CaptureFixture[str]) -> None:
    ends = servers.endpoints
    with closing(ServerObserver(ends)) as observer:
        play(Screen(), Stage(ends.otlp_http, observer))
    shown = capsys.readouterr().out
    assert f"{ends.jaeger}/trace/" in shown
    assert "PromQL  spanguard_circuit_breaker_calls_total{" in shown
    assert 'LogsQL  event_name:="spanguard.circuit_breaker.state_change"' in shown
    assert f"{ends.alertmanager}/#/alerts?filter=" in shown
