"""`IngressController`: Ingress objects in, answered requests out.

Ingresses, their classes, Services, EndpointSlices and TLS Secrets are watched; the table of routes
is made anew when it is next asked for after a change of an Ingress or class, endpoints are looked
up for every request.  `reconcile` only tells: an Ingress of a class of ours gets its address into
`status.loadBalancer` and, for each version of its spec, an Event.

Source: Kubernetes documentation, "Ingress" and "Ingress controllers"; ingress-nginx (status.go,
store.go).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

from labkit.client import ApiError, Client, Controller, EventRecorder, Informer
from labkit.client.events import NORMAL, WARNING
from labkit.clock import Clock
from labkit.kube.resources import (
    ENDPOINT_SLICES,
    INGRESS_CLASSES,
    INGRESSES,
    SECRETS,
    SERVICES,
)
from labkit.proxy import rules
from labkit.proxy.binding import Bind, bind
from labkit.proxy.ingress import routes
from labkit.proxy.ingress.certificates import Certificates
from labkit.proxy.ingress.forward import Forward
from labkit.proxy.ingress.installation import CONTROLLER, NAME, NAMESPACE, install
from labkit.proxy.ingress.metrics import RequestMetrics
from labkit.proxy.ingress.routes import Backend, Table
from labkit.proxy.ingress.server import IngressServer, Ports
from labkit.proxy.rules import Address

SYNC = "Sync"
REJECTED = "Rejected"


class IngressController(Controller):
    """Serves the Ingresses of its classes at `address`, and metrics beside them.

    `ports` says which ports it got; see `Ports` for those that it tries.
    """

    name = "ingress-controller"

    def __init__(
        self, client: Client, clock: Clock, *, address: str, ports: Ports, bind: Bind = bind
    ) -> None:
        super().__init__(client, clock)
        self.address = address
        self.events = EventRecorder(client, clock, "nginx-ingress-controller")
        self.metrics = RequestMetrics(
            {
                "controller_class": CONTROLLER,
                "controller_namespace": NAMESPACE,
                "controller_pod": NAME,
            }
        )
        self._ingresses = self.watch(INGRESSES)
        self._classes = self.watch(INGRESS_CLASSES, enqueue=False)
        self._services = self._cache(SERVICES)
        self._slices = self._cache(ENDPOINT_SLICES)
        self._slices.add_index("service", rules.service_keys)
        self._secrets = self.watch(SECRETS, enqueue=False, field_selector="type=kubernetes.io/tls")
        self._told: dict[str, tuple] = {}  # what an Event has said of which version
        self._table: Table | None = None
        self._backends: dict[Backend, tuple[Address, ...]] = {}
        self.on_change(self._ingresses, self._ingress_changed)
        self.on_change(self._classes, self._class_changed)
        forward = Forward(self._find, self.endpoints, self._secure_port, self.metrics, clock)
        self._server = IngressServer(address, ports, forward, self.metrics, bind)

    @property
    def ports(self) -> Ports:
        """Where it listens; what it tries, before it is started."""
        return self._server.ports

    async def start(self) -> None:
        """Take the ports, learn the cluster, make the objects by which people find us, serve.

        Raises ClusterError where no port can be had.
        """
        self._server.bind()
        await super().start()
        await install(self.client, self.address, self.ports)
        await self._server.start(Certificates(self._secret, self.clock.now()).context)

    async def stop(self) -> None:
        """Close all sockets and end the watches.  Safe to repeat."""
        await self._server.stop()
        await super().stop()
        await self.events.stop()

    async def reconcile(self, key: str) -> None:
        """Say in an Ingress where it is served, and that it was seen."""
        ingress = self._ingresses.store.get(key)
        if ingress is None:
            self._told.pop(key, None)
            self.metrics.forget(*key.split("/", 1))
            return
        if not self._is_ours(ingress):
            return
        self._tell(key, ingress)
        http, https = self.ports.http, self.ports.https
        ports = [{"port": port, "protocol": "TCP"} for port in (http, https)]
        wanted = {"ingress": [{"ip": self.address, "ports": ports}]}
        if (ingress.get("status") or {}).get("loadBalancer") != wanted:
            fresh = copy.deepcopy(dict(ingress))
            fresh["status"] = {"loadBalancer": wanted}
            try:
                await self.client.update(INGRESSES, fresh, subresource="status")
            except ApiError as error:
                if not error.not_found:
                    raise

    def endpoints(self, backend: Backend) -> tuple[Address, ...]:
        """Those that serve a backend now; none where there is no such Service or port."""
        known = self._backends.get(backend)
        if known is None:
            known = self._backends[backend] = self._look_up(backend)
        return known

    def _look_up(self, backend: Backend) -> tuple[Address, ...]:
        key = f"{backend.namespace}/{backend.service}"
        service = self._services.store.get(key)
        port = _port(service, backend.port) if service else None
        if port is None:
            return ()
        if service["spec"].get("type") == "ExternalName":
            return ((service["spec"]["externalName"], port["port"]),)
        return rules.serving(port, self._slices.by_index("service", key))

    def _secure_port(self, port: int) -> int | None:
        """The HTTPS port for who came to this HTTP port: a node port's is a node port."""
        service = self._services.store.get(f"{NAMESPACE}/{NAME}")
        entries = {one["name"]: one for one in (service or {"spec": {}})["spec"].get("ports") or ()}
        for kind in ("port", "nodePort"):
            found = {name: entry.get(kind) for name, entry in entries.items()}
            if port == found.get("http"):
                return found.get("https")
        return self.ports.https if port == self.ports.http else None

    def _find(self, authority: str, path: str) -> routes.Location | None:
        return self._routes().find(authority, path)

    def _routes(self) -> Table:
        if self._table is None:
            ours = [one for one in self._ingresses.store.values() if self._is_ours(one)]
            self._table = routes.table(ours)
        return self._table

    def _secret(self, name: str) -> Mapping | None:
        return self._secrets.store.get(self._routes().secret(name))

    def _is_ours(self, ingress: Mapping) -> bool:
        return routes.is_ours(ingress, self._classes.store.values(), CONTROLLER)

    def _tell(self, key: str, ingress: Mapping) -> None:
        meta = ingress["metadata"]
        version = (meta["uid"], meta.get("generation"), meta.get("annotations"))
        if self._told.get(key) == version:
            return
        self._told[key] = version
        self.events.event(ingress, NORMAL, SYNC, "Scheduled for sync")
        for name, why in self._routes().wrong:
            if name == key:
                self.events.event(ingress, WARNING, REJECTED, why)

    def _cache(self, resource) -> Informer:
        """Services and slices: what was looked up in them is forgotten when they change."""
        informer = self.watch(resource, enqueue=False)
        self.on_change(informer, lambda old, new: self._backends.clear())
        return informer

    def _ingress_changed(self, old: Mapping | None, new: Mapping | None) -> None:
        self._table = None

    def _class_changed(self, old: Mapping | None, new: Mapping | None) -> None:
        self._table = None
        for key in self._ingresses.store:
            self.queue.add(key)


def _port(service: Mapping, wanted: str | int) -> Mapping | None:
    """The port of a Service that has this name or number."""
    for port in service["spec"].get("ports") or ():
        if wanted in (port.get("name"), port["port"]):
            return port
    return None
