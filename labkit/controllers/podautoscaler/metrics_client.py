"""Where samples come from: the resource, custom and external metrics APIs.

`RestMetricsClient` asks an API server that serves (or aggregates) metrics.k8s.io,
custom.metrics.k8s.io and external.metrics.k8s.io; anything with the methods of `MetricsClient` can
take its place.  Every method raises MetricError with Kubernetes' words for what went wrong.

Source: pkg/controller/podautoscaler/metrics/client.go; k8s.io/metrics/pkg/client.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from labkit.client import ApiError, Client
from labkit.controllers.podautoscaler import metrics
from labkit.controllers.podautoscaler.metrics import MetricError, PodMetric
from labkit.controllers.podautoscaler.proposal import Sample
from labkit.controllers.podautoscaler.scale_target import NoMatchError, ScaleTargets
from labkit.kube import selectors, times
from labkit.kube.quantity import milli_value
from labkit.kube.resources import POD_METRICS

CUSTOM_METRICS = "/apis/custom.metrics.k8s.io/v1beta2"
EXTERNAL_METRICS = "/apis/external.metrics.k8s.io/v1beta1"
# Custom metrics may leave their window out; metrics-server's own is then assumed.
_DEFAULT_WINDOW = 60.0


class MetricsClient(Protocol):
    """Samples in milli; selectors are label selectors as text, empty for everything."""

    async def get_resource_metric(
        self, resource: str, namespace: str, selector: str, container: str
    ) -> dict[str, PodMetric]:
        """Usage by Pod, of one container where one is named."""
        ...

    async def get_raw_metric(
        self, name: str, namespace: str, selector: str, metric_selector: str
    ) -> dict[str, PodMetric]:
        """A custom metric by Pod."""
        ...

    async def get_object_metric(
        self, name: str, namespace: str, described: Mapping, metric_selector: str
    ) -> int:
        """A custom metric of one object."""
        ...

    async def get_external_metric(
        self, name: str, namespace: str, metric_selector: str
    ) -> list[int]:
        """The values of all series of an external metric."""
        ...


class RestMetricsClient:
    """A `MetricsClient` over the metrics APIs of an API server."""

    def __init__(self, client: Client, targets: ScaleTargets) -> None:
        self._client, self._targets = client, targets

    async def get_resource_metric(
        self, resource: str, namespace: str, selector: str, container: str
    ) -> dict[str, PodMetric]:
        """From metrics.k8s.io."""
        api = "resource metrics API"
        path = POD_METRICS.path(namespace)
        items = _some(await self._get(api, path, labelSelector=selector), api)
        if container:
            return metrics.container_metrics(items, resource, container)
        return metrics.pod_metrics(items, resource)

    async def get_raw_metric(
        self, name: str, namespace: str, selector: str, metric_selector: str
    ) -> dict[str, PodMetric]:
        """From custom.metrics.k8s.io, for all Pods of the selector."""
        api = "custom metrics API"
        path = f"{CUSTOM_METRICS}/namespaces/{namespace}/pods/*/{name}"
        answer = await self._get(
            api, path, labelSelector=selector, metricLabelSelector=metric_selector
        )
        return {item["describedObject"]["name"]: _sample(item) for item in _some(answer, api)}

    async def get_object_metric(
        self, name: str, namespace: str, described: Mapping, metric_selector: str
    ) -> int:
        """From custom.metrics.k8s.io, for one object."""
        api = "custom metrics API"
        path = await self._object_path(name, namespace, described)
        items = (await self._get(api, path, metricLabelSelector=metric_selector))["items"]
        if len(items) != 1:
            raise MetricError(
                f"unable to fetch metrics from {api}: the custom metrics API server returned "
                f"{len(items)} results when we asked for exactly one"
            )
        return milli_value(items[0]["value"])

    async def _object_path(self, name: str, namespace: str, described: Mapping) -> str:
        kind, api_version = described["kind"], described.get("apiVersion") or "v1"
        if kind == "Namespace" and api_version == "v1":
            # Whatever namespace the reference names: an HPA does not see beyond its own.
            return f"{CUSTOM_METRICS}/namespaces/{namespace}/metrics/{name}"
        try:
            resource = await self._targets.resource(api_version, kind)
        except (NoMatchError, ApiError, OSError) as error:
            message = f"unable to fetch metrics from custom metrics API: {error}"
            raise MetricError(message) from error
        where = f"{CUSTOM_METRICS}/namespaces/{namespace}"
        return f"{where}/{resource.name}/{described['name']}/{name}"

    async def get_external_metric(
        self, name: str, namespace: str, metric_selector: str
    ) -> list[int]:
        """From external.metrics.k8s.io."""
        api = "external metrics API"
        path = f"{EXTERNAL_METRICS}/namespaces/{namespace}/{name}"
        answer = await self._get(api, path, labelSelector=metric_selector)
        return [milli_value(item["value"]) for item in _some(answer, api)]

    async def _get(self, api: str, path: str, **params: str) -> Mapping:
        given = {name: value for name, value in params.items() if value}
        try:
            return await self._client.transport.request("GET", path, params=given)
        except (ApiError, OSError) as error:
            raise MetricError(f"unable to fetch metrics from {api}: {error}") from error


def _some(answer: Mapping, api: str) -> list[Mapping]:
    if not answer.get("items"):
        raise MetricError(f"no metrics returned from {api}")
    return answer["items"]


def _sample(item: Mapping) -> PodMetric:
    seconds = item.get("windowSeconds")
    window = _DEFAULT_WINDOW if seconds is None else float(seconds)
    return PodMetric(milli_value(item["value"]), times.parse(item["timestamp"]), window)


async def sample(client: MetricsClient, metric: Mapping, namespace: str, selector: str) -> Sample:
    """The sample that a MetricSpec is about, or the MetricError that came instead."""
    try:
        return await _ask(client, metric, namespace, selector)
    except MetricError as error:
        return error
    except ValueError as error:
        return MetricError(str(error))


async def _ask(client: MetricsClient, metric: Mapping, namespace: str, selector: str) -> Sample:
    match metric["type"]:
        case "Resource":
            name = metric["resource"]["name"]
            return await client.get_resource_metric(name, namespace, selector, "")
        case "ContainerResource":
            part = metric["containerResource"]
            name, container = part["name"], part["container"]
            return await client.get_resource_metric(name, namespace, selector, container)
        case "Pods":
            name, series = _metric(metric["pods"])
            return await client.get_raw_metric(name, namespace, selector, series)
        case "Object":
            (name, series), part = _metric(metric["object"]), metric["object"]
            described = part["describedObject"]
            return await client.get_object_metric(name, namespace, described, series)
        case "External":
            name, series = _metric(metric["external"])
            return await client.get_external_metric(name, namespace, series)
    return {}


def _metric(part: Mapping) -> tuple[str, str]:
    """The name of a metric and the selector of its series; ValueError for a bad selector."""
    parsed = selectors.from_label_selector(part["metric"].get("selector"))
    return part["metric"]["name"], selectors.format_selector(parsed or ())
