"""What objects count for in a ResourceQuota: one evaluator for each kind of resource.

The API server charges new objects with these functions and the quota controller counts what is
there with the same, so that both always mean the same.

Source: k8s.io/kubernetes pkg/quota/v1/evaluator/core, k8s.io/apiserver pkg/quota/v1/generic.
Left out: ResourceClaims, the scope VolumeAttributesClass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from labkit.kube import quantity, resourcelist, selectors, times
from labkit.kube.pods import is_terminal
from labkit.kube.quantity import parse_quantity
from labkit.kube.resourcelist import Amounts

CREATE, UPDATE = "CREATE", "UPDATE"


def _no_scope(requirement: Mapping, obj: Mapping) -> bool:
    return False


def _nothing_demanded(required: Iterable[str], obj: Mapping) -> str:
    return ""


@dataclass(frozen=True)
class Evaluator:
    """How objects of one resource count.

    `matching(names)` are the names of a quota that these objects may count for; `usage(obj, now)`
    what one object counts for; `in_scope(requirement, obj)` whether it is in a quota's scope;
    `missing(names, obj)` what it does not say although a quota that limits `names` demands it.
    """

    matching: Callable[[Iterable[str]], list[str]]
    usage: Callable[[Mapping, float], Amounts]
    in_scope: Callable[[Mapping, Mapping], bool] = _no_scope
    missing: Callable[[Iterable[str], Mapping], str] = _nothing_demanded
    operations: tuple[str, ...] = (CREATE,)

    def matches(self, quota: Mapping, obj: Mapping) -> bool:
        """Whether a quota is about an object: it limits what that counts for, and has its scope."""
        hard = (quota.get("status") or {}).get("hard") or {}
        return bool(self.matching(hard)) and self.in_scopes(quota, obj)

    def in_scopes(self, quota: Mapping, obj: Mapping) -> bool:
        """Whether an object is in all scopes of a quota."""
        return all(self.in_scope(requirement, obj) for requirement in scopes(quota))


def scopes(quota: Mapping) -> list[Mapping]:
    """`spec.scopes` and `spec.scopeSelector` as one list of requirements."""
    spec = quota.get("spec") or {}
    plain = [{"scopeName": name, "operator": "Exists"} for name in spec.get("scopes") or ()]
    return plain + list((spec.get("scopeSelector") or {}).get("matchExpressions") or ())


# Other resources: they are only counted, `count/deployments.apps`; some have an older name too.
_ALIASES = ("configmaps", "secrets", "replicationcontrollers", "resourcequotas")


@lru_cache(maxsize=256)
def evaluator(name: str) -> Evaluator:
    """The evaluator of a resource by its name, such as `pods` or `deployments.apps`."""
    if name in _SPECIAL:
        return _SPECIAL[name]
    counted = (f"count/{name}", name) if name in _ALIASES else (f"count/{name}",)
    return Evaluator(
        matching=lambda names: [each for each in names if each in counted],
        usage=lambda obj, now: dict.fromkeys(counted, "1"),
    )


# Pods.

_POD_RESOURCES = frozenset(
    ["count/pods", "pods"]
    + [
        prefix + name
        for prefix in ("", "requests.", "limits.")
        for name in ("cpu", "memory", "ephemeral-storage")
    ]
)
_HUGE_PAGES = ("hugepages-", "requests.hugepages-")
# A quota of these makes every container say how much of it it wants.
_DEMANDED = frozenset(
    ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"]
)


def _is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def _pod_matching(names: Iterable[str]) -> list[str]:
    return [
        name
        for name in names
        if name in _POD_RESOURCES
        or name.startswith(_HUGE_PAGES)
        or (name.startswith("requests.") and not _is_native(name))
    ]


def _compute(requests: Amounts, limits: Amounts) -> dict[str, str]:
    """Requests and limits under the names that quotas have for them."""
    usage = {"pods": "1"}
    for name in ("cpu", "memory", "ephemeral-storage"):
        if name in requests:
            usage[name] = usage[f"requests.{name}"] = requests[name]
        if name in limits:
            usage[f"limits.{name}"] = limits[name]
    for name, amount in requests.items():
        if name.startswith("hugepages-"):
            usage[name] = usage[f"requests.{name}"] = amount
        elif not _is_native(name):
            usage[f"requests.{name}"] = amount
    return usage


def _pod_usage(pod: Mapping, now: float) -> Amounts:
    if is_terminal(pod) or _is_overdue(pod["metadata"], now):
        return {"count/pods": "1"}
    spec = pod["spec"]
    overhead = spec.get("overhead") or {}
    requests = resourcelist.add(resourcelist.pod_requests(spec), overhead)
    limits = resourcelist.pod_limits(spec)
    limits = resourcelist.add(limits, resourcelist.only(overhead, resourcelist.nonzero(limits)))
    return {"count/pods": "1", **_compute(requests, limits)}


def _is_overdue(metadata: Mapping, now: float) -> bool:
    """Whether a Pod should be gone: its node is lost, and no kubelet will ever confirm it."""
    since, grace = metadata.get("deletionTimestamp"), metadata.get("deletionGracePeriodSeconds")
    return since is not None and grace is not None and now > times.parse(since) + grace


def _pod_missing(required: Iterable[str], pod: Mapping) -> str:
    demanded = _DEMANDED & set(required)
    absent: dict[str, set[str]] = {}
    spec = pod["spec"]
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        given = _compute(
            resourcelist.of_container(container, "requests"),
            resourcelist.of_container(container, "limits"),
        )
        for name in demanded - given.keys():
            absent.setdefault(name, set()).add(container["name"])
    if not absent:
        return ""
    words = [f"{name} for: {','.join(sorted(absent[name]))}" for name in sorted(absent)]
    return f"must specify {'; '.join(words)}"


def _pod_in_scope(requirement: Mapping, pod: Mapping) -> bool:
    spec = pod["spec"]
    match requirement["scopeName"]:
        case "Terminating":
            return _has_deadline(spec)
        case "NotTerminating":
            return not _has_deadline(spec)
        case "BestEffort":
            return _is_best_effort(spec)
        case "NotBestEffort":
            return not _is_best_effort(spec)
        case "PriorityClass":
            return _priority_matches(requirement, spec.get("priorityClassName") or "")
        case "CrossNamespacePodAffinity":
            return _looks_elsewhere(spec.get("affinity") or {})
    return False


def _has_deadline(spec: Mapping) -> bool:
    return spec.get("activeDeadlineSeconds") is not None


def _is_best_effort(spec: Mapping) -> bool:
    """Whether no container says anything of CPU or memory (qos.ComputePodQOS)."""
    parts = [spec, *(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return not any(
        parse_quantity(amounts[name])
        for one in parts
        for amounts in (resourcelist.of_container(one, part) for part in ("requests", "limits"))
        for name in ("cpu", "memory")
        if name in amounts
    )


def _priority_matches(requirement: Mapping, name: str) -> bool:
    if requirement.get("operator", "Exists") == "Exists":
        return bool(name)
    expression = {**requirement, "key": "PriorityClass"}
    selector = selectors.from_label_selector({"matchExpressions": [expression]})
    return selectors.matches(selector, {"PriorityClass": name} if name else {})


def _looks_elsewhere(affinity: Mapping) -> bool:
    """Whether a term of affinity is about Pods of other namespaces."""
    for kind in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(kind) or {}
        terms = list(rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ())
        for weighted in rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
            terms.append(weighted["podAffinityTerm"])
        if any(term.get("namespaces") or "namespaceSelector" in term for term in terms):
            return True
    return False


# Services.

_SERVICE_RESOURCES = (
    "count/services", "services", "services.nodeports", "services.loadbalancers",
)  # fmt: skip


def _service_usage(service: Mapping, now: float) -> Amounts:
    spec = service.get("spec") or {}
    ports, kind = spec.get("ports") or (), spec.get("type")
    if kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is False:
        ports = [port for port in ports if port.get("nodePort")]
    on_nodes = kind in ("NodePort", "LoadBalancer")
    return {
        "count/services": "1",
        "services": "1",
        "services.nodeports": str(len(ports) if on_nodes else 0),
        "services.loadbalancers": "1" if kind == "LoadBalancer" else "0",
    }


# PersistentVolumeClaims.

_CLAIMS, _STORAGE = "persistentvolumeclaims", "requests.storage"
_OF_CLASS = ".storageclass.storage.k8s.io/"
_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"


def _claim_matching(names: Iterable[str]) -> list[str]:
    plain = (f"count/{_CLAIMS}", _CLAIMS, _STORAGE)
    suffixes = (_OF_CLASS + _CLAIMS, _OF_CLASS + _STORAGE)
    return [name for name in names if name in plain or name.endswith(suffixes)]


def _claim_usage(claim: Mapping, now: float) -> Amounts:
    spec = claim.get("spec") or {}
    usage = {f"count/{_CLAIMS}": "1", _CLAIMS: "1"}
    storage = resourcelist.of_container(spec, "requests").get("storage")
    allocated = ((claim.get("status") or {}).get("allocatedResources") or {}).get("storage")
    if storage is not None:
        storage = resourcelist.larger(storage, allocated) if allocated else storage
        whole = quantity.value(storage)
        usage[_STORAGE] = quantity.format_quantity(whole, quantity.quantity_format(storage))
    annotations = claim["metadata"].get("annotations") or {}
    storage_class = annotations.get(_CLASS_ANNOTATION) or spec.get("storageClassName")
    if storage_class:
        for name in (_CLAIMS, _STORAGE):
            if name in usage:
                usage[storage_class + _OF_CLASS + name] = usage[name]
    return usage


_SPECIAL = {
    "pods": Evaluator(_pod_matching, _pod_usage, _pod_in_scope, _pod_missing),
    "services": Evaluator(
        lambda names: [name for name in names if name in _SERVICE_RESOURCES],
        _service_usage,
        operations=(CREATE, UPDATE),
    ),
    _CLAIMS: Evaluator(_claim_matching, _claim_usage, operations=(CREATE, UPDATE)),
}
