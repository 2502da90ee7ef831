"""What the API server does so that a Pod can be scheduled: scheduling gates and label keys.

A Pod with gates is not scheduled, and says so; gates can be removed, not added.  Until the last
one is gone, its node selector and its node affinity may become narrower.

`matchLabelKeys` and `mismatchLabelKeys` stand for labels of the Pod itself; a new Pod has them
merged into its selectors, so that the scheduler knows nothing of them.

Source: k8s.io/kubernetes pkg/registry/core/pod/strategy.go; ValidatePodUpdate of pkg/apis/core.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from labkit.apiserver.fields import FieldError, forbidden, invalid
from labkit.kube import conditions, objects

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_BLOCKED = "Scheduling is blocked due to non-empty scheduling gates"


def prepare(obj: dict) -> None:
    """Complete a new Pod, which has its `status` already."""
    spec = obj.get("spec") or {}
    if spec.get("schedulingGates"):
        now = obj["metadata"]["creationTimestamp"]
        obj["status"]["conditions"] = conditions.updated(
            None, "PodScheduled", "False", "SchedulingGated", _BLOCKED, now
        )
    labels = objects.labels(obj)
    for term in _terms(spec.get("affinity") or {}):
        _merge(term, "matchLabelKeys", "In", labels)
        _merge(term, "mismatchLabelKeys", "NotIn", labels)
    for constraint in spec.get("topologySpreadConstraints") or ():
        _merge(constraint, "matchLabelKeys", "In", labels)


def _terms(affinity: Mapping) -> Iterator[dict]:
    for kind in ("podAffinity", "podAntiAffinity"):
        given = affinity.get(kind) or {}
        yield from given.get(_REQUIRED) or ()
        for each in given.get(_PREFERRED) or ():
            yield each.get("podAffinityTerm") or {}


def _merge(term: dict, field: str, operator: str, labels: Mapping[str, str]) -> None:
    keys = [key for key in term.get(field) or () if key in labels]
    if term.get("labelSelector") is None or not keys:
        return  # a selector that is not there selects nothing, whatever is added
    term["labelSelector"]["matchExpressions"] = [
        *(term["labelSelector"].get("matchExpressions") or ()),
        *({"key": key, "operator": operator, "values": [labels[key]]} for key in keys),
    ]


def validate_update(spec: Mapping, old: Mapping) -> list[FieldError]:
    """What a change of the gates, and of what they allow to change, must not be."""
    before = {gate.get("name") for gate in old.get("schedulingGates") or ()}
    errors = [
        forbidden(
            f"spec.schedulingGates[{index}].name",
            f"only deletion is allowed, but found new scheduling gate '{gate.get('name', '')}'",
        )
        for index, gate in enumerate(spec.get("schedulingGates") or ())
        if gate.get("name") not in before
    ]
    if before:
        errors += _selector(spec.get("nodeSelector") or {}, old.get("nodeSelector") or {})
        errors += _affinity(*(each.get("affinity") or {} for each in (spec, old)))
    return errors


def _selector(new: Mapping, old: Mapping) -> list[FieldError]:
    if old.items() <= new.items():
        return []
    why = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
    return [invalid("spec.nodeSelector", dict(new), why)]


def _affinity(new: Mapping, old: Mapping) -> list[FieldError]:
    """Requirements may be added to the terms that there are."""
    terms, before = (
        ((each.get("nodeAffinity") or {}).get(_REQUIRED) or {}).get("nodeSelectorTerms") or []
        for each in (new, old)
    )
    path = f"spec.affinity.nodeAffinity.{_REQUIRED}.nodeSelectorTerms"
    if not before:
        return []
    if len(terms) != len(before):
        why = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        return [invalid(path, terms, why)]
    why = "only additions are allowed (no mutations or deletions)"
    return [
        invalid(f"{path}[{index}]", term, why)
        for index, (term, was) in enumerate(zip(terms, before, strict=True))
        if not all(
            (was.get(field) or []) == (term.get(field) or [])[: len(was.get(field) or [])]
            for field in ("matchExpressions", "matchFields")
        )
    ]


def without(spec: Mapping, gated: bool) -> dict:
    """The spec without what is judged here, for a Pod that had gates; else all of it."""
    if not gated:
        return dict(spec)
    kept = {
        key: value for key, value in spec.items() if key not in ("schedulingGates", "nodeSelector")
    }
    affinity = {k: v for k, v in (kept.pop("affinity", None) or {}).items() if k != "nodeAffinity"}
    return {**kept, **({"affinity": affinity} if affinity else {})}
