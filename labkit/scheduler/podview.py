"""What the scheduler needs to know of a Pod, read once.

Source: k8s.io/component-helpers resource.PodRequests: the containers' requests are added up; init
containers run before and one by one, so that only the largest of them counts, but those with
`restartPolicy: Always` (sidecars) stay.  For scores a container that requests nothing counts as
100m CPU and 200 MiB, so that such Pods spread too (GetNonzeroRequests).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import orjson

from labkit.kube import conditions, objects, quantity
from labkit.kube.encoding import compact
from labkit.scheduler.affinity import Terms, terms_of

CPU, MEMORY, STORAGE, PODS = "cpu", "memory", "ephemeral-storage", "pods"
DEFAULT_CPU, DEFAULT_MEMORY = 100, 200 * 1024 * 1024  # millicores, bytes

PREEMPTED = "PreemptionByScheduler"

LabelSet = frozenset[tuple[str, str]]
Amounts = Mapping[str, int]  # CPU in millicores, everything else in whole units


@dataclass(frozen=True, slots=True)
class PodView:
    """A Pod as the scheduler sees it.

    `signature` is equal for Pods that differ in nothing that a filter or a score looks at, such as
    the Pods of one ReplicaSet.
    """

    key: str
    uid: str
    namespace: str
    labels: Mapping[str, str]
    label_set: LabelSet
    requests: Amounts
    nonzero: tuple[int, int]  # CPU, memory
    ports: tuple[tuple[str, str, int], ...]  # (hostIP, protocol, hostPort)
    images: tuple[str, ...]
    spec: Mapping
    priority: int
    deleting: bool
    preempted: bool  # deleting, to make room for another
    started: str  # RFC 3339; empty until the kubelet has it
    nominated: str  # the node where others are made to leave for it
    terms: Terms
    signature: bytes

    @property
    def never_preempts(self) -> bool:
        """Whether it waits its turn though it has a high priority."""
        return self.spec.get("preemptionPolicy") == "Never"


def view(pod: Mapping) -> PodView:
    """Read a Pod."""
    spec, meta, status = pod["spec"], pod["metadata"], pod.get("status") or {}
    namespace, deleting = meta.get("namespace") or "default", objects.is_deleting(pod)
    containers = [*(spec.get("initContainers") or ()), *spec["containers"]]
    return PodView(
        key=objects.key(pod),
        uid=meta.get("uid") or objects.key(pod),
        namespace=namespace,
        labels=objects.labels(pod),
        label_set=frozenset(objects.labels(pod).items()),
        requests=pod_requests(spec),
        nonzero=_nonzero(spec),
        ports=tuple(_ports(spec["containers"])),
        images=tuple(container.get("image") or "" for container in containers),
        spec=spec,
        priority=spec.get("priority") or 0,
        deleting=deleting,
        preempted=deleting and _was_preempted(pod),
        started=status.get("startTime") or "",
        nominated=status.get("nominatedNodeName") or "",
        terms=terms_of(namespace, spec.get("affinity")),
        signature=_signature(pod),
    )


def _was_preempted(pod: Mapping) -> bool:
    """PreemptionByScheduler is the reason of the condition that a victim gets."""
    condition = conditions.get(pod, "DisruptionTarget") or {}
    return condition.get("status") == "True" and condition.get("reason") == PREEMPTED


_OF_POD = (
    "nodeName", "nodeSelector", "affinity", "tolerations", "topologySpreadConstraints",
    "overhead", "resources",
)  # fmt: skip
_OF_CONTAINER = ("image", "resources", "ports", "restartPolicy")


def _signature(pod: Mapping) -> bytes:
    spec, meta = pod["spec"], pod["metadata"]
    owner = objects.controller_of(pod)
    parts = [meta.get("namespace"), meta.get("labels"), owner and owner["uid"]]
    parts += [spec.get(field) for field in _OF_POD]
    for container in (*(spec.get("initContainers") or ()), *spec["containers"]):
        parts.append([container.get(field) for field in _OF_CONTAINER])
    return compact(parts, orjson.OPT_SORT_KEYS)


def pod_requests(spec: Mapping) -> dict[str, int]:
    """What a Pod takes from its node: cpu in millicores, the rest in whole units."""
    total: dict[str, int] = {}
    for container in spec["containers"]:
        _add(total, _requests(container))
    sidecars: dict[str, int] = {}
    largest: dict[str, int] = {}
    for container in spec.get("initContainers") or ():
        requests = _requests(container)
        if container.get("restartPolicy") == "Always":
            _add(total, requests)
            _add(sidecars, requests)
            requests = sidecars
        else:
            requests = _sum(requests, sidecars)
        _maximum(largest, requests)
    _maximum(total, largest)
    total |= amounts((spec.get("resources") or {}).get("requests"))
    _add(total, amounts(spec.get("overhead")))
    return total


def _nonzero(spec: Mapping) -> tuple[int, int]:
    assumed = {
        "containers": [_with_defaults(each) for each in spec["containers"]],
        "initContainers": [_with_defaults(each) for each in spec.get("initContainers") or ()],
        "resources": spec.get("resources"),
        "overhead": spec.get("overhead"),
    }
    total = pod_requests(assumed)
    return total[CPU], total[MEMORY]


def _with_defaults(container: Mapping) -> dict:
    given = (container.get("resources") or {}).get("requests") or {}
    requests = {CPU: f"{DEFAULT_CPU}m", MEMORY: DEFAULT_MEMORY, **given}
    return {**container, "resources": {"requests": requests}}


def _requests(container: Mapping) -> dict[str, int]:
    return amounts((container.get("resources") or {}).get("requests"))


def amounts(resources: Mapping | None) -> dict[str, int]:
    """A ResourceList as whole numbers: millicores for cpu, whole units for all else."""
    return {name: _amount(name, text) for name, text in (resources or {}).items()}


@lru_cache(maxsize=4096)
def _amount(name: str, text: str | int | float) -> int:
    return quantity.milli_value(text) if name == CPU else quantity.value(text)


def _ports(containers: Iterable[Mapping]) -> Iterable[tuple[str, str, int]]:
    for container in containers:
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                address = port.get("hostIP") or "0.0.0.0"
                yield address, port.get("protocol") or "TCP", port["hostPort"]


def _add(total: dict[str, int], more: Amounts) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _sum(one: Amounts, other: Amounts) -> dict[str, int]:
    total = dict(one)
    _add(total, other)
    return total


def _maximum(total: dict[str, int], other: Amounts) -> None:
    for name, amount in other.items():
        total[name] = max(total.get(name, 0), amount)
