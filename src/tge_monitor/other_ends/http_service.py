"""The HTTP service: posts and feeds, broken on demand down to the bytes on the wire.

It stands on the standard library's server, since a reset and a body cut short need the socket itself.

    GET  /2/tweets/search/recent, /feeds/<name>     what it serves
    PUT  /_admin/faults      {"path": "/feeds/rss", "kind": "status", "status": 503, "times": 5}
    DELETE /_admin/faults    answer well again
    GET  /_admin/served      requests by path and outcome
    POST /_admin/posts       {"text": "..."}
    POST /_admin/entries     {"title": "...", "summary": "..."}
    GET  /_admin/mails       what the mail server took
    PUT  /_admin/mail_answer {"answer": "451 try again"}, or "" to take mails again
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlsplit

from tge_monitor.other_ends.content import BEARER_TOKEN, TWITTER_PATH, Content
from tge_monitor.other_ends.faults import OK, Fault, FaultBoard, FaultKind
from tge_monitor.other_ends.mailbox import Mailbox

_ADMIN: Final = "/_admin/"
_CHUNK: Final = 65_536
_GARBAGE: Final = b"\x00\xff<<<&&& not what it says \xfe"


class HttpService:
    """The service on loopback, in threads of this process. Use it as a context manager.

    Attributes:
        content: what is served.
        faults: what is broken, and what was served.
        url: where it is, without a path.

    Args:
        mailbox: the mail server that the admin endpoints speak of, if there is one.
        port: 0 for a free one.
    """

    def __init__(self, mailbox: Mailbox | None = None, port: int = 0) -> None:
        self.content = Content()
        self.faults = FaultBoard()
        self.mailbox = mailbox
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", port), _handler_for(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        """Start to serve."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, let go whoever is being delayed, and free the port."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def count_of(self, path: str, outcome: str = OK) -> int:
        """Return how many requests for a path had this outcome."""
        return self.faults.served().get(path, {}).get(outcome, 0)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet: a client that gave up is what half of the tests are about."""


def _handler_for(service: HttpService) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        other_end = service

    return Handler


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    other_end: HttpService

    def do_GET(self) -> None:
        if self.path.startswith(_ADMIN):
            self._administer()
            return
        path = urlsplit(self.path).path
        fault = self.other_end.faults.next_fault(path)
        if fault is None:
            self._serve(path)
            return
        self.other_end.faults.count(path, fault.label)
        _FAULTS[fault.kind](self, fault)

    def do_PUT(self) -> None:
        self._administer()

    def do_POST(self) -> None:
        self._administer()

    def do_DELETE(self) -> None:
        self._administer()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Keep quiet: the default writes every request to stderr."""

    def _serve(self, path: str) -> None:
        status, content_type, body = self._document(path)
        self.other_end.faults.count(path, str(status))
        self._answer(status, body, content_type)

    def _document(self, path: str) -> tuple[int, str, bytes]:
        if path == TWITTER_PATH:
            if self.headers.get("Authorization") != f"Bearer {BEARER_TOKEN}":
                return 401, "application/json", b'{"title": "Unauthorized", "status": 401}'
            query = dict(parse_qsl(urlsplit(self.path).query))
            return 200, "application/json", self.other_end.content.search(query)
        known = self.other_end.content.feeds().get(path)
        return (200, *known) if known else (404, "text/plain", b"there is nothing here")

    def _answer(self, status: int, body: bytes, content_type: str, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def _fail_with_status(self, fault: Fault) -> None:
        headers = {"Retry_After": fault.retry_after} if fault.retry_after else {}
        self._answer(fault.status, b"this is a fault", "text/plain", **headers)

    def _delay(self, fault: Fault) -> None:
        self.other_end.closing.wait(fault.seconds)
        _, content_type, body = self._document(urlsplit(self.path).path)
        self._answer(200, body, content_type)

    def _reset(self, _fault: Fault) -> None:
        # With a linger time of zero, closing sends a reset instead of an orderly end.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def _truncate(self, _fault: Fault) -> None:
        _, content_type, body = self._document(urlsplit(self.path).path)
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2])
        self.close_connection = True

    def _flood(self, fault: Fault) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/rss+xml")
        self.send_header("Content-Length", str(fault.size))
        self.end_headers()
        left = fault.size
        while left > 0:
            left -= self.connection.send(b" " * min(left, _CHUNK))

    def _encode_wrongly(self, _fault: Fault) -> None:
        self._answer(200, "Zürich".encode("utf-16-le") + b"\xff", "application/json; charset=utf-8")

    def _send_garbage(self, _fault: Fault) -> None:
        self._answer(200, _GARBAGE, "application/rss+xml")

    def _administer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        action = _ADMINISTRATION.get((self.command, self.path))
        if action is None:
            self._answer(404, b'{"error": "no such admin endpoint"}', "application/json")
            return
        try:
            result = action(self.other_end, json.loads(body) if body else {})
        except (ValueError, TypeError, KeyError) as error:
            self._answer(400, json.dumps({"error": str(error)}).encode(), "application/json")
            return
        self._answer(200, json.dumps(result).encode(), "application/json")


_FAULTS: Final[dict[FaultKind, Callable[[_Handler, Fault], None]]] = {
    FaultKind.STATUS: _Handler._fail_with_status,  # noqa: SLF001 - this module's own class, here and below
    FaultKind.DELAY: _Handler._delay,  # noqa: SLF001
    FaultKind.RESET: _Handler._reset,  # noqa: SLF001
    FaultKind.TRUNCATED: _Handler._truncate,  # noqa: SLF001
    FaultKind.HUGE: _Handler._flood,  # noqa: SLF001
    FaultKind.WRONG_ENCODING: _Handler._encode_wrongly,  # noqa: SLF001
    FaultKind.GARBAGE: _Handler._send_garbage,  # noqa: SLF001
}


def _break(service: HttpService, wanted: dict[str, Any]) -> dict[str, str]:
    path = wanted.pop("path")
    fault = Fault.from_json(wanted)
    service.faults.break_path(path, fault)
    return {path: fault.label}


def _mails(service: HttpService, _wanted: dict[str, Any]) -> list[dict[str, Any]]:
    return [] if service.mailbox is None else [mail.as_json() for mail in service.mailbox.mails()]


def _mail_answer(service: HttpService, wanted: dict[str, Any]) -> dict[str, str]:
    if service.mailbox is not None:
        service.mailbox.refuse_with(wanted["answer"])
    return {"answer": wanted["answer"]}


_ADMINISTRATION: Final[dict[tuple[str, str], Callable[[HttpService, dict[str, Any]], Any]]] = {
    ("PUT", f"{_ADMIN}faults"): _break,
    ("DELETE", f"{_ADMIN}faults"): lambda service, wanted: service.faults.heal(wanted.get("path")),
    ("GET", f"{_ADMIN}served"): lambda service, _: service.faults.served(),
    ("POST", f"{_ADMIN}posts"): lambda service, wanted: service.content.add_post(wanted["text"]),
    ("POST", f"{_ADMIN}entries"): lambda service, wanted: service.content.add_entry(**wanted),
    ("GET", f"{_ADMIN}mails"): _mails,
    ("PUT", f"{_ADMIN}mail_answer"): _mail_answer,
}
