"""The nodes of a cluster: its workers, and with `labkit up --virtual-node TYPE` virtual ones.

A cluster has at most one of each type, `<cluster>-virtual` (on-demand) and `<cluster>-spot`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labkit.clusters import addresses, settings
from labkit.errors import UsageError
from labkit.kubelet.virtual import CAPACITY_TYPES, ON_DEMAND, SPOT, VirtualNode

KEY = "virtual_nodes"
"""Their name in cluster.json, where it is a list of types."""

_NAMES = {ON_DEMAND: "virtual", SPOT: "spot"}
_NUMBERS = {ON_DEMAND: 252, SPOT: 253}  # of their addresses, which stay when there are more workers


def chosen(before: Mapping, given: Sequence[str] | None) -> dict[str, list[str]]:
    """What is to stand in cluster.json: what is given, or else what was there `before`.

    An empty text forgets all that was there.  Raises UsageError.
    """
    types = before.get(KEY, ()) if given is None else [text for text in given if text]
    for text in types:
        if text not in CAPACITY_TYPES:
            raise UsageError(
                f"--virtual-node cannot be {text!r}.",
                f"It is one of {' and '.join(CAPACITY_TYPES)}, as its instances are billed.",
                f"Try: labkit up --virtual-node {SPOT}",
            )
    found = [one for one in CAPACITY_TYPES if one in types]
    return {KEY: found} if found else {}


def names(description: Mapping) -> tuple[str, ...]:
    """The virtual nodes of the cluster that a cluster.json describes."""
    return tuple(f"{description['name']}-{_NAMES[one]}" for one in description.get(KEY, ()))


def all_nodes(description: Mapping) -> dict[str, str]:
    """Every node of the cluster that a cluster.json describes, and its InternalIP."""
    own, name = addresses.of(description), description["name"]
    workers = {
        addresses.node_name(name, index): own.node(index)
        for index in range(1, description["nodes"] + 1)
    }
    numbers = (_NUMBERS[one] for one in description.get(KEY, ()))
    return workers | dict(zip(names(description), map(own.node, numbers), strict=True))


def contract(node: str, description: Mapping) -> VirtualNode | None:
    """What makes this node of the cluster virtual, None if it is not."""
    types = dict(zip(names(description), description.get(KEY, ()), strict=True))
    if node not in types:
        return None
    numbers = settings.of_part("virtual-kubelet", settings.complete(description["settings"]))
    return VirtualNode(
        types[node],
        start_delay=numbers["virtual_node_start_delay"],
        reclaim_interval=numbers["spot_reclaim_interval"],
        reclaim_notice=numbers["spot_reclaim_notice"],
    )
