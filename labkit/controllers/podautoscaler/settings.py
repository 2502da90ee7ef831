"""The flags of kube-controller-manager that concern the HorizontalPodAutoscaler, with its defaults.

Field names are the flags' names in snake case; times are in seconds.  Source: Kubernetes reference,
"kube-controller-manager", and the HorizontalPodAutoscaler page ("Algorithm details").
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HPAControllerConfiguration:
    """How often to look, how far back to remember, how much to tolerate."""

    #: HPAs that are reconciled at the same time; one that waits for metrics delays no other.
    concurrent_horizontal_pod_autoscaler_syncs: int = 5
    #: Seconds between two looks at one HPA.
    horizontal_pod_autoscaler_sync_period: float = 15.0
    #: Seconds for which a higher recommendation forbids to scale below it, unless
    #: `behavior.scaleDown.stabilizationWindowSeconds` says otherwise.
    horizontal_pod_autoscaler_downscale_stabilization: float = 300.0
    #: A ratio of usage to target this close to 1 changes nothing.
    horizontal_pod_autoscaler_tolerance: float = 0.1
    #: Seconds after a Pod's start in which its CPU samples may be skipped: starting is not load.
    horizontal_pod_autoscaler_cpu_initialization_period: float = 300.0
    #: Seconds after a Pod's start in which a change to unready still counts as never ready.
    horizontal_pod_autoscaler_initial_readiness_delay: float = 30.0
    #: The feature gates that are on.  HPAScaleToZero (alpha) is off, as in Kubernetes 1.36.
    feature_gates: frozenset[str] = frozenset({"HPAConfigurableTolerance", "PodLevelResources"})
