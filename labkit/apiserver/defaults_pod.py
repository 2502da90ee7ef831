"""The defaults of Pods and of Pod templates: tables, and what depends on other fields.

Source: k8s.io/kubernetes pkg/apis/core/v1/defaults.go.  Every function fills in only what is
missing; running it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from labkit.kube import quantity
from labkit.kube.quantity import parse_quantity

canonical = lru_cache(maxsize=4096)(quantity.canonical)  # few amounts, many Pods

_POD_SPEC = {
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "schedulerName": "default-scheduler",
}
_CONTAINER = {
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
}
_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_HTTP_GET = {"path": "/", "scheme": "HTTP"}
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_FILE_MODE = 0o644
_FILE_VOLUMES = ("configMap", "secret", "downwardAPI", "projected")
_QOS_RESOURCES = ("cpu", "memory")
_TOKEN_SECONDS = 3600


def fill(target: dict, table: Mapping) -> None:
    """Set what `table` has and `target` lacks; for constants only (they are shared)."""
    for key, value in table.items():
        if key not in target:
            target[key] = value


def containers(spec: Mapping) -> Iterator[dict]:
    """Init containers and containers."""
    yield from spec.get("initContainers") or ()
    yield from spec.get("containers") or ()


def pod_spec(spec: dict) -> None:
    """Defaults of a Pod's spec, also inside of a template."""
    fill(spec, _POD_SPEC)
    spec.setdefault("securityContext", {})
    if "serviceAccountName" in spec:
        spec.setdefault("serviceAccount", spec["serviceAccountName"])
    elif spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"]
    for one in containers(spec):
        _container(one, host_network=bool(spec.get("hostNetwork")))
    for volume in spec.get("volumes") or ():
        _volume(volume)
    for constraint in spec.get("topologySpreadConstraints") or ():
        constraint.setdefault("whenUnsatisfiable", "DoNotSchedule")


def _container(container: dict, *, host_network: bool) -> None:
    fill(container, _CONTAINER)
    if "imagePullPolicy" not in container:
        container["imagePullPolicy"] = pull_policy(container.get("image", ""))
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
        if host_network:
            port.setdefault("hostPort", port.get("containerPort"))
    _resources(container.setdefault("resources", {}))
    for name in _PROBES:
        if name in container:
            _probe(container[name])
    for hook in (container.get("lifecycle") or {}).values():
        if isinstance(hook, dict) and "httpGet" in hook:
            fill(hook["httpGet"], _HTTP_GET)
    for variable in container.get("env") or ():
        reference = (variable.get("valueFrom") or {}).get("fieldRef")
        if reference is not None:
            reference.setdefault("apiVersion", "v1")


def pull_policy(image: str) -> str:
    """Always for images whose tag moves (`:latest` or none), else IfNotPresent."""
    if "@" in image:
        return "IfNotPresent"
    _, colon, tag = image.rpartition("/")[2].partition(":")
    return "IfNotPresent" if colon and tag != "latest" else "Always"


def _resources(resources: dict) -> None:
    for amounts in (resources.get("requests"), resources.get("limits")):
        quantities(amounts)


def quantities(amounts: dict | None) -> None:
    """Write every amount in its canonical form."""
    for name, amount in (amounts or {}).items():
        amounts[name] = canonical(amount)


def _probe(probe: dict) -> None:
    fill(probe, _PROBE)
    if "httpGet" in probe:
        fill(probe["httpGet"], _HTTP_GET)
    if "grpc" in probe:
        probe["grpc"].setdefault("service", "")


def _volume(volume: dict) -> None:
    if len(volume) == 1:
        volume["emptyDir"] = {}
    for name in _FILE_VOLUMES:
        if name in volume:
            volume[name].setdefault("defaultMode", _FILE_MODE)
    if "hostPath" in volume:
        volume["hostPath"].setdefault("type", "")
    if (volume.get("emptyDir") or {}).get("sizeLimit") is not None:
        volume["emptyDir"]["sizeLimit"] = canonical(volume["emptyDir"]["sizeLimit"])
    for source in (volume.get("projected") or {}).get("sources") or ():
        if "serviceAccountToken" in source:
            source["serviceAccountToken"].setdefault("expirationSeconds", _TOKEN_SECONDS)
        _field_references((source.get("downwardAPI") or {}).get("items"))
    _field_references((volume.get("downwardAPI") or {}).get("items"))


def _field_references(items: list | None) -> None:
    for item in items or ():
        if "fieldRef" in item:
            item["fieldRef"].setdefault("apiVersion", "v1")


def pod(obj: dict) -> None:
    """Defaults of a Pod itself: those of its spec, and requests from limits."""
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        return
    pod_spec(spec)
    spec.setdefault("enableServiceLinks", True)
    for one in containers(spec):
        limits = one["resources"].get("limits")
        if limits:
            fill(one["resources"].setdefault("requests", {}), limits)


def qos_class(spec: Mapping) -> str:
    """Guaranteed, Burstable or BestEffort (qos.ComputePodQOS)."""
    amounts = [one.get("resources") or {} for one in containers(spec)]
    given = [_given(one.get(part)) for one in amounts for part in ("requests", "limits")]
    if not any(given):
        return "BestEffort"
    guaranteed = all(
        _given(one.get("limits")).keys() >= set(_QOS_RESOURCES)
        and _given(one.get("requests")) == _given(one.get("limits"))
        for one in amounts
    )
    return "Guaranteed" if guaranteed else "Burstable"


def _given(amounts: Mapping | None) -> dict:
    """CPU and memory that are asked for and not zero."""
    found = {name: parse_quantity(text) for name, text in (amounts or {}).items()}
    return {name: found[name] for name in _QOS_RESOURCES if found.get(name)}
