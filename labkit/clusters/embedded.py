"""All parts of a cluster in one process, each talking to the others only through the API.

This is the one place where the parts meet: it gives each its identity, its addresses and its
certificates, starts them in the order in which they need each other, and stops them in reverse.
What would be a dozen processes on several machines (etcd, kube-apiserver, kube-scheduler,
kube-controller-manager, CoreDNS, metrics-server, and on each node kubelet, kube-proxy and dockerd)
are objects on one event loop here.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable

from labkit.apiserver.core import APIServer
from labkit.apiserver.http import HTTPServer
from labkit.apiserver.request import User
from labkit.apiserver.store_sqlite import SQLiteStore
from labkit.client import ApiError, Client
from labkit.clock import Clock
from labkit.clusters import addresses, kubeconfig, settings
from labkit.clusters.addresses import API_PORT, DNS_FALLBACK_PORT, Addresses, node_name
from labkit.clusters.paths import ClusterDir
from labkit.clusters.pki import CertificateAuthority
from labkit.controllers.manager import ControllerManager, ControllerManagerSettings
from labkit.engine import Engine
from labkit.kube import conditions
from labkit.kube.resources import ENDPOINT_SLICES, NODES, SERVICE_ACCOUNTS, SERVICES
from labkit.kubelet import Kubelet
from labkit.metrics import MetricsServer
from labkit.proxy import ClusterDNS, ServiceProxy, kube_dns_endpoint_slice, kube_dns_service
from labkit.scheduler import Scheduler

_POLL = 0.01
_MASTERS = "system:masters"


class EmbeddedCluster:
    """The cluster that a directory's cluster.json describes.

    `start` returns when all nodes are Ready and the default ServiceAccount exists.
    """

    def __init__(self, directory: ClusterDir, clock: Clock) -> None:
        description = directory.read_description()
        self.directory, self.clock = directory, clock
        self.addresses = Addresses(description["number"])
        self.nodes = [node_name(directory.name, n + 1) for n in range(description["nodes"])]
        self.settings = settings.complete(description["settings"])
        self._owned = contextlib.AsyncExitStack()
        self._http: HTTPServer | None = None

    async def start(self, report: Callable[[str], None]) -> None:
        """Start every part.  Raises LabkitError and OSError; `stop` then ends what had started."""
        authority = self._make_certificates()
        report("certificates")
        api = await self._start_api_server(authority)
        report("API server and store")
        await self._start_parts(api, authority)
        report("controllers, scheduler, proxy and DNS")
        await self._until_ready(self._client(api, "labkit", _MASTERS))
        report(f"{len(self.nodes)} node{'s' if len(self.nodes) > 1 else ''} Ready")

    async def stop(self) -> None:
        """Stop every part, in reverse order.  Safe to repeat."""
        await self._owned.aclose()

    def idle_seconds(self) -> float:
        """For how long nobody has asked the API over HTTPS."""
        return self.clock.monotonic() - self._http.last_request if self._http else 0.0

    async def _own(self, part):
        """Start a part, and stop it when the cluster stops, also if its start fails half way."""
        self._owned.push_async_callback(part.stop)
        await part.start()
        return part

    def _make_certificates(self) -> CertificateAuthority:
        directory, own = self.directory, self.addresses
        authority = CertificateAuthority(directory.pki, self.clock.now())
        service = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")
        hosts = (own.api_server, *service, "kubernetes.default.svc.cluster.local")
        authority.server("apiserver", "kube-apiserver", hosts)
        authority.client("apiserver-kubelet-client", "kube-apiserver-kubelet-client", _MASTERS)
        authority.client("metrics-server", "system:metrics-server")
        authority.client(kubeconfig.ADMIN, "kubernetes-admin", _MASTERS)
        for index, name in enumerate(self.nodes, 1):
            hosts = (own.node(index), name)
            authority.server(f"kubelet-{name}", f"system:node:{name}", hosts, "system:nodes")
        kubeconfig.write(directory.kubeconfig, directory.name, own.server_url, authority)
        return authority

    async def _start_api_server(self, authority: CertificateAuthority) -> APIServer:
        own = self.addresses
        api = APIServer(
            SQLiteStore(self.directory.store),
            self.clock,
            service_cidr=own.service_cidr,
            advertise=(own.api_server, API_PORT),
            port_free=lambda port: addresses.is_free("127.0.0.1", port),
            service_account_key=authority.signing_key("sa"),
        )
        await self._own(api)
        self._http = HTTPServer(
            api,
            ssl_context=authority.server_context("apiserver", clients=ssl.CERT_OPTIONAL),
            hosts=[(own.api_server, API_PORT)],
            kubelet_client=authority.client_context("apiserver-kubelet-client"),
            clock=self.clock,
            audit_log=self.directory.audit_log,
        )
        await self._own(self._http)
        return api

    async def _start_parts(self, api: APIServer, authority: CertificateAuthority) -> None:
        clock, directory, own = self.clock, self.directory, self.addresses
        metrics = MetricsServer(
            self._client(api, "system:metrics-server", _MASTERS),
            clock,
            ssl_context=authority.client_context("metrics-server"),
            metric_resolution=self.settings["metric_resolution"],
        )
        api.aggregate("metrics.k8s.io", "v1beta1", metrics.handle)
        proxy = ServiceProxy(self._client(api, "system:kube-proxy", _MASTERS), clock)
        dns = ClusterDNS(
            self._client(api, "system:coredns", _MASTERS),
            clock,
            address=own.dns,
            fallback_port=DNS_FALLBACK_PORT,
        )
        engine = Engine(
            directory.engine,
            directory.docker_socket,
            clock,
            bridge_subnet=own.bridge_cidr,
            name=directory.name,
        )
        await asyncio.gather(
            self._own(self._controllers(api, authority)),
            self._own(Scheduler(self._client(api, "system:kube-scheduler", _MASTERS), clock)),
            self._own(engine),
            self._own(dns),
        )
        await self._publish_dns(self._client(api, "system:coredns", _MASTERS), dns.port)
        await self._remove_other_nodes(self._client(api, "labkit", _MASTERS))
        kubelets = [self._kubelet(api, authority, index, dns.port) for index in self._indexes()]
        await asyncio.gather(*(self._own(part) for part in (proxy, *kubelets)))
        await self._own(metrics)  # after the kubelets, so that its first round finds them

    def _controllers(self, api: APIServer, authority: CertificateAuthority) -> ControllerManager:
        chosen = {key: value for key, value in self.settings.items() if key != "metric_resolution"}
        return ControllerManager(
            self._client(api, "system:kube-controller-manager", _MASTERS),
            self.clock,
            ControllerManagerSettings(**chosen),
            pod_cidr=self.addresses.pod_cidr,
            root_ca=authority.certificate("ca").read_text(),
            service_account_key=authority.signing_key("sa"),
        )

    def _kubelet(self, api: APIServer, authority: CertificateAuthority, index: int, dns_port: int):
        name = self.nodes[index - 1]
        return Kubelet(
            self._client(api, f"system:node:{name}", _MASTERS),
            self.clock,
            node_name=name,
            node_ip=self.addresses.node(index),
            docker_url=f"unix://{self.directory.docker_socket}",
            cluster_dns=self.addresses.dns,
            cluster_dns_port=dns_port,
            root_dir=self.directory.kubelet / name,
            serving_ssl=authority.server_context(f"kubelet-{name}", clients=ssl.CERT_REQUIRED),
        )

    def _indexes(self) -> range:
        return range(1, len(self.nodes) + 1)

    def _client(self, api: APIServer, user: str, *groups: str) -> Client:
        """A component's way to the API; by its name it owns the fields that it writes."""
        name = "kubelet" if user.startswith("system:node:") else user.removeprefix("system:")
        return Client(api.transport(User(user, groups), name))

    async def _publish_dns(self, client: Client, port: int) -> None:
        """The Service `kube-dns` and its endpoint, with the port that DNS got this time."""
        service = kube_dns_service(self.addresses.dns, port)
        endpoints = kube_dns_endpoint_slice(self.addresses.dns, port)
        for resource, obj, changing in (
            (SERVICES, service, {"spec": {"ports": service["spec"]["ports"]}}),
            (ENDPOINT_SLICES, endpoints, {"ports": endpoints["ports"]}),
        ):
            try:
                await client.create(resource, obj)
            except ApiError as error:
                if not error.already_exists:
                    raise
                await client.patch(resource, "kube-dns", changing, "kube-system")

    async def _remove_other_nodes(self, client: Client) -> None:
        """A cluster that comes back smaller has lost these nodes for good."""
        for node in (await client.list(NODES))["items"]:
            if node["metadata"]["name"] not in self.nodes:
                await client.delete(NODES, node["metadata"]["name"])

    async def _until_ready(self, client: Client) -> None:
        while not await self._is_ready(client):
            await self.clock.sleep(_POLL)

    async def _is_ready(self, client: Client) -> bool:
        found = {node["metadata"]["name"]: node for node in (await client.list(NODES))["items"]}
        if not all(
            name in found and conditions.is_true(found[name], "Ready") for name in self.nodes
        ):
            return False
        accounts = await client.list(SERVICE_ACCOUNTS, "default")
        return any(item["metadata"]["name"] == "default" for item in accounts["items"])
