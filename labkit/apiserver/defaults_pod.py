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
_PORT = {"protocol": "TCP"}
_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
_HTTP_GET = {"path": "/", "scheme": "HTTP"}
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_FILE_MODE = {"defaultMode": 0o644}
_VOLUMES: Mapping[str, Mapping] = {
    "configMap": _FILE_MODE,
    "secret": _FILE_MODE,
    "downwardAPI": _FILE_MODE,
    "projected": _FILE_MODE,
    "hostPath": {"type": ""},
    "iscsi": {"iscsiInterface": "default"},
    "rbd": {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"},
    "azureDisk": {
        "cachingMode": "ReadWrite",
        "kind": "Shared",
        "fsType": "ext4",
        "readOnly": False,
    },
    "scaleIO": {"storageMode": "ThinProvisioned", "fsType": "xfs"},
}
_QOS_RESOURCES = ("cpu", "memory")
_TOKEN_SECONDS = 3600


def fill(target: dict, table: Mapping) -> None:
    """Set what `table` has and `target` lacks or leaves empty; for scalars (they are shared)."""
    for key, value in table.items():
        present = target.get(key)
        if present is None or present == "":
            target[key] = value


def _fill_zero(target: dict, table: Mapping) -> None:
    """The same for numbers whose zero means that nothing was said."""
    for key, value in table.items():
        if not target.get(key):
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
        container(one)
        resources(one.setdefault("resources", {}))
    for one in spec.get("ephemeralContainers") or ():
        container(one)
        one.setdefault("resources", {})
    if "resources" in spec:
        resources(spec["resources"])
    if "overhead" in spec:
        quantities(spec["overhead"])
    for volume in spec.get("volumes") or ():
        _volume(volume)


def container(container: dict) -> None:
    """Defaults of a container of any sort but for its resources."""
    fill(container, _CONTAINER)
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = pull_policy(container.get("image", ""))
    for port in container.get("ports") or ():
        fill(port, _PORT)
    for name in _PROBES:
        if name in container:
            _probe(container[name])
    for hook in (container.get("lifecycle") or {}).values():
        if isinstance(hook, dict) and "httpGet" in hook:
            fill(hook["httpGet"], _HTTP_GET)
    for variable in container.get("env") or ():
        if source := variable.get("valueFrom"):
            _reference(source)


def pull_policy(image: str) -> str:
    """Always for images whose tag moves (`:latest` or none), else IfNotPresent."""
    if "@" in image:
        return "IfNotPresent"
    _, colon, tag = image.rpartition("/")[2].partition(":")
    return "IfNotPresent" if colon and tag != "latest" else "Always"


def resources(resources: dict) -> None:
    """Requests and limits in their canonical form."""
    for name in ("requests", "limits"):
        if name in resources:
            quantities(resources[name])


def quantities(amounts: dict | None) -> None:
    """Write every amount in its canonical form; nothing finer than a thousandth is kept."""
    if amounts:
        for name, amount in amounts.items():
            amounts[name] = _rounded(amount)


@lru_cache(maxsize=4096)
def _rounded(amount: str | int | float) -> str:
    text = quantity.canonical(amount)
    if text[-1] not in "nu":
        return text
    return quantity.canonical(f"{quantity.milli_value(text)}m")


def _probe(probe: dict) -> None:
    _fill_zero(probe, _PROBE)
    if "httpGet" in probe:
        fill(probe["httpGet"], _HTTP_GET)
    if "grpc" in probe:
        probe["grpc"].setdefault("service", "")


def _volume(volume: dict) -> None:
    if len(volume) == 1:
        volume["emptyDir"] = {}
    volume_source(volume)
    if "image" in volume and not volume["image"].get("pullPolicy"):
        volume["image"]["pullPolicy"] = pull_policy(volume["image"].get("reference", ""))
    if (volume.get("emptyDir") or {}).get("sizeLimit") is not None:
        volume["emptyDir"]["sizeLimit"] = canonical(volume["emptyDir"]["sizeLimit"])
    claim = (volume.get("ephemeral") or {}).get("volumeClaimTemplate")
    if claim is not None:
        fill(claim.setdefault("spec", {}), {"volumeMode": "Filesystem"})
        resources(claim["spec"].get("resources") or {})
    for source in (volume.get("projected") or {}).get("sources") or ():
        if "serviceAccountToken" in source:
            source["serviceAccountToken"].setdefault("expirationSeconds", _TOKEN_SECONDS)
        _references((source.get("downwardAPI") or {}).get("items"))
    _references((volume.get("downwardAPI") or {}).get("items"))


def volume_source(volume: dict) -> None:
    """Defaults of where a volume's content comes from, for Pods and for PersistentVolumes."""
    for name, source in volume.items():
        if name in _VOLUMES:
            for key, value in _VOLUMES[name].items():
                source.setdefault(key, value)


def _references(items: list | None) -> None:
    for item in items or ():
        _reference(item)


def _reference(source: dict) -> None:
    """What of its own Pod a container sees, as a variable or as a file."""
    if "fieldRef" in source:
        fill(source["fieldRef"], {"apiVersion": "v1"})
    if "resourceFieldRef" in source:
        divisor = source["resourceFieldRef"].get("divisor", "0")
        source["resourceFieldRef"]["divisor"] = canonical(divisor)


def pod(obj: dict) -> None:
    """Defaults of a Pod itself: those of its spec, and requests from limits."""
    spec = obj.setdefault("spec", {})
    pod_spec(spec)
    spec.setdefault("enableServiceLinks", True)
    for one in containers(spec):
        limits = one["resources"].get("limits")
        if limits:
            fill(one["resources"].setdefault("requests", {}), limits)
        if spec.get("hostNetwork"):
            for port in one.get("ports") or ():
                _fill_zero(port, {"hostPort": port.get("containerPort")})


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
