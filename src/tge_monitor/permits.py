"""Permission to go on: the wait for a rate limiter, for as long as the caller is patient."""

from __future__ import annotations

from spanguard.rate_limiter import RateLimitExceededError, rate_limit_manager


async def await_permit(name: str, patience: float) -> None:
    """Take one permit of the limiter of this name; wait for it, `patience` seconds at most.

    Raises:
        RateLimitExceededError: there was none in time.
    """
    limiter = rate_limit_manager.get_limiter(name)
    permit = await limiter.acquire_async(wait=True, timeout=patience)
    if not permit:
        raise RateLimitExceededError(limiter.name, permit)
