"""The servers that a URL can name: a cluster, one watched by a sentinel, behind a socket, a password or TLS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from integration.redis_server import RedisServer, awaited, free_port, tls_redis
from spanguard.error_handling import CircuitBreaker, RedisBreakerStorage

SECRET = "s3cret"


def share(url: str, name: str) -> tuple[CircuitBreaker, CircuitBreaker]:
    """Return two breakers that share a state through connections of their own."""
    first, second = (RedisBreakerStorage(url, name, timeout=timeout) for timeout in (1.0, 1.1))
    return (
        CircuitBreaker(name=name, reset_timeout=60, state_storage=first),
        CircuitBreaker(name=name, reset_timeout=60, state_storage=second),
    )


def is_in(breaker: CircuitBreaker, state: str) -> bool:
    return breaker.current_state == state


def check_that_they_share(first: CircuitBreaker, second: CircuitBreaker) -> None:
    first.half_open()
    awaited(partial(is_in, second, "half-open"))
    assert second.call(int) == 0
    awaited(partial(is_in, first, "closed"))
    first.open()
    awaited(partial(is_in, second, "open"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    """Three nodes that hold a third of the slots each."""
    folder = tmp_path_factory.mktemp("cluster")
    with ExitStack() as running:
        nodes = [
            running.enter_context(RedisServer(folder / str(number), "--cluster-enabled", "yes")) for number in range(3)
        ]
        for number, node in enumerate(nodes):
            node.command("CLUSTER", "ADDSLOTSRANGE", str(16384 * number // 3), str(16384 * (number + 1) // 3 - 1))
            node.command("CLUSTER", "MEET", "127.0.0.1", str(nodes[0].port))
        awaited(lambda: all(is_whole(node) for node in nodes))
        yield nodes


def is_whole(node: RedisServer) -> bool:
    with node.client() as client:
        info: dict[str, str] = client.cluster("INFO")
        return info["cluster_state"] == "ok"


def url_of(nodes: list[RedisServer]) -> str:
    return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)


@pytest.mark.parametrize("name", ["api", "a{b}c", "{}", "}", "billing {eu}", "дом"])
def test_a_cluster_keeps_what_belongs_together_in_one_slot(cluster: list[RedisServer], name: str) -> None:
    check_that_they_share(*share(url_of(cluster), name))


def test_breakers_on_all_nodes_of_a_cluster_share_one_link(cluster: list[RedisServer]) -> None:
    url = url_of(cluster)
    names = [f"service {number}" for number in range(12)]
    pairs = [share(url, name) for name in names]
    for first, _ in pairs:
        first.open()
    awaited(lambda: all(second.current_state == "open" for _, second in pairs))
    held = [int(node.command("DBSIZE")) for node in cluster]
    assert all(held), held


def test_a_cluster_that_is_away_at_the_start_is_found_when_it_comes(tmp_path: Path) -> None:
    port = free_port()
    first, second = share(f"redis+cluster://127.0.0.1:{port}", "api")
    assert first.call(int) == 0
    with RedisServer(tmp_path, "--cluster-enabled", "yes", port=port) as node:
        node.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        check_that_they_share(first, second)


@dataclass(frozen=True)
class Watched:
    """A master, its replica, and the sentinel that watches them."""

    master: RedisServer
    replica: RedisServer
    sentinel: RedisServer


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    auth = ("--requirepass", SECRET, "--masterauth", SECRET)
    settings = tmp_path / "sentinel.conf"
    with ExitStack() as running:
        master = running.enter_context(RedisServer(tmp_path / "master", *auth, password=SECRET))
        follow = ("--replicaof", f"127.0.0.1 {master.port}")
        replica = running.enter_context(RedisServer(tmp_path / "replica", *auth, *follow, password=SECRET))
        awaited(lambda: replication(replica)["master_link_status"] == "up")
        settings.write_text(
            f"requirepass {SECRET}\n"
            f"sentinel monitor main 127.0.0.1 {master.port} 1\n"
            f"sentinel auth-pass main {SECRET}\n"
            "sentinel down-after-milliseconds main 500\n"
            "sentinel failover-timeout main 2000\n"
        )
        sentinel = running.enter_context(
            RedisServer(tmp_path / "sentinel", str(settings), "--sentinel", password=SECRET)
        )
        awaited(lambda: knows_a_replica(sentinel))
        yield Watched(master, replica, sentinel)


def replication(server: RedisServer) -> dict[str, str]:
    with server.client() as client:
        return dict(client.info("replication"))


def knows_a_replica(sentinel: RedisServer) -> bool:
    with sentinel.client() as client:
        return bool(client.sentinel_master("main")["num-slaves"])


def test_a_failover_by_the_sentinel_keeps_the_state_and_the_breakers_find_the_new_master(watched: Watched) -> None:
    first, second = share(f"redis+sentinel://:{SECRET}@127.0.0.1:{watched.sentinel.port}/main", "api")
    check_that_they_share(first, second)
    watched.master.kill()
    awaited(lambda: replication(watched.replica)["role"] == "master")
    assert is_in(first, "open")
    first.close()
    awaited(partial(is_in, second, "closed"))
    check_that_they_share(first, second)


def test_a_unix_socket_will_do(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--unixsocket", str(tmp_path / "redis.sock")):
        check_that_they_share(*share(f"redis+unix://{tmp_path}/redis.sock", "api"))


def test_a_password_opens_the_server_and_a_wrong_one_degrades(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--requirepass", SECRET, password=SECRET) as server:
        check_that_they_share(*share(f"redis://:{SECRET}@127.0.0.1:{server.port}", "api"))
        wrong = RedisBreakerStorage(f"redis://:wrong@127.0.0.1:{server.port}", "api")
        awaited(lambda: wrong.status == "degraded")


def test_a_server_is_trusted_by_its_certificate_and_not_without(tmp_path: Path) -> None:
    with tls_redis(tmp_path) as server:
        check_that_they_share(*share(f"{server.url}?ssl_ca_certs={server.certificate}", "api"))
        untrusting = RedisBreakerStorage(server.url, "api")
        awaited(lambda: untrusting.status == "degraded")
