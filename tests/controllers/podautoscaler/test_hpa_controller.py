"""The controller's loop in virtual time: when it looks, what it remembers, what it tells."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from labkit.client.errors import status_error
from labkit.clock import LoopClock
from labkit.controllers.podautoscaler import (
    HorizontalPodAutoscalerController,
    HPAControllerConfiguration,
)
from labkit.kube import times
from tests.controllers.podautoscaler.hpa_vectors import NOW
from tests.controllers.podautoscaler.hpa_world import KEY, NAME, NAMESPACE, World, scale

pytestmark = pytest.mark.looptime
LABELS = {"app": "web"}
METRICS = f"/apis/metrics.k8s.io/v1beta1/namespaces/{NAMESPACE}/pods"


def autoscaler(**spec) -> dict:
    target = {"type": "Utilization", "averageUtilization": 90}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "uid": "1",
            "generation": 3,
            "resourceVersion": "1",
        },
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 1,
            "maxReplicas": 10,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            **spec,
        },
    }


class Web(World):
    """A Deployment whose Pods start at once and share `load` (milli-cores; each requests 100)."""

    def __init__(self, replicas: int, load: int) -> None:
        super().__init__([], [], scale(replicas, replicas, "app=web", "web"))
        self.load, self.changed = load, []
        self.clock = LoopClock(NOW)
        self.pods = [self._pod(number, NOW - 3600) for number in range(replicas)]

    @staticmethod
    def _pod(number: int, started: float) -> dict:
        stamp = times.rfc3339(started)
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": stamp}
        requests = {"resources": {"requests": {"cpu": "100m"}}}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"web-{number}",
                "namespace": NAMESPACE,
                "labels": LABELS,
                "resourceVersion": "1",
            },
            "spec": {"containers": [{"name": "web", **requests}]},
            "status": {"phase": "Running", "startTime": stamp, "conditions": [ready]},
        }

    async def request(self, method, path, **rest):
        before = self.scale["spec"]["replicas"]
        answer = await super().request(method, path, **rest)
        after = self.scale["spec"]["replicas"]
        if after != before:
            self.changed.append((round(self.clock.monotonic()), after))
            self._follow(before, after)
        return answer

    def _follow(self, before: int, after: int) -> None:
        now = self.clock.now()
        for number in range(before, after):
            self.pods.append(self._pod(number, now))
            self.publish("ADDED", self.pods[-1])
        for _ in range(after, before):
            self.publish("DELETED", self.pods.pop())
        self.scale = scale(after, after, "app=web", "web")

    def _get(self, path, params):
        if path != METRICS:
            return super()._get(path, params)
        share = f"{self.load // len(self.pods)}m"
        return {"items": [self._metrics(pod["metadata"]["name"], share) for pod in self.pods]}

    def _metrics(self, name: str, share: str) -> dict:
        return {
            "metadata": {"name": name, "namespace": NAMESPACE},
            "timestamp": times.rfc3339(self.clock.now()),
            "window": "15s",
            "containers": [{"name": "web", "usage": {"cpu": share}}],
        }


@asynccontextmanager
async def running(web: Web, **settings):
    """A controller of `web`, with an HPA in the world from the start."""
    configuration = HPAControllerConfiguration(**settings)
    controller = HorizontalPodAutoscalerController(web.client(), web.clock, configuration)
    await controller.start()
    try:
        yield controller
    finally:
        await controller.stop()


async def test_a_new_hpa_is_looked_at_at_once_and_then_every_sync_period():
    web = Web(replicas=2, load=180)
    async with running(web):
        await asyncio.sleep(100)
        web.publish("ADDED", autoscaler())
        await asyncio.sleep(31)
    looks = [path for method, path, _ in web.requests if path.endswith("/deployments/web/scale")]
    assert len(looks) == 3  # at 100, 115 and 130 s


async def test_a_change_of_an_hpa_does_not_wake_the_controller():
    web = Web(replicas=2, load=180)
    web.hpas = [autoscaler()]
    async with running(web):
        for _ in range(5):
            await asyncio.sleep(1)
            web.publish("MODIFIED", autoscaler(maxReplicas=5))
        await asyncio.sleep(5)
    looks = [path for _, path, _ in web.requests if path.endswith("/deployments/web/scale")]
    assert len(looks) == 1


async def test_a_deleted_hpa_is_forgotten_and_its_target_left_alone():
    web = Web(replicas=2, load=180)
    web.hpas = [autoscaler()]
    async with running(web) as controller:
        await asyncio.sleep(1)
        assert set(controller.histories) == set(controller.selectors) == {KEY}
        web.publish("DELETED", autoscaler())
        web.load = 5000
        await asyncio.sleep(60)
        assert controller.histories == controller.selectors == controller.decisions == {}
    assert web.changed == []


async def test_load_scales_up_at_once_and_down_after_the_stabilization_window():
    web = Web(replicas=2, load=342)
    web.hpas = [autoscaler()]
    async with running(web) as controller:
        await asyncio.sleep(1)
        assert controller.decisions[KEY].words == "4 replicas = ceil(2 × 171 % / 90 %)"
        await asyncio.sleep(99)
        web.load = 80
        await asyncio.sleep(20)
        assert controller.decisions[KEY].words == (
            "1 replica = ceil(4 × 20 % / 90 %); "
            "stabilized at 4, the most recommended in the last 300 s"
        )
        await asyncio.sleep(400)
    # 90 s is the last look at the high load; 300 s later it is still within the window.
    assert web.changed == [(0, 4), (405, 1)]


async def test_policies_and_windows_of_the_hpa_pace_the_change():
    behavior = {
        "scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]},
        "scaleDown": {
            "stabilizationWindowSeconds": 0,
            "policies": [{"type": "Percent", "value": 50, "periodSeconds": 30}],
        },
    }
    web = Web(replicas=1, load=380)
    web.hpas = [autoscaler(behavior=behavior)]
    async with running(web) as controller:
        await asyncio.sleep(1)
        assert controller.decisions[KEY].words == (
            "5 replicas = ceil(1 × 380 % / 90 %); limited to 2 by policy Pods 1/60 s"
        )
        await asyncio.sleep(200)
        web.load = 10
        await asyncio.sleep(100)
    assert web.changed == [(0, 2), (60, 3), (120, 4), (210, 2), (240, 1)]


async def test_a_rescale_is_told_by_an_event_and_by_the_status():
    web = Web(replicas=2, load=342)
    web.hpas = [autoscaler()]
    async with running(web):
        await asyncio.sleep(1)
    (event,) = web.events
    assert (event["type"], event["reason"]) == ("Normal", "SuccessfulRescale")
    assert event["message"] == (
        "New size: 4; reason: cpu resource utilization (percentage of request) above target"
    )
    assert event["source"] == {"component": "horizontal-pod-autoscaler"}
    (status,) = web.statuses
    assert status["lastScaleTime"] == times.rfc3339(NOW)
    assert (status["observedGeneration"], status["currentReplicas"]) == (3, 2)
    assert status["conditions"][0]["message"] == (
        "the HPA controller was able to update the target scale to 4"
    )
    assert status["currentMetrics"] == [
        {
            "type": "Resource",
            "resource": {
                "name": "cpu",
                "current": {"averageValue": "171m", "averageUtilization": 171},
            },
        }
    ]


async def test_missing_metrics_are_told_as_kubernetes_tells_them_and_tried_again():
    web = Web(replicas=2, load=342)
    web.hpas = [autoscaler()]
    web.answers[METRICS] = {"items": []}
    web._get = lambda path, params: World._get(web, path, params)
    async with running(web):
        await asyncio.sleep(16)
    inner = (
        "failed to get cpu utilization: unable to get metrics for resource cpu: "
        "no metrics returned from resource metrics API"
    )
    told = {(event["reason"], event["message"]) for event in web.events}
    assert told == {
        ("FailedGetResourceMetric", inner),
        (
            "FailedComputeMetricsReplicas",
            "invalid metrics (1 invalid out of 1), first error is: "
            f"failed to get cpu resource metric value: {inner}",
        ),
    }
    assert web.statuses[0]["conditions"][1]["message"] == (
        f"the HPA was unable to compute the replica count: {inner}"
    )
    asked = [path for _, path, _ in web.requests if path == METRICS]
    assert len(asked) == 2  # at 0 and 15 s: a failure neither hurries nor delays the next look


async def test_a_target_of_an_unknown_kind_is_named_in_the_condition():
    web = Web(replicas=2, load=342)
    target = {"apiVersion": "apps/v1", "kind": "Deplyment", "name": "web"}
    web.hpas = [autoscaler(scaleTargetRef=target)]
    async with running(web) as controller:
        await asyncio.sleep(1)
        assert controller.decisions[KEY].error == (
            "unable to determine resource for scale target reference: "
            'no matches for kind "Deplyment" in group "apps"'
        )
    (condition,) = web.statuses[0]["conditions"]
    assert condition["reason"] == "FailedGetScale"
    assert condition["message"] == (
        "the HPA controller was unable to get the target's current scale: "
        'no matches for kind "Deplyment" in group "apps"'
    )


async def test_a_status_that_cannot_be_written_is_told_and_written_at_the_next_look():
    web = Web(replicas=2, load=180)
    web.hpas = [autoscaler()]
    conflict = status_error(409, "Conflict", "the object has been modified")
    refuse = [conflict]
    plain = web.request

    async def request(method, path, **rest):
        if path.endswith("/status") and refuse:
            raise refuse.pop()
        return await plain(method, path, **rest)

    web.request = request
    async with running(web):
        await asyncio.sleep(16)
    assert [event["reason"] for event in web.events] == ["FailedUpdateStatus"]
    assert len(web.statuses) == 1


async def test_a_scale_that_stays_in_conflict_is_given_up_after_five_attempts():
    web = Web(replicas=2, load=342)
    web.hpas = [autoscaler()]
    conflict = status_error(409, "Conflict", "the object has been modified")
    web.scale_errors = [conflict] * 5
    async with running(web) as controller:
        await asyncio.sleep(1)
        decision = controller.decisions[KEY]
        assert not decision.rescale
        assert decision.error == (
            f"failed to rescale Deployment/{NAMESPACE}/web: the object has been modified"
        )
    assert web.scale_errors == []
    assert web.changed == []
    assert [event["reason"] for event in web.events] == ["FailedRescale"]


async def test_bounds_are_kept_without_asking_for_metrics():
    web = Web(replicas=2, load=342)
    web.hpas = [autoscaler(minReplicas=4)]
    async with running(web) as controller:
        await asyncio.sleep(1)
        assert controller.decisions[KEY].words == "4 replicas: 2 are fewer than minReplicas"
        web.publish("MODIFIED", autoscaler(maxReplicas=3))
        await asyncio.sleep(10)
        assert all(path != METRICS for _, path, _ in web.requests)
        await asyncio.sleep(5)
        assert controller.decisions[KEY].words == "3 replicas: 4 are more than maxReplicas"
    assert web.changed == [(0, 4), (15, 3)]
    assert [event["message"] for event in web.events] == [
        "New size: 4; reason: Current number of replicas below Spec.MinReplicas",
        "New size: 3; reason: Current number of replicas above Spec.MaxReplicas",
    ]


async def test_of_several_metrics_the_one_that_asks_for_most_is_named():
    web = Web(replicas=2, load=342)
    cpu = autoscaler()["spec"]["metrics"][0]
    target = {"type": "AverageValue", "averageValue": "20m"}
    more = {"type": "Resource", "resource": {"name": "cpu", "target": target}}
    web.hpas = [autoscaler(metrics=[cpu, more])]
    async with running(web) as controller:
        await asyncio.sleep(1)
        assert controller.decisions[KEY].words == (
            "18 replicas = ceil(2 × 171m / 20m), by cpu resource, the most of 2 metrics; "
            "limited to 4 = max(2 × 2, 4), the most in one step"
        )
    assert len(web.statuses[0]["currentMetrics"]) == 2


async def test_two_hpas_of_the_same_pods_are_both_refused():
    web = Web(replicas=2, load=342)
    other = autoscaler()
    other["metadata"] = {**other["metadata"], "name": "rival", "uid": "2"}
    web.hpas = [autoscaler(), other]
    async with running(web):
        await asyncio.sleep(16)
    # The first to look cannot know of the other yet, as in Kubernetes.
    assert web.changed == [(0, 4)]
    message = f"pods by selector app=web are controlled by multiple HPAs: [{NAMESPACE}/rival {KEY}]"
    assert web.statuses[-1]["conditions"][1]["reason"] == "AmbiguousSelector"
    assert web.statuses[-1]["conditions"][1]["message"] == message


async def test_a_restarted_controller_does_not_scale_down_at_once():
    web = Web(replicas=4, load=40)
    web.hpas = [autoscaler()]
    async with running(web):
        await asyncio.sleep(300)
        assert web.changed == []
        await asyncio.sleep(20)
    assert web.changed == [(315, 1)]
