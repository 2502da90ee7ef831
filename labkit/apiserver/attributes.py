"""What a request asks to do, as authorization and audit see it: a verb on a resource or a path.

It is read from the method and the path alone, before anything is looked up, so that a user learns
nothing about what exists from what is refused.

Source: k8s.io/apiserver pkg/endpoints/request (RequestInfoFactory.NewRequestInfo) and
pkg/authorization/authorizer (Attributes).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from labkit.apiserver.options import is_watch

_VERBS = {
    "GET": "get",
    "HEAD": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_NAMESPACE_SUBRESOURCES = ("status", "finalize")
_ONE_NAME = "metadata.name="


class Attributes(NamedTuple):
    """One thing to be done.  `resource` is empty where `path` is not a resource's.

    `selected` are the terms of the field selector of a list or watch.
    """

    verb: str
    path: str = ""
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    selected: tuple[str, ...] = ()

    @property
    def full_resource(self) -> str:
        """`pods` or `pods/log`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


class _Place(NamedTuple):
    group: str
    version: str
    namespace: str
    resource: str
    subresource: str
    name: str


def of(method: str, path: str, params: Mapping[str, str]) -> Attributes:
    """What `method` on `path` asks to do."""
    place = _place(path)
    if place is None:
        return Attributes(method.lower(), path)
    verb, name, selected = _VERBS.get(method, ""), place.name, ()
    if not name:
        if verb == "get":
            verb = "watch" if is_watch(params) else "list"
            selected = _terms(params.get("fieldSelector", ""))
            name = _selected_name(selected)
        elif verb == "delete":
            verb = "deletecollection"
    return Attributes(
        verb,
        path,
        place.group,
        place.version,
        place.namespace,
        place.resource,
        place.subresource,
        name,
        selected,
    )


def _terms(selector: str) -> tuple[str, ...]:
    """The terms of a field selector, in one spelling."""
    return tuple(selector.replace("==", "=").split(",")) if selector else ()


def _selected_name(terms: tuple[str, ...]) -> str:
    """The name in a field selector that lets one object through, for rules with resourceNames."""
    for term in terms:
        if term.startswith(_ONE_NAME):
            return term.removeprefix(_ONE_NAME)
    return ""


@lru_cache(maxsize=4096)
def _place(path: str) -> _Place | None:
    """Where a path leads, or None if that is no resource."""
    parts = [part for part in path.split("/") if part]
    group = ""
    if len(parts) >= 4 and parts[0] == "apis":
        group, version, rest = parts[1], parts[2], parts[3:]
    elif len(parts) >= 3 and parts[0] == "api":
        version, rest = parts[1], parts[2:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        # A Namespace is in itself: who may read "this namespace" may read this object.
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in _NAMESPACE_SUBRESOURCES:
            rest = rest[2:]
    resource, name, subresource = (*rest, "", "")[:3]
    return _Place(group, version, namespace, resource, subresource, name)
