"""The resource quota controller: what each namespace uses of its quotas.

New objects are charged by the API server at admission; this controller counts what is there: when
a quota is new or its limits have changed, when an object is deleted or begins to count for less
(a Pod that has ended), and every five minutes, which also finds what was charged and never stored.

Source: kube-controller-manager's resourcequota controller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from labkit.client import ApiError, Client
from labkit.clock import Clock
from labkit.controllers.informers import InformerFactory, SharingController
from labkit.kube import objects, resourcelist
from labkit.kube.quotas import evaluator
from labkit.kube.resources import EVENTS, RESOURCE_QUOTAS, Resource

RESYNC = 300.0  # seconds; --resource-quota-sync-period
_RESYNC_UNWATCHED = 10.0  # seconds; custom resources are counted without being watched
# Seconds to gather deletions.  What replaces a deleted object has by then been charged and stored:
# between the one and the other it would be counted as not there.
_GATHER = 0.1
_COUNT = "count/"
_NAMESPACE = "namespace"


class ResourceQuotaController(SharingController):
    """Keeps `status` of every ResourceQuota, counting objects of `resources` and custom ones."""

    name = "resourcequota-controller"
    workers = 5  # --concurrent-resource-quota-syncs

    def __init__(
        self,
        client: Client,
        clock: Clock,
        resources: Iterable[Resource],
        informers: InformerFactory | None = None,
    ) -> None:
        super().__init__(client, clock, informers)
        self._quotas = self.watch(RESOURCE_QUOTAS, enqueue=False)
        self._quotas.add_index(_NAMESPACE, lambda obj: (obj["metadata"]["namespace"],))
        self.on_change(self._quotas, self._quota_changed)
        self._resources = [each for each in resources if each.namespaced and each != EVENTS]
        for resource in self._resources:
            informer = self.watch(resource, enqueue=False)
            self.on_change(informer, partial(self._object_changed, resource))

    # When to count.

    def _quota_changed(self, old: Mapping | None, new: Mapping | None) -> None:
        if new and (old is None or old["spec"] != new["spec"]):
            self.queue.add(objects.key(new))

    def _object_changed(self, resource: Resource, old: Mapping | None, new: Mapping | None) -> None:
        if old is None:
            return
        quotas = self._quotas.by_index(_NAMESPACE, old["metadata"]["namespace"])
        if not quotas:
            return
        kind, now = evaluator(resource.name), self.clock.now()
        if new and kind.usage(new, now) == kind.usage(old, now):
            return
        for quota in quotas:
            if kind.matching(hard_of(quota)):
                self.queue.add_after(objects.key(quota), _GATHER)

    # What to count.

    async def reconcile(self, key: str) -> float | None:
        """Count for one quota and write its status; seconds until the next look."""
        quota = self._quotas.store.get(key)
        if quota is None:
            return None
        hard = hard_of(quota)
        used: dict[str, str] = {}
        for resource in self._resources:
            used |= await self._used(quota, resource)
        unwatched = [name for name in hard if name.startswith(_COUNT) and name not in used]
        for name in unwatched:
            used |= await self._used_of_custom(quota, name)
        status = quota.get("status") or {}
        if status.get("hard") != hard or not resourcelist.same(status.get("used") or {}, used):
            fresh = {**quota, "status": {"hard": hard, "used": used}}
            await self.client.update(RESOURCE_QUOTAS, fresh, "status")
        return _RESYNC_UNWATCHED if unwatched else RESYNC

    async def _used(self, quota: Mapping, resource: Resource) -> dict[str, str]:
        names = evaluator(resource.name).matching(hard_of(quota))
        if not names:
            return {}
        found = (await self.client.list(resource, quota["metadata"]["namespace"]))["items"]
        return usage(quota, resource.name, found, self.clock.now())

    async def _used_of_custom(self, quota: Mapping, name: str) -> dict[str, str]:
        """The number of objects of a resource that is known by its `count/` name only."""
        plural, _, group = name.removeprefix(_COUNT).partition(".")
        try:
            served = await self.client.transport.request("GET", f"/apis/{group}")
            resource = Resource(group, served["preferredVersion"]["version"], plural, "")
            return await self._used(quota, resource)
        except ApiError as error:
            if error.not_found:
                return {}  # nothing of that name is served
            raise


def hard_of(quota: Mapping) -> Mapping[str, str]:
    """What a quota limits."""
    return (quota.get("spec") or {}).get("hard") or {}


def usage(
    quota: Mapping, resource_name: str, found: Iterable[Mapping], now: float
) -> dict[str, str]:
    """What the objects of one resource use of a quota."""
    kind = evaluator(resource_name)
    names = kind.matching(hard_of(quota))
    total = dict.fromkeys(names, "0")
    for obj in found:
        if kind.in_scopes(quota, obj):
            total = resourcelist.add(total, resourcelist.only(kind.usage(obj, now), names))
    return total
