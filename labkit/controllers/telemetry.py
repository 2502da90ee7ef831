"""What the controllers tell of themselves: their work queues, under the names of upstream's.

Source: kube-controller-manager; Kubernetes documentation, "Kubernetes Metrics Reference".
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.client import Controller, telemetry

#: Upstream's names of the queues that are not called as their controllers are.
_QUEUES = {
    "endpoints-controller": "endpoint",
    "endpointslice-controller": "endpoint_slice",
    "endpointslicemirroring-controller": "endpoint_slice_mirroring",
    "garbage-collector-controller": "garbage_collector_attempt_to_delete",
    "horizontal-pod-autoscaler": "horizontalpodautoscaler",
    "node-lifecycle-controller": "node_lifecycle_controller",
    "replicationcontroller-controller": "replicationmanager",
    "resourcequota-controller": "resourcequota_primary",
    "ttl-after-finished-controller": "ttl_jobs_to_delete",
}


def queue_name(controller: str) -> str:
    """`deployment-controller` → `deployment`."""
    plain = controller.removesuffix("-controller").replace("-", "_")
    return _QUEUES.get(controller, plain)


class ManagerMetrics:
    """The instruments of `controllers`."""

    def __init__(self, controllers: Iterable[Controller]) -> None:
        self._page = telemetry.registry()
        queues = telemetry.QueueMetrics(self._page)
        for controller in controllers:
            queues.watch(controller.queue, queue_name(controller.name))

    def text(self) -> str:
        """The page."""
        return telemetry.text(self._page)
