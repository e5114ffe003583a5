"""A mail server that keeps what it takes, and refuses when told to."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import asdict, dataclass
from email import message_from_bytes, policy
from typing import Any, Self

from aiosmtpd.smtp import SMTP, Envelope, Session


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """A mail that was taken; `sender` and `recipients` are those of the envelope."""

    sender: str
    recipients: tuple[str, ...]
    subject: str
    message_id: str
    text: str
    html: str

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


class Mailbox:
    """An SMTP server on loopback, in a thread of this process. Use it as a context manager.

    Attributes:
        port: where it listens.
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self._lock = threading.Lock()
        self._mails: list[ReceivedMail] = []
        self._answer = ""
        self._refused = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(),), daemon=True)

    def __enter__(self) -> Self:
        """Start to serve."""
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and free the port."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def mails(self) -> list[ReceivedMail]:
        """Return the mails that were taken, in order."""
        with self._lock:
            return list(self._mails)

    def refuse_with(self, answer: str) -> None:
        """Answer every mail with this SMTP reply, such as "451 try again"; take them again if it is empty."""
        with self._lock:
            self._answer = answer

    def refused(self) -> int:
        """Return how many mails were refused."""
        with self._lock:
            return self._refused

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - the name is aiosmtpd's
        """Take a mail, or refuse it."""
        content = envelope.content
        message = message_from_bytes(content if isinstance(content, bytes) else b"", policy=policy.default)
        text, html = message.get_body(("plain",)), message.get_body(("html",))
        mail = ReceivedMail(
            sender=str(envelope.mail_from),
            recipients=tuple(map(str, envelope.rcpt_tos)),
            subject=str(message["subject"]),
            message_id=str(message["message-id"]),
            text=text.get_content() if text else "",
            html=html.get_content() if html else "",
        )
        with self._lock:
            if self._answer:
                self._refused += 1
                return self._answer
            self._mails.append(mail)
        return "250 taken"

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await self._loop.create_server(
            lambda: SMTP(self, hostname="localhost", loop=self._loop), "127.0.0.1", self.port
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        async with server:
            await self._stop.wait()
