"""What the monitor serves: whether it lives, whether it is ready, how it is, and what it found."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, Final

from opentelemetry import propagate
from opentelemetry.trace import SpanKind
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from spanguard.error_handling import CircuitBreakerError
from spanguard.production_integration import get_system_status
from spanguard.rate_limiter import rate_limit_manager
from spanguard.validation import Check, InputValidator
from tge_monitor import telemetry
from tge_monitor.model import Announcement
from tge_monitor.monitor import Round
from tge_monitor.store import Store

LARGEST_PAGE: Final = 200
DEFAULT_PAGE: Final = 50

_MAX_TEXT: Final = 100
_MAX_ID: Final = 2**31 - 1
_SERVER_FAULT: Final = 500

_validator: Final = InputValidator()


def _number_to(largest: int) -> tuple[Check[Any], str]:
    return _validator.prepare("integer", minimum=1, maximum=largest), f"a whole number from 1 to {largest}"


# What looks like an attack is searched for all the same, and told: a search for "drop table" is none, and the store binds it.
_TEXT: Final = _validator.prepare("string", min_length=1, max_length=_MAX_TEXT, strip=True, threats="warn")
_TEXT_ALLOWED: Final = f"1 to {_MAX_TEXT} printable characters"

_PARAMETERS: Final = {
    "limit": ("limit", *_number_to(LARGEST_PAGE)),
    "before": ("before", *_number_to(_MAX_ID)),
    "source": ("source", _TEXT, _TEXT_ALLOWED),
    "q": ("words", _TEXT, _TEXT_ALLOWED),
}
"""For each parameter the argument of `Store.page`, what it must be, and the same for people."""

Handler = Callable[[Request], Awaitable[Response]]


class BadParameterError(Exception):
    """A query parameter is unknown or out of range; the message says which and what is allowed."""


def build_api(store: Store, rounds: dict[str, Round]) -> Starlette:
    """Return the application.

    Args:
        store: where the announcements are.
        rounds: what is known of each source and of the digest, by name; read when asked.
    """
    api = _Api(store, rounds)
    return Starlette(
        routes=[
            Route("/livez", api.livez),
            Route("/readyz", api.readyz),
            Route("/status", api.status),
            Route("/api/announcements", _traced("/api/announcements", api.announcements)),
        ]
    )


class _Api:
    def __init__(self, store: Store, rounds: dict[str, Round]) -> None:
        self._store = store
        self._rounds = rounds

    async def livez(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(self, _request: Request) -> Response:
        if await self._store.is_reachable():
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "unavailable", "database": "unreachable"}, 503)

    async def status(self, _request: Request) -> Response:
        rounds = {name: asdict(one) | {"last_at": _moment(one.last_at)} for name, one in self._rounds.items()}
        answer = {"system": get_system_status(), "rounds": rounds, "announcements": await self._counts()}
        return JSONResponse(_finite(answer))

    async def announcements(self, request: Request) -> Response:
        permit = await rate_limit_manager.get_limiter("api_endpoints").acquire_async()
        if not permit:
            return _refuse(429, "too many requests", permit.retry_after)
        try:
            wanted = _page_parameters(request)
        except BadParameterError as error:
            return _refuse(400, str(error))
        try:
            found = await self._store.page(**wanted)
        except CircuitBreakerError as error:
            return _refuse(503, "the database is away", error.retry_after)
        except (SQLAlchemyError, TimeoutError):
            return _refuse(503, "the database is away")
        following = found[-1].id if len(found) == wanted["limit"] else None
        return JSONResponse({"announcements": [_shown(one) for one in found], "next_before": following})

    async def _counts(self) -> dict[str, int] | None:
        """Return None when the database is away: that is when the status page is needed most."""
        try:
            return await self._store.counts()
        except (CircuitBreakerError, SQLAlchemyError, TimeoutError):
            return None


def _traced(route: str, handler: Handler) -> Handler:
    """Serve a route in a span of its own, as the child of what the client's headers name."""

    async def traced(request: Request) -> Response:
        attributes: dict[str, str | int] = {
            "http.request.method": request.method,
            "http.route": route,
            "url.scheme": request.url.scheme,
            "url.path": route,
        }
        context = propagate.extract(request.headers)
        with telemetry.span(f"{request.method} {route}", attributes, kind=SpanKind.SERVER, context=context) as span:
            response = await handler(request)
            span.set_attribute("http.response.status_code", response.status_code)
            if response.status_code >= _SERVER_FAULT:
                telemetry.mark_failed(span, str(response.status_code))
            return response

    return traced


def _page_parameters(request: Request) -> dict[str, Any]:
    unknown = sorted(set(request.query_params) - set(_PARAMETERS))
    if unknown:
        raise BadParameterError(f"unknown parameter; known are {', '.join(sorted(_PARAMETERS))}")
    wanted: dict[str, Any] = {"limit": DEFAULT_PAGE, "before": None, "source": None, "words": None}
    for name, given in request.query_params.items():
        field, check, allowed = _PARAMETERS[name]
        result = check.validate(given)
        if not result:
            raise BadParameterError(f"{name} must be {allowed}")
        wanted[field] = result.sanitized_value
    return wanted


def _refuse(status: int, message: str, retry_after: float | None = None) -> Response:
    # RFC 9110, 10.2.3: whole seconds; rounded up, so that who obeys is not too early.
    waits = retry_after is not None and math.isfinite(retry_after)
    headers = {"Retry-After": str(max(1, math.ceil(retry_after or 0.0)))} if waits else None
    return JSONResponse({"error": message}, status, headers)


def _shown(one: Announcement) -> dict[str, Any]:
    moments = ("published_at", "seen_at", "mailed_at")
    return asdict(one) | {name: _moment(getattr(one, name)) for name in moments}


def _moment(moment: Any) -> str | None:
    return None if moment is None else moment.isoformat()


def _finite(value: Any) -> Any:
    """Return the same data with None for infinities, which JSON does not know."""
    if isinstance(value, dict):
        return {str(key): _finite(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(member) for member in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
