"""The defaults of what neither runs Pods nor stores data.

Source: k8s.io/kubernetes pkg/apis/*/v*/defaults.go; for the families of addresses of Services
pkg/registry/core/service/storage/alloc.go, where a cluster has IPv4 only.  Every function fills in
only what is missing; running it again changes nothing.
"""

from __future__ import annotations

import base64

from labkit.apiserver import defaults_pod
from labkit.apiserver.defaults_pod import fill
from labkit.kube.quantity import canonical

pod = defaults_pod.pod

_SERVICE = {"type": "ClusterIP", "sessionAffinity": "None"}
_EXTERNAL = ("NodePort", "LoadBalancer")
_AFFINITY_SECONDS = 10800
_CPU_UTILIZATION = 80
_SCALE_UP = (("Pods", 4, 15), ("Percent", 100, 15))
_SCALE_DOWN = (("Percent", 100, 15),)


def _spec(obj: dict) -> dict:
    return obj.setdefault("spec", {})


def service(obj: dict) -> None:
    """core/v1 Service."""
    spec = _spec(obj)
    fill(spec, _SERVICE)
    kind = spec["type"]
    if kind != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
        _families(spec)
    if kind in _EXTERNAL or (kind == "ClusterIP" and spec.get("externalIPs")):
        fill(spec, {"externalTrafficPolicy": "Cluster"})
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        client = spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {})
        client.setdefault("timeoutSeconds", _AFFINITY_SECONDS)
    for port in spec.get("ports") or ():
        fill(port, {"protocol": "TCP"})
        if port.get("targetPort") in (None, 0, ""):
            port["targetPort"] = port.get("port")


def _families(spec: dict) -> None:
    """A Service that points to nothing may be about addresses of any family."""
    anything = spec.get("clusterIP") == "None" and not spec.get("selector")
    policy = "RequireDualStack" if anything else "SingleStack"
    if spec.setdefault("ipFamilyPolicy", policy) == "RequireDualStack" and anything:
        spec.setdefault("ipFamilies", ["IPv4", "IPv6"])
    spec.setdefault("ipFamilies", ["IPv4"])


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
            fill(port, {"protocol": "TCP"})


def endpoint_slice(obj: dict) -> None:
    """discovery.k8s.io/v1 EndpointSlice."""
    for port in obj.get("ports") or ():
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def api_service(obj: dict) -> None:
    """apiregistration.k8s.io/v1 APIService."""
    service = _spec(obj).get("service")
    if service is not None:
        service.setdefault("port", 443)


def network_policy(obj: dict) -> None:
    """networking.k8s.io/v1 NetworkPolicy: rules about outgoing traffic mean that it is limited."""
    spec = _spec(obj)
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    for rule in (*(spec.get("ingress") or ()), *(spec.get("egress") or ())):
        for port in rule.get("ports") or ():
            fill(port, {"protocol": "TCP"})


def ingress_class(obj: dict) -> None:
    """networking.k8s.io/v1 IngressClass."""
    parameters = _spec(obj).get("parameters")
    if parameters is not None:
        fill(parameters, {"scope": "Cluster"})


def priority_class(obj: dict) -> None:
    """scheduling.k8s.io/v1 PriorityClass."""
    fill(obj, {"preemptionPolicy": "PreemptLowerPriority", "value": 0})


def runtime_class(obj: dict) -> None:
    """node.k8s.io/v1 RuntimeClass: its amounts in their canonical form."""
    defaults_pod.quantities((obj.get("overhead") or {}).get("podFixed"))
