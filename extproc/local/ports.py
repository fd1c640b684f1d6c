"""Ports on loopback for what is started here."""

import itertools
import os
import socket
from typing import Final

_FIRST: Final = 20_000
_COUNT: Final = 12_000
"""Below those that Linux gives to connections (`ip_local_port_range`, from 32768 by default)."""
_STEP: Final = 997
# Each process tries its own ports first, and none a second time until all were tried.
_next = itertools.count(os.getpid() * _STEP)


def free_port() -> int:
    """A port that nobody has, and that no connection takes until it is used. No two calls give the same."""
    for _ in range(_COUNT):
        port = _FIRST + next(_next) % _COUNT
        if is_free(port):
            return port
    raise OSError("no port is free on 127.0.0.1")


def is_free(port: int) -> bool:
    """Whether a server can have it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
