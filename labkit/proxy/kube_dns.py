"""The Service `kube-dns`, by whose name and address people look for the cluster's DNS."""

from __future__ import annotations

from labkit.proxy import rules

_PORTS = (("dns", "UDP"), ("dns-tcp", "TCP"))


def kube_dns_service(cluster_ip: str, port: int) -> dict:
    """The Service, for a server that listens at `cluster_ip`."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kube-dns",
            "namespace": "kube-system",
            "labels": {
                "k8s-app": "kube-dns",
                "kubernetes.io/cluster-service": "true",
                "kubernetes.io/name": "CoreDNS",
            },
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": cluster_ip,
            "clusterIPs": [cluster_ip],
            "ports": [
                {"name": name, "port": port, "protocol": protocol, "targetPort": port}
                for name, protocol in _PORTS
            ],
        },
    }


def kube_dns_endpoint_slice(cluster_ip: str, port: int) -> dict:
    """The endpoint of `kube-dns`: the server itself, which listens at the cluster IP."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kube-dns",
            "namespace": "kube-system",
            "labels": {rules.SERVICE_NAME: "kube-dns"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [cluster_ip], "conditions": {"ready": True}}],
        "ports": [{"name": name, "port": port, "protocol": protocol} for name, protocol in _PORTS],
    }
