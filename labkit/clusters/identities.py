"""Who is who in a cluster: the certificates of all its parts and the kubeconfigs that hold them.

The names are those of kubeadm's kubeconfigs: a part of the control plane is a user of its own, a
kubelet is `system:node:<node>` in the group `system:nodes`.  What each may do is what RBAC and the
node authorizer give these names.

Source: Kubernetes documentation, "PKI certificates and requirements"; for CoreDNS and the
metrics-server, which have ServiceAccounts there, the names of these ServiceAccounts.
"""

from __future__ import annotations

from labkit.clusters import kubeconfig
from labkit.clusters.addresses import Addresses
from labkit.clusters.paths import ClusterDir
from labkit.clusters.pki import CertificateAuthority

MASTERS = "system:masters"
_SERVICE = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")


def make(
    directory: ClusterDir, own: Addresses, nodes: tuple[str, ...], now: float
) -> CertificateAuthority:
    """Make what is missing for parts in one process, which are the cluster by being there."""
    authority = CertificateAuthority(directory.pki, now)
    authority.signing_key("sa")
    hosts = (own.api_server, *_SERVICE, "kubernetes.default.svc.cluster.local")
    authority.server("apiserver", "kube-apiserver", hosts)
    authority.client("apiserver-kubelet-client", "kube-apiserver-kubelet-client", MASTERS)
    authority.client("metrics-server", "system:metrics-server")
    authority.client(kubeconfig.ADMIN, "kubernetes-admin", MASTERS)
    for index, name in enumerate(nodes, 1):
        hosts = (own.node(index), name)
        authority.server(f"kubelet-{name}", f"system:node:{name}", hosts, "system:nodes")
    kubeconfig.write(directory.kubeconfig, directory.name, own.server_url, authority)
    return authority
