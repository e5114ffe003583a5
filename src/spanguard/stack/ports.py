"""Ports of the loopback interface: free ones, taken ones and who holds them."""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Collection, Mapping

import psutil

from spanguard.errors import ConfigurationError, ResourceUnavailableError

LOOPBACK = "127.0.0.1"

# Below the range that Linux gives to outgoing connections (32768 and up): a port found free here stays so until a server binds it.
_SEARCHED = range(20000, 32768)


def choose_ports(
    defaults: Mapping[str, int], chosen: Mapping[str, int], *, listeners: Mapping[str, str], free: bool
) -> dict[str, int]:
    """The port of each name: the chosen one, else the default one, or with `free` any free one.

    Args:
        defaults: the default port of each name.
        chosen: ports by name that the user set.
        listeners: the server that listens on each port, for messages.
        free: take a free port for each name that is not chosen.

    Raises:
        ConfigurationError: an unknown name, or one port for two names.
        ResourceUnavailableError: a port is taken or may not be used.
    """
    problems = [
        f"stack setting ports.{name} = {port}: there is no port of this name; there are {', '.join(defaults)}."
        for name, port in chosen.items()
        if name not in defaults
    ]
    ports = {**({} if free else defaults), **chosen}
    names: dict[int, str] = {}
    for name, port in ports.items():
        first = names.setdefault(port, name)
        if first != name:
            problems.append(
                f"stack settings ports.{first} and ports.{name} are both {port}. Give each its own: {_how_to_change(name)}."
            )
    if problems:
        raise ConfigurationError(problems)
    for name, port in ports.items():
        _require_free(name, port, listeners[name])
    for name in defaults:
        if name not in ports:
            ports[name] = pick_free(taken=ports.values())
    return {name: ports[name] for name in defaults}


def _require_free(name: str, port: int, server: str) -> None:
    try:
        if is_free(port):
            return
        problem = f"is taken by {holder(port)}. Stop that, or choose"
    except OSError as error:
        problem = f"cannot be used: {error.strerror}. Choose"
    raise ResourceUnavailableError(
        f"port {port}, on which {server} is to listen (setting ports.{name}), {problem} another port: {_how_to_change(name)}, "
        "or --free-ports for free ones throughout."
    )


def _how_to_change(name: str) -> str:
    return f"--port {name}=PORT or SPANGUARD_STACK_PORTS__{name.upper()}=PORT"


def is_free(port: int) -> bool:
    """Whether a server could listen on this port now.

    Raises:
        OSError: binding fails for another reason than that the port is taken, such as a port below 1024.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: what is left of closed connections (TIME_WAIT) is no obstacle, a listener is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def pick_free(*, taken: Collection[int]) -> int:
    """A free port that is not among `taken`.

    Raises:
        OSError: there is none left.
    """
    for port in random.sample(_SEARCHED, len(_SEARCHED)):
        if port not in taken and is_free(port):
            return port
    raise OSError(errno.EADDRINUSE, f"no port between {_SEARCHED[0]} and {_SEARCHED[-1]} is free")


def holder(port: int) -> str:
    """Who listens on a port, for people: name and process id, or as much as this user may know."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return "another process"
    listening = [c for c in connections if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port]
    for connection in listening:
        if connection.pid is not None:
            try:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
            except psutil.NoSuchProcess:
                continue
    return "another process, of another user" if listening else "another process"
