"""The resource metrics of Pods and Nodes: a metrics-server.

Reading order, which is the way of a number from a kubelet to `kubectl top` and the autoscaler:

- `exposition`: a kubelet's `/metrics/resource`, from text to points in time.
- `storage`: the last two points of everything, and the usage between them; pure.
- `resource_api`: `metrics.k8s.io/v1beta1` as the API server serves it; pure.
- `server`: `MetricsServer`, which scrapes the kubelets and answers.
"""

from labkit.metrics.server import MetricsServer

__all__ = ["MetricsServer"]
