"""`custom.metrics.k8s.io/v1beta2` and `external.metrics.k8s.io/v1beta1`: what programs say.

A custom metric belongs to an object.  A Pod's are those it shows itself; a Service's are the sums
over its Pods; an Ingress' are the sums of what the Ingress controller shows with its name in the
label `ingress`; a namespace's are the sums over its Pods.  An external metric belongs to nothing:
every series counts, with its labels.

Pure functions of series and objects.  Source: kubernetes-sigs/custom-metrics-apiserver and
prometheus-adapter.  Left out: other kinds of objects, metrics of objects without a namespace.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction

from labkit.client.errors import ApiError, status_error
from labkit.kube import objects, selectors, times
from labkit.kube.quantity import format_quantity
from labkit.metrics.scraper import Target
from labkit.metrics.series import Series

CUSTOM = ("custom.metrics.k8s.io", "v1beta2")
EXTERNAL = ("external.metrics.k8s.io", "v1beta1")
_KINDS = {  # resource → (kind, apiVersion as an ObjectReference has it, label that names one)
    "pods": ("Pod", "/v1", "pod"),
    "services": ("Service", "/v1", "service"),
    "namespaces": ("Namespace", "/v1", "namespace"),
    "ingresses.networking.k8s.io": ("Ingress", "networking.k8s.io/v1", "ingress"),
}
Found = Mapping[Target, Iterable[Series]]


class ProgramMetrics:
    """Answers paths of both APIs from caches of Pods and Services by key."""

    def __init__(self, pods: Mapping[str, Mapping], services: Mapping[str, Mapping]) -> None:
        self._pods, self._services = pods, services

    def answer(self, path: str, params: Mapping[str, str], found: Found) -> dict:
        """The object at `path`.  Raises ApiError."""
        _, _, group, version, *rest = path.rstrip("/").split("/")
        match rest:
            case []:
                return _resources(group, version, found)
            case ["namespaces", namespace, metric] if group == EXTERNAL[0]:
                return _external(found, namespace, metric, params)
            case ["namespaces", namespace, "metrics", metric]:
                return self._custom(found, namespace, "namespaces", namespace, metric, params)
            case ["namespaces", namespace, resource, name, metric]:
                return self._custom(found, namespace, resource, name, metric, params)
        raise status_error(404, "NotFound", "the server could not find the requested resource")

    def _custom(
        self,
        found: Found,
        namespace: str,
        resource: str,
        name: str,
        metric: str,
        params: Mapping[str, str],
    ) -> dict:
        if resource not in _KINDS:
            raise _no_metric(metric, resource, name)
        within = _selector(params, "metricLabelSelector")
        series = {
            where: [one for one in those if one.metric == metric and _matches(within, one)]
            for where, those in found.items()
        }
        items = []
        for each in self._names(namespace, resource, name, params):
            if mine := list(self._of(series, namespace, resource, each)):
                items.append(_value(namespace, resource, each, metric, mine))
        if not items:
            raise _no_metric(metric, resource, name)
        kind, version = "MetricValueList", "/".join(CUSTOM)
        return {"kind": kind, "apiVersion": version, "metadata": {}, "items": items}

    def _names(
        self, namespace: str, resource: str, name: str, params: Mapping[str, str]
    ) -> list[str]:
        if name != "*":
            return [name]
        known = {"pods": self._pods, "services": self._services}.get(resource, {})
        wanted = _selector(params, "labelSelector")
        return sorted(
            obj["metadata"]["name"]
            for key, obj in known.items()
            if key.startswith(f"{namespace}/") and selectors.matches(wanted, objects.labels(obj))
        )

    def _of(self, series: Found, namespace: str, resource: str, name: str) -> Iterator[Series]:
        """The series that belong to one object."""
        label = _KINDS[resource][2]
        for where, those in series.items():
            if not where.pod:
                marks = {("namespace", namespace), (label, name)}
                yield from (one for one in those if marks <= set(one.labels))
            elif where.namespace == namespace and self._is_behind(where, resource, name):
                yield from those

    def _is_behind(self, where: Target, resource: str, name: str) -> bool:
        if resource == "services":
            service = self._services.get(f"{where.namespace}/{name}") or {}
            chosen = (service.get("spec") or {}).get("selector")
            pod = self._pods.get(f"{where.namespace}/{where.pod}")
            return bool(chosen and pod) and chosen.items() <= objects.labels(pod).items()
        return resource == "namespaces" or (resource == "pods" and where.pod == name)


def _resources(group: str, version: str, found: Found) -> dict:
    names = sorted({one.metric for those in found.values() for one in those})
    if group == EXTERNAL[0]:
        kind = "ExternalMetricValueList"
        listed = [(name, True) for name in names]
    else:
        kind = "MetricValueList"
        listed = [
            (f"{resource}/{name}", resource != "namespaces")
            for resource in sorted(_KINDS)
            for name in names
        ]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}",
        "resources": [
            {
                "name": name,
                "singularName": "",
                "namespaced": namespaced,
                "kind": kind,
                "verbs": ["get"],
            }
            for name, namespaced in listed
        ],
    }


def _value(namespace: str, resource: str, name: str, metric: str, series: list[Series]) -> dict:
    kind, api_version, _ = _KINDS[resource]
    described = {"kind": kind, "namespace": namespace, "name": name, "apiVersion": api_version}
    return {
        "describedObject": described,
        "metric": {"name": metric, "selector": None},
        **_measured(series),
    }


def _no_metric(metric: str, resource: str, name: str = "*") -> ApiError:
    what = resource if name == "*" else f"{resource} {name}"
    return status_error(
        404, "NotFound", f"the server could not find the metric {metric} for {what}"
    )


def _external(found: Found, namespace: str, metric: str, params: Mapping[str, str]) -> dict:
    wanted = _selector(params, "labelSelector")
    named = [
        one
        for where, those in found.items()
        for one in those
        if one.metric == metric and where.namespace in ("", namespace)
    ]
    if not named:
        raise _no_metric(metric, "namespaces", namespace)
    return {
        "kind": "ExternalMetricValueList",
        "apiVersion": "/".join(EXTERNAL),
        "metadata": {},
        "items": [
            {"metricName": metric, "metricLabels": dict(one.labels), **_measured([one])}
            for one in named
            if _matches(wanted, one)
        ],
    }


def _measured(series: list[Series]) -> dict:
    total = sum(Fraction(round(one.value * 1000), 1000) for one in series)
    window = max(round(one.window) for one in series)
    return {
        "timestamp": times.rfc3339(min(one.at for one in series)),
        **({"windowSeconds": window} if window else {}),
        "value": format_quantity(total),
    }


def _matches(selector: selectors.Selector, one: Series) -> bool:
    return selectors.matches(selector, dict(one.labels))


def _selector(params: Mapping[str, str], name: str) -> selectors.Selector:
    try:
        return selectors.parse(params.get(name) or "")
    except ValueError as error:
        raise status_error(400, "BadRequest", str(error)) from error
