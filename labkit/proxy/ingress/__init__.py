"""An Ingress controller: HTTP from outside of the cluster to Services, by host and path.

Reading order:

- `routes`: which location of which Ingress a request belongs to, and as what it is passed on; pure.
- `certificates`: the certificate for a name that a client asks for.
- `metrics`: requests counted, as Prometheus reads them.
- `pages`: what is answered where no endpoint answers.
- `installation`: the IngressClass, and the Service of the controller itself.
- `controller`: `IngressController`: watches, routes, backends, status, Events.
- `forward`: one request, passed on to one of the endpoints, and its answer, passed back.
- `server`: the sockets.

It does what ingress-nginx does by default, with its annotations for rewriting and for redirects to
HTTPS, its headers and its metrics.  Like it, it sends requests to endpoints itself and not through
the Service's address, and so does better than the Service proxy: each request, not each connection,
goes to another endpoint, and one that fails to reach it is sent to the next.

Left out: all other annotations, HTTP/2, gRPC, buffering of bodies, backends that are resources.
"""

from labkit.proxy.ingress.controller import IngressController
from labkit.proxy.ingress.server import Ports

__all__ = ["IngressController", "Ports"]
