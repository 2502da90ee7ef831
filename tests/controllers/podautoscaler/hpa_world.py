"""An API server of a few dictionaries: what the autoscaler reads and writes, and nothing else."""

import asyncio

from labkit.client import Client
from labkit.client.errors import status_error
from labkit.clock import Clock
from labkit.kube import times
from tests.controllers.podautoscaler import hpa_vectors as vectors
from tests.controllers.podautoscaler.hpa_vectors import NOW

NAMESPACE, NAME = "test-namespace", "test-hpa"
KEY = f"{NAMESPACE}/{NAME}"
_SCALABLE = {
    "/api/v1": [("replicationcontrollers", "ReplicationController")],
    "/apis/apps/v1": [("deployments", "Deployment"), ("replicasets", "ReplicaSet")],
}


class StillClock(Clock):
    """Always NOW; sleeping only yields."""

    def now(self) -> float:
        return NOW

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class World:
    """A `Transport`.  `answers` maps the beginning of a GET's path to a dict or an exception."""

    def __init__(self, hpas: list[dict], pods: list[dict], scale: dict) -> None:
        self.hpas, self.pods, self.scale = hpas, pods, scale
        self.answers: dict[str, dict | Exception] = {}
        self.scale_errors: list[Exception] = []
        self.requests: list[tuple[str, str, dict]] = []
        self.statuses: list[dict] = []
        self.events: list[dict] = []
        self.changes = {plural: asyncio.Queue() for plural in ("pods", "horizontalpodautoscalers")}
        self._revision = 1

    def client(self) -> Client:
        return Client(self)

    async def request(self, method, path, *, params=None, body=None, content_type=""):
        self.requests.append((method, path, dict(params or {})))
        if method == "GET":
            return self._get(path, params or {})
        if path.endswith("/events"):
            self.events.append(body)
            return body
        if path.endswith("/status"):
            self.statuses.append(body["status"])
            return body
        if self.scale_errors:
            raise self.scale_errors.pop(0)
        self.scale = body
        return body

    def _get(self, path: str, params) -> dict:
        for beginning, answer in self.answers.items():
            if path.startswith(beginning):
                if isinstance(answer, Exception):
                    raise answer
                return answer
        if path in _SCALABLE:
            found = [{"name": n, "kind": k, "namespaced": True} for n, k in _SCALABLE[path]]
            return {"resources": found}
        if path.endswith("/scale"):
            return self.scale
        if path.endswith("/horizontalpodautoscalers"):
            return {"items": self.hpas, "metadata": {"resourceVersion": "1"}}
        if path == "/api/v1/pods":
            return {"items": self.pods, "metadata": {"resourceVersion": "1"}}
        raise status_error(404, "NotFound", f"the server could not find {path}")

    async def watch(self, path, params):
        changes = self.changes[path.rpartition("/")[2]]
        while True:
            yield await changes.get()

    def publish(self, kind: str, obj: dict) -> None:
        """Tell the watchers of `obj`'s resource of a change: ADDED, MODIFIED or DELETED."""
        self._revision += 1
        changed = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self._revision)}}
        plural = "pods" if obj["kind"] == "Pod" else "horizontalpodautoscalers"
        self.changes[plural].put_nowait({"type": kind, "object": changed})

    async def close(self) -> None:
        pass


def scale(spec_replicas: int, status_replicas: int, selector: str, name: str = "test-rc") -> dict:
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"replicas": spec_replicas},
        "status": {"replicas": status_replicas, "selector": selector},
    }


def pod_metrics(levels: list[int], labels: dict) -> dict:
    """A PodMetricsList: each Pod has two containers that share its level."""
    items = [
        {
            "metadata": {"name": f"test-pod-{number}", "namespace": NAMESPACE, "labels": labels},
            "timestamp": times.rfc3339(NOW),
            "window": "1m0s",
            "containers": [
                {"name": name, "usage": {"cpu": f"{level // 2}m", "memory": "512Ki"}}
                for name in ("container1", "container2")
            ],
        }
        for number, level in enumerate(levels)
    ]
    return {"items": items}


def custom_metrics(levels: list[int], metric: str = "qps") -> dict[str, dict]:
    """Answers of custom.metrics.k8s.io for all Pods and for the Deployment some-deployment."""
    base = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/{NAMESPACE}"
    items = [
        {
            "describedObject": {"kind": "Pod", "name": f"test-pod-{number}"},
            "timestamp": times.rfc3339(NOW),
            "value": vectors.milli(level),
        }
        for number, level in enumerate(levels)
    ]
    return {
        f"{base}/pods/*/{metric}": {"items": items},
        f"{base}/deployments.apps/some-deployment/{metric}": {"items": items[:1]},
    }


def external_metrics(levels: list[int], metric: str = "qps") -> dict[str, dict]:
    """The answer of external.metrics.k8s.io."""
    path = f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{NAMESPACE}/{metric}"
    return {path: {"items": [{"value": vectors.milli(level)} for level in levels]}}
