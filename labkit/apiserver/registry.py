"""What this API server serves: one row per resource, from one module per API group.

A row joins a resource's identity (`labkit.kube.resources`) with its names for people, its
subresources, its schema and its behaviour (`Strategy`).  Routing, discovery, OpenAPI and tables
all read this table; to serve another kind, add a row to its group's module in `groups`.
"""

from __future__ import annotations

from labkit.apiserver.groups import (
    apiregistration,
    apps,
    autoscaling,
    coordination,
    core,
    discovery,
    events,
)
from labkit.apiserver.registration import Registration

# The order of groups is the order of discovery, in which clients resolve short names.
_GROUPS = (core, apiregistration, apps, events, autoscaling, coordination, discovery)

REGISTRATIONS: tuple[Registration, ...] = tuple(row for group in _GROUPS for row in group.ROWS)

_BY_NAME = {
    (row.resource.group, row.resource.version, row.resource.plural): row for row in REGISTRATIONS
}


def find(group: str, version: str, plural: str) -> Registration | None:
    """The row that serves `plural` in `group`/`version`, or None."""
    return _BY_NAME.get((group, version, plural))
