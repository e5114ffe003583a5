from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanguard.errors import ConfigurationError, ResourceUnavailableError
from spanguard.stack.ports import choose_ports, is_free, pick_free

LISTENERS = {"jaeger": "jaeger", "prometheus": "prometheus"}


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which this process listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def defaults() -> dict[str, int]:
    first = pick_free(taken=())
    return {"jaeger": first, "prometheus": pick_free(taken=[first])}


def test_default_ports_are_kept_where_none_is_chosen(defaults: dict[str, int]) -> None:
    assert choose_ports(defaults, {}, listeners=LISTENERS, free=False) == defaults


def test_a_chosen_port_replaces_the_default_one(defaults: dict[str, int]) -> None:
    chosen = pick_free(taken=defaults.values())
    assert choose_ports(defaults, {"jaeger": chosen}, listeners=LISTENERS, free=False) == {**defaults, "jaeger": chosen}


def test_free_ports_are_different_and_can_be_listened_on(defaults: dict[str, int]) -> None:
    ports = choose_ports(defaults, {}, listeners=LISTENERS, free=True)
    assert len(set(ports.values())) == 2
    assert all(is_free(port) for port in ports.values())


def test_a_chosen_port_is_kept_among_free_ones(defaults: dict[str, int]) -> None:
    chosen = pick_free(taken=())
    assert choose_ports(defaults, {"prometheus": chosen}, listeners=LISTENERS, free=True)["prometheus"] == chosen


def test_a_taken_default_port_does_not_matter_where_free_ones_are_taken(taken: int) -> None:
    assert choose_ports({"jaeger": taken}, {}, listeners=LISTENERS, free=True)["jaeger"] != taken


def test_a_taken_port_is_refused_with_its_holder(taken: int) -> None:
    with pytest.raises(ResourceUnavailableError) as refusal:
        choose_ports({"jaeger": taken}, {}, listeners={"jaeger": "the tracer"}, free=False)
    message = str(refusal.value)
    assert f"port {taken}, on which the tracer is to listen (setting ports.jaeger), is taken by" in message
    assert f"(process {os.getpid()})" in message


def test_a_listener_on_all_addresses_takes_the_port_too(defaults: dict[str, int]) -> None:
    with (
        socket.create_server(("0.0.0.0", defaults["jaeger"])),
        pytest.raises(ResourceUnavailableError, match="is taken"),
    ):
        choose_ports(defaults, {}, listeners=LISTENERS, free=False)


def test_what_is_left_of_closed_connections_does_not_take_a_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = listener.accept()
            # The side that closes first keeps the connection in TIME_WAIT.
            accepted.close()
            assert client.recv(1) == b""

    assert is_free(port)


def test_an_unknown_name_is_refused_with_the_known_ones(defaults: dict[str, int]) -> None:
    with pytest.raises(
        ConfigurationError, match=r"ports\.jeager = 1: there is no port of this name; there are jaeger, prometheus"
    ):
        choose_ports(defaults, {"jeager": 1}, listeners=LISTENERS, free=False)


def test_one_port_for_two_names_is_refused_with_both(defaults: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match=r"ports\.jaeger and ports\.prometheus are both"):
        choose_ports(defaults, {"prometheus": defaults["jaeger"]}, listeners=LISTENERS, free=False)


@given(taken=st.sets(st.integers(20000, 32767), max_size=50))
def test_a_free_port_is_never_among_the_taken_ones_nor_in_the_range_of_outgoing_connections(taken: set[int]) -> None:
    port = pick_free(taken=taken)
    assert port not in taken
    assert port < 32768
