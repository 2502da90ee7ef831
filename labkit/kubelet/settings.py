"""The kubelet's configuration, under the names of Kubernetes' KubeletConfiguration.

Source: kubelet.config.k8s.io/v1beta1.  Durations are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

from labkit.kubelet.mirrors import Mirror
from labkit.kubelet.virtual import VirtualNode


@dataclass(frozen=True, slots=True)
class KubeletSettings:
    """What an administrator may tune; the defaults are the real kubelet's."""

    port: int = 10250  # of the HTTPS server on the Node's InternalIP; 0 takes a free one
    max_pods: int = 110
    # Registers the Node with this spec.podCIDR, where no controller hands out addresses.
    pod_cidr: str = ""
    # How often the Node's status is computed; it is written when it changed, or else only every
    # `node_status_report_frequency`, for the Lease is the heartbeat.
    node_status_update_frequency: float = 10.0
    node_status_report_frequency: float = 300.0
    node_lease_duration_seconds: int = 40
    # The kubelet compares its picture with the engine's list of containers this often, in case
    # an event was lost (upstream's generic PLEG lists every second, having no events).
    relist_period: float = 10.0
    # An image that cannot be pulled is tried again after 10, 20, 40, ... 300 s (upstream:
    # backOffPeriod and MaxContainerBackOff).
    back_off_period: float = 10.0
    max_container_back_off: float = 300.0
    # A container that keeps exiting waits likewise (crashLoopBackOff.maxContainerRestartPeriod).
    max_container_restart_period: float = 300.0
    # How often volumes are compared with the ConfigMaps, Secrets and tokens that they are made of.
    sync_frequency: float = 60.0
    # A Pod is evicted when less memory is left than this, of what the node has.
    eviction_hard: str = "memory.available<100Mi"
    # For how long after the last shortage the node goes on to say so.
    eviction_pressure_transition_period: float = 300.0
    # How much memory the node has, such as 512Mi, or a part of the machine's.  (A real kubelet is
    # on a machine of its own, whose memory is the node's.)
    node_memory: str = "100%"

    # Where images are taken from instead (upstream: a file of the container runtime).
    image_mirrors: tuple[Mirror, ...] = ()
    # What makes the node a virtual one, if it is.
    virtual: VirtualNode | None = None

    @property
    def node_lease_renew_interval(self) -> float:
        """A quarter of the Lease's duration, as upstream (nodeLeaseRenewIntervalFraction)."""
        return self.node_lease_duration_seconds * 0.25

    @property
    def first_restart_period(self) -> float:
        """The first wait of a container that exited: 10 s, or the longest wait if that is less."""
        return min(self.back_off_period, self.max_container_restart_period)
