"""One of upstream's scenarios as a cluster in virtual time: API server, its objects, and metrics.

Everything that a scenario speaks of is created through the API.  Three things cannot be, and are
brought about one step lower, as upstream's fake clients do:

- autoscalers that today's API refuses (a metric of an unknown type or without a target,
  `minReplicas: 0` without its feature gate) are in the store before the server opens it, as an
  older server would leave them;
- errors of the scale subresource are put on the controller's way to the server (a conflict needs
  none: somebody else changes the target between the controller's read and its write);
- a scale's selector that no ReplicationController could have is put on the same way.
"""

import json

import pytest

from labkit.apiserver.core import APIServer
from labkit.apiserver.request import User
from labkit.apiserver.store import Contents, MemoryStore, Record
from labkit.client import ApiError, Client
from labkit.client.errors import status_error
from labkit.clock import LoopClock
from labkit.kube.resources import (
    DEPLOYMENTS,
    EVENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    NAMESPACES,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    SERVICE_ACCOUNTS,
)
from tests.controllers.podautoscaler import hpa_vectors as vectors
from tests.controllers.podautoscaler.hpa_vectors import NOW
from tests.controllers.podautoscaler.hpa_world import (
    NAME,
    NAMESPACE,
    custom_metrics,
    external_metrics,
    pod_metrics,
)

LABELS = {"name": "test-pod"}
_TARGETS = {each.kind: each for each in (DEPLOYMENTS, REPLICA_SETS, REPLICATION_CONTROLLERS)}
_MASTERS = ("system:masters",)
_APIS = {
    ("metrics.k8s.io", "v1beta1"): "resourceMetricsError",
    ("custom.metrics.k8s.io", "v1beta2"): "customMetricsError",
    ("external.metrics.k8s.io", "v1beta1"): "externalMetricsError",
}


class Inherited(MemoryStore):
    """A store that holds one object of an older server."""

    def __init__(self, obj: dict) -> None:
        meta = {"uid": "00000000-0000-4000-8000-000000000001", "resourceVersion": "1"}
        stamp = {"creationTimestamp": vectors.timestamp({"secondsAgo": 7200})}
        whole = {**obj, "metadata": {**obj["metadata"], **meta, **stamp}}
        resource, key = HORIZONTAL_POD_AUTOSCALERS.name, f"{NAMESPACE}/{NAME}"
        self._record = Record(1, resource, key, False, json.dumps(whole).encode())

    def open(self) -> Contents:
        return Contents([self._record], {}, 1)


class Meddling:
    """The controller's way to the API server, and what happens on it to the target's scale."""

    def __init__(self, inner, case: dict, interfere) -> None:
        self._inner, self._setup, self._interfere = inner, case["setup"], interfere
        self._scale = f"/{case['target']['name']}/scale"
        self._conflicts = self._setup.get("scaleUpdateConflictsFirst", 0)
        self.written: list[int] = []  # replicas that were asked for

    def watch(self, path, params):
        return self._inner.watch(path, params)

    async def close(self) -> None:
        await self._inner.close()

    async def request(self, method, path, **given):
        if not path.endswith(self._scale):
            return await self._inner.request(method, path, **given)
        if method == "PUT":
            return await self._write(path, given)
        if "scaleGetError" in self._setup:
            raise status_error(500, "InternalError", self._setup["scaleGetError"])
        answer = await self._inner.request(method, path, **given)
        if "scaleStatusSelector" in self._setup:
            selector = self._setup["scaleStatusSelector"]
            answer = {**answer, "status": {**answer["status"], "selector": selector}}
        return answer

    async def _write(self, path, given):
        if "scaleUpdateError" in self._setup:
            raise status_error(500, "InternalError", self._setup["scaleUpdateError"])
        if self._conflicts:
            self._conflicts -= 1
            await self._interfere()
        answer = await self._inner.request("PUT", path, **given)
        self.written.append(answer["spec"]["replicas"])
        return answer


class World:
    """The cluster of a scenario; `client` is an administrator's."""

    def __init__(self, case: dict, hpa: dict) -> None:
        self._case, self._hpa = case, hpa
        self.clock = LoopClock(NOW)
        self._inherited = _is_refused(case)
        store = Inherited(hpa) if self._inherited else MemoryStore()
        self.server = APIServer(store, self.clock, service_cidr="10.96.0.0/12")
        self.client = Client(self._transport("kubernetes-admin"))
        straight = self._transport("kube-controller-manager")
        self.way = Meddling(straight, case, self._change_target)
        self.manager = Client(self.way)  # the controllers'

    def _transport(self, name: str):
        return self.server.transport(User(f"system:{name}", _MASTERS), name)

    async def start(self) -> None:
        """Everything but the autoscaler itself is there."""
        await self.server.start()
        for (group, version), error in _APIS.items():
            self.server.aggregate(group, version, self._metrics(error))
        await self.client.create(NAMESPACES, {"metadata": {"name": NAMESPACE}})
        await self.client.create(SERVICE_ACCOUNTS, {"metadata": _meta("default")})
        await self._create_target(self._case["target"], LABELS)
        labels = self._case["setup"].get("podLabels", LABELS)
        for pod in self._case["pods"]:
            await self._create_pod(vectors.pod(pod, labels))

    def _metrics(self, error: str):
        case = self._case
        levels, labels = case["reportedLevelsMilli"], case["setup"].get("podLabels", LABELS)
        path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{NAMESPACE}/pods"
        answers = {path: pod_metrics(levels, labels)}
        answers |= custom_metrics(levels) | external_metrics(levels)

        async def answer(path, params):
            if error in case["setup"]:
                raise status_error(500, "InternalError", case["setup"][error])
            return answers[path]

        return answer

    async def _create_target(self, target: dict, labels: dict) -> None:
        resource = _TARGETS[target["kind"]]
        selector = labels if resource is REPLICATION_CONTROLLERS else {"matchLabels": labels}
        container = {"name": "container1", "image": "web"}
        made = await self.client.create(
            resource,
            {
                "metadata": {"name": target["name"], "namespace": NAMESPACE},
                "spec": {
                    "replicas": self._case["specReplicas"],
                    "selector": selector,
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {"containers": [container]},
                    },
                },
            },
        )
        status = {"replicas": self._case["statusReplicas"]}
        await self.client.update(resource, {**made, "status": status}, "status")

    async def _create_pod(self, pod: dict) -> None:
        deleted = pod["metadata"].pop("deletionTimestamp", None)
        if deleted:
            pod["metadata"]["finalizers"] = ["example.com/stays"]
        spec = {"containers": [{**one, "image": "web"} for one in pod["spec"]["containers"]]}
        made = await self.client.create(PODS, {**pod, "spec": spec, "status": {}})
        await self.client.update(PODS, {**made, "status": pod["status"]}, "status")
        if deleted:
            await self.client.delete(PODS, pod["metadata"]["name"], NAMESPACE)

    async def create_rivals(self) -> None:
        """The other autoscalers of a scenario, each with a target of its own."""
        for number, labels in enumerate(self._case["setup"].get("otherHPASelectors", {}).values()):
            name = f"rival-{number}"  # listed, and so looked at, before the scenario's own
            target = {"apiVersion": "v1", "kind": "ReplicationController", "name": f"{name}-rc"}
            await self._create_target(target, labels)
            spec = {**self._hpa["spec"], "scaleTargetRef": target}
            rival = {**self._hpa, "metadata": _meta(name), "spec": spec}
            await self.client.create(HORIZONTAL_POD_AUTOSCALERS, rival)

    async def create_autoscaler(self) -> None:
        """The autoscaler of the scenario, if it is not there yet, with the status that it had."""
        if self._inherited:
            refused = {**self._hpa, "metadata": _meta("refused")}
            with pytest.raises(ApiError, match="is invalid"):
                await self.client.create(HORIZONTAL_POD_AUTOSCALERS, refused)
            return
        made = await self.client.create(HORIZONTAL_POD_AUTOSCALERS, self._hpa)
        changed = {**made, "status": self._hpa["status"]}
        await self.client.update(HORIZONTAL_POD_AUTOSCALERS, changed, "status")

    async def _change_target(self) -> None:
        target, note = self._case["target"], {"example.com/changed": "meanwhile"}
        changed = {"metadata": {"annotations": note}}
        await self.client.patch(_TARGETS[target["kind"]], target["name"], changed, NAMESPACE)

    async def hpa(self) -> dict:
        """The autoscaler as the API has it."""
        return await self.client.get(HORIZONTAL_POD_AUTOSCALERS, NAME, NAMESPACE)

    async def replicas(self) -> int:
        """spec.replicas of the target."""
        target = self._case["target"]
        found = await self.client.get(_TARGETS[target["kind"]], target["name"], NAMESPACE)
        return found["spec"]["replicas"]

    async def events(self) -> list[tuple[str, str]]:
        """(reason, message) of the autoscaler's Events."""
        listed = (await self.client.list(EVENTS, NAMESPACE))["items"]
        about = [one for one in listed if one["involvedObject"]["name"] == NAME]
        return [(one["reason"], one["message"]) for one in about]


def _is_refused(case: dict) -> bool:
    """Whether Kubernetes' API, and ours, would not take the scenario's autoscaler."""
    metrics = case["metrics"]
    unknown = any(metric["type"] == "CheddarCheese" for metric in metrics)
    aimless = any("target" not in metric.get("resource", {"target": ""}) for metric in metrics)
    return case["minReplicas"] < 1 or unknown or aimless


def _meta(name: str) -> dict:
    return {"name": name, "namespace": NAMESPACE}
