"""What the cluster autoscaler is given: machines, and somebody who knows what fits where.

Source: cluster-autoscaler's cloudprovider.CloudProvider and NodeGroup, and its ClusterSnapshot.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from labkit.kube.resources import Resource


class NodeGroup(Protocol):
    """Machines alike, as many as are asked for."""

    id: str
    min_size: int
    max_size: int

    def target_size(self) -> int:
        """How many there are to be, those under way included."""

    def template_node_info(self) -> Mapping:
        """The Node that a new machine would register."""

    async def increase_size(self, delta: int) -> None:
        """Order so many more; returns before they are there."""

    async def delete_nodes(self, names: Sequence[str]) -> None:
        """Give machines back; their Nodes go from the API, too."""


class CloudProvider(Protocol):
    """Where machines come from."""

    def node_groups(self) -> Sequence[NodeGroup]:
        """All groups, always in the same order."""

    def node_group_for_node(self, name: str) -> NodeGroup | None:
        """The group of a Node, None for a machine that is nobody's business here."""


class ClusterSnapshot(Protocol):
    """The cluster as the scheduler sees it, to try things out on.

    `changed` tells it what the watches of `resources` see.  What is tried is taken back by
    `revert(mark)` before anything else may happen.
    """

    resources: Collection[Resource]

    def changed(self, resource: Resource, old: Mapping | None, new: Mapping | None) -> None:
        """A watch has seen a change."""

    def pods(self, name: str) -> list[Mapping]:
        """The Pods on a node."""

    def share(self, found: Iterable[Mapping], node: Mapping) -> tuple[float, float]:
        """What Pods request together, as a share of a Node's CPU and memory."""

    def mark(self) -> int:
        """Where `revert` goes back to."""

    def revert(self, mark: int) -> None:
        """Take back all that was tried since."""

    def add_node(self, node: Mapping, daemons: Iterable[Mapping] = ()) -> None:
        """A Node joins, and some Pods are on it from the outset."""

    def set_node(self, node: Mapping) -> None:
        """A Node becomes another."""

    def remove_pod(self, pod: Mapping) -> None:
        """A Pod leaves its node."""

    def place(self, pod: Mapping, name: str) -> None:
        """A Pod comes to a node."""

    def find(self, pod: Mapping, among: Collection[str] | None = None) -> str | None:
        """The first node that can take the Pod, None if none can."""

    def refusal(self, pod: Mapping, name: str) -> tuple[str, ...]:
        """Why a node cannot take the Pod; empty if it can."""
