"""The loop: one look at the cluster every ten seconds.

Everything is decided on the caches of the moment and without waiting in between; only then is
anything ordered, tainted or told.  What has to be remembered from look to look is little: since
when nodes are unneeded, which are on their way out, and when the last one came or went.

Source: core/static_autoscaler (RunOnce), clusterstate (upcoming and unready nodes).
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from functools import partial

from labkit.client import ApiError, Client
from labkit.client.events import NORMAL, WARNING
from labkit.clock import Clock
from labkit.controllers.cluster_autoscaler import scale_up
from labkit.controllers.cluster_autoscaler.actuation import Actuator
from labkit.controllers.cluster_autoscaler.drainability import Drain, drain
from labkit.controllers.cluster_autoscaler.scale_down import Cluster, Planner, within_budgets
from labkit.controllers.cluster_autoscaler.scale_up import Expansion, Offer, Plan
from labkit.controllers.cluster_autoscaler.seams import CloudProvider, ClusterSnapshot, NodeGroup
from labkit.controllers.cluster_autoscaler.settings import ClusterAutoscalerSettings
from labkit.controllers.daemon_decision import fit, pod_for
from labkit.controllers.informers import InformerFactory, SharingController
from labkit.kube import conditions, pods, times
from labkit.kube.resources import DAEMON_SETS, NODES, POD_DISRUPTION_BUDGETS, PODS

log = logging.getLogger(__name__)

_ALL = "all"
_WAITING = "waiting"
_STARTING = (
    900.0  # seconds in which a node that has never been ready is starting (MaxNodeStartupTime)
)
_SAME_FOR = 300.0  # seconds in which the same Event about the same Pod is not repeated
_LONG_AGO = -1e9


class ClusterAutoscaler(SharingController):
    """Orders machines for Pods that fit nowhere, gives back those that nobody needs.

    `source` chooses among groups that are equally good; give a seeded one for repeatable runs.
    """

    name = "cluster-autoscaler"

    def __init__(
        self,
        client: Client,
        clock: Clock,
        provider: CloudProvider,
        snapshot: ClusterSnapshot,
        settings: ClusterAutoscalerSettings | None = None,
        informers: InformerFactory | None = None,
        *,
        source: random.Random | None = None,
    ) -> None:
        super().__init__(client, clock, informers)
        self.settings = settings or ClusterAutoscalerSettings()
        self._provider, self._snapshot = provider, snapshot
        self._source = source or random.Random()
        for resource in snapshot.resources:
            informer = self.watch(resource, enqueue=False)
            known = self._pod_changed if resource == PODS else partial(snapshot.changed, resource)
            self.on_change(informer, known)
        self._nodes = self.watch(NODES, enqueue=False)
        self._pods = self.watch(PODS, enqueue=False)
        self._pods.add_index(_WAITING, lambda pod: () if pods.node_name(pod) else ("",))
        self._daemon_sets = self.watch(DAEMON_SETS, enqueue=False)
        self._budgets = self.watch(POD_DISRUPTION_BUDGETS, enqueue=False)
        self.planner = Planner(self.settings)
        self._actuator = Actuator(
            client, clock, self.events, provider, self.settings, self._nodes, self._examine,
            self._node_went,
        )  # fmt: skip
        self._last_up = self._last_deletion = self._last_failure = _LONG_AGO
        self._told: dict[tuple[str, str], float] = {}

    def _pod_changed(self, old: Mapping | None, new: Mapping | None) -> None:
        """Pods that are expendable take no room, and go with their node."""
        if scale_up.priority(new or old) >= self.settings.expendable_pods_priority_cutoff:
            self._snapshot.changed(PODS, old, new)

    async def start(self) -> None:
        """As `Controller.start`; the first look is at once."""
        await super().start()
        await self._actuator.clean_up()
        self.queue.add(_ALL)

    async def stop(self) -> None:
        """End the loop and all deletions.  Safe to repeat."""
        await super().stop()
        await self._actuator.stop()

    async def reconcile(self, key: str) -> float:
        """One look (RunOnce)."""
        try:
            await self._look()
        except (ApiError, OSError) as error:
            log.warning("cluster autoscaler tries again later error=%s", error)
        return self.settings.scan_interval

    async def _look(self) -> None:
        if not self._is_healthy():
            self.planner.clear()
            return
        now = self.clock.now()
        found = scale_up.unschedulable(self._pods.by_index(_WAITING, ""), self.settings, now)
        plan, patient = self._plan(found, now) if found else (Plan(), False)
        if plan.expansion:
            await self._grow(plan.expansion, plan.helped)
            return
        for pod, why in plan.helpless:
            self._tell(pod, "NotTriggerScaleUp", f"pod didn't trigger scale-up: {why}")
        if self.settings.scale_down_enabled:
            await self._shrink(patient)

    def _is_healthy(self) -> bool:
        nodes = self._nodes.store.values()
        unready = sum(not conditions.is_true(node, "Ready") for node in nodes)
        settings = self.settings
        return (
            unready <= settings.ok_total_unready_count
            or 100 * unready <= settings.max_total_unready_percentage * len(nodes)
        )

    # Up.

    def _plan(self, found: Sequence[Mapping], now: float) -> tuple[Plan, bool]:
        """What to order, and whether to wait for more Pods of the same kind first."""
        snapshot, mark = self._snapshot, self._snapshot.mark()
        offers = [self._offer(group) for group in self._provider.node_groups()]
        coming = [
            (offer, number) for offer in offers for number in range(self._upcoming(offer.group))
        ]
        for offer, number in coming:
            offer.join(snapshot, f"upcoming-{offer.group.id}-{number}")
        left, plan = scale_up.without_place(snapshot, found), Plan()
        patient = bool(left) and scale_up.all_are_new(left, now)
        if left and not patient:
            nodes = len(self._nodes.store) + len(coming)
            plan = scale_up.plan(snapshot, offers, left, self.settings, nodes, self._source)
        snapshot.revert(mark)
        return plan, patient

    def _offer(self, group: NodeGroup) -> Offer:
        template = group.template_node_info()
        name = template["metadata"]["name"]
        daemons = [
            _daemon_pod(each, name)
            for each in self._daemon_sets.store.values()
            if fit(each, template).run
        ]
        return Offer(group, template, daemons)

    def _upcoming(self, group: NodeGroup) -> int:
        """Machines that are ordered and not yet at work."""
        there = sum(
            self._provider.node_group_for_node(name) is group and not self._is_starting(node)
            for name, node in self._nodes.store.items()
        )
        return max(0, group.target_size() - there)

    def _is_starting(self, node: Mapping) -> bool:
        created = times.parse(node["metadata"]["creationTimestamp"])
        ready = conditions.get(node, "Ready") or {}
        since = ready.get("lastTransitionTime")
        never = not since or times.parse(since) <= created
        return ready.get("status") != "True" and never and self.clock.now() - created < _STARTING

    async def _grow(self, expansion: Expansion, helped: Sequence[Mapping]) -> None:
        group = expansion.group
        try:
            await group.increase_size(expansion.after - expansion.before)
        except OSError as error:
            for pod in helped:
                self._tell(
                    pod,
                    "FailedToScaleUpGroup",
                    f"Scale-up failed for group {group.id}: {error}",
                    WARNING,
                )
            return
        self._last_up = self.clock.monotonic()
        for pod in helped:
            self._tell(pod, "TriggeredScaleUp", f"pod triggered scale-up: [{expansion}]")

    def _tell(self, pod: Mapping, reason: str, message: str, kind: str = NORMAL) -> None:
        """Record an Event, unless the Pod has had the same a moment ago."""
        now, identity = self.clock.monotonic(), (pod["metadata"]["uid"], message)
        if now - self._told.get(identity, _LONG_AGO) < _SAME_FOR:
            return
        self._told = {key: at for key, at in self._told.items() if now - at < _SAME_FOR}
        self._told[identity] = now
        self.events.event(pod, kind, reason, message)

    # Down.

    async def _shrink(self, patient: bool) -> None:
        groups = {
            name: group
            for name in self._nodes.store
            if (group := self._provider.node_group_for_node(name))
        }
        now, cluster = self.clock.monotonic(), self._cluster()
        candidates = [
            name
            for name, group in groups.items()
            if group.target_size() > group.min_size
            and name not in cluster.deleting
            and not self._is_starting(self._nodes.store[name])
        ]
        self.planner.update(self._snapshot, candidates, cluster, self.clock.now())
        if patient or self._is_in_cooldown(now):
            return
        found = self.planner.removable(groups, cluster, self.clock.now())
        found = within_budgets(found, self._actuator.deleting, self.settings)
        if found:
            await self._actuator.start_deletion(found)
        else:
            left = sorted(groups.keys() - cluster.deleting)
            await self._actuator.mark_candidates(left, self.planner.unneeded)

    def _is_in_cooldown(self, now: float) -> bool:
        settings = self.settings
        return (
            now < self._last_up + settings.scale_down_delay_after_add
            or now < self._last_failure + settings.scale_down_delay_after_failure
            or now < self._last_deletion + settings.scale_down_delay_after_delete
        )

    def _cluster(self) -> Cluster:
        deleting = frozenset(self._actuator.deleting)
        return Cluster(self._nodes.store, deleting, list(self._budgets.store.values()))

    def _examine(self, name: str) -> Drain:
        """Which Pods of a node have to move, now; its budgets are the eviction API's business."""
        there = self._snapshot.pods(name)
        return drain(there, (), self.settings, self.clock.now())

    def _node_went(self, gone: bool) -> None:
        if gone:
            self._last_deletion = self.clock.monotonic()
        else:
            self._last_failure = self.clock.monotonic()


def _daemon_pod(daemon_set: Mapping, node: str) -> Mapping:
    """The Pod that a DaemonSet would put on a node."""
    pod = pod_for(daemon_set, "", node)
    meta = {**pod["metadata"], "name": daemon_set["metadata"]["name"]}
    meta |= {"uid": daemon_set["metadata"]["uid"], "namespace": daemon_set["metadata"]["namespace"]}
    return {**pod, "metadata": meta}
