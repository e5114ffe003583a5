"""Rate limiting of HTTP requests: middleware for ASGI and WSGI, and whom a request counts for."""

from spanguard.rate_limiter.http.asgi import AsgiRateLimitMiddleware
from spanguard.rate_limiter.http.requests import HttpRequest, KeyOf, client_address, header
from spanguard.rate_limiter.http.wsgi import WsgiRateLimitMiddleware

__all__ = [
    "AsgiRateLimitMiddleware",
    "HttpRequest",
    "KeyOf",
    "WsgiRateLimitMiddleware",
    "client_address",
    "header",
]
