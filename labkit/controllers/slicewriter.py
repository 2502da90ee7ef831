"""Writing EndpointSlices: what both of their controllers do once they know what is to change.

A controller's cache lags behind what it has written, so slices that were created or deleted are
expected, and nothing more is done for their owner until the watch has shown them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labkit.client import ApiError, Client
from labkit.clock import Clock
from labkit.controllers import slices
from labkit.controllers.expectations import Expectations
from labkit.kube import objects
from labkit.kube.resources import ENDPOINT_SLICES

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"


class SliceWriter:
    """Writes the slices that `manager` keeps, and knows what of it has not been seen yet."""

    def __init__(self, client: Client, clock: Clock, manager: str) -> None:
        self._client, self._manager = client, manager
        self.expectations = Expectations(clock)

    def keys(self, slice_: Mapping) -> tuple[str, ...]:
        """The key of the Service whose slice this is, if it is one of ours."""
        labels = objects.labels(slice_)
        if labels.get(MANAGED_BY) != self._manager or not labels.get(SERVICE_NAME):
            return ()
        return (f"{slice_['metadata']['namespace']}/{labels[SERVICE_NAME]}",)

    def seen(self, old: Mapping | None, new: Mapping | None) -> None:
        """The watch has shown a change of a slice."""
        for key in self.keys(new or old):
            if old is None:
                self.expectations.creations_observed(key)
            if new is None:
                self.expectations.deletion_observed(key, old["metadata"]["uid"])

    async def apply(
        self,
        key: str,
        change: slices.Changes,
        existing: Iterable[Mapping],
        head: Mapping,
    ) -> None:
        """Make the changes; all slices get what `head`, a slice's metadata, says."""
        for slice_, endpoints in change.update:
            await self._client.update(ENDPOINT_SLICES, {**slice_, "endpoints": endpoints})
        for group, endpoints in change.create:
            await self._create(key, _new(head, group, endpoints))
        for slice_ in change.delete:
            await self.delete(key, slice_)
        await self._relabel(head.get("labels") or {}, existing, change)

    async def delete(self, key: str, slice_: Mapping) -> None:
        """Delete one slice; one that is gone already is fine."""
        meta = slice_["metadata"]
        self.expectations.expect_deletions(key, [meta["uid"]])
        try:
            await self._client.delete(
                ENDPOINT_SLICES, meta["name"], meta["namespace"], uid=meta["uid"]
            )
        except (ApiError, OSError) as error:
            self.expectations.deletion_observed(key, meta["uid"])
            if not (isinstance(error, ApiError) and error.not_found):
                raise

    async def _create(self, key: str, slice_: Mapping) -> None:
        self.expectations.expect_creations(key, 1)
        try:
            await self._client.create(ENDPOINT_SLICES, slice_)
        except (ApiError, OSError):
            self.expectations.creations_observed(key)
            raise

    async def _relabel(
        self, labels: Mapping[str, str], existing: Iterable[Mapping], change: slices.Changes
    ) -> None:
        touched = {slice_["metadata"]["uid"] for slice_, _ in change.update}
        touched |= {slice_["metadata"]["uid"] for slice_ in change.delete}
        for slice_ in existing:
            meta = slice_["metadata"]
            if meta["uid"] not in touched and objects.labels(slice_) != labels:
                fresh = {**slice_, "metadata": {**meta, "labels": labels}}
                await self._client.update(ENDPOINT_SLICES, fresh)


def _new(head: Mapping, group: slices.Group, endpoints: list[dict]) -> dict:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": dict(head),
        "addressType": group.address_type,
        "endpoints": endpoints,
        "ports": [port.as_dict() for port in group.ports],
    }
