"""Which addresses a cluster has.

On Linux any process may listen on any address of 127.0.0.0/8, without privileges.  So each Pod,
Service and node has an address of its own, and the same port serves many Pods.  Several clusters
live side by side by their number: cluster `s` has

    Pods      127.(244+s).node.0/24     (kubeadm's and flannel's 10.244.0.0/16)
    Services  127.(96+s).0.0/16         (kubeadm's 10.96.0.0/12)
    nodes     127.(172+s).0.node        (Docker's 172.17.0.0/16)

and the Pods of those for whom 244 + s is above 254 begin again at 204.

On a real Docker daemon, containers have a loopback interface of their own and cannot reach the
host's.  There the same numbers follow a 10: Pods are on a Docker network 10.(244+s).0.0/16, and
Services and nodes are addresses that the machine takes for its own (see `docker_engine`).

The API server listens on the address of the Service `kubernetes` itself.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from labkit.errors import ClusterError

CLUSTERS = 32
LOOPBACK, PRIVATE = 127, 10  # the first number of every address: on the embedded engine, on Docker
API_PORT = 6443  # 443 is refused to an ordinary user
KUBELET_PORT = 10250
DNS_PORT = 53
DNS_FALLBACK_PORT = 10053  # where port 53 is refused
PROXY_METRICS_PORT = 10249  # kube-proxy's
CONTROLLER_METRICS_PORT = 10257  # kube-controller-manager's
SCHEDULER_METRICS_PORT = 10259  # kube-scheduler's
INGRESS_STATUS_PORT = 10254  # ingress-nginx's, for /metrics and /healthz
_CLAIM = 254  # the node address that no node has: whoever listens there has the cluster's number


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of cluster number `number` (0 to 31), all beginning with `first`."""

    number: int
    first: int = LOOPBACK

    @property
    def service_cidr(self) -> str:
        return f"{self.first}.{96 + self.number}.0.0/16"

    @property
    def api_server(self) -> str:
        return f"{self.first}.{96 + self.number}.0.1"

    @property
    def dns(self) -> str:
        return f"{self.first}.{96 + self.number}.0.10"

    @property
    def cluster_cidr(self) -> str:
        """Every node's Pods are inside of it."""
        return f"{self.first}.{self._pods}.0.0/16"

    @property
    def node_cidr(self) -> str:
        """Every node's InternalIP is inside of it."""
        return f"{self.first}.{172 + self.number}.0.0/24"

    @property
    def metrics_server(self) -> str:
        return f"127.{96 + self.number}.0.11"

    @property
    def ingress(self) -> str:
        return f"{self.first}.{96 + self.number}.0.80"

    @property
    def bridge_cidr(self) -> str:
        """For containers that are started by hand, outside of any Pod."""
        return self.pod_cidr(0)

    @property
    def server_url(self) -> str:
        return f"https://{self.api_server}:{API_PORT}"

    def node(self, index: int) -> str:
        """The InternalIP of node `index`, counted from 1."""
        return f"{self.first}.{172 + self.number}.0.{index}"

    def pod_cidr(self, index: int) -> str:
        """The `spec.podCIDR` of node `index`, counted from 1."""
        return f"{self.first}.{self._pods}.{index}.0/24"

    @property
    def _pods(self) -> int:
        return 204 + (244 - 204 + self.number) % (255 - 204)


def of(description: Mapping) -> Addresses:
    """The addresses of the cluster that a cluster.json describes."""
    on_docker = description.get("engine") == "docker"
    return Addresses(description.get("number", 0), PRIVATE if on_docker else LOOPBACK)


def node_name(cluster: str, index: int) -> str:
    """kind's names: `lab-worker`, `lab-worker2`, `lab-worker3`."""
    return f"{cluster}-worker" + (str(index) if index > 1 else "")


def is_free(address: str, port: int) -> bool:
    """Whether this process could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def is_permitted(address: str, port: int) -> bool:
    """Whether this user may listen there, whoever does so now."""
    with socket.socket() as probe:
        try:
            probe.bind((address, port))
        except OSError as error:
            return error.errno not in (errno.EACCES, errno.EPERM)
    return True


def claim(wanted: int | None) -> tuple[Addresses, socket.socket]:
    """The first cluster number that nobody has, or `wanted` alone; and the socket that holds it.

    A number belongs to whoever listens on its claim address, for as long as that socket is open:
    two clusters that start at once, even of two users, cannot get the same one.  A cluster that
    has been up before wants the number it had, since its Services carry addresses.  Raises
    ClusterError where there is none.
    """
    if not is_free("127.96.255.254", 0):
        raise ClusterError(
            "This machine has no loopback address but 127.0.0.1.",
            "Pods and Services need addresses of their own, which Linux gives and macOS does not.",
            "Run the lab on Linux, in a Linux container, or on mybinder.org.",
        )
    for number in range(CLUSTERS) if wanted is None else (wanted,):
        addresses = Addresses(number)
        holder = socket.socket()
        try:
            holder.bind((addresses.node(_CLAIM), KUBELET_PORT))
            holder.listen()
        except OSError:
            holder.close()
            continue
        if is_free(addresses.api_server, API_PORT) and is_free(addresses.node(1), KUBELET_PORT):
            return addresses, holder
        holder.close()
    raise _taken(wanted)


def _taken(wanted: int | None) -> ClusterError:
    if wanted is None:
        what = f"All {CLUSTERS} address ranges for clusters are taken."
    else:
        what = f"The address {Addresses(wanted).api_server}:{API_PORT} of this cluster is taken."
    return ClusterError(
        what,
        "Another cluster, perhaps another user's, or another program listens there.",
        "See what is up: labkit status",
    )
