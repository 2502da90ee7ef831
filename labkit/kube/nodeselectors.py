"""Which Nodes a Pod's spec allows: `nodeSelector` and required node affinity.

Source: documentation "Assigning Pods to Nodes"; k8s.io/component-helpers
scheduling/corev1/nodeaffinity.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labkit.kube import selectors

_OPERATORS = {
    "In": "in",
    "NotIn": "notin",
    "Exists": "exists",
    "DoesNotExist": "!",
    "Gt": "gt",
    "Lt": "lt",
}


def allows(spec: Mapping, labels: Mapping[str, str], name: str) -> bool:
    """Whether a Pod of this spec may be on the Node with these labels and this name."""
    wanted = spec.get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or matches(required, labels, name)


def matches(selector: Mapping, labels: Mapping[str, str], name: str) -> bool:
    """A NodeSelector: any of its terms holds."""
    return any(matches_term(term, labels, name) for term in selector.get("nodeSelectorTerms") or ())


def matches_term(term: Mapping, labels: Mapping[str, str], name: str) -> bool:
    """One NodeSelectorTerm: all its requirements hold; an empty term matches nothing."""
    expressions = term.get("matchExpressions") or ()
    fields = term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    return all(need.matches(labels) for need in _requirements(expressions)) and all(
        need.matches({"metadata.name": name}) for need in _requirements(fields)
    )


def _requirements(expressions: Iterable[Mapping]) -> list[selectors.Requirement]:
    return [
        selectors.Requirement(
            each["key"], _OPERATORS[each["operator"]], frozenset(each.get("values") or ())
        )
        for each in expressions
    ]
