"""The StatefulSet controller: Pods with names, an order, and storage that stays.

reconcile: find or make the revision of the present template (`history`), claim the Pods, decide the
next step (`statefulset_decision`), carry it out (Pods by `statefulset_pods`, claims first), write
the status.  Names are fixed, so that a cache that lags behind can make no Pod too many.

Source: kube-controller-manager's statefulset controller; documentation "StatefulSets".
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence

from labkit.client import ApiError, Client
from labkit.client.errors import status_error
from labkit.client.events import NORMAL, WARNING
from labkit.clock import Clock
from labkit.controllers import history, statefulset_decision
from labkit.controllers import statefulset_pods as members
from labkit.controllers.batches import slow_start
from labkit.controllers.claims import claim, selector_of
from labkit.controllers.history import History, Revisions
from labkit.controllers.informers import InformerFactory, SharingController, batch_delay
from labkit.controllers.replica_status import next_availability
from labkit.controllers.replicaset import BY_CONTROLLER, ORPHANS, controller_uid, orphan_namespace
from labkit.controllers.statefulset_decision import Members, Step
from labkit.kube import objects, selectors
from labkit.kube.resources import (
    CONTROLLER_REVISIONS,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    STATEFUL_SETS,
)

_HASH = "controller.kubernetes.io/hash"  # the label of revisions
_CLAIM_NAME = re.compile(r"(.+)-[0-9]+", re.DOTALL)


class StatefulSetController(SharingController):
    """Keeps every StatefulSet's Pods."""

    name = "statefulset-controller"
    workers = 5  # --concurrent-statefulset-syncs

    def __init__(
        self, client: Client, clock: Clock, informers: InformerFactory | None = None
    ) -> None:
        super().__init__(client, clock, informers)
        self._sets = self.watch(STATEFUL_SETS)
        self._sets.add_index("namespace", lambda obj: (obj["metadata"]["namespace"],))
        self._pods = self.watch(PODS, enqueue=False)
        self._pods.add_index(BY_CONTROLLER, controller_uid)
        self._pods.add_index(ORPHANS, orphan_namespace)
        self.on_change(self._pods, self._pod_changed)
        self._claims = self.watch(PERSISTENT_VOLUME_CLAIMS, enqueue=False)
        self.on_change(self._claims, self._claim_changed)
        revisions = self.watch(CONTROLLER_REVISIONS, enqueue=False)
        revisions.add_index(BY_CONTROLLER, controller_uid)
        revisions.add_index(ORPHANS, orphan_namespace)
        self._history = History(client, revisions, STATEFUL_SETS, _HASH)

    async def reconcile(self, key: str) -> float | None:
        """Bring one set a step further; seconds until the next look, where time alone matters."""
        stateful_set = self._sets.store.get(key)
        if stateful_set is None:
            return None
        if not stateful_set["spec"].get("selector"):
            return None
        found = await self._claimed(stateful_set)
        revisions = await self._history.revisions(stateful_set)
        current = _current(stateful_set, revisions)
        group = Members(stateful_set, found, current, revisions.newest, self.clock.now())
        step = statefulset_decision.next_step(group)
        try:
            await self._carry_out(stateful_set, step)
        finally:
            await self._write_status(stateful_set, found, current, revisions, step.updated)
        await self._forget(stateful_set, found, current, revisions)
        return next_availability(stateful_set, found, self.clock.now())

    # What there is, and what changes.

    async def _claimed(self, stateful_set: Mapping) -> list[Mapping]:
        meta = stateful_set["metadata"]
        candidates = self._pods.by_index(BY_CONTROLLER, meta["uid"])
        candidates += self._pods.by_index(ORPHANS, meta["namespace"])
        named = [pod for pod in candidates if members.is_member(stateful_set, pod)]
        return await claim(self.client, PODS, STATEFUL_SETS, stateful_set, named)

    def _pod_changed(self, old: Mapping | None, new: Mapping | None) -> None:
        for key in {key for pod in (old, new) if pod for key in self._keys_of_pod(pod)}:
            stateful_set = self._sets.store.get(key)
            count = stateful_set["spec"].get("replicas", 1) if stateful_set else 0
            self.queue.add_after(key, batch_delay(count))

    def _keys_of_pod(self, pod: Mapping) -> Iterable[str]:
        namespace = pod["metadata"]["namespace"]
        if owner := objects.controller_of(pod):
            return (f"{namespace}/{owner['name']}",) if owner["kind"] == STATEFUL_SETS.kind else ()
        return [
            objects.key(each)
            for each in self._sets.by_index("namespace", namespace)
            if selectors.matches(selector_of(each), objects.labels(pod))
        ]

    def _claim_changed(self, old: Mapping | None, new: Mapping | None) -> None:
        """A claim that has gone may be the one that a Pod's creation waits for."""
        if new is not None:
            return
        found = _CLAIM_NAME.fullmatch(old["metadata"]["name"])
        for each in self._sets.by_index("namespace", old["metadata"]["namespace"]) if found else ():
            if found[1].endswith(f"-{each['metadata']['name']}"):
                self.queue.add(objects.key(each))

    # What is done.

    async def _carry_out(self, stateful_set: Mapping, step: Step) -> None:
        waiting = iter(step.create)
        _, failure = await slow_start(
            len(step.create), lambda: self._create(stateful_set, next(waiting))
        )
        if failure:
            raise failure
        for pod in step.pending:
            await self._create_claims(stateful_set, pod)
        for pod in step.settled:
            await self._mend(stateful_set, pod)
        for pod in (*step.settled, *step.condemned):
            await self._own_claims(stateful_set, pod)
        await asyncio.gather(*(self._delete(stateful_set, pod) for pod in step.delete))

    async def _create(self, stateful_set: Mapping, pod: Mapping) -> None:
        number = members.ordinal(pod)
        known = self._known_claims(stateful_set, number)
        if any(members.is_stale(stateful_set, each, number) for each in known):
            return  # it goes with the Pod that was; this is called again when it has
        try:
            await self._create_claims(stateful_set, pod)
            created = await self.client.create(PODS, pod)
        except ApiError as error:
            if not error.already_exists:
                self._tell(stateful_set, "create", pod, error)
            raise
        self._tell(stateful_set, "create", pod)
        await self._own_claims(stateful_set, created)

    async def _create_claims(self, stateful_set: Mapping, pod: Mapping) -> None:
        """Make the claims that are missing.  Raises ApiError where one is being deleted."""
        for wanted in members.claims_for(stateful_set, members.ordinal(pod)):
            meta = wanted["metadata"]
            present = self._claims.get(meta["name"], meta["namespace"])
            if present is None:
                await self._create_claim(stateful_set, pod, wanted)
            elif objects.is_deleting(present):
                why = f"pvc {meta['name']} is to be deleted"
                raise status_error(409, "Conflict", why)

    async def _create_claim(self, stateful_set: Mapping, pod: Mapping, claim: Mapping) -> None:
        name, failure = claim["metadata"]["name"], None
        try:
            await self.client.create(PERSISTENT_VOLUME_CLAIMS, claim)
        except ApiError as error:
            if error.already_exists:
                return
            failure = error
        self._tell(stateful_set, "create", pod, failure, claim=name)
        if failure:
            raise failure

    async def _mend(self, stateful_set: Mapping, pod: Mapping) -> None:
        """Give a Pod back the identity and the storage that it should have."""
        if members.has_identity(pod) and members.has_storage(stateful_set, pod):
            return
        fresh = members.with_storage(stateful_set, members.with_identity(stateful_set, pod))
        try:
            await self._create_claims(stateful_set, pod)
            await self.client.update(PODS, fresh)
        except ApiError as error:
            self._tell(stateful_set, "update", pod, error)
            raise
        self._tell(stateful_set, "update", pod)

    def _known_claims(self, stateful_set: Mapping, number: int) -> list[Mapping]:
        drafts = (each["metadata"] for each in members.claims_for(stateful_set, number))
        known = (self._claims.get(meta["name"], meta["namespace"]) for meta in drafts)
        return [each for each in known if each]

    async def _own_claims(self, stateful_set: Mapping, pod: Mapping) -> None:
        """Let the claims go with the Pod or with the set, as the retention policy says."""
        for each in self._known_claims(stateful_set, members.ordinal(pod)):
            owners, meta = members.claim_owners(stateful_set, pod, each), each["metadata"]
            if owners != (meta.get("ownerReferences") or []):
                fresh = {**each, "metadata": {**meta, "ownerReferences": owners}}
                await self.client.update(PERSISTENT_VOLUME_CLAIMS, fresh)

    async def _delete(self, stateful_set: Mapping, pod: Mapping) -> None:
        meta = pod["metadata"]
        try:
            await self.client.delete(PODS, meta["name"], meta["namespace"], uid=meta["uid"])
        except ApiError as error:
            if error.not_found or error.conflict:
                return
            self._tell(stateful_set, "delete", pod, error)
            raise
        self._tell(stateful_set, "delete", pod)

    # What is told.

    def _tell(
        self,
        stateful_set: Mapping,
        verb: str,
        pod: Mapping,
        failure: Exception | None = None,
        claim: str = "",
    ) -> None:
        name, owner = pod["metadata"]["name"], stateful_set["metadata"]["name"]
        subject = f"Claim {claim} {'for ' if failure else ''}Pod {name}" if claim else f"Pod {name}"
        text = f"{verb} {subject} in StatefulSet {owner}"
        if failure:
            message, word = f"{text} failed error: {failure}", "Failed"
        else:
            message, word = f"{text} {'success' if claim else 'successful'}", "Successful"
        kind = WARNING if failure else NORMAL
        self.events.event(stateful_set, kind, f"{word}{verb.title()}", message)

    async def _write_status(
        self,
        stateful_set: Mapping,
        found: Sequence[Mapping],
        current: Mapping,
        revisions: Revisions,
        updated: int,
    ) -> None:
        names = (current["metadata"]["name"], revisions.newest["metadata"]["name"])
        status = statefulset_decision.status(
            stateful_set, found, (*names, revisions.collisions), self.clock.now(), updated
        )
        if status != stateful_set.get("status"):
            await self.client.update(STATEFUL_SETS, {**stateful_set, "status": status}, "status")

    async def _forget(
        self,
        stateful_set: Mapping,
        found: Iterable[Mapping],
        current: Mapping,
        revisions: Revisions,
    ) -> None:
        live = {members.revision_of(pod) for pod in found} | {current["metadata"]["name"]}
        limit = stateful_set["spec"].get("revisionHistoryLimit", 10)
        await self._history.forget(history.surplus(revisions.old, live, limit))


def _current(stateful_set: Mapping, revisions: Revisions) -> Mapping:
    """The revision that the set had before its update began."""
    name = (stateful_set.get("status") or {}).get("currentRevision")
    known = (each for each in revisions.old if each["metadata"]["name"] == name)
    return next(known, revisions.newest)
