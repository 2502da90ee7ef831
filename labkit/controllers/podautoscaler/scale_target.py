"""The target of an HPA: from a kind to the resource that serves it, and its scale subresource.

Any resource with a `scale` subresource can be autoscaled.  What the reference names is a kind; the
API server's discovery tells under which path that kind is served.

Source: k8s.io/client-go/scale and restmapper.  Left out: trying a kind under every version of its
group; the version that the reference names is the one that is asked.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

from labkit.client import ApiError, Client
from labkit.clock import Clock
from labkit.errors import LabkitError
from labkit.kube.resources import DEPLOYMENTS, REPLICA_SETS, Resource

# client-go's retry.DefaultRetry.
_ATTEMPTS, _PAUSE = 5, 0.01

_KNOWN = {(known.api_version, known.kind): known for known in (DEPLOYMENTS, REPLICA_SETS)}


class NoMatchError(LabkitError):
    """No resource serves the kind that a reference names; the message is Kubernetes' own."""


class ScaleTargets:
    """Reads and writes scales; remembers which resource serves which kind."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._resources: dict[tuple[str, str], Resource] = dict(_KNOWN)

    async def resource(self, api_version: str, kind: str) -> Resource:
        """The resource of a kind.  Raises NoMatchError, ApiError, OSError."""
        if (api_version, kind) not in self._resources:
            self._resources[api_version, kind] = await self._discover(api_version, kind)
        return self._resources[api_version, kind]

    async def _discover(self, api_version: str, kind: str) -> Resource:
        if api_version.count("/") > 1:
            raise NoMatchError(f"unexpected GroupVersion string: {api_version}")
        group, _, version = api_version.rpartition("/")
        path = f"/apis/{api_version}" if group else f"/api/{version}"
        for served in await self._served(path) if version else ():
            if served["kind"] == kind and "/" not in served["name"]:
                return Resource(group, version, served["name"], kind, served["namespaced"])
        raise NoMatchError(f'no matches for kind "{kind}" in group "{group}"')

    async def _served(self, path: str) -> list[Mapping]:
        try:
            return (await self._client.transport.request("GET", path))["resources"]
        except ApiError as error:
            if error.not_found:
                return []
            raise

    async def get(self, resource: Resource, namespace: str, name: str) -> dict:
        """The scale of one object.  Raises ApiError, OSError."""
        return await self._client.get(resource, name, namespace, "scale")

    async def update(self, resource: Resource, scale: Mapping, replicas: int) -> None:
        """Ask for so many replicas, again where the object changed meanwhile.

        Raises ApiError (a Conflict after five attempts), OSError.
        """
        meta = scale["metadata"]
        for attempt in range(1, _ATTEMPTS + 1):
            wanted = copy.deepcopy(dict(scale))
            wanted["spec"] = {**(wanted.get("spec") or {}), "replicas": replicas}
            try:
                await self._client.update(resource, wanted, "scale")
                return
            except ApiError as error:
                if not error.conflict or attempt == _ATTEMPTS:
                    raise
            await self._clock.sleep(_PAUSE)
            scale = await self.get(resource, meta["namespace"], meta["name"])
