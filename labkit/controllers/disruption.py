"""The disruption controller: how many Pods of a PodDisruptionBudget may be evicted now.

reconcile: count the Pods that the budget selects and that are ready, find out how many there should
be (the scale of what controls them, where the budget speaks of a share), write `status`.  The API
server takes from `status.disruptionsAllowed` with each eviction and notes the Pod in
`status.disruptedPods`; such a Pod no longer counts as healthy, until it is gone or two minutes have
passed.

Source: kube-controller-manager's disruption controller.  Left out: resetting the condition
DisruptionTarget of Pods whose deletion never came.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from labkit.client import ApiError, Client
from labkit.client.events import NORMAL, WARNING
from labkit.clock import Clock
from labkit.controllers.informers import InformerFactory, SharingController
from labkit.controllers.podautoscaler.scale_target import NoMatchError, ScaleTargets
from labkit.controllers.rollout import replicas_of, resolve
from labkit.errors import LabkitError
from labkit.kube import disruption, objects, selectors, times
from labkit.kube.pods import is_ready
from labkit.kube.resources import DEPLOYMENTS, POD_DISRUPTION_BUDGETS, PODS, REPLICA_SETS, Resource

DELETION_TIMEOUT = 120.0  # seconds in which an evicted Pod should have been deleted
_NAMESPACE = "namespace"


class UncountableError(LabkitError):
    """How many Pods there should be cannot be found out; the message is Kubernetes' own."""


class DisruptionController(SharingController):
    """Keeps the status of every PodDisruptionBudget."""

    name = "disruption-controller"
    component = "controllermanager"

    def __init__(
        self, client: Client, clock: Clock, informers: InformerFactory | None = None
    ) -> None:
        super().__init__(client, clock, informers)
        self._scales = ScaleTargets(client, clock)
        self._budgets = self.watch(POD_DISRUPTION_BUDGETS)
        self._budgets.add_index(_NAMESPACE, _namespace)
        self._pods = self.watch(PODS, self._budgets_of)
        self._pods.add_index(_NAMESPACE, _namespace)
        self._sets = self.watch(REPLICA_SETS, enqueue=False)
        self._deployments = self.watch(DEPLOYMENTS, enqueue=False)

    def _budgets_of(self, pod: Mapping) -> Iterable[str]:
        for budget in self._budgets.by_index(_NAMESPACE, pod["metadata"]["namespace"]):
            if _selects(budget, pod):
                yield objects.key(budget)

    async def reconcile(self, key: str) -> float | None:
        """Write the status of one budget; seconds until an evicted Pod should be gone."""
        budget = self._budgets.store.get(key)
        if budget is None:
            return None
        namespace = budget["metadata"]["namespace"]
        pods = [pod for pod in self._pods.by_index(_NAMESPACE, namespace) if _selects(budget, pod)]
        if not pods:
            self.events.event(budget, NORMAL, "NoPods", "No matching pods found")
        now = self.clock.now()
        try:
            expected, desired = await self._wanted(budget, pods)
        except (UncountableError, NoMatchError) as error:
            message = f"Failed to calculate the number of expected pods: {error}"
            self.events.event(budget, WARNING, "CalculateExpectedPodCountFailed", message)
            status = failed(budget, str(error), self.clock.timestamp())
        else:
            status = counted(budget, pods, expected, desired, now)
        self._tell_undeleted(budget, pods, status)
        if status != budget.get("status"):
            await self.client.update(POD_DISRUPTION_BUDGETS, {**budget, "status": status}, "status")
        times_left = [
            times.parse(since) + DELETION_TIMEOUT - now
            for since in (status.get("disruptedPods") or {}).values()
        ]
        return min(times_left, default=None)

    def _tell_undeleted(self, budget: Mapping, pods: Sequence[Mapping], status: Mapping) -> None:
        before = (budget.get("status") or {}).get("disruptedPods") or {}
        gone = before.keys() - (status.get("disruptedPods") or {}).keys()
        for pod in pods:
            if pod["metadata"]["name"] in gone and not objects.is_deleting(pod):
                message = f"Pod was expected by PDB {objects.key(budget)} to be deleted but it "
                self.events.event(pod, WARNING, "NotDeleted", message + "wasn't")

    # How many there should be.

    async def _wanted(self, budget: Mapping, pods: Sequence[Mapping]) -> tuple[int, int]:
        """(expectedPods, desiredHealthy).  Raises UncountableError, NoMatchError, ApiError."""
        spec = budget.get("spec") or {}
        if spec.get("maxUnavailable") is not None:
            expected = await self._scale(budget, pods)
            return expected, max(expected - _share(spec["maxUnavailable"], expected), 0)
        least = spec.get("minAvailable")
        if isinstance(least, str):
            expected = await self._scale(budget, pods)
            return expected, _share(least, expected)
        return len(pods), least or 0

    async def _scale(self, budget: Mapping, pods: Sequence[Mapping]) -> int:
        """The sum of the scales of all that control these Pods."""
        scales: dict[str, int] = {}  # by the uid of what has the scale
        seen: set[str] = set()
        unmanaged = False
        for pod in pods:
            owner = objects.controller_of(pod)
            if owner is None:
                unmanaged = True
            elif owner["uid"] not in seen:
                seen.add(owner["uid"])
                uid, scale = await self._scale_of(pod, owner)
                scales[uid] = scale
        if unmanaged:
            self._tell_unmanaged(budget)
        return sum(scales.values())

    def _tell_unmanaged(self, budget: Mapping) -> None:
        selector = selectors.from_label_selector(budget["spec"].get("selector"))
        message = "Pods selected by this PodDisruptionBudget (selector: "
        message += f"{selectors.format_selector(selector or ())}) were found to be unmanaged. As a "
        message += "result, the status of the PDB cannot be calculated correctly, which may result "
        message += 'in undefined behavior. To account for these pods please set ".spec.minAvailable'
        message += '" field of the PDB to an integer value.'
        self.events.event(budget, WARNING, "UnmanagedPods", message)

    async def _scale_of(self, pod: Mapping, owner: Mapping) -> tuple[str, int]:
        """(uid, replicas) of a Pod's controller, or of the Deployment above it."""
        namespace = pod["metadata"]["namespace"]
        found = self._replica_set(namespace, owner)
        if found is not None:
            return found["metadata"]["uid"], replicas_of(found["spec"])
        resource = await self._scales.resource(owner["apiVersion"], owner["kind"])
        try:
            scale = await self._scales.get(resource, namespace, owner["name"])
        except ApiError as error:
            if not error.not_found:
                raise
            if await self._exists(resource, namespace, owner):
                message = f"{resource.name} does not implement the scale subresource"
                raise UncountableError(message) from None
            scale = None
        if scale is None or scale["metadata"].get("uid") != owner["uid"]:
            raise UncountableError(f'found no controllers for pod "{pod["metadata"]["name"]}"')
        return owner["uid"], (scale.get("spec") or {}).get("replicas", 0)

    async def _exists(self, resource: Resource, namespace: str, owner: Mapping) -> bool:
        try:
            await self.client.get(resource, owner["name"], namespace)
        except ApiError as error:
            if error.not_found:
                return False
            raise
        return True

    def _replica_set(self, namespace: str, owner: Mapping) -> Mapping | None:
        """The ReplicaSet that is this owner, or the Deployment that controls it."""
        if owner["kind"] != REPLICA_SETS.kind:
            return None
        replica_set = self._sets.get(owner["name"], namespace)
        if replica_set is None or replica_set["metadata"]["uid"] != owner["uid"]:
            return None
        above = objects.controller_of(replica_set)
        if above is None or above["kind"] != DEPLOYMENTS.kind:
            return replica_set
        deployment = self._deployments.get(above["name"], namespace)
        if deployment is None or deployment["metadata"]["uid"] != above["uid"]:
            return None
        return deployment


def _namespace(obj: Mapping) -> tuple[str, ...]:
    return (obj["metadata"]["namespace"],)


def _share(value: int | str, total: int) -> int:
    return resolve(value, total, math.ceil)


def _selects(budget: Mapping, pod: Mapping) -> bool:
    selector = selectors.from_label_selector((budget.get("spec") or {}).get("selector"))
    return selectors.matches(selector, objects.labels(pod))


def disrupted(budget: Mapping, pods: Iterable[Mapping], now: float) -> dict[str, str]:
    """Which of the Pods were evicted and have still time to be deleted, and since when."""
    before = (budget.get("status") or {}).get("disruptedPods") or {}
    present = {pod["metadata"]["name"] for pod in pods if not objects.is_deleting(pod)}
    return {
        name: since
        for name, since in before.items()
        if name in present and times.parse(since) + DELETION_TIMEOUT >= now
    }


def counted(
    budget: Mapping, pods: Sequence[Mapping], expected: int, desired: int, now: float
) -> dict:
    """The status of a budget whose Pods have been counted."""
    leaving = disrupted(budget, pods, now)
    healthy = sum(
        is_ready(pod) and not objects.is_deleting(pod) and pod["metadata"]["name"] not in leaving
        for pod in pods
    )
    status = {
        **_kept(budget),
        "observedGeneration": budget["metadata"].get("generation", 0),
        "expectedPods": expected,
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        # Without Pods nothing is allowed: the first may appear before this controller sees it.
        "disruptionsAllowed": max(healthy - desired, 0) if expected > 0 else 0,
    }
    if leaving:
        status["disruptedPods"] = leaving
    return disruption.with_condition(status, times.rfc3339(now))


def _kept(budget: Mapping) -> dict:
    found = (budget.get("status") or {}).get("conditions")
    return {"conditions": found} if found else {}


def failed(budget: Mapping, message: str, now: str) -> dict:
    """The status of a budget that cannot be counted: it allows nothing."""
    zero = {"expectedPods": 0, "currentHealthy": 0, "desiredHealthy": 0}
    status = {**zero, **(budget.get("status") or {}), "disruptionsAllowed": 0}
    return disruption.with_condition(status, now, "SyncFailed", message)
