"""The cluster's DNS server: UDP and TCP around `records.lookup`.

It keeps copies of Services, EndpointSlices and Namespaces by watching, and answers every question
from memory.  Addresses come in random order (dnspython writes sets so), hence clients which take
the first one spread over a headless Service.

Names outside of the cluster are asked for at the machine's own name servers (`dns_upstream`), where
there are any; otherwise they are refused at once, which sends a client's resolver to its next one.

Compared with CoreDNS it leaves out: caching (memory is fast), zone transfers, DNSSEC.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Callable, Iterable, Mapping

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from labkit.client import Client, Informer
from labkit.clock import Clock
from labkit.errors import ClusterError
from labkit.kube.resources import ENDPOINT_SLICES, NAMESPACES, SERVICES
from labkit.proxy import records, rules
from labkit.proxy.binding import Bind, bind
from labkit.proxy.dns_upstream import Upstream
from labkit.proxy.records import Directory, Record

log = logging.getLogger(__name__)

PORT = 53
_PLAIN_UDP = 512  # bytes of an answer over UDP, unless the client says more (RFC 6891)
_LARGEST_UDP = 4096
_HEADER = 12
_MAX_FORWARDED = 256  # questions that wait for other servers; more are told SERVFAIL
_MAX_TCP = 128  # connections; beyond them the one that was silent longest is closed
_PORT_TRIES = 20
_REFUSED_PORT = (errno.EACCES, errno.EPERM, errno.EADDRINUSE)


class ClusterDNS:
    """Answers for `domain` at `address`, on `port`, or on `fallback_port` where that is refused.

    `port` becomes the one that it got; a `fallback_port` of 0 takes any free one.  Names outside
    of the domain are asked for at `upstream`.
    """

    def __init__(
        self,
        client: Client,
        clock: Clock,
        *,
        address: str,
        port: int = PORT,
        fallback_port: int,
        domain: str = "cluster.local",
        upstream: Upstream | None = None,
        bind: Bind = bind,
    ) -> None:
        self._take = bind
        self.address, self.port, self._fallback_port = address, port, fallback_port
        self._clock = clock
        self._services = Informer(client, SERVICES, clock)
        self._slices = Informer(client, ENDPOINT_SLICES, clock)
        self._namespaces = Informer(client, NAMESPACES, clock)
        self._directory = self._index(domain)
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._upstream = upstream
        self._forwarded: set[asyncio.Task] = set()
        self._connections: dict[_Stream, None] = {}  # as an ordered set, the most silent first

    async def start(self) -> None:
        """Learn the cluster, then listen.  Raises ClusterError where no port can be had."""
        tcp, udp = self._bind()
        try:
            for informer in self._informers:
                informer.start()
            await asyncio.gather(*(informer.synced() for informer in self._informers))
            loop = asyncio.get_running_loop()
            self._tcp = await loop.create_server(lambda: _Stream(self), sock=tcp)
            self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=udp)
        except BaseException:
            tcp.close()
            udp.close()
            await self.stop()
            raise
        log.info("serving domain=%s address=%s:%d", self._directory.domain, self.address, self.port)

    async def stop(self) -> None:
        """Close all sockets and end the watches.  Safe to repeat."""
        if self._udp:
            self._udp.close()
        if self._tcp:
            self._tcp.close()
        self._udp = self._tcp = None
        for connection in list(self._connections):
            connection.transport.abort()
        for task in self._forwarded:
            task.cancel()
        await asyncio.gather(*(informer.stop() for informer in self._informers))

    def respond(self, wire: bytes, send: Callable[[bytes], None], limit: int | None = None) -> None:
        """Answer a query, both as on the wire: `send` the response now or later, if there is one.

        Without `limit` (bytes) it is cut to what the client can take over UDP.
        """
        if len(wire) < _HEADER or wire[2] & 0x80:
            return  # no query, perhaps a response: an answer to it might go round for ever
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            send(_format_error(wire))
            return
        if limit is None:
            limit = min(max(query.payload, _PLAIN_UDP), _LARGEST_UDP)
        try:
            response = self._response(query)
        except dns.exception.DNSException:
            log.exception("no answer question=%s", query.question)
            response = dns.message.make_response(query)
            response.set_rcode(dns.rcode.SERVFAIL)
        if (name := self._elsewhere(query, response)) is None:
            send(response.to_wire(max_size=limit, prefer_truncation=True))
            return
        task = asyncio.create_task(self._forward(name, response, send, limit), name="dns forward")
        self._forwarded.add(task)
        task.add_done_callback(self._forwarded.discard)

    def _elsewhere(self, query: dns.message.Message, response: dns.message.Message) -> str | None:
        """The name for which another server must be asked to complete a response."""
        if not self._upstream or not self._upstream.servers or not query.question:
            return None
        if len(self._forwarded) >= _MAX_FORWARDED:
            response.set_rcode(dns.rcode.SERVFAIL)
            return None
        if response.rcode() == dns.rcode.REFUSED and _refusal(query) is None:
            return query.question[0].name.to_text()
        aliases = [found for found in response.answer if found.rdtype == dns.rdatatype.CNAME]
        if not aliases or len(aliases) < len(response.answer) or response.authority:
            return None
        last = aliases[-1][0].target
        wanted = query.question[0].rdtype != dns.rdatatype.CNAME
        return last.to_text() if wanted else None

    async def _forward(
        self,
        name: str,
        response: dns.message.Message,
        send: Callable[[bytes], None],
        limit: int,
    ) -> None:
        found = await self._upstream.ask(name, dns.rdatatype.to_text(response.question[0].rdtype))
        if found is None:
            response.set_rcode(dns.rcode.SERVFAIL)
        else:
            response.set_rcode(found.rcode())
            response.flags |= dns.flags.RA
            response.answer += found.answer
            response.authority += found.authority
        send(response.to_wire(max_size=limit, prefer_truncation=True))

    @property
    def _informers(self) -> tuple[Informer, ...]:
        return self._services, self._slices, self._namespaces

    def _index(self, domain: str) -> Directory:
        self._services.add_index("address", _cluster_ips)
        self._slices.add_index("service", rules.service_keys)
        self._slices.add_index("address", _endpoint_ips)
        return Directory(
            domain=domain,
            address=self.address,
            services=self._services.store,
            namespaces=self._namespaces.store,
            slices_of=lambda key: self._slices.by_index("service", key),
            services_at=lambda ip: self._services.by_index("address", ip),
            slices_with=lambda ip: self._slices.by_index("address", ip),
        )

    def _bind(self) -> tuple[socket.socket, socket.socket]:
        """TCP and UDP sockets on one port."""
        try:
            pair = _bind_pair(self.address, self.port, self._take)
        except OSError as error:
            if error.errno not in _REFUSED_PORT:
                raise self._no_port(error) from error
            log.info("port refused port=%d error=%s", self.port, error)
            try:
                pair = _bind_pair(self.address, self._fallback_port, self._take)
            except OSError as fallback_error:
                raise self._no_port(fallback_error) from fallback_error
        self.port = pair[0].getsockname()[1]
        return pair

    def _no_port(self, error: OSError) -> ClusterError:
        ports = f"{self.port} or {self._fallback_port}"
        return ClusterError(
            f"The cluster's DNS cannot listen at {self.address}, port {ports}: "
            f"{os.strerror(error.errno)}.",
            "Another program, perhaps another cluster, is there already."
            if error.errno == errno.EADDRINUSE
            else "Only Linux gives all of 127.0.0.0/8 to the loopback interface.",
            f"See who listens: ss -lntup 'src {self.address}'",
        )

    def _response(self, query: dns.message.Message) -> dns.message.Message:
        response = dns.message.make_response(query, our_payload=_LARGEST_UDP)
        code = _refusal(query)
        if code is not None:
            response.set_rcode(code)
            return response
        question = query.question[0]
        kind = dns.rdatatype.to_text(question.rdtype)
        serial = int(self._clock.now()) & 0xFFFFFFFF
        answer = records.lookup(self._directory, question.name.to_text(), kind, serial)
        response.set_rcode(dns.rcode.from_text(answer.code))
        if answer.code != "REFUSED":
            response.flags |= dns.flags.AA
        response.answer += _rrsets(answer.records)
        response.authority += _rrsets(answer.authority)
        response.additional += _rrsets(answer.additional)
        return response

    def heard(self, connection: _Stream) -> None:
        """`connection` has asked, or is new: close the most silent one if there are too many."""
        self._connections.pop(connection, None)
        self._connections[connection] = None
        if len(self._connections) > _MAX_TCP:
            next(iter(self._connections)).transport.abort()

    def lost(self, connection: _Stream) -> None:
        """`connection` is closed."""
        self._connections.pop(connection, None)


class _Datagrams(asyncio.DatagramProtocol):
    """Queries over UDP: one datagram, one answer."""

    def __init__(self, server: ClusterDNS) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple) -> None:
        self._server.respond(data, lambda response: self._transport.sendto(response, address))


class _Stream(asyncio.Protocol):
    """Queries over TCP, each after its length in two bytes; the connection stays open for more."""

    def __init__(self, server: ClusterDNS) -> None:
        self._server = server
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self._server.heard(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._server.heard(self)
        while len(self._buffer) >= 2:
            end = 2 + int.from_bytes(self._buffer[:2])
            if len(self._buffer) < end:
                return
            query = bytes(self._buffer[2:end])
            del self._buffer[:end]
            self._answer(query)

    def _answer(self, query: bytes) -> None:
        self._server.respond(query, self._send, limit=0xFFFF)

    def _send(self, response: bytes) -> None:
        self.transport.write(len(response).to_bytes(2) + response)

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self._server.lost(self)


def _refusal(query: dns.message.Message) -> dns.rcode.Rcode | None:
    """The code for a query that is no plain question, None for one that is."""
    if query.opcode() != dns.opcode.QUERY:
        return dns.rcode.NOTIMP
    if query.edns > 0:
        return dns.rcode.BADVERS
    if len(query.question) != 1:
        return dns.rcode.FORMERR
    if query.question[0].rdclass != dns.rdataclass.IN:
        return dns.rcode.REFUSED
    return None


def _format_error(wire: bytes) -> bytes:
    """FORMERR for a query of which only the header can be read."""
    flags = (wire[2] & 0x79) | 0x80, dns.rcode.FORMERR  # its opcode and RD, and: a response
    return wire[:2] + bytes(flags) + bytes(8)


def _rrsets(found: Iterable[Record]) -> list[dns.rrset.RRset]:
    """Records of one name and type together, in the order of their first."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for record in found:
        grouped.setdefault((record.name, record.kind), []).append(record.data)
    return [
        dns.rrset.from_text_list(name, records.TTL, "IN", kind, data)
        for (name, kind), data in grouped.items()
    ]


def _cluster_ips(service: Mapping) -> tuple[str, ...]:
    return (service["spec"]["clusterIP"],) if rules.has_cluster_ip(service) else ()


def _endpoint_ips(slice_: Mapping) -> set[str]:
    return {endpoint["addresses"][0] for endpoint in slice_.get("endpoints") or ()}


def _bind_pair(address: str, port: int, bind: Bind) -> tuple[socket.socket, socket.socket]:
    """TCP and UDP sockets on the same port; with port 0 on one that is free for both."""
    tries = 1 if port else _PORT_TRIES
    while True:
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bind(tcp, (address, port))
            # Several may bind a port with SO_REUSEADDR, but only one may listen.
            tcp.listen()
            bind(udp, tcp.getsockname())
            return tcp, udp
        except OSError:
            tcp.close()
            udp.close()
            tries -= 1
            if not tries:
                raise
