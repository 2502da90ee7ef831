"""Who is who in a cluster: the certificates of all its parts and the kubeconfigs that hold them.

A part of the control plane is a user of its own, a kubelet is `system:node:<node>` in the group
`system:nodes` (`roster`).  What each may do is what RBAC and the node authorizer give these names.
Parts that share a process are the cluster by being there and need no certificates as clients.

Source: Kubernetes documentation, "PKI certificates and requirements"; kubeadm's phases "certs" and
"kubeconfig".
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.clusters import kubeconfig, roster
from labkit.clusters.addresses import Addresses
from labkit.clusters.paths import ClusterDir
from labkit.clusters.pki import CertificateAuthority

MASTERS = "system:masters"
_SERVICE = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")


def make(
    directory: ClusterDir, own: Addresses, nodes: Mapping[str, str], now: float
) -> CertificateAuthority:
    """Make what is missing for a cluster whose parts share a process.

    `nodes` are the InternalIPs of all nodes by name.
    """
    authority = CertificateAuthority(directory.pki, now)
    authority.signing_key("sa")
    hosts = (own.api_server, *_SERVICE, "kubernetes.default.svc.cluster.local")
    authority.server("apiserver", "kube-apiserver", hosts)
    authority.client("apiserver-kubelet-client", "kube-apiserver-kubelet-client", MASTERS)
    authority.client(kubeconfig.ADMIN, "kubernetes-admin", MASTERS)
    _client(authority, roster.METRICS)
    for name, address in nodes.items():
        user = f"system:node:{name}"
        authority.server(f"kubelet-{name}", user, (address, name), "system:nodes")
    kubeconfig.write(directory.kubeconfig, directory.name, own.server_url, authority)
    return authority


def make_for_processes(
    directory: ClusterDir, own: Addresses, nodes: Mapping[str, str], now: float
) -> None:
    """Make what is missing for a cluster whose parts have processes of their own."""
    authority = make(directory, own, nodes, now)
    authority.client(roster.FRONT_PROXY, roster.FRONT_PROXY)
    authority.server("metrics-server-serving", "metrics-server", (own.metrics_server,))
    directory.kubeconfigs.mkdir(mode=0o700, exist_ok=True)
    for part in roster.parts(nodes):
        if part != roster.API_SERVER:
            _client(authority, part)
            path = directory.kubeconfig_of(part)
            certificate = roster.certificate(part)
            kubeconfig.write(path, directory.name, own.server_url, authority, certificate)


def _client(authority: CertificateAuthority, part: str) -> None:
    user, groups = roster.identity(part)
    authority.client(roster.certificate(part), user, *groups)
