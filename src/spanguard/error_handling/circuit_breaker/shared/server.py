"""The way to a server: a client for any URL that `limits` understands, and the three things asked of it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from spanguard.error_handling.circuit_breaker.shared.script import DIGEST, SCRIPT, UNKNOWN, View, text_of, view_of
from spanguard.errors import ConfigurationError
from spanguard.fork_gate import IMPORTS
from spanguard.telemetry.internal import safely

SCHEMES: Final = tuple(
    f"{library}{kind}" for library in ("redis", "valkey") for kind in ("", "s", "+unix", "+cluster", "+sentinel")
)
"""What a URL may begin with, as in `limits`."""


class Server:
    """One client, for one thread.

    Building it for a cluster already asks the cluster for its slots.
    """

    def __init__(self, url: str, timeout: float, options: Mapping[str, Any]) -> None:
        with IMPORTS:
            self._build(url, timeout, options)

    def _build(self, url: str, timeout: float, options: Mapping[str, Any]) -> None:
        scheme = urlsplit(url).scheme
        library = library_of(url)
        retry = importlib.import_module(f"{library}.retry")
        backoff = importlib.import_module(f"{library}.backoff")
        # Who asks goes on without an answer long before a second try, and the link makes its own.
        patience = {
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "retry": retry.Retry(backoff.NoBackoff(), 0),
        }
        chosen: dict[str, Any] = {**patience, **options}
        if scheme.endswith("+sentinel"):
            chosen["sentinel_kwargs"] = {**patience, **chosen.get("sentinel_kwargs", {})}
        # Imported here, as only who shares a breaker needs it and it takes long.
        storages = importlib.import_module("limits.storage")
        self._client: Any = storages.storage_from_string(url, **chosen).get_connection()
        self._no_script = importlib.import_module(f"{library}.exceptions").NoScriptError

    def check_options(self) -> None:
        """Raise what a connection would raise for its options, without making one."""
        self._client.connection_pool.make_connection()

    def run(self, keys: Sequence[str], *arguments: str | int) -> View:
        """Run the script, whether or not the server has kept it."""
        try:
            reply = self._client.evalsha(DIGEST, len(keys), *keys, *arguments)
        except self._no_script:
            reply = self._client.eval(SCRIPT, len(keys), *keys, *arguments)
        return view_of(reply)

    def epochs(self, keys: Sequence[str]) -> list[str]:
        """Return the epochs of many breakers in one round trip (one a node, in a cluster)."""
        pipeline = self._client.pipeline(transaction=False)
        for key in keys:
            pipeline.hget(key, "epoch")
        return [UNKNOWN if epoch is None else text_of(epoch) for epoch in pipeline.execute()]

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class Line:
    """The connection of one thread to a server: made when it is wanted, and made anew after a failure."""

    def __init__(self, url: str, timeout: float, options: Mapping[str, Any]) -> None:
        self._settings = url, timeout, options
        self._server: Server | None = None

    def server(self) -> Server:
        """Return the server; this may take as long as it takes to connect."""
        if self._server is None:
            self._server = Server(*self._settings)
        return self._server

    def hang_up(self) -> None:
        """Drop what is left of the connection: a new client finds a new master, new cluster nodes and new addresses."""
        server, self._server = self._server, None
        if server is not None:
            with safely("circuit_breaker.storage"):
                server.close()

    def renewed(self) -> Line:
        """Return a line to the same server for a forked child: the parent's connection is none of its own."""
        return Line(*self._settings)


def library_of(url: str) -> str:
    """Return the client library that serves a URL: redis or valkey."""
    return "valkey" if url.startswith("valkey") else "redis"


def check_url(url: str, timeout: float, options: Mapping[str, Any], *, where: str) -> None:
    """Refuse a URL that no client could be built from. No message of it quotes the URL: it may hold a password.

    Raises:
        ConfigurationError: the URL does not parse, or the client library is not installed.
    """
    problems = list(_problems(url))
    if not problems:
        library = library_of(url)
        try:
            with IMPORTS:
                importlib.import_module(library)
        except ImportError:
            extra = "'spanguard[redis]'" if library == "redis" else library
            problems = [
                f"its URL begins with {urlsplit(url).scheme}://, but the package {library} is not installed; install it: pip install {extra}."
            ]
    # A cluster is asked for its slots as soon as a client is built: that has to wait for the background.
    if not problems and "+cluster" not in url and not _can_be_built(url, timeout, options):
        problems = ["no client can be built from its URL and options; check port, database and the options behind '?'."]
    if problems:
        raise ConfigurationError([f"{where}: {problem}" for problem in problems])


def _can_be_built(url: str, timeout: float, options: Mapping[str, Any]) -> bool:
    try:
        Server(url, timeout, options).check_options()
    except Exception:  # noqa: BLE001 - whatever it is, its text may quote the URL
        return False
    return True


def _problems(url: str) -> Iterator[str]:
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        yield f"its URL has an unknown scheme; it must begin with one of {', '.join(f'{scheme}://' for scheme in SCHEMES)}."
    elif parts.scheme in ("redis", "rediss", "valkey", "valkeys") and not re.fullmatch(r"(/\d*)?", parts.path):
        yield "its URL ends in a database that is no number; write it as in redis://host:port/0."
    elif parts.scheme.endswith(("+cluster", "+sentinel")):
        for number, address in enumerate(parts.netloc.rpartition("@")[2].split(","), 1):
            if re.fullmatch(r"\s*([^\s:]+|\[[0-9a-fA-F:.]+\]):\d{1,5}\s*", address) is None:
                yield f"address {number} of its URL is no host:port; write them as host:port,host:port."
        if parts.scheme.endswith("+sentinel") and not parts.path.strip("/"):
            yield "its URL names no service; write it behind the addresses, as in redis+sentinel://host:port/mymaster."
