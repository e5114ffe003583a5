from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from spanguard.stack import health


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(int(self.path[1:]))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    """A server that answers with the status named by the path."""
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        serving.join()


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (204, True), (404, False), (500, False), (503, False)])
def test_only_success_is_healthy(url: str, status: int, healthy: bool) -> None:
    assert health.is_healthy(f"{url}/{status}") is healthy


def test_no_listener_is_not_healthy(url: str) -> None:
    assert not health.is_healthy("http://127.0.0.1:1/")


def test_a_proxy_of_the_environment_has_no_part_in_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    importlib.reload(health)

    assert health.is_healthy(f"{url}/200")
