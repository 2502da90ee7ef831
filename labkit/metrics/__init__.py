"""The metrics of Pods and Nodes: what they use, and what programs say of themselves.

Reading order, which is the way of a number from a kubelet to `kubectl top` and the autoscaler:

- `exposition`: a kubelet's `/metrics/resource`, from text to points in time.
- `storage`: the last two points of everything, and the usage between them; pure.
- `resource_api`: `metrics.k8s.io/v1beta1` as the API server serves it; pure.
- `scraper`, `series`: the pages that programs show, from text to gauges and rates.
- `custom_api`: `custom.metrics.k8s.io` and `external.metrics.k8s.io`; pure.
- `server`: `MetricsServer`, which scrapes and answers.
"""

from labkit.metrics.server import MetricsServer

__all__ = ["MetricsServer"]
