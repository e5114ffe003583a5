"""The mail that tells of new announcements, as text and as HTML."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import format_datetime
from html import escape
from typing import Final

from tge_monitor.model import Announcement

_PAGE: Final = """\
<!DOCTYPE html>
<html><body style="font-family: sans-serif; max-width: 42em">
<h1 style="font-size: 1.2em">{heading}</h1>
{entries}
</body></html>
"""
_ENTRY: Final = """\
<p><a href="{link}">{title}</a><br>
{summary}
<small>{source}, {when}; score {score}: {why}</small></p>
"""


def compose(announcements: Sequence[Announcement], *, sender: str, recipients: Sequence[str]) -> EmailMessage:
    """Return the digest. Nothing that a source sent gets into a header.

    The `Message-ID` follows from what is in it: should a mail be sent twice, because its acceptance could not be noted,
    the receiving server can tell that it is the same.
    """
    message = EmailMessage()
    heading = "1 token announcement" if len(announcements) == 1 else f"{len(announcements)} token announcements"
    message["Subject"] = heading
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Date"] = format_datetime(max(announcement.seen_at for announcement in announcements))
    message["Message-ID"] = f"<{_identity(announcements)}@tge-monitor.invalid>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n\n".join([heading, *map(_as_text, announcements)]) + "\n")
    entries = "".join(map(_as_html, announcements))
    message.add_alternative(_PAGE.format(heading=heading, entries=entries), subtype="html")
    return message


def _identity(announcements: Sequence[Announcement]) -> str:
    links = "\n".join(announcement.link for announcement in announcements)
    return hashlib.sha256(links.encode()).hexdigest()[:32]


def _as_text(announcement: Announcement) -> str:
    lines = [
        announcement.title,
        announcement.link,
        announcement.summary,
        f"{announcement.source}, {_when(announcement)}; score {announcement.score}: {'; '.join(announcement.why)}",
    ]
    return "\n".join(filter(None, lines))


def _as_html(announcement: Announcement) -> str:
    return _ENTRY.format(
        link=escape(announcement.link),
        title=escape(announcement.title),
        summary=f"{escape(announcement.summary)}<br>" if announcement.summary else "",
        source=escape(announcement.source),
        when=escape(_when(announcement)),
        score=announcement.score,
        why=escape("; ".join(announcement.why)),
    )


def _when(announcement: Announcement) -> str:
    moment = announcement.published_at or announcement.seen_at
    return f"{moment:%Y-%m-%d %H:%M} UTC"
