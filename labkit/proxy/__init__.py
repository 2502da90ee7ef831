"""The cluster's network as clients see it: Services and their names.

Reading order:

- `rules`: which addresses a Service is served at, and by which endpoints; pure.
- `binding`: how an address is taken.
- `affinity`: which endpoint a client of a Service with session affinity goes back to.
- `forward`: a listener and the pairs of sockets behind it.
- `metrics`: the page that tells what was carried.
- `proxy`: `ServiceProxy`, a kube-proxy: the listeners of every Service.
- `records`: what the cluster's DNS answers, from Services and EndpointSlices; pure.
- `dns_upstream`: names outside of the cluster.
- `dns`: `ClusterDNS`, a CoreDNS: the answers over UDP and TCP.
- `kube_dns`: its Service.
- `ingress`: `IngressController`: HTTP from outside, by host and path.
"""

from labkit.proxy.dns import ClusterDNS
from labkit.proxy.kube_dns import kube_dns_endpoint_slice, kube_dns_service
from labkit.proxy.proxy import ServiceProxy

__all__ = ["ClusterDNS", "ServiceProxy", "kube_dns_endpoint_slice", "kube_dns_service"]
