"""LimitRanger: what a namespace's LimitRanges add to Pods, and what they refuse.

Source: k8s.io/kubernetes plugin/pkg/admission/limitranger, with its messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from labkit.apiserver.admission.attributes import CREATE, Attributes
from labkit.kube import resourcelist
from labkit.kube.quantity import canonical, parse_quantity
from labkit.kube.resourcelist import Amounts
from labkit.kube.resources import LIMIT_RANGES, PERSISTENT_VOLUME_CLAIMS, PODS

_ANNOTATION = "kubernetes.io/limit-ranger"


def admit(a: Attributes) -> None:
    """Give containers the requests and limits that they lack."""
    if a.pod_spec is None:
        return
    for limit_range in a.others(LIMIT_RANGES):
        add_defaults(limit_range, a.obj)


def validate(a: Attributes) -> None:
    """Raises ApiError 403 for what is below a minimum or above a maximum."""
    if a.row.resource == PODS and a.operation == CREATE:
        problems = pod_problems
    elif a.row.resource == PERSISTENT_VOLUME_CLAIMS:
        problems = claim_problems
    else:
        return
    for limit_range in a.others(LIMIT_RANGES):
        if found := list(problems(limit_range, a.obj)):
            raise a.forbidden(found[0] if len(found) == 1 else f"[{', '.join(found)}]")


def _items(limit_range: Mapping, kind: str) -> Iterator[Mapping]:
    for item in (limit_range.get("spec") or {}).get("limits") or ():
        if item["type"] == kind:
            yield item


# Defaults.


def add_defaults(limit_range: Mapping, pod: dict) -> None:
    """Fill in requests and limits, and say so in an annotation."""
    defaults: dict[str, dict[str, str]] = {"requests": {}, "limits": {}}
    for item in _items(limit_range, "Container"):
        defaults["requests"] |= item.get("defaultRequest") or {}
        defaults["limits"] |= item.get("default") or {}
    words = [
        f"{', '.join(added)} {part[:-1]} for {kind} {container.get('name', '')}"
        for kind, containers in _containers(pod["spec"])
        for container in containers
        for part in ("requests", "limits")
        if (added := _fill(container, part, defaults[part]))
    ]
    if words:
        annotations = pod["metadata"].setdefault("annotations", {})
        annotations[_ANNOTATION] = f"LimitRanger plugin set: {'; '.join(words)}"


def _containers(spec: Mapping) -> Iterator[tuple[str, Iterable[dict]]]:
    yield "container", spec.get("containers") or ()
    yield "init container", spec.get("initContainers") or ()


def _fill(container: dict, part: str, defaults: Amounts) -> list[str]:
    """The names that the container had no amount of."""
    resources = container.setdefault("resources", {})
    missing = {name: defaults[name] for name in defaults if name not in resources.get(part, {})}
    if missing:
        resources[part] = {**resources.get(part, {}), **missing}
    return sorted(missing)


# Rules.


def pod_problems(limit_range: Mapping, pod: Mapping) -> Iterator[str]:
    """What a LimitRange has against a Pod: in its containers, then in their sum."""
    spec = pod["spec"]
    for item in (limit_range.get("spec") or {}).get("limits") or ():
        if item["type"] == "Container":
            for _, containers in _containers(spec):
                for container in containers:
                    requests = resourcelist.of_container(container, "requests")
                    limits = resourcelist.of_container(container, "limits")
                    yield from _problems(item, requests, limits)
        elif item["type"] == "Pod":
            requests, limits = resourcelist.pod_requests(spec), resourcelist.pod_limits(spec)
            yield from _problems(item, requests, limits)


def claim_problems(limit_range: Mapping, claim: Mapping) -> Iterator[str]:
    """What a LimitRange has against the storage that a PersistentVolumeClaim asks for."""
    requests = resourcelist.of_container(claim.get("spec") or {}, "requests")
    for item in _items(limit_range, "PersistentVolumeClaim"):
        kind = item["type"]
        for name, bound in sorted((item.get("min") or {}).items()):
            yield from _too_little(kind, name, bound, requests, {})
        for name, bound in sorted((item.get("max") or {}).items()):
            if name not in requests:
                yield f"{_usage('maximum', name, kind, bound)}.  No request is specified"
            elif parse_quantity(requests[name]) > parse_quantity(bound):
                asked = canonical(requests[name])
                yield f"{_usage('maximum', name, kind, bound)}, but request is {asked}"


def _problems(item: Mapping, requests: Amounts, limits: Amounts) -> Iterator[str]:
    kind = item["type"]
    for rule, check in _RULES:
        for name, bound in sorted((item.get(rule) or {}).items()):
            yield from check(kind, name, bound, requests, limits)


def _usage(which: str, name: str, kind: str, bound: str) -> str:
    return f"{which} {name} usage per {kind} is {canonical(bound)}"


def _too_little(
    kind: str, name: str, bound: str, requests: Amounts, limits: Amounts
) -> Iterator[str]:
    rule = _usage("minimum", name, kind, bound)
    if name not in requests:
        yield f"{rule}.  No request is specified"
    elif parse_quantity(requests[name]) < parse_quantity(bound):
        yield f"{rule}, but request is {canonical(requests[name])}"
    elif name in limits and parse_quantity(limits[name]) < parse_quantity(bound):
        yield f"{rule}, but limit is {canonical(limits[name])}"


def _too_much(
    kind: str, name: str, bound: str, requests: Amounts, limits: Amounts
) -> Iterator[str]:
    rule = _usage("maximum", name, kind, bound)
    if name not in limits:
        yield f"{rule}.  No limit is specified"
    elif parse_quantity(limits[name]) > parse_quantity(bound):
        yield f"{rule}, but limit is {canonical(limits[name])}"
    elif name in requests and parse_quantity(requests[name]) > parse_quantity(bound):
        yield f"{rule}, but request is {canonical(requests[name])}"


def _too_far_apart(
    kind: str, name: str, bound: str, requests: Amounts, limits: Amounts
) -> Iterator[str]:
    rule = f"{name} max limit to request ratio per {kind} is {canonical(bound)}"
    request, limit = parse_quantity(requests.get(name, "0")), parse_quantity(limits.get(name, "0"))
    if not request:
        yield f"{rule}, but no request is specified or request is 0"
    elif not limit:
        yield f"{rule}, but no limit is specified or limit is 0"
    elif limit / request > parse_quantity(bound):
        yield f"{rule}, but provided ratio is {float(limit / request):.6f}"


_RULES = (
    ("min", _too_little),
    ("max", _too_much),
    ("maxLimitRequestRatio", _too_far_apart),
)
