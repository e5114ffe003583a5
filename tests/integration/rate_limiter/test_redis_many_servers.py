"""Limits at a cluster, behind Sentinel and behind TLS; with a real failover."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from integration.redis_server import RedisServer, awaited, free_port, tls_redis
from spanguard.errors import ResourceUnavailableError
from spanguard.rate_limiter.rules import Rule
from spanguard.rate_limiter.status import RateLimitStatus
from spanguard.rate_limiter.storages import Fallback, async_decider_at, decider_at

RULES = (Rule("token_bucket", 3, Fraction(3600)), Rule("sliding_window_log", 5, Fraction(3600)))
KEYS = [f"key-{number}" for number in range(30)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    """Three nodes that share the slots."""
    folder = tmp_path_factory.mktemp("cluster")
    with contextlib.ExitStack() as running:
        yield joined([running.enter_context(node(folder / str(number))) for number in range(3)])


def node(folder: Path) -> RedisServer:
    """Return a node on its own."""
    return RedisServer(folder, "--cluster-enabled", "yes", "--cluster-node-timeout", "1000")


def is_whole(client: Any) -> bool:
    """Tell whether a node knows of a server for every key."""
    return bool(client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")


def joined(nodes: list[RedisServer]) -> list[RedisServer]:
    """Make them a cluster."""
    program = shutil.which("redis-cli")
    assert program is not None, "redis-cli comes with redis-server"
    addresses = [f"127.0.0.1:{node.port}" for node in nodes]
    subprocess.run([program, "--cluster", "create", *addresses, "--cluster-yes"], check=True, capture_output=True)
    for node in nodes:
        with node.client() as client:
            awaited(partial(is_whole, client))
    return nodes


def cluster_url(nodes: list[RedisServer]) -> str:
    return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)


def states_at(node: RedisServer) -> int:
    with node.client() as client:
        return int(client.dbsize())


def test_several_limits_of_a_key_are_decided_in_a_cluster(cluster: list[RedisServer]) -> None:
    decider = decider_at(cluster_url(cluster), RULES, name="sync", timeout=2)
    answers = [[decider.decide(key).allowed for _ in range(4)] for key in KEYS]
    assert answers == [[True, True, True, False]] * len(KEYS)
    assert all(states_at(node) > 0 for node in cluster), "the keys are not spread over the nodes"
    decider.reset(KEYS[0])
    assert decider.decide(KEYS[0], 3).allowed


def test_an_event_loop_decides_in_a_cluster_too(cluster: list[RedisServer]) -> None:
    async def decide() -> list[list[bool]]:
        decider = async_decider_at(cluster_url(cluster), RULES, name="async", timeout=2)
        answers = [[(await decider.decide(key)).allowed for _ in range(4)] for key in KEYS]
        await decider.aclose()
        return answers

    assert asyncio.run(decide()) == [[True, True, True, False]] * len(KEYS)


def test_a_cluster_that_is_not_there_is_an_error_or_a_local_share() -> None:
    url = f"redis+cluster://127.0.0.1:{free_port()}"
    with pytest.raises(ResourceUnavailableError, match="did not decide"):
        decider_at(url, RULES, name="api").probe("")
    assert Fallback("api", RULES, 1.0).around(decider_at(url, RULES, name="api")).decide("key").fallback


def test_a_server_is_trusted_by_its_certificate_and_not_without(tmp_path: Path) -> None:
    with tls_redis(tmp_path) as server:
        url = f"{server.url}?ssl_ca_certs={server.certificate}"
        assert decider_at(url, RULES, name="api", timeout=5).decide("key").remaining == 2

        async def decide() -> RateLimitStatus:
            decider = async_decider_at(url, RULES, name="api", timeout=5)
            status = await decider.decide("key")
            await decider.aclose()
            return status

        assert asyncio.run(decide()).remaining == 1
        with pytest.raises(ResourceUnavailableError, match="did not decide"):
            decider_at(server.url, RULES, name="api", timeout=5).decide("key")


@pytest.fixture
def behind_sentinel(tmp_path: Path) -> Iterator[tuple[str, RedisServer, RedisServer]]:
    """The URL of a service, its master and its replica; one Sentinel watches them."""
    settings = tmp_path / "sentinel.conf"
    with contextlib.ExitStack() as running:
        master = running.enter_context(RedisServer(tmp_path))
        follow = ("--replicaof", f"127.0.0.1 {master.port}", "--repl-diskless-sync-delay", "0")
        replica = running.enter_context(RedisServer(tmp_path, *follow))
        settings.write_text(
            f"sentinel monitor limits 127.0.0.1 {master.port} 1\n"
            "sentinel down-after-milliseconds limits 500\n"
            "sentinel failover-timeout limits 2000\n"
        )
        watcher = running.enter_context(RedisServer(tmp_path, str(settings), "--sentinel"))
        with replica.client() as client:
            awaited(lambda: client.info("replication").get("master_link_status") == "up")
        with watcher.client() as client:
            awaited(lambda: client.sentinel_slaves("limits"))
        yield f"redis+sentinel://127.0.0.1:{watcher.port}/limits", master, replica


def test_a_failover_by_sentinel_is_gone_through_on_the_local_share_and_forgives_nothing(
    behind_sentinel: tuple[str, RedisServer, RedisServer],
) -> None:
    url, master, replica = behind_sentinel
    rules = (Rule("token_bucket", 100, Fraction(36_000_000)),)
    decider = Fallback("api", rules, 0.1).around(decider_at(url, rules, name="api", timeout=0.5))
    assert decider.decide("key", 60).remaining == 40
    with replica.client() as client:
        awaited(lambda: client.dbsize() > 0)
    master.kill()
    assert decider.decide("key").fallback

    def found() -> RateLimitStatus | None:
        status = decider.decide("key")
        return None if status.fallback else status

    awaited(lambda: found() is not None, seconds=40)
    assert decider.decide("key").remaining <= 38
