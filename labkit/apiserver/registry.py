"""What this API server serves: one row per resource, from one module per API group.

A row joins a resource's identity (`labkit.kube.resources`) with its names for people, its
subresources, its schema and its behaviour (`Strategy`).  Routing, discovery, OpenAPI and tables
all read this table; to serve another kind, add a row to its group's module in `groups`.

The table itself is fixed.  A `Registry` is one server's view of it: the fixed rows, and those of
custom resources, which come and go while the server runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from labkit.apiserver.groups import (
    apiextensions,
    apiregistration,
    apps,
    authentication,
    authorization,
    autoscaling,
    batch,
    coordination,
    core,
    discovery,
    events,
    networking,
    node,
    policy,
    rbac,
    scheduling,
    storage,
)
from labkit.apiserver.registration import Registration
from labkit.kube.resources import Resource

# The order of groups is the order of discovery, in which clients resolve short names.
_GROUPS = (
    core,
    apiregistration,
    apiextensions,
    apps,
    events,
    authentication,
    authorization,
    autoscaling,
    batch,
    networking,
    policy,
    rbac,
    storage,
    scheduling,
    coordination,
    node,
    discovery,
)

REGISTRATIONS: tuple[Registration, ...] = tuple(row for group in _GROUPS for row in group.ROWS)

_Key = tuple[str, str, str]


def _by_name(rows: Sequence[Registration]) -> dict[_Key, Registration]:
    return {(row.resource.group, row.resource.version, row.resource.plural): row for row in rows}


_BY_NAME = _by_name(REGISTRATIONS)


def find(group: str, version: str, plural: str) -> Registration | None:
    """The fixed row that serves `plural` in `group`/`version`, or None."""
    return _BY_NAME.get((group, version, plural))


def own(resource: Resource) -> Registration:
    """The row of one of Kubernetes' own resources."""
    return _BY_NAME[resource.group, resource.version, resource.plural]


class Registry:
    """The rows of one server.  For one event loop.

    Custom rows have an owner, the name of their CustomResourceDefinition, and are replaced
    together.  `on_change` is called after every change; `rows` is another tuple then.
    """

    def __init__(self) -> None:
        self.rows: tuple[Registration, ...] = REGISTRATIONS
        self.on_change: list[Callable[[], None]] = []
        self._found = _BY_NAME
        self._custom: dict[str, tuple[Registration, ...]] = {}

    def find(self, group: str, version: str, plural: str) -> Registration | None:
        """The row that serves `plural` in `group`/`version`, or None."""
        return self._found.get((group, version, plural))

    def owned(self, owner: str) -> tuple[Registration, ...]:
        """The custom rows of `owner`."""
        return self._custom.get(owner, ())

    def put(self, owner: str, rows: Sequence[Registration]) -> None:
        """Serve these rows in place of those that `owner` had; none ends serving them."""
        self._custom.pop(owner, None)
        if rows:
            self._custom[owner] = tuple(rows)
        custom = [row for owned in self._custom.values() for row in owned]
        self.rows = (*REGISTRATIONS, *custom)
        # Kubernetes' own resources cannot be taken over by a definition of the same name.
        self._found = {**_by_name(custom), **_BY_NAME}
        for changed in self.on_change:
            changed()
