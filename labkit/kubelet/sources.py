"""What Pods refer to: ConfigMaps, Secrets, claims and their volumes, Services.

All but Services are fetched when a container is started (upstream watches those in use); the last
ones seen are kept for the time when the API server cannot be reached.  Services are watched,
for their variables are in every container.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labkit.client import ApiError, Client, Informer
from labkit.clock import Clock
from labkit.kube.resources import (
    CONFIG_MAPS,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    SECRETS,
    SERVICES,
)
from labkit.kubelet import env

_RESOURCES = {
    "ConfigMap": CONFIG_MAPS,
    "Secret": SECRETS,
    "PersistentVolumeClaim": PERSISTENT_VOLUME_CLAIMS,
    "PersistentVolume": PERSISTENT_VOLUMES,
}
_KEPT = 256


class Sources:
    """Read access to the objects that Pods of one node refer to."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._services = Informer(client, SERVICES, clock)
        self._seen: dict[tuple[str, str, str], Mapping | None] = {}

    def start(self) -> None:
        """Begin to watch Services."""
        self._services.start()

    async def stop(self) -> None:
        """End the watch.  Safe to repeat."""
        await self._services.stop()

    async def fetch(self, kind: str, namespace: str, name: str) -> Mapping | None:
        """An object of one of these kinds; None if there is none."""
        key = (kind, namespace, name)
        if len(self._seen) >= _KEPT:
            self._seen.clear()
        try:
            self._seen[key] = await self._client.get(_RESOURCES[kind], name, namespace or None)
        except ApiError as error:
            if not error.not_found:
                raise
            self._seen[key] = None
        except OSError:
            if key not in self._seen:
                raise
        return self._seen[key]

    async def lookup(self, pod: Mapping, container: Mapping) -> env.Lookup:
        """All that the container's variables refer to, fetched, as a function for `env`."""
        namespace = pod["metadata"]["namespace"]
        found: dict[tuple[str, str], Mapping[str, str] | None] = {}
        for kind, name in env.references(container):
            obj = await self.fetch(kind, namespace, name)
            found[kind, name] = obj and env.plain_data({"kind": kind, **obj})
        return lambda kind, name: found.get((kind, name))

    async def pull_secrets(self, pod: Mapping) -> tuple[list[Mapping], list[str]]:
        """The Pod's imagePullSecrets that exist, and the names of those that do not."""
        found, missing = [], []
        for reference in pod["spec"].get("imagePullSecrets") or ():
            try:
                secret = await self.fetch("Secret", pod["metadata"]["namespace"], reference["name"])
            except (ApiError, OSError):
                secret = None
            if secret is None:
                missing.append(reference["name"])
            else:
                found.append(secret)
        return found, missing

    async def service_variables(self, pod: Mapping) -> Mapping[str, str]:
        """The Service variables of the Pod's containers."""
        await self._services.synced()
        links = pod["spec"].get("enableServiceLinks", True)
        return env.service_variables(
            self._sorted(), pod["metadata"]["namespace"], links=links is not False
        )

    def _sorted(self) -> Iterable[Mapping]:
        return [self._services.store[key] for key in sorted(self._services.store)]
