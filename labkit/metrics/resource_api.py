"""`metrics.k8s.io/v1beta1`: what `kubectl top` and the HorizontalPodAutoscaler read.

Pure functions of Pods, Nodes and their usage.  Source: metrics-server pkg/api; Kubernetes metrics
API reference.  Left out: tables, which the API server makes, and watches, which upstream does not
have either.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from labkit.client.errors import ApiError, status_error
from labkit.kube import objects, pods, selectors, times
from labkit.kube.quantity import format_quantity
from labkit.kube.resources import NODE_METRICS, POD_METRICS, Resource
from labkit.metrics.storage import Storage, Usage

GROUP, VERSION = POD_METRICS.group, POD_METRICS.version
_ROOT = f"/apis/{GROUP}/{VERSION}"


class ResourceMetrics:
    """Answers paths of the API from caches of Pods and Nodes by key, at the time `now`."""

    def __init__(
        self,
        storage: Storage,
        all_pods: Mapping[str, Mapping],
        all_nodes: Mapping[str, Mapping],
    ) -> None:
        self._storage, self._pods, self._nodes = storage, all_pods, all_nodes

    def answer(self, path: str, params: Mapping[str, str], now: str) -> dict:
        """The object at `path`.  Raises ApiError."""
        match path.removeprefix(_ROOT).strip("/").split("/"):
            case [""]:
                return api_resources()
            case ["nodes"]:
                return self._list(NODE_METRICS, self._nodes, params, now)
            case ["nodes", name]:
                return self._get(NODE_METRICS, self._nodes, name, now)
            case ["pods"]:
                return self._list(POD_METRICS, self._pods, params, now)
            case ["namespaces", namespace, "pods"]:
                within = {
                    key: pod for key, pod in self._pods.items() if key.startswith(f"{namespace}/")
                }
                return self._list(POD_METRICS, within, params, now)
            case ["namespaces", namespace, "pods", name]:
                return self._get(POD_METRICS, self._pods, f"{namespace}/{name}", now)
        raise status_error(404, "NotFound", "the server could not find the requested resource")

    def _list(
        self, resource: Resource, known: Mapping[str, Mapping], params: Mapping[str, str], now: str
    ) -> dict:
        labels, fields = _selectors(params)
        chosen = (
            obj
            for _, obj in sorted(known.items())
            if selectors.matches(labels, objects.labels(obj))
            and selectors.match_fields(fields, obj)
        )
        items = (self._metrics(resource, obj, now) for obj in chosen)
        return {
            "kind": f"{resource.kind}List",
            "apiVersion": resource.api_version,
            "metadata": {},
            "items": [item for item in items if item],
        }

    def _get(self, resource: Resource, known: Mapping[str, Mapping], key: str, now: str) -> dict:
        obj = known.get(key)
        if obj is None:
            raise _not_found(resource.plural, "", key)
        found = self._metrics(resource, obj, now)
        if found is None:
            # The object is there but was not measured (twice) yet.
            raise _not_found(resource.kind.lower(), resource.group, key)
        return found

    def _metrics(self, resource: Resource, obj: Mapping, now: str) -> dict | None:
        if resource is NODE_METRICS:
            found = self._storage.node(obj["metadata"]["name"])
            return found and node_metrics(obj, found, now)
        if pods.phase(obj) != "Running":
            return None
        meta = obj["metadata"]
        containers = self._storage.pod(meta["namespace"], meta["name"])
        return containers and pod_metrics(obj, containers, now)


def api_resources() -> dict:
    """The APIResourceList of the group."""
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{GROUP}/{VERSION}",
        "resources": [
            {
                "name": resource.plural,
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": resource.kind,
                "verbs": ["get", "list"],
            }
            for resource in (NODE_METRICS, POD_METRICS)
        ],
    }


def pod_metrics(pod: Mapping, containers: Mapping[str, Usage], now: str) -> dict:
    """PodMetrics; its time is that of the container measured longest ago."""
    oldest = min(containers.values(), key=lambda usage: usage.at)
    listed = [{"name": name, "usage": amounts(usage)} for name, usage in sorted(containers.items())]
    return {**_head(POD_METRICS, pod, oldest, now), "containers": listed}


def node_metrics(node: Mapping, usage: Usage, now: str) -> dict:
    """NodeMetrics."""
    return {**_head(NODE_METRICS, node, usage, now), "usage": amounts(usage)}


def _head(resource: Resource, obj: Mapping, usage: Usage, now: str) -> dict:
    meta = {"name": obj["metadata"]["name"], "creationTimestamp": now}
    for field in ("namespace", "labels"):
        if obj["metadata"].get(field):
            meta[field] = obj["metadata"][field]
    return {
        "kind": resource.kind,
        "apiVersion": resource.api_version,
        "metadata": meta,
        "timestamp": times.rfc3339(usage.at / 1000),
        "window": duration(usage.window),
    }


def amounts(usage: Usage) -> dict:
    """The usage as quantities: CPU to the nanocore, memory in binary units where it is whole."""
    return {
        "cpu": format_quantity(Fraction(usage.cpu, 10**9)),
        "memory": format_quantity(usage.memory, "BinarySI"),
    }


def duration(milliseconds: int) -> str:
    """metav1.Duration, as Go writes it: `15.021s`, `1m0s`, `500ms`."""
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


def _selectors(params: Mapping[str, str]) -> tuple:
    try:
        labels = selectors.parse(params.get("labelSelector") or "")
        return labels, selectors.parse_fields(params.get("fieldSelector") or "")
    except ValueError as error:
        raise status_error(400, "BadRequest", str(error)) from error


def _not_found(plural: str, group: str, key: str) -> ApiError:
    full = f"{plural}.{group}" if group else plural
    details = {"name": key, "kind": plural} | ({"group": group} if group else {})
    return status_error(404, "NotFound", f'{full} "{key}" not found', details)
