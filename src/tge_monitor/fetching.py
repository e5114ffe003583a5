"""One HTTP request of bounded size, and what counts as the server's fault. Its time is bounded by the guard around it."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Final

import httpx
from opentelemetry.trace import SpanKind

from spanguard import __version__
from tge_monitor import telemetry
from tge_monitor.model import RefusedError, ThrottledError

LONGEST_RETRY_AFTER: Final = 3600.0
"""Seconds; whoever asks for more is asked again after so many."""

_SERVER_FAULT: Final = 500
_REFUSED: Final = 300
_THROTTLED: Final = 429


class ServerFaultError(Exception):
    """The server answered with a status of 500 or more.

    Attributes:
        status: the HTTP status.
    """

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"the server answered with HTTP status {status}")


OUTAGE: Final = (ServerFaultError, TimeoutError, httpx.TransportError)
"""The server's fault: another attempt may help."""

ANSWERED: Final = (ThrottledError, RefusedError)
"""The server is well and says no: no failure of it, and no use in asking again at once."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that came whole, or was cut off by us because it is too large (then `body` is empty)."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_too_large: bool

    def raise_for_refusal(self) -> None:
        """Raise what a status below 500 other than success means.

        Raises:
            ThrottledError: the status is 429.
            RefusedError: it is another one from 300 on.
        """
        if self.status == _THROTTLED:
            raise ThrottledError(retry_after(self.headers, time.time()))
        if self.status >= _REFUSED:
            raise RefusedError(self.status)


class Fetcher:
    """Makes the requests of one source.

    Args:
        client: the connections.
        max_bytes: the largest body that is read.
    """

    def __init__(self, client: httpx.AsyncClient, *, max_bytes: int) -> None:
        self._client = client
        self._max_bytes = max_bytes

    async def get(
        self, url: str, *, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Fetch one document.

        Raises:
            ServerFaultError: the status is 500 or more.
            httpx.TransportError: no connection, a reset, a body that ended early.
        """
        target = httpx.URL(url)
        attributes: dict[str, str | int] = {"http.request.method": "GET", "server.address": target.host}
        if target.port is not None:
            attributes["server.port"] = target.port
        # Bodies are asked for uncompressed and read raw: a few bytes on the wire cannot become gigabytes here.
        sent = {"User-Agent": f"tge_monitor/{__version__}", "Accept-Encoding": "identity", **(headers or {})}
        with telemetry.span("GET", attributes, kind=SpanKind.CLIENT) as span:
            async with self._client.stream("GET", target, params=params, headers=sent, timeout=None) as response:
                span.set_attribute("http.response.status_code", response.status_code)
                if response.status_code >= _SERVER_FAULT:
                    raise ServerFaultError(response.status_code)
                if response.status_code >= _REFUSED:
                    telemetry.mark_failed(span, str(response.status_code))
                body = await self._read(response)
            return Reply(response.status_code, response.headers, body or b"", is_too_large=body is None)

    async def _read(self, response: httpx.Response) -> bytes | None:
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > self._max_bytes:
                return None
        return bytes(body)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return in how many seconds the server wants to be asked again, from 0 to `LONGEST_RETRY_AFTER`.

    `Retry-After` comes as seconds or as a date (RFC 9110, 10.2.3); Twitter's `x-rate-limit-reset` as seconds since the
    epoch. None where neither makes sense.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        seconds = float(value)
    elif value:
        try:
            moment = email.utils.parsedate_to_datetime(value)
        except ValueError:
            return None
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    else:
        reset = headers.get("x-rate-limit-reset", "").strip()
        if not (reset.isascii() and reset.isdigit()):
            return None
        seconds = float(reset) - now
    return min(max(0.0, seconds), LONGEST_RETRY_AFTER)
