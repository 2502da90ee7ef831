"""A virtual node: no machine, but a contract for as many container instances as are asked for.

A Virtual Kubelet registers a Node with next to unbounded capacity, and runs each of its Pods on an
instance of its own at a provider (AWS Fargate, Alibaba's elastic container instances, Azure
Container Instances).  Three things set it apart from a machine, and these are here: an instance
takes its time to come up; every Pod is billed by the second for what it requests; and a `spot`
instance is cheap because the provider may take it back, after a notice.  The containers themselves
run on the lab's engine as all others do.

Prices are AWS Fargate's in us-east-1 (Linux, x86): on demand 0.04048 $ per vCPU-hour and
0.004445 $ per GB-hour, spot about 70 % less.  What was billed stands in the Node's annotations.

Source: virtual-kubelet's node and its taint `virtual-kubelet.io/provider`; Karpenter's label
`karpenter.sh/capacity-type`; Alibaba Cloud, "Use preemptible elastic container instances" (Event
SpotToBeReleased, status reason BidFailed).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from labkit.kube.quantity import parse_quantity
from labkit.kube.resourcelist import pod_requests

ON_DEMAND, SPOT = "on-demand", "spot"
CAPACITY_TYPES = (ON_DEMAND, SPOT)
TAINT = {"key": "virtual-kubelet.io/provider", "value": "labkit", "effect": "NoSchedule"}
PREFIX = "billing.labkit/"
BID_FAILED = "BidFailed"

_CAPACITY = {"cpu": "10000", "memory": "40Ti", "pods": "250"}  # addresses of one /24
_GIB = 2**30
_LEAST = Fraction(1, 4), Fraction(1, 2)  # vCPU and GiB: the smallest instance there is


class Prices(NamedTuple):
    """Dollars per hour."""

    vcpu: float
    gib: float


PRICES = {ON_DEMAND: Prices(0.04048, 0.004445), SPOT: Prices(0.01214364, 0.00133350)}


@dataclass(frozen=True, slots=True)
class VirtualNode:
    """The contract.  Seconds; instances are reclaimed at random, after `reclaim_interval` seconds
    on average (0: never), `reclaim_notice` after they were told.
    """

    capacity_type: str = ON_DEMAND
    start_delay: float = 10.0
    reclaim_interval: float = 0.0
    reclaim_notice: float = 120.0

    @property
    def capacity(self) -> dict[str, str]:
        """The Node's status.capacity."""
        return dict(_CAPACITY)

    @property
    def labels(self) -> dict[str, str]:
        """What the Node is known by, besides the labels of every Node."""
        return {
            "type": "virtual-kubelet",
            "kubernetes.io/role": "agent",
            "karpenter.sh/capacity-type": self.capacity_type,
            "node.kubernetes.io/exclude-from-external-load-balancers": "true",
        }

    @property
    def prices(self) -> Prices:
        """What is billed, in dollars per hour."""
        return PRICES[self.capacity_type]

    def lifetime(self, uid: str) -> float | None:
        """Seconds from a Pod's start until the notice; None if it is never reclaimed."""
        if self.capacity_type != SPOT or not self.reclaim_interval:
            return None
        return random.Random(uid).expovariate(1 / self.reclaim_interval)


def size(pod: Mapping) -> tuple[Fraction, Fraction]:
    """vCPU and GiB that a Pod is billed for: what it requests, at least the smallest instance."""
    wanted = pod_requests(pod["spec"])
    cpu = parse_quantity(wanted.get("cpu", "0"))
    memory = Fraction(parse_quantity(wanted.get("memory", "0"))) / _GIB
    return max(Fraction(cpu), _LEAST[0]), max(memory, _LEAST[1])


def cost(pod: Mapping, prices: Prices, seconds: float) -> float:
    """Dollars for a Pod that ran so long."""
    cpu, memory = size(pod)
    return (float(cpu) * prices.vcpu + float(memory) * prices.gib) * seconds / 3600


class Bill:
    """What a node's Pods have cost.  `seen` is called whenever one has been looked at."""

    def __init__(self, prices: Prices, now: Callable[[], float]) -> None:
        self._prices, self._now = prices, now
        self._open: dict[str, tuple[Mapping, float]] = {}  # by uid: the Pod, and since when
        self._seconds = self._cost = 0.0

    def resume(self, annotations: Mapping[str, str]) -> None:
        """Go on from what a Node says was billed before."""
        try:
            self._seconds = float(annotations.get(f"{PREFIX}pod-seconds", 0))
            self._cost = float(annotations.get(f"{PREFIX}cost", 0))
        except ValueError:
            pass  # somebody wrote something else there; what was billed is lost

    def seen(self, pod: Mapping, runs: bool) -> bool:
        """Open or close a Pod's account; whether that is news."""
        uid = pod["metadata"]["uid"]
        if runs == (uid in self._open):
            return False
        if runs:
            self._open[uid] = pod, self._now()
        else:
            self.close(uid)
        return True

    def is_open(self, uid: str) -> bool:
        """Whether a Pod is being billed."""
        return uid in self._open

    def close(self, uid: str) -> None:
        """A Pod is no more.  Safe to repeat."""
        if uid in self._open:
            self._add(*self._open.pop(uid))

    def _add(self, pod: Mapping, since: float) -> None:
        seconds = self._now() - since
        self._seconds += seconds
        self._cost += cost(pod, self._prices, seconds)

    def annotations(self) -> dict[str, str]:
        """The bill until now, running Pods included, as the Node's annotations have it."""
        now = self._now()
        running = [(pod, now - since) for pod, since in self._open.values()]
        seconds = self._seconds + sum(lasted for _, lasted in running)
        total = self._cost + sum(cost(pod, self._prices, lasted) for pod, lasted in running)
        return {
            f"{PREFIX}pod-seconds": f"{seconds:.1f}",
            f"{PREFIX}cost": f"{total:.9f}",
            f"{PREFIX}currency": "USD",
            f"{PREFIX}price-per-vcpu-hour": f"{self._prices.vcpu:g}",
            f"{PREFIX}price-per-gib-hour": f"{self._prices.gib:g}",
        }
