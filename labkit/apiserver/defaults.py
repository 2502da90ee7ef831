"""The defaults of all other kinds.

Source: k8s.io/kubernetes pkg/apis/*/v*/defaults.go.  Every function fills in only what is missing;
running it again changes nothing.
"""

from __future__ import annotations

import base64

from labkit.apiserver import defaults_pod
from labkit.apiserver.defaults_pod import fill
from labkit.kube.quantity import canonical

pod = defaults_pod.pod

_DEPLOYMENT = {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600}
_ROLLING_UPDATE = {"maxUnavailable": "25%", "maxSurge": "25%"}
_SERVICE = {"type": "ClusterIP", "sessionAffinity": "None"}
_AFFINITY_SECONDS = 10800
_CPU_UTILIZATION = 80
_SCALE_UP = (("Pods", 4, 15), ("Percent", 100, 15))
_SCALE_DOWN = (("Percent", 100, 15),)


def _spec(obj: dict) -> dict:
    return obj.setdefault("spec", {})


def _template(spec: dict) -> None:
    inner = (spec.get("template") or {}).get("spec")
    if inner is not None:
        defaults_pod.pod_spec(inner)


def deployment(obj: dict) -> None:
    """apps/v1 Deployment."""
    spec = _spec(obj)
    fill(spec, _DEPLOYMENT)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        fill(strategy.setdefault("rollingUpdate", {}), _ROLLING_UPDATE)
    _template(spec)


def replica_set(obj: dict) -> None:
    """apps/v1 ReplicaSet."""
    spec = _spec(obj)
    spec.setdefault("replicas", 1)
    _template(spec)


def service(obj: dict) -> None:
    """core/v1 Service."""
    spec = _spec(obj)
    fill(spec, _SERVICE)
    if spec["type"] != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        spec.setdefault("ipFamilies", ["IPv4"])
    if spec["type"] in ("NodePort", "LoadBalancer"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    if spec["sessionAffinity"] == "ClientIP":
        client = spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {})
        client.setdefault("timeoutSeconds", _AFFINITY_SECONDS)
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        if port.get("targetPort") in (None, 0, ""):
            port["targetPort"] = port.get("port")


def hpa(obj: dict) -> None:
    """autoscaling/v2 HorizontalPodAutoscaler."""
    spec = _spec(obj)
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": _CPU_UTILIZATION}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    for metric in spec["metrics"]:
        _metric(metric)
    behavior = spec.get("behavior")
    if behavior is None:
        return
    up = behavior.setdefault("scaleUp", {})
    up.setdefault("stabilizationWindowSeconds", 0)
    for rules, policies in (
        (up, _SCALE_UP),
        (behavior.setdefault("scaleDown", {}), _SCALE_DOWN),
    ):
        rules.setdefault("selectPolicy", "Max")
        if not rules.get("policies"):
            rules["policies"] = [
                {"type": kind, "value": value, "periodSeconds": seconds}
                for kind, value, seconds in policies
            ]


def _metric(metric: dict) -> None:
    for source in metric.values():
        target = source.get("target") if isinstance(source, dict) else None
        for name in ("value", "averageValue"):
            if target and target.get(name) is not None:
                target[name] = canonical(target[name])


def namespace(obj: dict) -> None:
    """core/v1 Namespace: the label by which selectors find it by name."""
    metadata = obj["metadata"]
    if metadata.get("name"):
        labels = metadata.setdefault("labels", {})
        labels["kubernetes.io/metadata.name"] = metadata["name"]


def node(obj: dict) -> None:
    """core/v1 Node."""
    _spec(obj)
    status = obj.get("status") or {}
    defaults_pod.quantities(status.get("capacity"))
    defaults_pod.quantities(status.get("allocatable"))
    if status.get("capacity") and not status.get("allocatable"):
        status["allocatable"] = dict(status["capacity"])


def secret(obj: dict) -> None:
    """core/v1 Secret: its type, and `stringData`, which can be written but not read."""
    obj.setdefault("type", "Opaque")
    for key, text in (obj.pop("stringData", None) or {}).items():
        obj.setdefault("data", {})[key] = base64.b64encode(text.encode()).decode()


def endpoints(obj: dict) -> None:
    """core/v1 Endpoints."""
    for subset in obj.get("subsets") or ():
        for port in subset.get("ports") or ():
            port.setdefault("protocol", "TCP")


def endpoint_slice(obj: dict) -> None:
    """discovery.k8s.io/v1 EndpointSlice."""
    for port in obj.get("ports") or ():
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")
