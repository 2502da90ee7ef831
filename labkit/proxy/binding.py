"""How the servers here take their addresses: by `bind(2)`, or by what stands in for it.

An ordinary user may not have ports below 1024.  Where there is a helper that may (as beside a
Docker daemon), a function of the same shape asks it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

Bind = Callable[[socket.socket, tuple[str, int]], None]
"""Binds a socket to an address.  Raises OSError."""


def bind(sock: socket.socket, address: tuple[str, int]) -> None:
    """As the system has it."""
    sock.bind(address)
