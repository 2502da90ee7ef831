"""What a request is about: path and parameters, understood.

Source: Kubernetes API reference, "Resource URIs".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial

from labkit.apiserver import options, statuses
from labkit.apiserver.registration import Registration
from labkit.apiserver.registry import Registry
from labkit.apiserver.request import Request, User
from labkit.client.transport import PATCH_TYPES

_NAMESPACE_SUBRESOURCES = ("status", "finalize")


@dataclass(frozen=True, slots=True)
class Target:
    """A resource, and in it a namespace, an object, a subresource, as far as the path goes."""

    row: Registration
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def key(self) -> str:
        """The object's key in its collection."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True)
class Call:
    """One write: its target, who asks, how to treat fields; `warnings` go into the answer."""

    target: Target
    user: User
    params: Mapping[str, str]
    body: object
    content_type: str
    dry_run: bool
    user_agent: str = ""
    repeated: tuple[str, ...] = ()
    warnings: list[str] = field(default_factory=list)


def call(target: Target, request: Request) -> Call:
    """The write that a request asks for.  Raises ApiError 422."""
    method, params = request.method, request.params
    apply = request.content_type == PATCH_TYPES["apply"]
    # The options of a deletion may be in its body: see `deletion`.
    dry_run = method != "DELETE" and options.writing(params, method, apply=apply)
    return Call(
        target,
        request.user,
        params,
        request.body,
        request.content_type,
        dry_run,
        request.user_agent,
        request.repeated,
    )


class Paths:
    """Understands paths, and remembers those that it has understood until the registry changes."""

    def __init__(self, registry: Registry) -> None:
        self.parse = lru_cache(maxsize=4096)(partial(_parse, registry))
        registry.on_change.append(self.parse.cache_clear)


def _parse(registry: Registry, path: str) -> Target:
    """The target of a path.  Raises ApiError 404 where nothing is served."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) >= 3:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise statuses.no_such_path()
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and not _of_namespace(group, rest):
        namespace, rest = rest[1], rest[2:]
    nothing = statuses.no_such_route if _is_built_in(registry, group) else statuses.no_such_path
    row = registry.find(group, version, rest[0])
    name = rest[1] if len(rest) > 1 else ""
    subresource = "/".join(rest[2:])
    if row is None or not all(parts) or (subresource and subresource not in row.subresources):
        raise nothing()
    if bool(namespace) > row.resource.namespaced or (
        name and row.resource.namespaced and not namespace
    ):
        raise nothing()
    return Target(row, namespace, name, subresource)


def _is_built_in(registry: Registry, group: str) -> bool:
    """Whether a group is Kubernetes' own: where nothing is found there, its server says so."""
    return any(row.resource.group == group and not row.custom for row in registry.rows)


def _of_namespace(group: str, rest: list[str]) -> bool:
    """Whether /namespaces/a/b is about a subresource of the namespace itself."""
    return group == "" and len(rest) == 3 and rest[2] in _NAMESPACE_SUBRESOURCES
