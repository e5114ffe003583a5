"""Mail over SMTP, behind the guard `email_service`."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage

from spanguard.guard import guard


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
    """

    def __init__(self, server: MailServer) -> None:
        self._server = server

    @guard("email_service")
    async def send(self, message: EmailMessage) -> None:
        """Send one message; it returns when the server has taken it for at least one of the recipients.

        Raises:
            RateLimitExceededError, BulkheadFullError: there was no permit in time.
            CircuitBreakerError: the breaker is open.
            OSError: no connection, or it took too long; among them smtplib.SMTPException: the server refused.
        """
        await asyncio.to_thread(_send, self._server, message)


def _send(server: MailServer, message: EmailMessage) -> None:
    with smtplib.SMTP(server.host, server.port, timeout=server.timeout) as connection:
        if server.username:
            connection.starttls(context=ssl.create_default_context())
            connection.login(server.username, server.password)
        connection.send_message(message)
