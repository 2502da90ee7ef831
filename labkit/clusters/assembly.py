"""What each part of a cluster is given: addresses, certificates, settings; one function a part.

Parts that share a process (`embedded`) and parts that have one each (`part`) are made here alike,
and get what they are given from the same `Site`; they differ in the `Client` that they talk
through, in memory or over HTTPS.  Every function imports its part when it is called, so that a
process holds no more than the parts that it runs.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.client import Client
from labkit.clock import Clock
from labkit.clusters import addresses, engines, image_options, settings, virtual_nodes
from labkit.clusters.addresses import (
    API_PORT,
    CONTROLLER_METRICS_PORT,
    DNS_FALLBACK_PORT,
    DNS_PORT,
    INGRESS_STATUS_PORT,
    PROXY_METRICS_PORT,
    SCHEDULER_METRICS_PORT,
    Addresses,
)
from labkit.clusters.credentials import Credentials
from labkit.clusters.paths import ClusterDir
from labkit.proxy.binding import Bind, bind

if TYPE_CHECKING:
    from labkit.apiserver.core import APIServer
    from labkit.apiserver.http import HTTPServer
    from labkit.clusters.docker_engine import DockerEngine
    from labkit.controllers.manager import ControllerManager
    from labkit.engine import Engine
    from labkit.kubelet import Kubelet
    from labkit.kubelet.mirrors import Mirror
    from labkit.kubelet.virtual import VirtualNode
    from labkit.metrics import MetricsServer
    from labkit.proxy import ClusterDNS, ServiceProxy
    from labkit.proxy.ingress import IngressController
    from labkit.scheduler import Scheduler


@dataclass(frozen=True)
class Site:
    """One cluster as its parts see it; `settings` are numbers under their Python names."""

    directory: ClusterDir
    clock: Clock
    addresses: Addresses
    nodes: dict[str, str]  # name → InternalIP
    settings: dict[str, float]
    credentials: Credentials
    image_mirrors: tuple[Mirror, ...]
    pre_pull: tuple[str, ...]  # images that every node has when the cluster is up
    docker_host: str  # of a real Docker daemon; empty on the embedded engine
    virtual: dict[str, VirtualNode | None]  # by node: what makes it a virtual one

    @classmethod
    def read(cls, directory: ClusterDir, clock: Clock) -> Site:
        """What a directory's cluster.json describes."""
        description = directory.read_description()
        nodes = virtual_nodes.all_nodes(description)
        return cls(
            directory,
            clock,
            addresses.of(description),
            nodes,
            settings.complete(description["settings"]),
            Credentials(directory.pki),
            image_options.mirrors_of(description),
            image_options.pre_pull_of(description),
            description["docker_host"] if engines.of(description) == engines.DOCKER else "",
            {node: virtual_nodes.contract(node, description) for node in nodes},
        )

    @property
    def docker_network(self) -> str:
        """The network of all Pods on a real Docker daemon, where others may have a cluster too."""
        return f"labkit-{self.directory.name}-{self.addresses.number}"

    @property
    def dns_port(self) -> int:
        """The port of the cluster's DNS, as a process can know it that does not serve it."""
        permitted = addresses.is_permitted(self.addresses.dns, DNS_PORT)
        return DNS_PORT if permitted else DNS_FALLBACK_PORT


def api_server(site: Site) -> APIServer:
    """The API server below HTTP, and its store."""
    from labkit.apiserver.admission import DefaultTolerationSeconds
    from labkit.apiserver.core import APIServer
    from labkit.apiserver.store_sqlite import SQLiteStore

    own = site.addresses
    tolerations = DefaultTolerationSeconds(
        site.settings["default_not_ready_toleration_seconds"],
        site.settings["default_unreachable_toleration_seconds"],
    )
    return APIServer(
        SQLiteStore(site.directory.store),
        site.clock,
        service_cidr=own.service_cidr,
        advertise=(own.api_server, API_PORT),
        port_free=lambda port: addresses.is_free("127.0.0.1", port),
        service_account_key=site.credentials.signing_key("sa"),
        tolerations=tolerations,
    )


def https_server(site: Site, api: APIServer) -> HTTPServer:
    """The API server's HTTPS, at the address of the Service `kubernetes`."""
    from labkit.apiserver.http import HTTPServer

    credentials = site.credentials
    return HTTPServer(
        api,
        ssl_context=credentials.server_context("apiserver", clients=ssl.CERT_OPTIONAL),
        hosts=[(site.addresses.api_server, API_PORT)],
        kubelet_client=credentials.client_context("apiserver-kubelet-client"),
        clock=site.clock,
        audit_log=site.directory.audit_log,
    )


def controller_manager(site: Site, client: Client, bind: Bind = bind) -> ControllerManager:
    """All controllers."""
    from labkit.controllers.manager import ControllerManager, ControllerManagerSettings

    chosen = settings.of_part("kube-controller-manager", site.settings)
    return ControllerManager(
        client,
        site.clock,
        ControllerManagerSettings(**chosen),
        pod_cidr=site.addresses.pod_cidr,
        root_ca=site.credentials.certificate("ca").read_text(),
        service_account_key=site.credentials.signing_key("sa"),
        volumes=site.directory.volumes,
        page=((site.addresses.node(1), CONTROLLER_METRICS_PORT), bind),
    )


def scheduler(site: Site, client: Client, bind: Bind = bind) -> Scheduler:
    """The scheduler."""
    from labkit.scheduler import Scheduler

    page = (site.addresses.node(1), SCHEDULER_METRICS_PORT), bind
    return Scheduler(client, site.clock, page=page)


def service_proxy(site: Site, client: Client, bind: Bind = bind) -> ServiceProxy:
    """The Service proxy of all nodes."""
    from labkit.proxy import ServiceProxy

    own = site.addresses
    local = ("127.0.0.0/8", own.service_cidr, own.node_cidr)
    return ServiceProxy(
        client,
        site.clock,
        networks=map(IPv4Network, local),
        bind=bind,
        metrics_address=(own.node(1), PROXY_METRICS_PORT),
    )


def cluster_dns(site: Site, client: Client, bind: Bind = bind) -> ClusterDNS:
    """The cluster's DNS."""
    from labkit.proxy import ClusterDNS
    from labkit.proxy.dns_upstream import Upstream, nameservers

    return ClusterDNS(
        client,
        site.clock,
        address=site.addresses.dns,
        fallback_port=DNS_FALLBACK_PORT,
        upstream=Upstream(nameservers()),
        bind=bind,
    )


def ingress_controller(site: Site, client: Client, bind: Bind = bind) -> IngressController:
    """The Ingress controller."""
    from labkit.proxy.ingress import IngressController, Ports

    ports = Ports(status=INGRESS_STATUS_PORT)
    address = site.addresses.ingress
    return IngressController(client, site.clock, address=address, ports=ports, bind=bind)


def metrics_server(site: Site, client: Client) -> MetricsServer:
    """The metrics-server."""
    from labkit.metrics import MetricsServer

    return MetricsServer(
        client,
        site.clock,
        ssl_context=site.credentials.client_context("metrics-server"),
        metric_resolution=site.settings["metric_resolution"],
        scrape_urls=[f"http://{site.addresses.ingress}:{INGRESS_STATUS_PORT}/metrics"],
    )


def metrics_apis() -> Iterable[tuple[str, str]]:
    """What the metrics-server answers: (group, version)."""
    from labkit.metrics.server import GROUPS

    return GROUPS


def engine(site: Site, directory: Path, socket: Path, name: str) -> Engine:
    """A container engine that calls itself `name`."""
    from labkit.engine import Engine

    return Engine(
        directory,
        socket,
        site.clock,
        bridge_subnet=site.addresses.bridge_cidr,
        name=name,
        images=site.directory.images_of(name),
        registry=site.directory.registry,
    )


def docker_engine(site: Site, report: Callable[[str], None]) -> DockerEngine:
    """The cluster's part of a real Docker daemon; `report` is told what it has made."""
    from labkit.clusters.docker_engine import DockerEngine

    own = site.directory, site.addresses, site.docker_network
    return DockerEngine(*own, site.docker_host, report)


def kubelet(site: Site, client: Client, node: str, docker_url: str, dns_port: int) -> Kubelet:
    """The kubelet of one node, on the engine at `docker_url`."""
    from labkit.kubelet import Kubelet, KubeletSettings

    credentials, directory = site.credentials, site.directory
    return Kubelet(
        client,
        site.clock,
        node_name=node,
        node_ip=site.nodes[node],
        docker_url=docker_url,
        cluster_dns=site.addresses.dns,
        cluster_dns_port=dns_port,
        root_dir=directory.kubelet / node,
        serving_ssl=credentials.server_context(f"kubelet-{node}", clients=ssl.CERT_REQUIRED),
        settings=KubeletSettings(
            image_mirrors=site.image_mirrors,
            virtual=site.virtual[node],
            **settings.of_part("kubelet", site.settings),
        ),
        network=site.docker_network if site.docker_host else "",
        labels=directory.docker_labels,
    )
