"""The namespace controller: what is in a namespace goes with it.

`kubectl delete namespace` only marks it Terminating; its finalizer `kubernetes` is removed here
once nothing is left inside.  Pods go first (since Kubernetes 1.33: OrderedNamespaceDeletion), for
while they run they may still need what the others are.

Source: kube-controller-manager's namespace controller (namespaced_resources_deleter.go).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from labkit.client import ApiError, Client
from labkit.clock import Clock
from labkit.controllers.customresources import resource_of
from labkit.controllers.informers import InformerFactory, SharingController
from labkit.kube import conditions, objects
from labkit.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, NAMESPACES, PODS, Resource

FINALIZER = "kubernetes"
_AGAIN = 1.0  # seconds between looks at a namespace whose content is still going


class NamespaceController(SharingController):
    """Empties Terminating namespaces of `resources` and custom resources, then lets them go."""

    name = "namespace-controller"
    workers = 10  # --concurrent-namespace-syncs

    def __init__(
        self,
        client: Client,
        clock: Clock,
        resources: Iterable[Resource],
        informers: InformerFactory | None = None,
    ) -> None:
        super().__init__(client, clock, informers)
        self._namespaces = self.watch(NAMESPACES)
        self._definitions = self.watch(CUSTOM_RESOURCE_DEFINITIONS, enqueue=False)
        namespaced = [resource for resource in resources if resource.namespaced]
        self._resources = sorted(namespaced, key=lambda resource: resource != PODS)

    async def reconcile(self, key: str) -> float | None:
        """Delete what is left in a Terminating namespace; let it go when that is nothing."""
        namespace = self._namespaces.store.get(key)
        finalizers = ((namespace or {}).get("spec") or {}).get("finalizers") or ()
        if not namespace or not objects.is_deleting(namespace) or FINALIZER not in finalizers:
            return None
        left: Counter[Resource] = Counter()
        held: Counter[str] = Counter()
        for resource in (*self._resources, *self._custom()):
            items = await self._delete_all(resource, key)
            left[resource] += len(items)
            held.update(name for each in items for name in each["metadata"].get("finalizers") or ())
            if resource == PODS and items:
                break
        if any(left.values()):
            await self._tell(namespace, left, held)
            return _AGAIN
        rest = [name for name in finalizers if name != FINALIZER]
        await self._finalize({**namespace, "spec": {**namespace["spec"], "finalizers": rest}})
        return None

    def _custom(self) -> list[Resource]:
        found = map(resource_of, self._definitions.store.values())
        return [resource for resource in found if resource and resource.namespaced]

    async def _delete_all(self, resource: Resource, namespace: str) -> list[Mapping]:
        """Order the deletion of all that is not being deleted; what is there afterwards."""
        items = (await self.client.list(resource, namespace))["items"]
        for item in items:
            if not objects.is_deleting(item):
                await self._delete(resource, item)
        return (await self.client.list(resource, namespace))["items"] if items else []

    async def _delete(self, resource: Resource, item: Mapping) -> None:
        meta = item["metadata"]
        try:
            await self.client.delete(
                resource, meta["name"], meta["namespace"], propagation_policy="Background"
            )
        except ApiError as error:
            if not error.not_found:
                raise

    async def _tell(self, namespace: Mapping, left: Counter[Resource], held: Counter[str]) -> None:
        found = (namespace.get("status") or {}).get("conditions")
        now = self.clock.timestamp()
        words = ", ".join(
            f"{resource.name} has {count} resource instances"
            for resource, count in left.items()
            if count
        )
        message = f"Some resources are remaining: {words}"
        found = conditions.updated(
            found, "NamespaceContentRemaining", "True", "SomeResourcesRemain", message, now
        )
        words = ", ".join(f"{name} in {count} resource instances" for name, count in held.items())
        if words:
            message = f"Some content in the namespace has finalizers remaining: {words}"
            found = conditions.updated(
                found, "NamespaceFinalizersRemaining", "True", "SomeFinalizersRemain", message, now
            )
        status = {**(namespace.get("status") or {}), "conditions": found}
        if status != namespace.get("status"):
            await self.client.update(NAMESPACES, {**namespace, "status": status}, "status")

    async def _finalize(self, namespace: Mapping) -> None:
        try:
            await self.client.update(NAMESPACES, namespace, "finalize")
        except ApiError as error:
            if not error.not_found:
                raise
