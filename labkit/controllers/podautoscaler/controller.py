"""The HorizontalPodAutoscaler controller: reads, asks `decision.decide`, writes what it decided.

Each HPA is looked at as soon as it is created and every sync period from then on; a change of its
spec counts from the next look.  Nothing that goes wrong shortens or lengthens that period: the next
look is the retry.  What is remembered of an HPA (recommendations, scale events, the selector of its
target) lives in memory and ends with the HPA, or with the controller.

Source: pkg/controller/podautoscaler/horizontal.go (`HorizontalController`).  Left out: its metrics
about itself.  Kubernetes looks at a new HPA one sync period later, and tells no reasons: here they
are an annotation that is written with the status.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from labkit.client import ApiError, Client
from labkit.client.events import WARNING
from labkit.clock import Clock
from labkit.controllers.informers import InformerFactory, SharingController
from labkit.controllers.podautoscaler import decision as decisions
from labkit.controllers.podautoscaler import observation as observations
from labkit.controllers.podautoscaler import spec
from labkit.controllers.podautoscaler.behavior import History
from labkit.controllers.podautoscaler.decision import Decision
from labkit.controllers.podautoscaler.metrics_client import (
    MetricsClient,
    RestMetricsClient,
    sample,
)
from labkit.controllers.podautoscaler.observation import Observation, Problem
from labkit.controllers.podautoscaler.scale_target import NoMatchError, ScaleTargets
from labkit.controllers.podautoscaler.settings import HPAControllerConfiguration
from labkit.kube import objects, selectors
from labkit.kube.resources import HORIZONTAL_POD_AUTOSCALERS, PODS, Resource
from labkit.kube.selectors import Selector

log = logging.getLogger(__name__)

DECISION = "autoscaling.labkit/decision"
"""The annotation of an HPA that says what the last look decided, and why: `Decision.words`."""


class HorizontalPodAutoscalerController(SharingController):
    """Scales the targets of HorizontalPodAutoscalers.

    `decisions` holds the latest Decision of each HPA by its key, `histories` what is remembered;
    each of `observers` is called with key and Decision after every look.
    Without `metrics` the client's API server is asked for them.
    """

    name = "horizontal-pod-autoscaler"

    def __init__(
        self,
        client: Client,
        clock: Clock,
        settings: HPAControllerConfiguration | None = None,
        informers: InformerFactory | None = None,
        metrics: MetricsClient | None = None,
    ) -> None:
        super().__init__(client, clock, informers)
        self.settings = settings or HPAControllerConfiguration()
        self.workers = self.settings.concurrent_horizontal_pod_autoscaler_syncs
        self.targets = ScaleTargets(client, clock)
        self.metrics = metrics or RestMetricsClient(client, self.targets)
        self.decisions: dict[str, Decision] = {}
        self.observers: list[Callable[[str, Decision], None]] = []
        self.histories: dict[str, History] = {}
        self.selectors: dict[str, Selector] = {}
        self.autoscalers = self.watch(HORIZONTAL_POD_AUTOSCALERS, enqueue=False)
        self.on_change(self.autoscalers, self._came_or_went)
        self.pods = self.watch(PODS, enqueue=False)
        self.pods.add_index("namespace", lambda pod: (pod["metadata"]["namespace"],))

    def _came_or_went(self, old: Mapping | None, new: Mapping | None) -> None:
        # A change is left to the next look: the controller's own status is one, too.
        if old is None or new is None:
            self.queue.add(objects.key(old or new))

    async def reconcile(self, key: str) -> float | None:
        """Look at one HPA; the sync period (seconds) until the next look."""
        hpa = self.autoscalers.store.get(key)
        if hpa is None:
            for memory in (self.decisions, self.histories, self.selectors):
                memory.pop(key, None)
            return None
        decision = await self._scale(hpa, key)
        self.decisions[key] = decision
        for observer in self.observers:
            observer(key, decision)
        log.info(
            "autoscaling decision hpa=%s current=%d desired=%d because=%r",
            key, decision.current, decision.desired, decision.words,
        )  # fmt: skip
        for event in decision.events:
            self.events.event(hpa, event.kind, event.reason, event.message)
        await self._write_status(hpa, decision)
        return self.settings.horizontal_pod_autoscaler_sync_period

    async def _scale(self, hpa: Mapping, key: str) -> Decision:
        """Decide, and rescale where that is decided."""
        target, namespace = hpa["spec"]["scaleTargetRef"], hpa["metadata"]["namespace"]
        unable = "unable to determine resource for scale target reference"
        try:
            resource = await self.targets.resource(target.get("apiVersion") or "", target["kind"])
            unable = f"failed to query scale subresource for {spec.target_words(hpa)}"
            scale = await self.targets.get(resource, namespace, target["name"])
        except (NoMatchError, ApiError, OSError) as error:
            return decisions.cannot_get_scale(
                hpa, str(error), f"{unable}: {error}", self.clock.now()
            )
        observation = Observation()
        if decisions.needs_metrics(hpa, scale, self.settings):
            observation = await self._observe(hpa, key, scale)
        history = self.histories.get(key, History())
        decision = decisions.decide(
            hpa, scale, observation, history, self.settings, self.clock.now()
        )
        if decision.rescale:
            decision = await self._rescale(hpa, resource, scale, decision)
        self.histories[key] = decision.history
        return decision

    async def _rescale(
        self, hpa: Mapping, resource: Resource, scale: Mapping, decision: Decision
    ) -> Decision:
        try:
            await self.targets.update(resource, scale, decision.desired)
        except (ApiError, OSError) as error:
            target = spec.target_words(hpa)
            return decisions.rescale_failed(decision, hpa, target, str(error), self.clock.now())
        return decisions.rescaled(decision, hpa, self.settings, self.clock.now())

    async def _observe(self, hpa: Mapping, key: str, scale: Mapping) -> Observation:
        """The target's Pods and a sample for each metric."""
        text = (scale.get("status") or {}).get("selector") or ""
        try:
            selector = selectors.parse(text)
        except ValueError as error:
            return Observation(problem=observations.invalid_selector(str(error)))
        if not selector:
            return Observation(problem=observations.SELECTOR_REQUIRED)
        namespace = hpa["metadata"]["namespace"]
        self.selectors[key] = selector
        pods = self._pods(namespace, selector)
        if problem := self._ambiguity(namespace, text, pods):
            return Observation(problem=problem)
        samples = [
            await sample(self.metrics, metric, namespace, text) for metric in spec.metrics(hpa)
        ]
        return Observation(pods, samples)

    def _pods(self, namespace: str, selector: Selector) -> list[Mapping]:
        candidates = self.pods.by_index("namespace", namespace)
        return [pod for pod in candidates if selectors.matches(selector, objects.labels(pod))]

    def _ambiguity(self, namespace: str, text: str, pods: Sequence[Mapping]) -> Problem | None:
        """Two HPAs that scale the same Pods would undo each other's work."""
        rivals = [
            key
            for key, selector in sorted(self.selectors.items())
            if objects.split_key(key)[0] == namespace
            and any(selectors.matches(selector, objects.labels(pod)) for pod in pods)
        ]
        return observations.ambiguous_selector(text, rivals) if len(rivals) > 1 else None

    async def _write_status(self, hpa: Mapping, decision: Decision) -> None:
        annotations = hpa["metadata"].get("annotations") or {}
        told = annotations.get(DECISION) == decision.words
        if told and _same(hpa.get("status") or {}, decision.status):
            return
        metadata = {**hpa["metadata"], "annotations": {**annotations, DECISION: decision.words}}
        answer = {**hpa, "metadata": metadata, "status": decision.status}
        try:
            await self.client.update(HORIZONTAL_POD_AUTOSCALERS, answer, "status")
        except (ApiError, OSError) as error:
            self.events.event(hpa, WARNING, "FailedUpdateStatus", str(error))
            log.info("status not updated hpa=%s error=%s", objects.key(hpa), error)


def _same(old: Mapping, new: Mapping) -> bool:
    """Whether two statuses say the same; a missing, a null and an empty field are alike."""
    return _said(old) == _said(new)


def _said(status: Mapping) -> dict:
    return {name: value for name, value in status.items() if value not in (None, [], "")}
