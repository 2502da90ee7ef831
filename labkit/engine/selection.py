"""Which containers a list shows: `all`, `limit` and the filters of `GET /containers/json`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from labkit.engine.containers import Container, mounts
from labkit.engine.errors import BadParameter, EngineError
from labkit.engine.filters import Filters, found

HEALTHS = ("none", "starting", "healthy", "unhealthy")
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
    for health in filters.get("health"):
        if health not in HEALTHS:
            raise BadParameter(f"Unrecognised filter value for health: {health}")
    expose, publish = (_ports(filters, key) for key in ("expose", "publish"))
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
        and (not expose | publish or _has_port(container, expose, publish))
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
        and filters.allows("health", lambda want: container.health_status == want)
        and filters.allows("volume", lambda want: _mounts(container, want))
        and filters.allows("is-task", lambda want: want.lower() in ("0", "false"))
        and filters.allows(
            "network",
            lambda want: (
                network is not None and (want == network.name or network.id.startswith(want))
            ),
        )
        and filters.allows_labels(container.labels)
    )


def _named(container: Container, pattern: str) -> bool:
    return found(pattern, f"/{container.name}") or found(pattern, container.name)


def _mounts(container: Container, want: str) -> bool:
    found = mounts(container.host_config)
    return any(want in (mount["Source"], mount["Destination"]) for mount in found)


def _ports(filters: Filters, key: str) -> set[str]:
    """`80`, `80/tcp` or `8000-8080/tcp` → every port as `80/tcp`.  Raises EngineError."""
    found = set()
    for value in filters.get(key):
        if ":" in value:
            raise EngineError(f"filter for '{key}' should not contain ':': {value}")
        numbers, _, protocol = value.partition("/")
        first, _, last = numbers.partition("-")
        try:
            ports = range(int(first), int(last or first) + 1)
        except ValueError:
            raise EngineError(f"error while looking up for {key} {value}: invalid port") from None
        found |= {f"{port}/{protocol or 'tcp'}" for port in ports}
    return found


def _has_port(container: Container, expose: set[str], publish: set[str]) -> bool:
    published = container.forwarder.published() if container.forwarder else {}
    outside = {
        f"{place['HostPort']}/{port.partition('/')[2]}"
        for port, places in published.items()
        for place in places
    }
    return bool(outside & publish or set(container.ports()) & expose)


def _exited(container: Container, want: str) -> bool:
    return container.state.status == "exited" and str(container.state.exit_code) == want
