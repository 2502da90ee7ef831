"""The DaemonSet controller: one Pod on each eligible Node.

reconcile: find or make the revision of the present template (`history`), claim the Pods, make and
delete what each Node needs, go a step on in the update (`daemon_decision`), write the status.
The scheduler places the Pods: each has node affinity for the name of its Node.

Source: kube-controller-manager's daemon controller; documentation "DaemonSet", "Perform a Rolling
Update on a DaemonSet".
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping

from labkit.client import ApiError, Client
from labkit.client.events import NORMAL, WARNING
from labkit.clock import Clock
from labkit.controllers import daemon_decision, history
from labkit.controllers.batches import slow_start
from labkit.controllers.claims import claim, selector_of
from labkit.controllers.daemon_decision import Work
from labkit.controllers.expectations import Expectations
from labkit.controllers.history import History, Revisions
from labkit.controllers.informers import InformerFactory, SharingController, batch_delay
from labkit.controllers.replicaset import (
    BY_CONTROLLER,
    ORPHANS,
    controller_uid,
    is_terminating_namespace,
    orphan_namespace,
)
from labkit.kube import objects, pods, selectors
from labkit.kube.resources import CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS

BURST = 250  # Pods created or deleted by one reconciliation at most (upstream's BurstReplicas)
_FIRST_DELAY, _LONGEST_DELAY = 1.0, 900.0  # seconds between failed Pods on one Node, doubling


class DaemonSetController(SharingController):
    """Keeps every DaemonSet's Pods on all Nodes that they belong on."""

    name = "daemonset-controller"
    workers = 2  # --concurrent-daemonset-syncs

    def __init__(
        self, client: Client, clock: Clock, informers: InformerFactory | None = None
    ) -> None:
        super().__init__(client, clock, informers)
        self.expectations = Expectations(clock)
        # By DaemonSet and Node: how long to wait after a Pod that failed, and when the last did.
        self._failures: defaultdict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
        self._sets = self.watch(DAEMON_SETS)
        self._sets.add_index("namespace", lambda obj: (obj["metadata"]["namespace"],))
        self._pods = self.watch(PODS, enqueue=False)
        self._pods.add_index(BY_CONTROLLER, controller_uid)
        self._pods.add_index(ORPHANS, orphan_namespace)
        self.on_change(self._pods, self._pod_changed)
        revisions = self.watch(CONTROLLER_REVISIONS, enqueue=False)
        revisions.add_index(BY_CONTROLLER, controller_uid)
        revisions.add_index(ORPHANS, orphan_namespace)
        self._history = History(client, revisions, DAEMON_SETS, history.POD_HASH)
        self._nodes = self.watch(NODES, enqueue=False)
        self.on_change(self._nodes, self._node_changed)

    async def reconcile(self, key: str) -> float | None:
        """Bring one DaemonSet further; seconds until the next look, where time alone matters."""
        daemon_set = self._sets.store.get(key)
        if daemon_set is None:
            self.expectations.forget(key)
            self._failures.pop(key, None)
            return None
        if not daemon_set["spec"].get("selector"):
            message = "This daemon set is selecting all pods. A non-empty selector is required."
            self.events.event(daemon_set, WARNING, "SelectingAll", message)
            return None
        if objects.is_deleting(daemon_set):
            return None
        revisions = await self._history.revisions(daemon_set)
        revision_hash = objects.labels(revisions.newest)[history.POD_HASH]
        acted = self.expectations.satisfied(key)
        wait = await self._act(key, daemon_set, revisions, revision_hash) if acted else None
        available = await self._write_status(daemon_set, revisions, revision_hash, acted)
        if not acted:
            return self.expectations.expires_in(key)
        return wait if available else daemon_set["spec"].get("minReadySeconds") or wait

    async def _act(
        self, key: str, daemon_set: Mapping, revisions: Revisions, revision_hash: str
    ) -> float | None:
        nodes, now = self._all_nodes(), self.clock.now()
        found = daemon_decision.by_node(await self._claimed(daemon_set))
        work = daemon_decision.manage(daemon_set, nodes, found, revision_hash, now)
        wait = self._replace_ended(daemon_set, work, self._failures[key])
        await self._carry_out(key, daemon_set, work, revision_hash)
        strategy = (daemon_set["spec"].get("updateStrategy") or {}).get("type")
        if strategy == "RollingUpdate" and self.expectations.satisfied(key):
            found = daemon_decision.by_node(self._own(daemon_set))
            step = daemon_decision.rolling_update(daemon_set, nodes, found, revision_hash, now)
            await self._carry_out(key, daemon_set, step, revision_hash)
        alive = {objects.labels(p).get(history.POD_HASH) for each in found.values() for p in each}
        live = {
            each["metadata"]["name"]
            for each in revisions.old
            if objects.labels(each).get(history.POD_HASH) in alive
        }
        limit = daemon_set["spec"].get("revisionHistoryLimit", 10) - len(live)
        await self._history.forget(history.surplus(revisions.old, live, limit))
        return wait

    def _replace_ended(
        self, daemon_set: Mapping, work: Work, failures: dict[str, tuple[float, float]]
    ) -> float | None:
        """Delete Pods that have ended, failed ones ever more slowly; seconds until the next."""
        delays, now = [], self.clock.monotonic()
        for pod, node in work.ended:
            meta = pod["metadata"]
            where = f"daemon pod {meta['namespace']}/{meta['name']} on node {node}"
            if pods.phase(pod) == "Succeeded":
                message = f"Found succeeded {where}, will try to delete it"
                self.events.event(daemon_set, NORMAL, "SucceededDaemonPod", message)
            elif (left := _back_off(failures, node, now)) > 0:
                delays.append(left)
                continue
            else:
                message = f"Found failed {where}, will try to kill it"
                self.events.event(daemon_set, WARNING, "FailedDaemonPod", message)
            work.delete.append(pod)
        return min(delays, default=None)

    # What there is, and what changes.

    def _all_nodes(self) -> list[Mapping]:
        return list(self._nodes.store.values())

    def _own(self, daemon_set: Mapping) -> list[Mapping]:
        return self._pods.by_index(BY_CONTROLLER, daemon_set["metadata"]["uid"])

    async def _claimed(self, daemon_set: Mapping) -> list[Mapping]:
        candidates = self._own(daemon_set)
        candidates += self._pods.by_index(ORPHANS, daemon_set["metadata"]["namespace"])
        return await claim(self.client, PODS, DAEMON_SETS, daemon_set, candidates)

    def _owner_key(self, pod: Mapping) -> str | None:
        owner = objects.controller_of(pod)
        if owner is None or owner["kind"] != DAEMON_SETS.kind:
            return None
        return f"{pod['metadata']['namespace']}/{owner['name']}"

    def _keys_of_pod(self, pod: Mapping) -> Iterable[str]:
        if key := self._owner_key(pod):
            return (key,)
        if objects.controller_of(pod) or objects.is_deleting(pod):
            return ()
        return [
            objects.key(each)
            for each in self._sets.by_index("namespace", pod["metadata"]["namespace"])
            if selectors.matches(selector_of(each), objects.labels(pod))
        ]

    def _pod_changed(self, old: Mapping | None, new: Mapping | None) -> None:
        if key := self._owner_key(new or old):
            if old is None:
                self.expectations.creations_observed(key)
            if new is None or objects.is_deleting(new):
                self.expectations.deletion_observed(key, (new or old)["metadata"]["uid"])
        for key in {key for pod in (old, new) if pod for key in self._keys_of_pod(pod)}:
            self.queue.add_after(key, batch_delay(len(self._nodes.store)))

    def _node_changed(self, old: Mapping | None, new: Mapping | None) -> None:
        """A Node's name, labels and taints decide; its status comes every few seconds."""
        if old and new and _placement(old) == _placement(new):
            return
        for key, daemon_set in self._sets.store.items():
            fits = [daemon_decision.fit(daemon_set, node) for node in (old, new) if node]
            if len(fits) == 1 or fits[0] != fits[1]:
                self.queue.add(key)

    # What is done.

    async def _carry_out(
        self, key: str, daemon_set: Mapping, work: Work, revision_hash: str
    ) -> None:
        doomed, nodes = work.delete[:BURST], work.create[:BURST]
        if not doomed and not nodes:
            return
        self.expectations.expect_creations(key, len(nodes))
        self.expectations.expect_deletions(key, [pod["metadata"]["uid"] for pod in doomed])
        waiting = iter(nodes)
        created, failure = await slow_start(
            len(nodes), lambda: self._create(daemon_set, revision_hash, next(waiting))
        )
        self.expectations.creations_observed(key, len(nodes) - created)  # these will never come
        failures = await asyncio.gather(*(self._delete(key, daemon_set, pod) for pod in doomed))
        if failure and not (isinstance(failure, ApiError) and is_terminating_namespace(failure)):
            failures.append(failure)
        if failed := next((each for each in failures if each), None):
            raise failed

    async def _create(self, daemon_set: Mapping, revision_hash: str, node: str) -> None:
        pod = daemon_decision.pod_for(daemon_set, revision_hash, node)
        try:
            created = await self.client.create(PODS, pod)
        except ApiError as error:
            if not is_terminating_namespace(error):
                message = f"Error creating: {error}"
                self.events.event(daemon_set, WARNING, "FailedCreate", message)
            raise
        name = created["metadata"]["name"]
        self.events.event(daemon_set, NORMAL, "SuccessfulCreate", f"Created pod: {name}")

    async def _delete(self, key: str, daemon_set: Mapping, pod: Mapping) -> Exception | None:
        meta = pod["metadata"]
        try:
            await self.client.delete(PODS, meta["name"], meta["namespace"], uid=meta["uid"])
        except ApiError as error:
            self.expectations.deletion_observed(key, meta["uid"])  # this will never come
            if error.not_found or error.conflict:
                return None
            self.events.event(daemon_set, WARNING, "FailedDelete", f"Error deleting: {error}")
            return error
        self.events.event(daemon_set, NORMAL, "SuccessfulDelete", f"Deleted pod: {meta['name']}")
        return None

    # What is told.

    async def _write_status(
        self, daemon_set: Mapping, revisions: Revisions, revision_hash: str, acted: bool
    ) -> bool:
        """Whether all Pods that are ready are available."""
        found = daemon_decision.by_node(self._own(daemon_set))
        now, before = self.clock.now(), daemon_set.get("status") or {}
        status = daemon_decision.status(daemon_set, self._all_nodes(), found, revision_hash, now)
        if before.get("conditions"):
            status["conditions"] = before["conditions"]
        if revisions.collisions:
            status["collisionCount"] = revisions.collisions
        # Only who has acted upon a generation may say that it was seen.
        observed = daemon_set["metadata"].get("generation", 0)
        status["observedGeneration"] = observed if acted else before.get("observedGeneration", 0)
        if status != before:
            await self.client.update(DAEMON_SETS, {**daemon_set, "status": status}, "status")
        return status["numberReady"] == status.get("numberAvailable", 0)


def _back_off(failures: dict[str, tuple[float, float]], node: str, now: float) -> float:
    """Seconds until a failed Pod may be replaced; 0 counts this one."""
    delay, last = failures.get(node, (0.0, now))
    if now - last > 2 * _LONGEST_DELAY:
        delay = 0.0
    if (left := last + delay - now) > 0:
        return left
    failures[node] = (min(max(2 * delay, _FIRST_DELAY), _LONGEST_DELAY), now)
    return 0.0


def _placement(node: Mapping) -> tuple:
    return objects.labels(node), node["spec"].get("taints")
