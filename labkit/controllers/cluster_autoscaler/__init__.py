"""The cluster autoscaler: nodes come when Pods find no place, and go when nobody needs them.

It looks at requests, not at load: a node that is busy may be unneeded, and one that idles may be
full.  Every ten seconds:

1. Pods that the scheduler could place nowhere are tried on what there is and on the machines that
   are under way.  For those that are left it finds out how many new machines would take them, of
   which node group, and orders these (`scale_up`).
2. If nothing was ordered: which nodes are less than half requested, and would their Pods fit
   elsewhere (`scale_down`)?  Of which may none be evicted (`drainability`)?  A node that was not
   needed for ten minutes is tainted, emptied by evictions, and given back (`actuation`).

What would fit where is asked of a `ClusterSnapshot`, and machines are had from a `CloudProvider`:
both are given from outside (`seams`), so that this is as much of a cluster autoscaler on any
provider as upstream's is.  `controller` is the loop; `settings` are upstream's flags.

Source: kubernetes/autoscaler, cluster-autoscaler (FAQ; core/static_autoscaler, core/scaleup,
core/scaledown, simulator, estimator, expander/waste).
Left out: node groups that are made as needed, balancing of similar groups, limits on cores and
memory, machines that fail to come (back-off), other expanders than least-waste, frequent loops,
priorities of draining, eviction of DaemonSets' Pods, ProvisioningRequests, GPUs, the status
ConfigMap, metrics.
"""

from labkit.controllers.cluster_autoscaler.controller import ClusterAutoscaler
from labkit.controllers.cluster_autoscaler.seams import CloudProvider, ClusterSnapshot, NodeGroup
from labkit.controllers.cluster_autoscaler.settings import ClusterAutoscalerSettings

__all__ = [
    "CloudProvider",
    "ClusterAutoscaler",
    "ClusterAutoscalerSettings",
    "ClusterSnapshot",
    "NodeGroup",
]
