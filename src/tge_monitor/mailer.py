"""Mail over SMTP, behind the breaker `email_service` and the limiter `email_sending`."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage

from spanguard.error_handling import with_circuit_breaker
from tge_monitor.permits import await_permit


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail goes; with a user name it is sent over TLS only. `timeout` in seconds, for each answer."""

    host: str
    port: int
    timeout: float
    username: str = ""
    password: str = field(default="", repr=False)


class Mailer:
    """Sends messages.

    Args:
        server: where to.
        patience: seconds that a message may wait for its permit.
    """

    def __init__(self, server: MailServer, *, patience: float) -> None:
        self._server = server
        self._patience = patience

    async def send(self, message: EmailMessage) -> None:
        """Send one message; it returns when the server has taken it for at least one of the recipients.

        Raises:
            RateLimitExceededError: there was no permit in time.
            CircuitBreakerError: the breaker is open.
            OSError: no connection, or it took too long; among them smtplib.SMTPException: the server refused.
        """
        await await_permit("email_sending", self._patience)
        await self._deliver(message)

    @with_circuit_breaker("email_service")
    async def _deliver(self, message: EmailMessage) -> None:
        await asyncio.to_thread(_send, self._server, message)


def _send(server: MailServer, message: EmailMessage) -> None:
    with smtplib.SMTP(server.host, server.port, timeout=server.timeout) as connection:
        if server.username:
            connection.starttls(context=ssl.create_default_context())
            connection.login(server.username, server.password)
        connection.send_message(message)
