"""Rate limiting for ASGI applications."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from spanguard.rate_limiter.http.client import Client, Message, Receive
from spanguard.rate_limiter.http.fields import TOO_MANY_REQUESTS, Fields
from spanguard.rate_limiter.http.gate import CostOf, Gate, Question
from spanguard.rate_limiter.http.requests import HttpRequest, KeyOf
from spanguard.rate_limiter.limiter import RateLimiter
from spanguard.rate_limiter.status import RateLimitStatus

Scope = Message
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class AsgiRateLimitMiddleware:
    """Lets an HTTP request through to the application if its limiter has a permit; else answers 429.

        app = AsgiRateLimitMiddleware(app, limiter=TokenBucketLimiter(10, 20, name="public_api"))

    Web sockets and the application's start and stop go through as they are. No key gets into any signal.

    Args:
        app: the application.
        limiter: a limiter, or the name of one in `rate_limit_manager`.
        key: whom a request counts for; its client's address, if left out (see `client_address` for proxies).
        cost: how many permits a request takes; one, if left out.
        max_wait: seconds that a request may stand in line, in its own task, before it is refused; 0 refuses at once. Whose
            client goes away meanwhile leaves the line.
        tell: whether responses bear `RateLimit-Policy` and `RateLimit`; `Retry-After` is always there.

    Raises:
        ConfigurationError: `max_wait` is out of range.
    """

    def __init__(
        self,
        app: App,
        limiter: RateLimiter | str,
        *,
        key: KeyOf | None = None,
        cost: CostOf | None = None,
        max_wait: float = 0.0,
        tell: bool = True,
    ) -> None:
        self._app = app
        self._gate = Gate(limiter, key, cost, max_wait, tell=tell)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection, as ASGI has it."""
        question = self._gate.question(_request(scope)) if scope["type"] == "http" else None
        if question is None:
            await self._app(scope, receive, send)
            return
        if not self._gate.waits:
            status = await question.limiter.acquire_async(question.tokens, key=question.key)
            await self._answer(question, status, scope, receive, send)
            return
        client = Client(receive)
        try:
            waited = await client.stays_for(self._waiting(question))
            if waited is not None:
                await self._answer(question, waited, scope, client.receive, send)
        finally:
            client.close()

    def _waiting(self, question: Question) -> Coroutine[Any, Any, RateLimitStatus]:
        return question.limiter.acquire_async(question.tokens, wait=True, timeout=self._gate.timeout, key=question.key)

    async def _answer(
        self, question: Question, status: RateLimitStatus, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if status.allowed:
            await self._app(scope, receive, _adding(send, self._gate.fields(question, status)))
            return
        fields, content = self._gate.refusal(question, status)
        await send({"type": "http.response.start", "status": TOO_MANY_REQUESTS, "headers": _encoded(fields)})
        await send({"type": "http.response.body", "body": content})


def _request(scope: Scope) -> HttpRequest:
    client = scope.get("client")
    return HttpRequest(scope["method"], scope["path"], client[0] if client else "", _joined(scope["headers"]))


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def _adding(send: Send, fields: Fields) -> Send:
    encoded = _encoded(fields)

    async def add_and_send(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *encoded]}
        await send(message)

    return add_and_send


def _encoded(fields: Fields) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in fields]
