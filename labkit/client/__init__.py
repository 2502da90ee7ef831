"""The asynchronous Kubernetes API client that every part of labkit uses, and nothing else.

Reading order:

- `errors`: `ApiError`, a Kubernetes Status as an exception.
- `transport`: the seam.  A `Transport` carries one request or one watch; the API server offers one
  in memory, `http` offers one over HTTPS.  No component can tell which it has.
- `client`: verbs on resources, objects as plain dicts.
- `informer`: a local copy of a resource, kept true by list and watch.
- `workqueue`, `controller`: keys to reconcile, each at most once at a time, with back-off.
- `telemetry`: what a part counts of its own doing, as Prometheus reads it.
- `events`: Events as a component records them.
- `kubeconfig`: from a kubeconfig file to a client.
- `official`: the official client, for notebooks; no component uses it.

Objects that come out of a client or an informer are shared and read-only: copy before changing
(`copy.deepcopy`).  That is client-go's rule too, and here it makes in-memory reads free.
"""

from labkit.client.client import Client
from labkit.client.controller import Controller
from labkit.client.errors import ApiError
from labkit.client.events import EventRecorder
from labkit.client.informer import Informer
from labkit.client.transport import Transport
from labkit.client.workqueue import WorkQueue

__all__ = [
    "ApiError",
    "Client",
    "Controller",
    "EventRecorder",
    "Informer",
    "Transport",
    "WorkQueue",
]
