"""The flags of cluster-autoscaler, with its defaults.

Field names are the flags' names in snake case; times are in seconds.  Source: cluster-autoscaler's
FAQ, "What are the parameters to CA?".
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClusterAutoscalerSettings:
    """How often to look, when to add machines, and when to give them back."""

    #: Seconds between two looks at the cluster.
    scan_interval: float = 10.0

    #: Nodes that the cluster may have at most, those of no group included; 0: as many as you like.
    max_nodes_total: int = 0
    #: Machines that are ordered at once, at most.
    max_nodes_per_scaleup: int = 1000
    #: Seconds that a Pod must have existed before machines are ordered for it.
    new_pod_scale_up_delay: float = 0.0
    #: Pods of a lower priority than this get no machines, and keep none.
    expendable_pods_priority_cutoff: int = -10

    scale_down_enabled: bool = True
    #: A node is looked at if less of its CPU and of its memory is requested than this share.
    scale_down_utilization_threshold: float = 0.5
    #: Seconds that a node must have been unneeded.
    scale_down_unneeded_time: float = 600.0
    #: The same for a node that is not ready.
    scale_down_unready_time: float = 1200.0
    #: Seconds after machines were ordered in which no node goes.
    scale_down_delay_after_add: float = 600.0
    #: The same after a node has gone, and after one could not be emptied.
    scale_down_delay_after_delete: float = 0.0
    scale_down_delay_after_failure: float = 180.0
    #: Seconds until a node whose Pods could not go elsewhere is looked at again.
    unremovable_node_recheck_timeout: float = 300.0
    #: Whether Pods of DaemonSets do not count in a node's utilization.
    ignore_daemonsets_utilization: bool = False
    #: Whether Pods of kube-system without a PodDisruptionBudget keep their node.
    skip_nodes_with_system_pods: bool = True
    #: Whether Pods that have an emptyDir or a hostPath keep their node.
    skip_nodes_with_local_storage: bool = True

    #: Nodes that go at the same time, and those of them that have to be emptied first.
    max_scale_down_parallelism: int = 10
    max_drain_parallelism: int = 1
    #: Unneeded nodes that are marked for the scheduler to avoid, at most.
    max_bulk_soft_taint_count: int = 10
    #: Seconds between the taint and the first eviction, for the scheduler to notice the taint.
    node_delete_delay_after_taint: float = 5.0
    #: A Pod's grace period counts up to this many seconds.
    max_graceful_termination_sec: float = 600.0
    #: Seconds for which a refused eviction is tried again.
    max_pod_eviction_time: float = 120.0

    #: With more unready nodes than both of these the autoscaler stands still.
    max_total_unready_percentage: float = 45.0
    ok_total_unready_count: int = 3
