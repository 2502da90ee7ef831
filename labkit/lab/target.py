"""Which cluster a notebook works with, and how it comes about.

Normally one of the lab's own: it is started if need be, with the settings that the chapter asks
for.  With `LABKIT_CONTEXT` set it is the cluster of that kubeconfig context, which is taken as it
is.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labkit.clusters import contexts, manage, settings
from labkit.clusters.contexts import ForeignCluster
from labkit.clusters.parts import Parts
from labkit.errors import UsageError


@dataclass(frozen=True)
class Wish:
    """What a chapter asks of its cluster; None and nothing stand for "as it is"."""

    name: str
    nodes: int | None = None
    virtual_nodes: Sequence[str] = ()
    parts: str | None = None
    settings: Mapping[str, str] | None = None

    @property
    def flags(self) -> dict[str, str]:
        """The settings with upstream's spelling."""
        return {key.replace("_", "-"): text for key, text in (self.settings or {}).items()}

    def spoken(self) -> list[str]:
        """What it asks for beside a cluster as such."""
        words = [f"{self.nodes} nodes"] if self.nodes else []
        words += [f"a virtual node ({kind})" for kind in self.virtual_nodes]
        words += [f"parts={self.parts}"] if self.parts else []
        return words + [f"{key}={text}" for key, text in (self.settings or {}).items()]


def reach(wish: Wish) -> manage.ClusterInfo | ForeignCluster:
    """The cluster, ready for use; says what was done.  Raises LabkitError."""
    if context := os.environ.get(contexts.VARIABLE):
        settings.complete(wish.flags)  # a misspelt setting is one everywhere
        found = contexts.find(context)
        print(f"This is the cluster of the context {context}, at {found.server}.")
        if wanted := wish.spoken():
            print(f"It is taken as it is: {', '.join(wanted)} cannot be set from here.")
        return found
    return _ensure(wish)


def _ensure(wish: Wish) -> manage.ClusterInfo:
    """The lab's own cluster, up, with at least these settings; says what was done."""
    begun, name, found = time.monotonic(), wish.name, manage.info(wish.name)
    merged = {**(found.settings if found else {}), **wish.flags}
    nodes = wish.nodes or (found.nodes if found else manage.DEFAULT_NODES)
    types = tuple(sorted({*wish.virtual_nodes, *(found.virtual_nodes if found else ())}))
    before = found is not None and found.running
    if before and (found.nodes, found.virtual_nodes, found.settings, found.parts) != (
        nodes,
        types,
        merged,
        wish.parts or found.parts,
    ):
        manage.down(name)
        said = "is up with other settings after {:.1f} s; its objects were kept."
    else:
        said = "was up already." if before else "is up after {:.1f} s."
    cluster = manage.up(name, nodes, merged, parts=wish.parts, virtual_node_types=types)
    print(f"The cluster {name} {said.format(time.monotonic() - begun)}")
    if before and cluster.parts == settings.SEPARATE:
        _start_stopped(name)
    return cluster


def _start_stopped(name: str) -> None:
    """Start the parts that somebody has stopped: a run of a chapter may have ended halfway."""
    parts = Parts(name)
    if stopped := [one.name for one in parts.facts() if one.state == "stopped"]:
        parts.start()
        print(f"Started again: {', '.join(stopped)}.")


def own(cluster: manage.ClusterInfo | ForeignCluster, what: str) -> manage.ClusterInfo:
    """The cluster, if it is the lab's own; `what` needs one.  Raises UsageError."""
    if isinstance(cluster, manage.ClusterInfo):
        return cluster
    raise UsageError(
        f"{what} needs a cluster of the lab's own.",
        f"This is the cluster of the context {cluster.context}, whose machines are not ours.",
        f"In a new kernel without it: %env {contexts.VARIABLE}=",
    )
