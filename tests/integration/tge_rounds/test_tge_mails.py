"""What the monitor mails, keeps as letters when it cannot, and mails later."""

from __future__ import annotations

from integration.conftest import ChangeGuards
from integration.tge_rounds.rounds import Poll, breaker_calls
from spanguard.error_handling import circuit_breakers
from spanguard.guard import guards
from spanguard.testing import Signals
from tge_monitor.monitor import DIGEST, DigestRounds, run_round
from tge_monitor.other_ends import OtherEnds
from tge_monitor.store import Store
from tge_monitor.twitter import TwitterSource


async def test_each_announcement_is_mailed_once(
    other_ends: OtherEnds, poll: Poll, twitter: TwitterSource, digest: DigestRounds, store: Store
) -> None:
    await poll(twitter)
    await digest.mail()
    await digest.mail()
    (mail,) = other_ends.mailbox.mails()
    assert (mail.subject, mail.sender, mail.recipients) == ("3 token announcements", "a@b.example", ("c@d.example",))
    assert "Acme Protocol confirms" in mail.text
    assert "Acme Protocol confirms" in mail.html
    assert (await store.counts())["unmailed"] == 0


async def test_only_what_is_new_is_in_the_next_mail(
    other_ends: OtherEnds, poll: Poll, twitter: TwitterSource, digest: DigestRounds
) -> None:
    await poll(twitter)
    await digest.mail()
    other_ends.http.content.add_post("One more TGE")
    await poll(twitter)
    await digest.mail()
    second = other_ends.mailbox.mails()[1]
    assert second.subject == "1 token announcement"
    assert "Acme" not in second.text


async def test_a_refused_mail_is_kept_as_a_letter_and_sent_in_the_next_round(
    other_ends: OtherEnds, poll: Poll, twitter: TwitterSource, digest: DigestRounds, store: Store, signals: Signals
) -> None:
    letters = guards.dead_letters(DIGEST)
    await poll(twitter)
    other_ends.mailbox.refuse_with("451 try again later")
    await run_round("mail digest", digest.mail, 60.0, digest.round)
    assert digest.round.last_error == "smtplib.SMTPDataError"
    assert breaker_calls(signals, "email_service", "failure") == 2 == other_ends.mailbox.refused()
    (letter,) = letters.list()
    assert (letter.payload, letter.attempts) == ({"announcements": [1, 2, 3]}, 1)
    assert (await store.counts())["unmailed"] == 3
    other_ends.mailbox.refuse_with("")
    await run_round("mail digest", digest.mail, 60.0, digest.round)
    (mail,) = other_ends.mailbox.mails()
    assert mail.subject == "3 token announcements"
    assert (await store.counts())["unmailed"] == letters.size() == 0
    (replay,) = signals.spans("replay mail_digest")
    assert [trace_id for trace_id, _ in replay.links] == [signals.spans("mail digest")[0].trace_id]


async def test_what_a_letter_keeps_is_in_no_other_mail(
    other_ends: OtherEnds, poll: Poll, twitter: TwitterSource, digest: DigestRounds, change_guards: ChangeGuards
) -> None:
    change_guards(SPANGUARD_CIRCUIT_BREAKERS__EMAIL_SERVICE__FAIL_MAX="100")
    await poll(twitter)
    other_ends.mailbox.refuse_with("451 try again later")
    await run_round("mail digest", digest.mail, 60.0, digest.round)
    other_ends.http.content.add_post("One more TGE")
    await poll(twitter)
    await run_round("mail digest", digest.mail, 60.0, digest.round)
    letters = guards.dead_letters(DIGEST)
    assert [letter.payload["announcements"] for letter in letters.list()] == [[1, 2, 3], [4]]
    other_ends.mailbox.refuse_with("")
    await letters.replay_async(ids=[letter.id for letter in letters.list()])
    await digest.mail()
    assert sorted(mail.subject for mail in other_ends.mailbox.mails()) == [
        "1 token announcement",
        "3 token announcements",
    ]


async def test_what_a_discarded_letter_kept_is_in_the_next_mail(
    other_ends: OtherEnds, poll: Poll, twitter: TwitterSource, digest: DigestRounds
) -> None:
    await poll(twitter)
    other_ends.mailbox.refuse_with("554 no")
    await run_round("mail digest", digest.mail, 60.0, digest.round)
    guards.dead_letters(DIGEST).discard(1)
    other_ends.mailbox.refuse_with("")
    await digest.mail()
    assert [mail.subject for mail in other_ends.mailbox.mails()] == ["3 token announcements"]


async def test_a_mail_server_that_refuses_opens_its_breaker(
    other_ends: OtherEnds, poll: Poll, twitter: TwitterSource, digest: DigestRounds
) -> None:
    await poll(twitter)
    other_ends.mailbox.refuse_with("554 no")
    for _ in range(5):
        await run_round("mail digest", digest.mail, 60.0, digest.round)
    assert other_ends.mailbox.refused() == 3
    assert circuit_breakers.get("email_service").stats().state == "open"


async def test_what_could_not_be_noted_as_mailed_is_not_mailed_again(
    other_ends: OtherEnds, poll: Poll, twitter: TwitterSource, digest: DigestRounds, store: Store
) -> None:
    await poll(twitter)
    mark = store.mark_mailed

    async def fail(ids: object) -> None:
        raise OSError

    store.mark_mailed = fail  # type: ignore[method-assign]
    await run_round("mail digest", digest.mail, 60.0, digest.round)
    await run_round("mail digest", digest.mail, 60.0, digest.round)
    store.mark_mailed = mark  # type: ignore[method-assign]
    await run_round("mail digest", digest.mail, 60.0, digest.round)
    assert (digest.round.failed, len(other_ends.mailbox.mails())) == (2, 1)
    assert (await store.counts())["unmailed"] == 0


async def test_nothing_new_is_no_mail(other_ends: OtherEnds, digest: DigestRounds) -> None:
    await digest.mail()
    assert other_ends.mailbox.mails() == []
