"""The client of an ASGI request that waits: whether it is still there, and what it sends meanwhile."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, TypeVar

T = TypeVar("T")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class Client:
    """Listens to a client for as long as its request waits, and keeps what it says for the application.

    Args:
        receive: what ASGI gives to receive messages by.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._heard: deque[Message] = deque()
        self._next: asyncio.Future[Message] | None = None

    async def stays_for(self, work: Coroutine[Any, Any, T]) -> T | None:
        """Return what the work gives; None if the client went away before, and the work was cancelled."""
        working = asyncio.ensure_future(work)
        listening: asyncio.Future[None] | None = None
        try:
            # What needs no wait is done in its first step, and nobody needs to listen.
            await asyncio.sleep(0)
            if not working.done():
                listening = asyncio.ensure_future(self._until_gone())
                await asyncio.wait({working, listening}, return_when=asyncio.FIRST_COMPLETED)
            return await working if working.done() else None
        finally:
            for task in (working, listening):
                if task is not None:
                    task.cancel()

    async def receive(self) -> Message:
        """Receive what the client has said, then what it says."""
        if self._heard:
            return self._heard.popleft()
        if self._next is None:
            return await self._receive()
        coming, self._next = self._next, None
        return await coming

    def close(self) -> None:
        """Listen no more."""
        if self._next is not None:
            self._next.cancel()

    async def _until_gone(self) -> None:
        while True:
            # Not cancelled with the listening: what it was about to say is the application's.
            self._next = asyncio.ensure_future(self._receive())
            message = await asyncio.shield(self._next)
            self._next = None
            self._heard.append(message)
            if message["type"] == "http.disconnect":
                return
            if message.get("more_body", False):
                # The rest of a large body stays where it is until somebody reads it.
                await asyncio.Event().wait()
