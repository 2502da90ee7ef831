"""What the kubelet holds about one Pod between two looks at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from labkit.kubelet import instances as inst
from labkit.kubelet.backoff import BackOff
from labkit.kubelet.instances import Instance
from labkit.kubelet.view import Blocked


@dataclass(slots=True)
class PodState:
    """One Pod (one uid).  Only its sync and the kubelet's event handlers change it."""

    pod: Mapping  # the newest known object; read-only
    stand_in: bool = False  # `pod` is made from a container's labels, the API's is not seen yet
    gone: bool = False  # no longer in the API
    instances: dict[str, Instance] = field(default_factory=dict)  # by container id
    back_offs: dict[str, BackOff] = field(default_factory=dict)  # by container name
    blocked: dict[str, Blocked] = field(default_factory=dict)  # by container name
    with_image: set[str] = field(default_factory=set)  # containers whose image was looked after
    pull_secrets: list[Mapping] | None = None  # None: not fetched yet
    stopping: dict[str, int] = field(default_factory=dict)  # container id → grace in seconds
    told: set[str] = field(default_factory=set)  # what needs no second Event

    def note(self, seen: Instance) -> bool:
        """Take over what was seen of a container; whether it is news."""
        known = self.instances.get(seen.id)
        newest = inst.newer(known, seen)
        self.instances[seen.id] = newest
        return newest != known
