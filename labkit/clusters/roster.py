"""The parts of a cluster by their names, and who each of them is to the API server.

A part is what has a process of its own in Kubernetes: `kube-scheduler`, or `kubelet/lab-worker2`,
which is the node daemon of that node: its kubelet and its container engine.

Source: Kubernetes documentation, "Cluster Architecture" and "PKI certificates and requirements";
for CoreDNS, the metrics-server and the Ingress controller, which have ServiceAccounts, their
manifests.
"""

from __future__ import annotations

from collections.abc import Iterable

API_SERVER = "kube-apiserver"
CONTROLLERS = "kube-controller-manager"
SCHEDULER = "kube-scheduler"
PROXY = "kube-proxy"
DNS = "coredns"
METRICS = "metrics-server"
INGRESS = "ingress-controller"
KUBELET = "kubelet"

FRONT_PROXY = "front-proxy-client"  # as whom the API server hands on requests

_SERVICE_ACCOUNTS = ("system:serviceaccounts", "system:serviceaccounts:kube-system")


def kubelet_of(node: str) -> str:
    """The part that is a node's kubelet."""
    return f"{KUBELET}/{node}"


def node_of(part: str) -> str:
    """The node of a kubelet, the empty string for other parts."""
    return part.partition("/")[2]


def parts(nodes: Iterable[str]) -> tuple[str, ...]:
    """All parts of a cluster in the order in which they are started."""
    kubelets = (kubelet_of(node) for node in nodes)
    return API_SERVER, CONTROLLERS, SCHEDULER, PROXY, DNS, INGRESS, *kubelets, METRICS


def identity(part: str) -> tuple[str, tuple[str, ...]]:
    """The user and the groups that a part is (other than the API server, which asks nobody)."""
    if node := node_of(part):
        return f"system:node:{node}", ("system:nodes",)
    if part in (DNS, METRICS, INGRESS):
        return f"system:serviceaccount:kube-system:{part}", _SERVICE_ACCOUNTS
    return f"system:{part}", ()


def certificate(part: str) -> str:
    """The name of a part's client certificate."""
    node = node_of(part)
    return f"kubelet-client-{node}" if node else part
