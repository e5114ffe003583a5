"""Ports of the loopback interface: free ones, taken ones and who holds them."""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Collection

import psutil

LOOPBACK = "127.0.0.1"

# Below the range that Linux gives to outgoing connections (32768 and up): a port found free here stays so until a server binds it.
_SEARCHED = range(20000, 32768)


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
        listening = [c for c in psutil.net_connections(kind="tcp") if c.status == psutil.CONN_LISTEN and c.laddr.port == port]
    except psutil.AccessDenied:
        return "another process"
    for connection in listening:
        if connection.pid is not None:
            try:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
            except psutil.NoSuchProcess:
                continue
    return "another process, of another user" if listening else "another process"
