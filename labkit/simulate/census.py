"""The Pods under load, counted as they change, for the rows of a recording.

A row says how many Pods run and what they request and use.  A look at all of them each second would
cost more than the simulation where they are thousands, so the sums are kept from change to change.

Invariant: a row is what `labkit.observe.sample.sample` makes of the same Pods and metrics.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from fractions import Fraction

from labkit.kube import objects, selectors
from labkit.observe.sample import PodTraits, pod_traits, used


class Census:
    """Counts the Pods of `namespace` that the label `selector` finds.

    `changed` is an informer's handler, `measured` is told the PodMetrics of all Pods.
    """

    def __init__(self, namespace: str, selector: Mapping) -> None:
        self._namespace, self._selector = namespace, selectors.from_label_selector(selector)
        self.counts: Counter[PodTraits] = Counter()  # of those that neither ended nor are ending
        self._traits: dict[str, PodTraits | None] = {}  # by key
        self._used: dict[str, Fraction] = {}  # cores, by key, as they were last measured
        self._sum = Fraction(0)
        self.changes = 0  # how often something has changed

    @property
    def used(self) -> Fraction | None:
        """The cores that all of them use, None if that is not known."""
        return self._sum if self._used else None

    def covers(self, pod: Mapping) -> bool:
        """Whether the Pod is one of them."""
        same = pod["metadata"]["namespace"] == self._namespace
        return same and selectors.matches(self._selector, objects.labels(pod))

    def changed(self, old: Mapping | None, new: Mapping | None) -> None:
        """Count `new` in place of `old`."""
        self.changes += 1
        key = objects.key(new or old)
        if before := self._traits.pop(key, None):
            self.counts[before] -= 1
        if new is None or not self.covers(new):
            self._sum -= self._used.pop(key, 0)
            return
        self._traits[key] = after = pod_traits(new)
        if after:
            self.counts[after] += 1

    def measured(self, items: Iterable[Mapping]) -> None:
        """The Pods have been measured anew."""
        self.changes += 1
        known = ((objects.key(one), one) for one in items)
        self._used = {key: used([one]) for key, one in known if key in self._traits}
        self._sum = sum(self._used.values(), Fraction(0))
