"""A small OTLP/HTTP receiver, for tests and demonstrations: what a real exporter sends, decoded and kept in memory."""

from __future__ import annotations

import gzip
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from spanguard.testing.signals import Signals

_MAX_BODY: Final = 64 * 1024 * 1024
_DECODERS: Final[dict[str, Any]] = {
    "": lambda body: body,
    "identity": lambda body: body,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
}


class OtlpReceiver:
    """An OTLP http/protobuf endpoint on loopback. Use it as a context manager.

    Attributes:
        endpoint: the base URL, for `OTEL_EXPORTER_OTLP_ENDPOINT`.
        signals: what has arrived.
    """

    def __init__(self, port: int = 0) -> None:
        self.signals = Signals()
        self._server = _Server(("127.0.0.1", port), _handler_for(self.signals))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        """Start to serve."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet: a client that was killed half-way is what some tests are about."""


def _handler_for(signals: Signals) -> type[BaseHTTPRequestHandler]:
    routes: dict[str, tuple[Any, Any]] = {
        "/v1/traces": (ExportTraceServiceRequest, signals.add_traces),
        "/v1/metrics": (ExportMetricsServiceRequest, signals.add_metrics),
        "/v1/logs": (ExportLogsServiceRequest, signals.add_logs),
    }

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            if self.path not in routes:
                self._answer(404)
                return
            length = int(self.headers.get("Content-Length", 0))
            decode = _DECODERS.get(self.headers.get("Content-Encoding", ""))
            if decode is None or length > _MAX_BODY:
                self._answer(415 if decode is None else 413)
                return
            message, take_in = routes[self.path]
            try:
                request = message.FromString(decode(self.rfile.read(length)))
            except (DecodeError, OSError, zlib.error):
                self._answer(400)
                return
            take_in(request)
            self._answer(200)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
            """Keep quiet: the default writes every request to stderr."""

    return Handler
