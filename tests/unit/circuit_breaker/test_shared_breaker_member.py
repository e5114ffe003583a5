"""How a breaker and the server settle who is right, without a server."""

from __future__ import annotations

import pytest

from spanguard.error_handling.circuit_breaker.shared.member import PlainMember
from spanguard.error_handling.circuit_breaker.shared.script import View, keys_of
from spanguard.instrumentation.pybreaker import State


def view(state: State | None, epoch: int) -> View:
    return View(state, str(epoch), 0.0, 0)


@pytest.fixture
def member() -> PlainMember:
    """A breaker that is closed in epoch 10 and has nothing to tell."""
    fresh = PlainMember()
    fresh.meet(view("closed", 10), fresh.serial())
    return fresh


def test_what_others_did_is_taken_over(member: PlainMember) -> None:
    member.meet(view("open", 11), member.serial())
    assert (member.state, member.epoch, member.news()) == ("open", "11", None)


def test_a_move_is_told_until_it_was_heard(member: PlainMember) -> None:
    member.move("open")
    told = member.news()
    assert told is not None
    assert member.news() == told
    member.told(told, "11")
    assert member.news() is None
    assert member.epoch == "11"


def test_what_was_asked_before_a_move_does_not_undo_it(member: PlainMember) -> None:
    asked = member.serial()
    member.move("open")
    member.meet(view("closed", 11), asked)
    assert member.state == "open"
    assert member.news() is not None


def test_a_move_made_while_another_was_told_is_told_too(member: PlainMember) -> None:
    member.move("open")
    first = member.news()
    assert first is not None
    member.move("half_open")
    member.told(first, "11")
    second = member.news()
    assert second is not None
    assert second.state == "half_open"


def test_a_move_on_stale_evidence_gives_way(member: PlainMember) -> None:
    with member.lock:
        member._state = "open"
        member.note_move()
    told = member.news()
    assert told is not None
    assert told.epoch == "10"
    member.overruled(view("closed", 14), told)
    assert (member.state, member.epoch, member.news()) == ("closed", "14", None)


def test_what_was_asked_for_does_not_depend_on_what_others_did(member: PlainMember) -> None:
    member.move("open")
    told = member.news()
    assert told is not None
    assert told.epoch == ""


@pytest.mark.parametrize("forgotten", [view(None, 0), view("closed", 9)])
def test_a_server_that_has_lost_an_opening_is_told_again(member: PlainMember, forgotten: View) -> None:
    member.meet(view("open", 11), member.serial())
    member.meet(forgotten, member.serial())
    told = member.news()
    assert told is not None
    assert (member.state, told.state, told.epoch) == ("open", "open", "")


def test_a_server_that_has_lost_a_closing_opens_the_breaker(member: PlainMember) -> None:
    member.meet(view("open", 9), member.serial())
    assert (member.state, member.epoch) == ("open", "9")


def test_a_closed_breaker_has_nothing_to_tell_a_server_that_has_forgotten(member: PlainMember) -> None:
    member.meet(view(None, 0), member.serial())
    assert (member.state, member.epoch, member.news()) == ("closed", "0", None)


@pytest.mark.parametrize("name", ["api", "a}b", "{}", "}{", "a b", "ключ"])
def test_both_keys_of_a_breaker_bear_one_hash_tag(name: str) -> None:
    state, probes = keys_of("prefix", name)
    tag = state[state.index("{") + 1 : state.index("}")]
    assert tag
    assert not set("{}") & set(tag)
    assert probes.startswith(state)


def test_names_that_differ_have_keys_that_differ() -> None:
    names = ["a", "a}", "{a}", "a%7D", "a:probes", "a}:probes", "A"]
    keys = {key for name in names for key in keys_of("prefix", name)}
    assert len(keys) == 2 * len(names)
