"""Which containers a list shows: `all`, `limit` and the filters of `GET /containers/json`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from labkit.engine.containers import Container
from labkit.engine.errors import BadParameter
from labkit.engine.filters import Filters, found

STATES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")
# fmt: off
KNOWN = frozenset({
    "ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation", "label",
    "name", "network", "publish", "since", "status", "volume",
})
# fmt: on


def select(
    containers: Iterable[Container],  # in the order of their creation
    filters: Filters,
    *,
    show_all: bool,
    limit: int,
    find: Callable[[str], Container],
    image_id: Callable[[str], str],
) -> list[Container]:
    """The chosen containers, newest first.

    `find` and `image_id` look up what the filters name.  Raises BadParameter for a status that
    does not exist.
    """
    for status in filters.get("status"):
        if status not in STATES:
            raise BadParameter(f"Invalid filter 'status={status}'")
    images = {image_id(name) for name in filters.get("ancestor")}
    after = max((find(name).created for name in filters.get("since")), default=None)
    before = min((find(name).created for name in filters.get("before")), default=None)
    if filters.get("status") or filters.get("exited"):
        show_all = True
    newest = list(containers)[::-1]
    chosen = [
        container
        for container in newest
        if (show_all or limit > 0 or container.state.running)
        and allows(filters, container)
        and (not filters.get("ancestor") or container.image_id in images)
        and (after is None or container.created > after)
        and (before is None or container.created < before)
    ]
    return chosen[:limit] if limit > 0 else chosen


def allows(filters: Filters, container: Container) -> bool:
    """Whether `container` passes those filters that look at it alone."""
    network = container.network
    return (
        filters.allows("id", lambda want: container.id.startswith(want))
        and filters.allows("name", lambda want: _named(container, want))
        and filters.allows("status", lambda want: container.state.status == want)
        and filters.allows("exited", lambda want: _exited(container, want))
        and filters.allows(
            "network",
            lambda want: network is not None and want in (network.name, network.id),
        )
        and filters.allows_labels(container.labels)
    )


def _named(container: Container, pattern: str) -> bool:
    return found(pattern, f"/{container.name}") or found(pattern, container.name)


def _exited(container: Container, want: str) -> bool:
    return container.state.status == "exited" and str(container.state.exit_code) == want
