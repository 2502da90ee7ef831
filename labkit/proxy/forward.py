"""TCP forwarding: a listener, and pairs of sockets between which bytes go to and fro.

A connection that is accepted gets an endpoint at random, as kube-proxy's iptables mode picks it
(or the one that its client had before, where the Service has session affinity), and keeps it.  Its
two sockets are two asyncio Protocols that write into each other's transport: what one receives the
other sends, in the same turn of the loop, without a stream or a task between.

- Source address: the endpoint sees the client's own, as behind iptables, if both are loopback
  addresses, for from these anybody may send; otherwise it sees the proxy's.
- Flow control: a side whose peer cannot take more stops reading until it can, so a pair holds at
  most one read and one write buffer.
- Half-close: the end of one direction is passed on and the other direction goes on; the pair ends
  when both have ended.
- Resets: a reset of one side resets the other, so that a broken answer never looks complete.

Unlike packets that iptables rewrites, a proxy learns that an endpoint does not answer, and tries
another before it gives up, with the time limits of kube-proxy's former userspace mode.

Connections outlive their listener and their endpoint's place in the EndpointSlice: they end when
one of their ends closes, or with the whole `Forwarder`.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import random
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from labkit.proxy.affinity import Affinity
from labkit.proxy.binding import Bind, bind
from labkit.proxy.rules import Address

log = logging.getLogger(__name__)

# Seconds for the first, second, ... endpoint that is tried (kube-proxy, userspace mode).
DIAL_TIMEOUTS = (0.25, 0.5, 1.0, 2.0)
_BACKLOG = 1024
_MOST_CLIENTS, _OTHERS = 1000, "others"  # that are counted one by one; and the name of the rest
_RESET = struct.pack("ii", 1, 0)  # struct linger: on, no time: close sends RST
_CONNECTED = (0, errno.EISCONN)
_PENDING = (errno.EINPROGRESS, errno.EALREADY)
_LATE_PORT = 24  # IP_BIND_ADDRESS_NO_PORT, which Python 3.11 does not name: connect(2) chooses it


@dataclass(slots=True)
class Tally:
    """What one endpoint of one Service port has carried; bytes as the client sees them."""

    connections: int = 0
    active: int = 0
    failures: int = 0  # connections that the endpoint did not take
    sent: int = 0
    received: int = 0


class Forwarder:
    """Owns all proxied connections; `source` picks the endpoints, `node_of` says on which node
    a client's address is, `bind` takes the listeners' addresses."""

    def __init__(
        self,
        source: random.Random,
        node_of: Callable[[str], str | None] = lambda client: None,
        bind: Bind = bind,
    ) -> None:
        self._source, self._node_of, self.bind = source, node_of, bind
        self._clients: set[_Client] = set()
        self._dials: set[asyncio.Task] = set()

    @property
    def active(self) -> int:
        """Connections that are open, or being opened, now."""
        return len(self._clients)

    def stop(self) -> None:
        """Reset all connections.  Safe to repeat."""
        for task in self._dials:
            task.cancel()
        for client in list(self._clients):
            client.reset()

    def accepted(self, client: _Client) -> None:
        """Connect `client` to an endpoint of its listener."""
        self._clients.add(client)
        task = asyncio.create_task(self._connect(client), name="service proxy dial")
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)

    def ended(self, client: _Client) -> None:
        """`client` is gone."""
        self._clients.discard(client)

    async def _connect(self, client: _Client) -> None:
        tried: set[Address] = set()
        for seconds in DIAL_TIMEOUTS:
            endpoint = self._choose(client, tried)
            if endpoint is None or client.lost:
                break
            tried.add(endpoint)
            tally = client.listener.tally(endpoint)
            try:
                sock = await _dial(endpoint, client.address, seconds)
            except OSError as error:
                tally.failures += 1
                log.debug("endpoint failed endpoint=%s:%d error=%s", *endpoint, error)
                continue
            client.listener.note(client.address)
            if client.listener.affinity:
                client.listener.affinity.note(client.address, endpoint)
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda tally=tally: _Backend(client, tally), sock=sock)
            return
        client.reset()

    def _choose(self, client: _Client, tried: set[Address]) -> Address | None:
        listener = client.listener
        endpoints = listener.endpoints
        if listener.by_node is not None and (node := self._node_of(client.address)):
            endpoints = listener.by_node.get(node, ())
        if tried:
            endpoints = tuple(endpoint for endpoint in endpoints if endpoint not in tried)
        if not endpoints:
            return None
        known = listener.affinity.endpoint(client.address) if listener.affinity else None
        if known in endpoints:
            return known
        return endpoints[int(self._source.random() * len(endpoints))]


class Listener:
    """Accepts connections at `address`; `endpoints` may be replaced at any time.

    So may `by_node`, the endpoints for clients on nodes, and `affinity`; both None if all clients
    are equal.
    """

    def __init__(
        self, address: Address, endpoints: tuple[Address, ...], forwarder: Forwarder
    ) -> None:
        self.address, self.endpoints, self.forwarder = address, endpoints, forwarder
        self.by_node: Mapping[str, tuple[Address, ...]] | None = None
        self.affinity: Affinity | None = None
        self.tallies: dict[Address, Tally] = {}
        self.clients: dict[str, int] = {}  # connections by the client's address
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Begin to listen.  Raises OSError where the address cannot be had."""
        sock = _tcp_socket()
        try:
            # Closed connections linger in TIME_WAIT and must not keep the address from us.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.forwarder.bind(sock, self.address)
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(
                lambda: _Client(self), sock=sock, backlog=_BACKLOG
            )
        except BaseException:
            sock.close()
            raise

    def close(self) -> None:
        """Listen no more: clients are refused.  Accepted connections go on."""
        if self._server:
            self._server.close()
            self._server = None

    def tally(self, endpoint: Address) -> Tally:
        """The counts of one endpoint behind this listener."""
        found = self.tallies.get(endpoint)
        if found is None:
            found = self.tallies[endpoint] = Tally()
        return found

    def note(self, client: str) -> None:
        """An endpoint has taken a connection of `client`."""
        known = client in self.clients or len(self.clients) < _MOST_CLIENTS
        client = client if known else _OTHERS
        self.clients[client] = self.clients.get(client, 0) + 1


def _tcp_socket() -> socket.socket:
    # asyncio sets TCP_NODELAY only on sockets that name their protocol.
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)


async def _dial(endpoint: Address, client: str, seconds: float) -> socket.socket:
    """A socket connected for `client`.  Raises OSError; TimeoutError, which is one, after
    `seconds`."""
    sock = _tcp_socket()
    try:
        sock.setblocking(False)
        if client != "127.0.0.1" and client.startswith("127.") and endpoint[0].startswith("127."):
            sock.setsockopt(socket.IPPROTO_IP, _LATE_PORT, 1)
            sock.bind((client, 0))
        # On loopback the kernel shakes hands within the first call and tells at the second.
        if (code := sock.connect_ex(endpoint)) in _PENDING:
            code = sock.connect_ex(endpoint)
        if code in _PENDING:
            async with asyncio.timeout(seconds):
                await asyncio.get_running_loop().sock_connect(sock, endpoint)
        elif code not in _CONNECTED:
            raise OSError(code, errno.errorcode.get(code, "connect failed"))
        return sock
    except BaseException:
        sock.close()
        raise


class _Side(asyncio.Protocol):
    """One socket of a pair; `peer` is the other, None until there is one."""

    __slots__ = ("ended", "lost", "peer", "transport")

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.peer: _Side | None = None
        self.ended = False  # this side will send no more
        self.lost = False

    def pause_writing(self) -> None:
        if self.peer and not self.peer.transport.is_closing():
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer and not self.peer.transport.is_closing():
            self.peer.transport.resume_reading()

    def eof_received(self) -> bool:
        self.ended = True
        if self.peer:
            self._pass_end()
        return True  # keep the other direction open

    def _pass_end(self) -> None:
        if self.peer.ended:
            self.peer.transport.close()  # after what is still to be written
            self.transport.close()
        else:
            self.peer.transport.write_eof()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        # Without an error it is we who closed both.
        if self.peer and error:
            self.peer.reset()

    def reset(self) -> None:
        """End this side at once, so that the other end sees a reset connection."""
        if self.lost or self.transport is None:
            return
        try:
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        except OSError:
            pass  # the socket is closed already
        self.transport.abort()


class _Client(_Side):
    """The socket that a client opened."""

    __slots__ = ("address", "early", "listener")

    def __init__(self, listener: Listener) -> None:
        super().__init__()
        self.listener = listener
        self.address = ""  # without the port
        self.early: list[bytes] = []  # what came before there was an endpoint

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        # None where the client has gone already.
        self.address = (transport.get_extra_info("peername") or ("",))[0]
        self.listener.forwarder.accepted(self)

    def data_received(self, data: bytes) -> None:
        if self.peer is None:
            self.early.append(data)
            self.transport.pause_reading()
            return
        self.peer.tally.sent += len(data)
        self.peer.transport.write(data)

    def connected(self, backend: _Backend) -> None:
        """`backend` is there: pass on what has come already."""
        self.peer = backend
        if self.early:
            early, self.early = self.early, []
            for data in early:
                self.data_received(data)
            self.transport.resume_reading()
        if self.ended:
            self._pass_end()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.listener.forwarder.ended(self)


class _Backend(_Side):
    """The socket to the endpoint."""

    __slots__ = ("tally",)

    def __init__(self, client: _Client, tally: Tally) -> None:
        super().__init__()
        self.peer, self.tally = client, tally

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.tally.connections += 1
        self.tally.active += 1
        if self.peer.lost:
            self.reset()
        else:
            self.peer.connected(self)

    def data_received(self, data: bytes) -> None:
        self.tally.received += len(data)
        self.peer.transport.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.tally.active -= 1
        super().connection_lost(error)
