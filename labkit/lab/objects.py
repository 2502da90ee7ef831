"""The objects of a cluster, by the names that kubectl has for them.

`deployment/myapp`, `deploy/myapp`, `deployment.apps/myapp`: the kinds that a course uses every day
are known; all others, custom resources among them, are looked up in the API's discovery.

Source: Kubernetes API concepts, "API Discovery"; kubectl's way to take `TYPE/NAME`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable

from labkit.client import ApiError, Client
from labkit.errors import UsageError
from labkit.kube import kinds
from labkit.kube.resources import Resource


class Objects:
    """Get, watch and delete by name.  Objects without a namespace of their own are in ours."""

    def __init__(self, client: Client, namespace: str = "default") -> None:
        self.client, self.namespace = client, namespace
        self._groups: list[tuple[str, str]] | None = None
        self._found: dict[tuple[str, str], list[tuple[Resource, set[str]]]] = {}

    async def parse(self, name: str) -> tuple[Resource, str]:
        """`deploy/myapp` → the resource and the plain name.  Raises UsageError."""
        kind, slash, plain = name.partition("/")
        word, _, group = kind.partition(".")
        try:
            resource, _ = known = kinds.parse(f"{word}{slash}{plain}")
            if not group or group == resource.group:
                return known
        except UsageError:
            if not slash or not plain:
                raise
        resource = await self.resource(kind)
        if resource is None:  # a custom resource may be younger than what we know
            self._groups, self._found = None, {}
            resource = await self.resource(kind)
        if resource is None:
            raise UsageError(
                f"There is no kind {kind!r} in this cluster, so there is no {name!r}.",
                "It is probably misspelt; an object is named so: deployment/myapp.",
                "See what there is: kubectl api-resources",
            )
        return resource, plain

    async def resource(self, word: str) -> Resource | None:
        """The resource of a kind, plural or short name, with its group or without; or None."""
        plain, _, group = word.lower().partition(".")
        for served in await self._served():
            if group and not f"{served[0]}.".startswith(f"{group}."):
                continue
            for resource, words in await self._resources(*served):
                if plain in words:
                    return resource
        return None

    async def _served(self) -> list[tuple[str, str]]:
        """Every group with the version that it prefers, the core group first."""
        if self._groups is None:
            answer = await self.client.transport.request("GET", "/apis")
            preferred = (group["preferredVersion"]["groupVersion"] for group in answer["groups"])
            self._groups = [("", "v1"), *map(_split, preferred)]
        return self._groups

    async def _resources(self, group: str, version: str) -> list[tuple[Resource, set[str]]]:
        """The resources of one version, each with the words for it."""
        key = group, version
        if key not in self._found:
            path = f"/apis/{group}/{version}" if group else f"/api/{version}"
            try:
                answer = await self.client.transport.request("GET", path)
            except ApiError:
                answer = {"resources": []}
            self._found[key] = [
                (
                    Resource(group, version, row["name"], row["kind"], row["namespaced"]),
                    {row["name"], row["kind"].lower(), *row.get("shortNames", ())},
                )
                for row in answer["resources"]
                if "/" not in row["name"]
            ]
        return self._found[key]

    def scope(self, resource: Resource, namespace: str | None = None) -> str | None:
        """The namespace in which an object of `resource` is looked for."""
        return (namespace or self.namespace) if resource.namespaced else None

    async def get(self, name: str) -> dict:
        """The object.  Raises ApiError and UsageError."""
        resource, plain = await self.parse(name)
        return await self.client.get(resource, plain, self.scope(resource))

    async def find(self, resource: Resource, plain: str, namespace: str | None) -> dict | None:
        """The object, or None where there is none."""
        try:
            return await self.client.get(resource, plain, namespace)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def follow(
        self, name: str, meets: Callable[[dict], object], timeout: float, namespace: str = ""
    ) -> dict:
        """The state that `meets`, or the last one before `timeout` (s); {} for no object."""
        resource, plain = await self.parse(name)
        where = self.scope(resource, namespace)
        scope = {"namespace": where, "field_selector": f"metadata.name={plain}"}
        last: dict = {}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while True:
                    try:
                        answer = await self.client.list(resource, **scope)
                    except ApiError as error:
                        if error.not_found:  # the kind itself has gone
                            return {}
                        raise
                    last = answer["items"][0] if answer["items"] else {}
                    if meets(last):
                        return last
                    revision = answer["metadata"]["resourceVersion"]
                    events = self.client.watch(resource, resource_version=revision, **scope)
                    async with contextlib.aclosing(events):
                        async for event in events:
                            if event["type"] == "ERROR":  # the revision is too old: list again
                                break
                            if event["type"] != "BOOKMARK":
                                last = {} if event["type"] == "DELETED" else event["object"]
                            if meets(last):
                                return last
        return last

    async def delete(self, name: str, namespace: str = "", uid: str = "") -> bool:
        """Ask for the end of an object and all that it owns; False where there was none.

        With `uid`, another object of that name is left alone.
        """
        resource, plain = await self.parse(name)
        try:
            # Foreground: the object goes last, after the Pods that it owns.
            await self.client.delete(
                resource,
                plain,
                self.scope(resource, namespace),
                propagation_policy="Foreground",
                uid=uid,
            )
        except ApiError as error:
            if error.not_found or (uid and error.conflict):
                return False
            raise
        return True


def spoken(names: Iterable[str]) -> str:
    """`deployment.apps/myapp`, ... as people say them: `deployment/myapp and service/myapp`."""
    parts = [name.partition("/") for name in names]
    short = [f"{kind.partition('.')[0]}/{plain}" for kind, _, plain in parts]
    return " and ".join(filter(None, [", ".join(short[:-1]), *short[-1:]]))


def _split(api_version: str) -> tuple[str, str]:
    group, slash, version = api_version.partition("/")
    return (group, version) if slash else ("", group)
