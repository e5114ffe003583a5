"""The digest as a message."""

from __future__ import annotations

from datetime import UTC, datetime

from tge_monitor.digest import compose
from tge_monitor.model import Announcement


def announcement(**changes: object) -> Announcement:
    values = {
        "id": 1,
        "source": "rss",
        "link": "https://a.example/?a=1&b=2",
        "title": "TGE of <Acme>",
        "summary": 'In "March" & later',
        "published_at": None,
        "seen_at": datetime(2026, 1, 5, 9, 0, tzinfo=UTC),
        "score": 2,
        "why": ("keyword 'TGE' in the title",),
        "mailed_at": None,
    }
    return Announcement(**(values | changes))  # type: ignore[arg-type]


def parts(*announcements: Announcement) -> tuple[str, str]:
    message = compose(announcements, sender="a@b.example", recipients=["c@d.example", "e@f.example"])
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    return text.get_content(), html.get_content()


def test_the_headers_say_how_many_and_nothing_that_a_source_sent() -> None:
    message = compose(
        [announcement(title="x\r\nBcc: evil@x.example"), announcement()],
        sender="a@b.example",
        recipients=["c@d.example", "e@f.example"],
    )
    assert message["Subject"] == "2 token announcements"
    assert message["To"] == "c@d.example, e@f.example"
    assert message["Bcc"] is None
    assert "evil" not in "".join(f"{name}: {value}" for name, value in message.items())


def test_both_parts_tell_title_link_and_why() -> None:
    text, html = parts(announcement())
    assert "TGE of <Acme>\nhttps://a.example/?a=1&b=2\n" in text
    assert "keyword 'TGE' in the title" in text
    assert '<a href="https://a.example/?a=1&amp;b=2">TGE of &lt;Acme&gt;</a>' in html


def test_markup_of_a_source_is_shown_and_not_obeyed() -> None:
    _, html = parts(announcement(summary="<script>alert(1)</script>", source="<b>", why=("<i>",)))
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "<b>" not in html
    assert "<i>" not in html


def test_the_same_announcements_have_the_same_message_id() -> None:
    def identity(*links: str) -> str:
        mail = compose([announcement(link=link) for link in links], sender="a@b.example", recipients=["c@d.example"])
        return str(mail["Message-ID"])

    assert identity("https://a.example/", "https://b.example/") == identity("https://a.example/", "https://b.example/")
    assert identity("https://a.example/") != identity("https://b.example/")


def test_one_announcement_is_counted_as_one() -> None:
    text, _ = parts(announcement())
    assert text.startswith("1 token announcement\n")
