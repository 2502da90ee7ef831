"""Real sockets on addresses of 127.0.0.0/8 that no other test uses."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket

_serial = itertools.count(1)


def fresh_ip() -> str:
    """A loopback address for one test; tests of other processes have other ones."""
    number = next(_serial)
    return f"127.{128 + os.getpid() % 32}.{os.getpid() // 32 % 256}.{number % 254 + 1}"


def free_port(ip: str) -> int:
    """A port at `ip` on which nobody listens."""
    with socket.socket() as sock:
        sock.bind((ip, 0))
        return sock.getsockname()[1]


class Endpoint:
    """A TCP server with an address of its own: greets each connection's first bytes by name."""

    def __init__(self, name: str, ip: str, port: int) -> None:
        self.name, self.address = name, (ip, port)
        self.server: asyncio.Server | None = None
        self.writers: list[asyncio.StreamWriter] = []

    async def start(self, handler=None) -> Endpoint:
        ip, port = self.address
        self.server = await asyncio.start_server(handler or self._greet, ip, port)
        return self

    def stop_listening(self) -> None:
        self.server.close()

    async def stop(self) -> None:
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while data := await reader.read(65536):
                writer.write(self.name.encode() + b":" + data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


async def eventually(condition, seconds: float = 10.0) -> None:
    """Return once `condition()` holds; fail with its source line otherwise."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the kernel sets no Event
            await asyncio.sleep(0.005)


async def ask(address: tuple[str, int], text: bytes = b"hello", source: str = "") -> bytes:
    """One connection, from the address `source`: send, say that this was all, read all."""
    own = (source, 0) if source else None
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(*address, local_addr=own)
        try:
            writer.write(text)
            writer.write_eof()
            return await reader.read()
        finally:
            writer.close()


def service_cidr() -> str:
    """Cluster IPs for the tests of this process, outside of any real cluster's range."""
    return f"127.{110 + os.getpid() % 16}.{os.getpid() // 16 % 256}.0/24"


def service_ip(number: int) -> str:
    """The cluster IP of this number in `service_cidr`."""
    return service_cidr().replace(".0/24", f".{number}")
