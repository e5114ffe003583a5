"""All other ends together."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Self

from tge_monitor.other_ends.content import BEARER_TOKEN
from tge_monitor.other_ends.http_service import HttpService
from tge_monitor.other_ends.mailbox import Mailbox


class OtherEnds:
    """The HTTP service and the mail server on loopback. Use it as a context manager.

    Attributes:
        http: posts, feeds, and the admin endpoints.
        mailbox: the mail server.
    """

    def __init__(self, *, http_port: int = 0, smtp_port: int = 0) -> None:
        self.mailbox = Mailbox(smtp_port)
        self.http = HttpService(self.mailbox, http_port)
        self._running = ExitStack()

    def __enter__(self) -> Self:
        """Start both."""
        self._running.enter_context(self.mailbox)
        self._running.enter_context(self.http)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop both."""
        self._running.close()

    def address(self) -> dict[str, Any]:
        """Return where they are, and the token that the posts ask for, as plain data."""
        return {"http": self.http.url, "smtp_port": self.mailbox.port, "bearer_token": BEARER_TOKEN}

    def settings(self) -> dict[str, str]:
        """Return the `TGE_*` variables that point the monitor here, with the good feeds."""
        return {
            "TGE_TWITTER_URL": self.http.url,
            "TGE_TWITTER_BEARER_TOKEN": BEARER_TOKEN,
            "TGE_FEEDS": f"rss={self.http.url}/feeds/rss atom={self.http.url}/feeds/atom",
            "TGE_SMTP_HOST": "127.0.0.1",
            "TGE_SMTP_PORT": str(self.mailbox.port),
        }
