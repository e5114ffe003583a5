"""Rate limiting for WSGI applications (PEP 3333)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from spanguard.rate_limiter.http.fields import Fields
from spanguard.rate_limiter.http.gate import CostOf, Gate
from spanguard.rate_limiter.http.requests import HttpRequest, KeyOf
from spanguard.rate_limiter.limiter import RateLimiter

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class WsgiRateLimitMiddleware:
    """Lets a request through to the application if its limiter has a permit; else answers 429.

        app = WsgiRateLimitMiddleware(app, limiter=TokenBucketLimiter(10, 20, name="public_api"))

    A request that waits keeps the server's thread: mind how many it has. No key gets into any signal.

    Args:
        app: the application.
        limiter: a limiter, or the name of one in `rate_limit_manager`.
        key: whom a request counts for; its client's address, if left out (see `client_address` for proxies).
        cost: how many permits a request takes; one, if left out.
        max_wait: seconds that a request may stand in line before it is refused; 0 refuses at once.
        tell: whether responses bear `RateLimit-Policy` and `RateLimit`; `Retry-After` is always there.

    Raises:
        ConfigurationError: `max_wait` is out of range.
    """

    def __init__(
        self,
        app: WSGIApplication,
        limiter: RateLimiter | str,
        *,
        key: KeyOf | None = None,
        cost: CostOf | None = None,
        max_wait: float = 0.0,
        tell: bool = True,
    ) -> None:
        self._app = app
        self._gate = Gate(limiter, key, cost, max_wait, tell=tell)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request, as PEP 3333 has it."""
        question = self._gate.question(_request(environ))
        if question is None:
            return self._app(environ, start_response)
        status = question.limiter.acquire(
            question.tokens, wait=self._gate.waits, timeout=self._gate.timeout, key=question.key
        )
        if status.allowed:
            return self._app(environ, _adding(start_response, self._gate.fields(question, status)))
        fields, content = self._gate.refusal(question, status)
        start_response("429 Too Many Requests", fields)
        return [content]


def _request(environ: WSGIEnvironment) -> HttpRequest:
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace")
    return HttpRequest(environ["REQUEST_METHOD"], path, environ.get("REMOTE_ADDR", ""), headers)


def _adding(start_response: StartResponse, fields: Fields) -> StartResponse:
    def add_and_start(status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Any:
        if exc_info is None:
            return start_response(status, [*headers, *fields])
        return start_response(status, [*headers, *fields], exc_info)

    return add_and_start
