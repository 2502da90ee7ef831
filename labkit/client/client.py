"""Verbs on resources.  Objects are plain dicts, as JSON has them.

Source: Kubernetes API concepts, "API verbs".  Every method raises ApiError (a Status) for an
answer that is not success and OSError where the server cannot be reached.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from labkit.client.transport import PATCH_TYPES, Transport
from labkit.kube.resources import Resource


class Client:
    """An API client with one identity, over any `Transport`."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    async def get(
        self, resource: Resource, name: str, namespace: str | None = None, subresource: str = ""
    ) -> dict:
        """One object (or its subresource)."""
        return await self.transport.request("GET", resource.path(namespace, name, subresource))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        limit: int | None = None,
        continue_: str = "",
    ) -> dict:
        """The list object: `items` and `metadata.resourceVersion` (the revision to watch from)."""
        params = {
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "resourceVersion": resource_version,
            "limit": str(limit) if limit else "",
            "continue": continue_,
        }
        return await self.transport.request("GET", resource.path(namespace), params=_given(params))

    def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
        bookmarks: bool = True,
        timeout_seconds: int | None = None,
    ) -> AsyncIterator[dict]:
        """Events after `resource_version`: `{"type": "ADDED", "object": {...}}` and so on."""
        params = {
            "watch": "true",
            "resourceVersion": resource_version,
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "allowWatchBookmarks": "true" if bookmarks else "",
            "timeoutSeconds": str(timeout_seconds) if timeout_seconds else "",
        }
        return self.transport.watch(resource.path(namespace), _given(params))

    async def create(
        self, resource: Resource, obj: Mapping, namespace: str | None = None, subresource: str = ""
    ) -> dict:
        """Create `obj` in `namespace` (its own where not given); the created object."""
        namespace = namespace or obj["metadata"].get("namespace")
        name = obj["metadata"].get("name") if subresource else None
        path = resource.path(namespace, name, subresource)
        return await self.transport.request("POST", path, body=_typed(resource, obj, subresource))

    async def update(self, resource: Resource, obj: Mapping, subresource: str = "") -> dict:
        """Replace `obj`; a Conflict if its resourceVersion is set and no longer the newest."""
        meta = obj["metadata"]
        path = resource.path(meta.get("namespace"), meta["name"], subresource)
        return await self.transport.request("PUT", path, body=_typed(resource, obj, subresource))

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: object,
        namespace: str | None = None,
        *,
        kind: str = "merge",
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
    ) -> dict:
        """Patch one object; `kind` is json, merge, strategic or apply."""
        params = {"fieldManager": field_manager, "force": "true" if force else ""}
        return await self.transport.request(
            "PATCH",
            resource.path(namespace, name, subresource),
            params=_given(params),
            body=patch,
            content_type=PATCH_TYPES[kind],
        )

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        grace_period_seconds: int | None = None,
        propagation_policy: str = "",
        uid: str = "",
    ) -> dict:
        """Delete one object; with `uid`, only that very one (a Conflict otherwise)."""
        options: dict = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if grace_period_seconds is not None:
            options["gracePeriodSeconds"] = grace_period_seconds
        if propagation_policy:
            options["propagationPolicy"] = propagation_policy
        if uid:
            options["preconditions"] = {"uid": uid}
        path = resource.path(namespace, name)
        return await self.transport.request("DELETE", path, body=options)

    async def close(self) -> None:
        """Give back the transport's sockets.  Safe to repeat."""
        await self.transport.close()


def _given(params: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in params.items() if value}


def _typed(resource: Resource, obj: Mapping, subresource: str) -> Mapping:
    """`obj` with apiVersion and kind, which items of lists and hand-made dicts may lack."""
    if subresource or (obj.get("apiVersion") and obj.get("kind")):
        return obj
    return {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
