"""Affinity between Pods: the terms of a Pod, parsed once.

A term names Pods (by labels and namespaces) and a domain (by a label of nodes): "near Pods like
these" or "far from Pods like these".  Parsed terms are shared between Pods that ask for the same,
so that a node's hundred replicas are one thing to count, and compared by identity.

Source: k8s.io/kube-scheduler framework.AffinityTerm; documentation "Inter-pod affinity and
anti-affinity".  `matchLabelKeys` and `mismatchLabelKeys` are merged into the selector by the API
server, as upstream, and need nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import orjson

from labkit.kube import selectors

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """One PodAffinityTerm: the Pods it means, and the label of nodes that makes a domain."""

    key: str
    selector: selectors.Selector | None
    namespaces: frozenset[str]
    namespace_selector: selectors.Selector | None

    def matches(
        self, namespace: str, labels: Mapping[str, str], namespaces: Mapping[str, Mapping]
    ) -> bool:
        """Whether the term means a Pod; `namespaces` has the labels of each namespace."""
        if namespace not in self.namespaces and not selectors.matches(
            self.namespace_selector, namespaces.get(namespace)
        ):
            return False
        return selectors.matches(self.selector, labels)


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """All terms of a Pod; preferred anti-affinity has negative weights."""

    affinity: tuple[Term, ...] = ()
    anti: tuple[Term, ...] = ()
    preferred: tuple[tuple[int, Term], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.affinity or self.anti or self.preferred)

    def attracts(self, namespace: str, labels: Mapping[str, str], namespaces: Mapping) -> bool:
        """Whether all required affinity terms mean this Pod (and there are any)."""
        return bool(self.affinity) and all(
            term.matches(namespace, labels, namespaces) for term in self.affinity
        )

    def repels(self, namespace: str, labels: Mapping[str, str], namespaces: Mapping) -> bool:
        """Whether a required anti-affinity term means this Pod."""
        return any(term.matches(namespace, labels, namespaces) for term in self.anti)


NO_TERMS = Terms()


def terms_of(namespace: str, affinity: Mapping | None) -> Terms:
    """The terms of `spec.affinity` of a Pod in `namespace`."""
    if not affinity or not (affinity.get("podAffinity") or affinity.get("podAntiAffinity")):
        return NO_TERMS
    both = [affinity.get("podAffinity"), affinity.get("podAntiAffinity")]
    return _parsed(namespace, orjson.dumps(both, option=orjson.OPT_SORT_KEYS))


@lru_cache(maxsize=4096)
def _parsed(namespace: str, text: bytes) -> Terms:
    near, far = (each or {} for each in orjson.loads(text))
    return Terms(
        tuple(_terms(namespace, near.get(_REQUIRED))),
        tuple(_terms(namespace, far.get(_REQUIRED))),
        (*_weighted(namespace, near, 1), *_weighted(namespace, far, -1)),
    )


def _terms(namespace: str, given: Iterable[Mapping] | None) -> Iterable[Term]:
    for each in given or ():
        selector = each.get("namespaceSelector")
        own = not each.get("namespaces") and selector is None
        yield Term(
            each["topologyKey"],
            selectors.from_label_selector(each.get("labelSelector")),
            frozenset({namespace} if own else each.get("namespaces") or ()),
            selectors.from_label_selector(selector),
        )


def _weighted(namespace: str, given: Mapping, sign: int) -> Iterable[tuple[int, Term]]:
    for each in given.get(_PREFERRED) or ():
        for term in _terms(namespace, [each["podAffinityTerm"]]):
            yield sign * each["weight"], term
