"""The ReplicaSet controller: as many Pods as `spec.replicas` says, neither more nor fewer.

reconcile: claim the Pods that the selector matches, count the active ones, create or delete the
difference, write the status.  What was ordered but is not in the cache yet is remembered as
expectations, so that a lagging cache never leads to a Pod too many (`expectations`).  Creation
starts slowly (`batches`); deletion takes the least valuable Pods first (`pod_ranking`).

Source: kube-controller-manager's replicaset controller; documentation "ReplicaSet".
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping

from labkit.client import ApiError, Client
from labkit.client.events import NORMAL, WARNING
from labkit.clock import Clock
from labkit.controllers.batches import slow_start
from labkit.controllers.census import Census, Traits, traits
from labkit.controllers.claims import claim, claims, selector_of
from labkit.controllers.expectations import Expectations
from labkit.controllers.informers import InformerFactory, SharingController, batch_delay
from labkit.controllers.pod_ranking import pods_to_delete
from labkit.controllers.replica_status import next_available, replica_failure, replica_set_status
from labkit.controllers.rollout import replicas_of
from labkit.kube import objects, pods, selectors
from labkit.kube.resources import PODS, REPLICA_SETS

BURST = 500  # Pods created or deleted by one reconciliation at most (upstream's BurstReplicas)
BY_CONTROLLER, ORPHANS = "controller", "orphans"


class ReplicaSetController(SharingController):
    """Keeps every ReplicaSet at its number of Pods."""

    name = "replicaset-controller"
    resource = REPLICA_SETS
    workers = 5  # --concurrent-replicaset-syncs

    def __init__(
        self, client: Client, clock: Clock, informers: InformerFactory | None = None
    ) -> None:
        super().__init__(client, clock, informers)
        self.expectations = Expectations(clock)
        self._sets = self.watch(self.resource)
        self._sets.add_index(BY_CONTROLLER, controller_uid)
        self._sets.add_index("namespace", lambda obj: (obj["metadata"]["namespace"],))
        self.on_change(self._sets, self._set_changed)
        self._pods = self.watch(PODS, enqueue=False)
        self._pods.add_index(BY_CONTROLLER, controller_uid)
        self._pods.add_index(ORPHANS, orphan_namespace)
        self._census = Census(self.resource.kind)
        self.on_change(self._pods, self._census.changed)
        self.on_change(self._pods, self._pod_changed)

    async def reconcile(self, key: str) -> float | None:
        """Bring one ReplicaSet to its number of Pods and write its status."""
        replica_set = self._sets.store.get(key)
        if replica_set is None:
            self.expectations.forget(key)
            return None
        may_act = self.expectations.satisfied(key)
        census, strays = self._survey(replica_set)
        adopted = await claim(self.client, PODS, self.resource, replica_set, strays)
        census.update(map(traits, adopted))
        failure = None
        if may_act and not objects.is_deleting(replica_set):
            failure = await self._manage(key, replica_set, census, adopted)
        await self._write_status(replica_set, census, failure)
        if failure:
            raise failure
        return self._next_look(key, replica_set, census)

    # What there is.

    def _survey(self, replica_set: Mapping) -> tuple[Counter[Traits], list[Mapping]]:
        """Its Pods that the selector matches, counted, and those to release or perhaps to adopt."""
        selector, meta = selector_of(replica_set), replica_set["metadata"]
        census = self._census.of(meta["uid"])
        strays = self._pods.by_index(ORPHANS, meta["namespace"])
        lost = [kind for kind in census if not selectors.matches(selector, dict(kind.labels))]
        for kind in lost:
            del census[kind]
        if lost:
            owned = self._pods.by_index(BY_CONTROLLER, meta["uid"])
            strays = claims(replica_set, selector, owned).release + strays
        return census, strays

    def _active(self, replica_set: Mapping, adopted: Iterable[Mapping]) -> list[Mapping]:
        """Its active Pods, together with those that it has just adopted."""
        owned = self._pods.by_index(BY_CONTROLLER, replica_set["metadata"]["uid"])
        found = {objects.key(pod): pod for pod in adopted}
        found |= {
            objects.key(pod): pod
            for pod in claims(replica_set, selector_of(replica_set), owned).owned
        }
        return [pod for pod in found.values() if pods.is_active(pod)]

    def _related(self, replica_set: Mapping) -> list[Mapping]:
        """The active Pods of all ReplicaSets of the same owner (a Deployment's other revisions)."""
        owner = objects.controller_of(replica_set)
        siblings = self._sets.by_index(BY_CONTROLLER, owner["uid"]) if owner else [replica_set]
        return [
            pod
            for sibling in siblings
            for pod in self._pods.by_index(BY_CONTROLLER, sibling["metadata"]["uid"])
            if pods.is_active(pod)
        ]

    # What changes.

    def _keys_of_pod(self, pod: Mapping) -> Iterable[str]:
        if owner := self._owner_key(pod):
            return (owner,)
        if objects.controller_of(pod) or objects.is_deleting(pod):
            return ()
        labels = objects.labels(pod)
        return [
            objects.key(replica_set)
            for replica_set in self._sets.by_index("namespace", pod["metadata"]["namespace"])
            if selectors.matches(selector_of(replica_set), labels)
        ]

    def _owner_key(self, pod: Mapping) -> str | None:
        owner = objects.controller_of(pod)
        if owner is None or owner["kind"] != self.resource.kind:
            return None
        return f"{pod['metadata']['namespace']}/{owner['name']}"

    def _pod_changed(self, old: Mapping | None, new: Mapping | None) -> None:
        self._observe(old, new)
        for key in {key for pod in (old, new) if pod for key in self._keys_of_pod(pod)}:
            replica_set = self._sets.store.get(key)
            members = replicas_of(replica_set["spec"]) if replica_set else 0
            self.queue.add_after(key, batch_delay(members))

    def _observe(self, old: Mapping | None, new: Mapping | None) -> None:
        """What was expected has come."""
        key = self._owner_key(new or old)
        if key is None:
            return
        if old is None:
            self.expectations.creations_observed(key)
        if new is None or objects.is_deleting(new):
            self.expectations.deletion_observed(key, (new or old)["metadata"]["uid"])

    def _set_changed(self, old: Mapping | None, new: Mapping | None) -> None:
        if old and new and old["metadata"]["uid"] != new["metadata"]["uid"]:
            self.expectations.forget(objects.key(new))  # another set under the same name

    # What is done.

    async def _manage(
        self, key: str, replica_set: Mapping, census: Counter[Traits], adopted: list[Mapping]
    ) -> Exception | None:
        wanted = replicas_of(replica_set["spec"])
        missing = wanted - sum(count for kind, count in census.items() if kind.active)
        if missing > 0:
            return await self._create(key, replica_set, min(missing, BURST))
        if missing < 0:
            active = self._active(replica_set, adopted)
            surplus = max(0, len(active) - wanted)
            return await self._delete(key, replica_set, active, min(surplus, BURST))
        return None

    async def _create(self, key: str, replica_set: Mapping, count: int) -> Exception | None:
        self.expectations.expect_creations(key, count)
        pod = pod_from_template(replica_set)
        created, failure = await slow_start(count, lambda: self._create_pod(replica_set, pod))
        self.expectations.creations_observed(key, count - created)  # these will never come
        if isinstance(failure, ApiError) and is_terminating_namespace(failure):
            return None
        return failure

    async def _create_pod(self, replica_set: Mapping, pod: Mapping) -> None:
        try:
            created = await self.client.create(PODS, pod)
        except ApiError as error:
            if not is_terminating_namespace(error):
                message = f"Error creating: {error}"
                self.events.event(replica_set, WARNING, "FailedCreate", message)
            raise
        name = created["metadata"]["name"]
        self.events.event(replica_set, NORMAL, "SuccessfulCreate", f"Created pod: {name}")

    async def _delete(
        self, key: str, replica_set: Mapping, active: list[Mapping], count: int
    ) -> Exception | None:
        doomed = pods_to_delete(active, self._related(replica_set), count, self.clock.now())
        self.expectations.expect_deletions(key, [pod["metadata"]["uid"] for pod in doomed])
        failures = await asyncio.gather(
            *(self._delete_pod(key, replica_set, pod) for pod in doomed)
        )
        return next((failure for failure in failures if failure), None)

    async def _delete_pod(self, key: str, replica_set: Mapping, pod: Mapping) -> Exception | None:
        meta = pod["metadata"]
        try:
            await self.client.delete(PODS, meta["name"], meta["namespace"], uid=meta["uid"])
        except (ApiError, OSError) as error:
            self.expectations.deletion_observed(key, meta["uid"])  # this will never come
            if isinstance(error, ApiError) and (error.not_found or error.conflict):
                return None
            message = f"Error deleting: {error}"
            self.events.event(replica_set, WARNING, "FailedDelete", message)
            return error
        message = f"Deleted pod: {meta['name']}"
        self.events.event(replica_set, NORMAL, "SuccessfulDelete", message)
        return None

    # What is told.

    async def _write_status(
        self,
        replica_set: Mapping,
        census: Counter[Traits],
        failure: Exception | None,
    ) -> None:
        status = replica_set_status(replica_set, census, self.clock.now())
        failed = replica_failure(replica_set, status["replicas"], failure, self.clock.timestamp())
        if failed:
            status["conditions"] = failed
        if status != replica_set.get("status"):
            fresh = {**replica_set, "status": status}
            await self.client.update(self.resource, fresh, "status")

    def _next_look(self, key: str, replica_set: Mapping, census: Counter[Traits]) -> float | None:
        delays = [next_available(replica_set, census, self.clock.now())]
        if not self.expectations.satisfied(key):
            delays.append(self.expectations.expires_in(key))
        return min((delay for delay in delays if delay is not None), default=None)


def controller_uid(obj: Mapping) -> Iterable[str]:
    """The UID of the object's controller: an index function."""
    owner = objects.controller_of(obj)
    return (owner["uid"],) if owner else ()


def orphan_namespace(obj: Mapping) -> Iterable[str]:
    """The namespace of an object without a controller: an index function."""
    return () if objects.controller_of(obj) else (obj["metadata"]["namespace"],)


def pod_from_template(replica_set: Mapping) -> dict:
    """The Pod that a ReplicaSet asks for; the API server completes its name."""
    template = replica_set["spec"]["template"]
    meta = template.get("metadata") or {}
    inherited = {
        field: meta[field] for field in ("labels", "annotations", "finalizers") if meta.get(field)
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **inherited,
            "generateName": f"{replica_set['metadata']['name']}-",
            "namespace": replica_set["metadata"]["namespace"],
            "ownerReferences": [objects.controller_reference(replica_set)],
        },
        "spec": template["spec"],
    }


def is_terminating_namespace(error: ApiError) -> bool:
    """Whether a creation was refused because the namespace is being deleted."""
    causes = (error.status.get("details") or {}).get("causes") or ()
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)
