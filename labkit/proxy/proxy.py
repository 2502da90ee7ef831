"""The service proxy: every Service port accepts connections for its ready endpoints.

A userspace kube-proxy on loopback addresses.  `reconcile` compares the listeners that a Service
should have (`rules.listeners`) with those it has and applies the difference; a change of endpoints
replaces them behind a listener that stays, so no connection is refused while Pods are replaced.

Invariants: a Service port without endpoints has no listener, hence clients get "connection
refused", as from kube-proxy's REJECT rules; an address that cannot be had costs the Service that
address only, is told in an Event, and is tried again every few seconds.

Compared with kube-proxy in iptables mode: one process for all nodes; an endpoint that does not
answer is passed over; a client for which a policy leaves no endpoint is reset rather than left
without an answer.  Left out: UDP and SCTP (an Event says so).
"""

from __future__ import annotations

import errno
import json
import logging
import os
import random
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network

from labkit.client import Client, Controller, EventRecorder
from labkit.client.events import NORMAL, WARNING
from labkit.client.telemetry import MetricsPage
from labkit.clock import Clock
from labkit.kube.resources import ENDPOINT_SLICES, NODES, SERVICES
from labkit.proxy import rules
from labkit.proxy.affinity import Affinity
from labkit.proxy.binding import Bind, bind
from labkit.proxy.forward import Forwarder, Listener
from labkit.proxy.metrics import text
from labkit.proxy.rules import Address, Target

log = logging.getLogger(__name__)

PORT_NOT_AVAILABLE = "PortNotAvailable"
PORT_AVAILABLE = "PortAvailable"
PROTOCOL_NOT_SUPPORTED = "ProtocolNotSupported"
_RETRY = 10.0  # seconds until an address that was refused is asked for again


class ServiceProxy(Controller):
    """Serves the cluster's Services at their cluster IPs and node ports.

    Node ports are served at `node_port_addresses` and at every node's InternalIP.  `networks` are
    the addresses that this machine has: others are not listened on.  `seed` makes the choice of
    endpoints repeatable.  At `metrics_address` there is a page that tells what was carried.
    """

    name = "service-proxy"

    def __init__(
        self,
        client: Client,
        clock: Clock,
        *,
        node_port_addresses: Iterable[str] = ("127.0.0.1",),
        networks: Iterable[IPv4Network] = rules.LOOPBACK,
        seed: int | None = None,
        bind: Bind = bind,
        metrics_address: Address | None = None,
    ) -> None:
        super().__init__(client, clock)
        self.events = EventRecorder(client, clock, "kube-proxy")
        self._node_port_addresses = tuple(node_port_addresses)
        self._networks = tuple(networks)
        self._forwarder = Forwarder(random.Random(seed), self._node_of, bind)
        self._listeners: dict[str, dict[Address, Listener]] = {}
        self._holders: dict[Address, str] = {}
        self._affinities: dict[str, dict[str, Affinity]] = {}  # by Service and port's name
        self._failures: dict[str, dict[Address, int]] = {}  # errno, by Service and address
        self._told: dict[str, set[str]] = {}  # unsupported ports that an Event has named
        self._services = self.watch(SERVICES)
        self._slices = self.watch(ENDPOINT_SLICES, rules.service_keys)
        self._slices.add_index("service", rules.service_keys)
        self._nodes = self.watch(NODES, enqueue=False)
        self._nodes.add_handler(self._node_changed)
        self._page = metrics_address and MetricsPage(metrics_address, self._metrics, bind)

    async def start(self) -> None:
        """Serve all Services that there are, and the metrics."""
        await super().start()
        if self._page:
            await self._page.start()

    async def stop(self) -> None:
        """Close all listeners and connections.  Safe to repeat."""
        if self._page:
            await self._page.stop()
        await super().stop()
        for key in list(self._listeners):
            self._release(key, {})
        self._forwarder.stop()
        await self.events.stop()

    async def reconcile(self, key: str) -> float | None:
        """Give the Service `key` the listeners it should have."""
        service = self._services.store.get(key)
        wanted = self._wanted(key)
        self._release(key, wanted)
        if service is None:
            self._forget(key)
            return None
        self._tell_unsupported(key, service)
        failures = {}
        for address, target in wanted.items():
            if code := await self._serve(key, address, target):
                failures[address] = code
        self._tell_failures(key, service, wanted, failures)
        return _RETRY if failures else None

    def counts(self) -> list[dict]:
        """What each endpoint has carried: one row per Service, address and endpoint."""
        return [
            {
                "service": key,
                "address": "{}:{}".format(*address),
                "endpoint": "{}:{}".format(*endpoint),
                "connections": tally.connections,
                "active": tally.active,
                "failures": tally.failures,
                "sent_bytes": tally.sent,
                "received_bytes": tally.received,
            }
            for key, listeners in sorted(self._listeners.items())
            for address, listener in sorted(listeners.items())
            for endpoint, tally in sorted(listener.tallies.items())
        ]

    def clients(self) -> list[dict]:
        """Who has connected: one row per Service, address and client's address."""
        return [
            {
                "service": key,
                "address": "{}:{}".format(*address),
                "client": client,
                "connections": count,
            }
            for key, listeners in sorted(self._listeners.items())
            for address, listener in sorted(listeners.items())
            for client, count in sorted(listener.clients.items())
        ]

    def _metrics(self) -> str:
        return text(self.counts(), self.clients())

    def _wanted(self, key: str) -> dict[Address, Target]:
        service = self._services.store.get(key)
        if service is None:
            return {}
        node_addresses = dict.fromkeys(self._node_port_addresses, "")
        for name, node in self._nodes.store.items():
            node_addresses |= dict.fromkeys(rules.internal_ips(node), name)
        slices = self._slices.by_index("service", key)
        return rules.listeners(service, slices, node_addresses, self._networks)

    def _node_of(self, client: str) -> str | None:
        return rules.node_of(client, self._nodes.store.values())

    def _affinity(self, key: str, target: Target) -> Affinity | None:
        """The memory that all addresses of a Service port share."""
        if not target.affinity:
            return None
        ports = self._affinities.setdefault(key, {})
        known = ports.setdefault(target.port, Affinity(self.clock, target.affinity))
        known.seconds = target.affinity
        return known

    async def _serve(self, key: str, address: Address, target: Target) -> int:
        """Listen at `address` for `target`; 0, or the errno for which that is not possible."""
        own = self._listeners.setdefault(key, {})
        if address in own:
            self._aim(key, own[address], target)
            return 0
        holder = self._holders.get(address)
        if holder is not None:
            # A Service that is gone, or has another port now, may not have let go of it yet.
            self._release(holder, self._wanted(holder))
        listener = Listener(address, target.endpoints, self._forwarder)
        self._aim(key, listener, target)
        try:
            await listener.open()
        except OSError as error:
            return error.errno or errno.EIO
        own[address] = listener
        self._holders[address] = key
        log.info("listening service=%s address=%s:%d", key, *address)
        return 0

    def _aim(self, key: str, listener: Listener, target: Target) -> None:
        listener.endpoints, listener.by_node = target.endpoints, target.by_node
        listener.affinity = self._affinity(key, target)

    def _release(self, key: str, wanted: Mapping[Address, Target]) -> None:
        """Close the listeners of `key` that are not in `wanted`."""
        own = self._listeners.get(key, {})
        for address in [address for address in own if address not in wanted]:
            own.pop(address).close()
            del self._holders[address]
            log.info("closed service=%s address=%s:%d", key, *address)

    def _forget(self, key: str) -> None:
        for table in (self._listeners, self._failures, self._told, self._affinities):
            table.pop(key, None)

    def _node_changed(self, old: Mapping | None, new: Mapping | None) -> None:
        # Nodes report every few seconds; only a change of their addresses matters here.  (What
        # is about podCIDR is looked up for each connection.)
        if (old and rules.internal_ips(old)) != (new and rules.internal_ips(new)):
            for key in self._services.store:
                self.queue.add(key)

    def _tell_failures(
        self,
        key: str,
        service: Mapping,
        wanted: Mapping[Address, Target],
        failures: dict[Address, int],
    ) -> None:
        """One Event when an address is refused, one when it is had after all."""
        known = self._failures.get(key, {})
        for address, code in failures.items():
            if known.get(address) != code:
                message = not_available(service, address, wanted[address], code)
                self.events.event(service, WARNING, PORT_NOT_AVAILABLE, message)
        for address in known:
            if address in wanted and address not in failures:
                message = "Now served at {}:{}.".format(*address)
                self.events.event(service, NORMAL, PORT_AVAILABLE, message)
        self._failures[key] = failures

    def _tell_unsupported(self, key: str, service: Mapping) -> None:
        ports = rules.unsupported(service, self._slices.by_index("service", key))
        told = self._told.setdefault(key, set())
        for port in ports:
            text = f"{port['port']}/{port['protocol']}"
            if text not in told:
                message = not_supported(service, text)
                self.events.event(service, WARNING, PROTOCOL_NOT_SUPPORTED, message)
        told.update(f"{port['port']}/{port['protocol']}" for port in ports)


def not_available(service: Mapping, address: Address, target: Target, code: int) -> str:
    """What happened at `address`, why (`code` is an errno), and what to type."""
    ip, number = address
    what = f"Cannot listen at {ip}:{number}: {os.strerror(code)}."
    if code in (errno.EACCES, errno.EPERM):
        why = "This machine keeps ports under 1024 from ordinary users."
        patch = [{"op": "replace", "path": f"/spec/ports/{target.index}/port"}]
        patch[0]["value"] = _higher(service, number)
        meta = service["metadata"]
        line = f"kubectl -n {meta['namespace']} patch service {meta['name']} --type=json"
        return f"{what} {why} Choose a higher port: {line} -p '{json.dumps(patch)}'"
    if code == errno.EADDRINUSE:
        why = "Another program on this machine uses the port already."
        return f"{what} {why} See which one: ss -ltnp 'sport = :{number}'"
    if code == errno.EADDRNOTAVAIL:
        why = "Only Linux gives all of 127.0.0.0/8 to the loopback interface."
        return f"{what} {why} On macOS add the address: sudo ifconfig lo0 alias {ip}"
    return f"{what} The system refused it. See its limits: ulimit -a"


def _higher(service: Mapping, number: int) -> int:
    """A port for an ordinary user: 80 becomes 8080, 443 becomes 8443, unless it has that too."""
    taken = {port["port"] for port in service["spec"].get("ports") or ()}
    wanted = number + 8000
    while wanted in taken:
        wanted += 1
    return wanted


def not_supported(service: Mapping, port: str) -> str:
    """That a port of another protocol than TCP is not served, why, and what to type."""
    meta = service["metadata"]
    line = f"kubectl -n {meta['namespace']} get endpointslices -l {rules.SERVICE_NAME}="
    return (
        f"Port {port} is not served at the cluster IP. This proxy forwards TCP only. "
        f"Use the Pods' own addresses: {line}{meta['name']}"
    )
