"""All parts of a cluster in one process, each talking to the others only through the API.

The parts are started in the order in which they need each other, and stopped in reverse; `assembly`
says what each is given.  What would be a dozen processes on several machines (etcd, kube-apiserver,
kube-scheduler, kube-controller-manager, CoreDNS, metrics-server, and on each node kubelet,
kube-proxy and dockerd) are objects on one event loop here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from labkit.apiserver.core import APIServer
from labkit.apiserver.http import HTTPServer
from labkit.apiserver.request import User
from labkit.client import Client
from labkit.clock import Clock
from labkit.clusters import assembly, bootstrap, identities, image_options
from labkit.clusters.assembly import Site
from labkit.clusters.paths import ClusterDir
from labkit.kubelet import Kubelet
from labkit.proxy.binding import bind


class EmbeddedCluster:
    """The cluster that a directory's cluster.json describes.

    `start` returns when all nodes are Ready and the default ServiceAccount exists.
    """

    def __init__(self, directory: ClusterDir, clock: Clock) -> None:
        self.site = Site.read(directory, clock)
        self._owned = contextlib.AsyncExitStack()
        self._http: HTTPServer | None = None
        self._bind = bind

    async def start(self, report: Callable[[str], None]) -> None:
        """Start every part.  Raises LabkitError and OSError; `stop` then ends what had started."""
        site = self.site
        identities.make(site.directory, site.addresses, site.nodes, site.clock.now())
        report("certificates")
        if site.docker_host:
            self._bind = (await self._own(assembly.docker_engine(site, report))).bind
            report("addresses and network on the Docker daemon")
        api = assembly.api_server(site)
        await self._own(api)
        self._http = await self._own(assembly.https_server(site, api))
        report("API server and store")
        await self._start_parts(api)
        report("controllers, scheduler, proxy and DNS")
        await bootstrap.until_ready(self._client(api, "labkit"), site)
        count = len(site.nodes)
        report(f"{count} node{'s' if count > 1 else ''} Ready")

    async def stop(self) -> None:
        """Stop every part, in reverse order.  Safe to repeat."""
        await self._owned.aclose()

    def idle_seconds(self) -> float:
        """For how long nobody has asked the API over HTTPS."""
        return self.site.clock.monotonic() - self._http.last_request if self._http else 0.0

    async def _own(self, part):
        """Start a part, and stop it when the cluster stops, also if its start fails half way."""
        self._owned.push_async_callback(part.stop)
        await part.start()
        return part

    async def _start_parts(self, api: APIServer) -> None:
        site, directory = self.site, self.site.directory
        metrics = assembly.metrics_server(site, self._client(api, "system:metrics-server"))
        for group, version in assembly.metrics_apis():
            api.aggregate(group, version, metrics.handle)
        proxy = assembly.service_proxy(site, self._client(api, "system:kube-proxy"), self._bind)
        dns = assembly.cluster_dns(site, self._client(api, "system:coredns"), self._bind)
        manager = self._client(api, "system:kube-controller-manager")
        parts = [
            assembly.controller_manager(site, manager, self._bind),
            assembly.scheduler(site, self._client(api, "system:kube-scheduler"), self._bind),
            dns,
        ]
        if not site.docker_host:
            own = directory.engine, directory.docker_socket, directory.name
            parts.append(assembly.engine(site, *own))
        await asyncio.gather(*map(self._own, parts))
        await bootstrap.publish_dns(self._client(api, "system:coredns"), site, dns.port)
        await bootstrap.storage_class(self._client(api, "labkit"))
        await bootstrap.remove_other_nodes(self._client(api, "labkit"), site)
        kubelets = [self._kubelet(api, node, dns.port) for node in site.nodes]
        client = self._client(api, "system:ingress-controller")
        ingress = assembly.ingress_controller(site, client, self._bind)
        await asyncio.gather(*(self._own(part) for part in (proxy, ingress, *kubelets)))
        await image_options.pull(kubelets[0], site.pre_pull)  # the nodes share the engine
        await self._own(metrics)  # after the kubelets, so that its first round finds them

    def _kubelet(self, api: APIServer, node: str, dns_port: int) -> Kubelet:
        client = self._client(api, f"system:node:{node}")
        url = self.site.docker_host or f"unix://{self.site.directory.docker_socket}"
        return assembly.kubelet(self.site, client, node, url, dns_port)

    def _client(self, api: APIServer, user: str) -> Client:
        """A component's way to the API; by its name it owns the fields that it writes."""
        name = "kubelet" if user.startswith("system:node:") else user.removeprefix("system:")
        return Client(api.transport(User(user, (identities.MASTERS,)), name))
