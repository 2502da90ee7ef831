"""What a controller has ordered but not yet seen in its cache.

A cache lags behind the API.  A controller that has just created three Pods and looks into a cache
without them would create three more.  So it notes what it ordered, and acts on that object again
only when the watch has shown all of it (or after five minutes, should an event be lost for ever).

Creations are counted, for their names are not known before; deletions are kept by UID, because one
deletion is seen twice: when the deletionTimestamp is set and when the object is gone.

Source: client-go-style ControllerExpectations and UIDTrackingControllerExpectations of
kube-controller-manager.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from labkit.clock import Clock

TIMEOUT = 300.0  # seconds; ExpectationsTimeout


@dataclass(slots=True)
class _Pending:
    creations: int = 0
    deletions: set[str] = field(default_factory=set)
    since: float = 0.0


class Expectations:
    """Outstanding creations and deletions by the key of the object that ordered them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pending: dict[str, _Pending] = {}

    def expect_creations(self, key: str, count: int) -> None:
        """`count` creations are about to be ordered for `key`."""
        self._renewed(key).creations += count

    def expect_deletions(self, key: str, uids: Iterable[str]) -> None:
        """The deletion of the objects with these UIDs is about to be ordered for `key`."""
        self._renewed(key).deletions.update(uids)

    def creations_observed(self, key: str, count: int = 1) -> None:
        """The watch showed `count` creations, or they failed and will never come."""
        if pending := self._pending.get(key):
            pending.creations = max(0, pending.creations - count)

    def deletion_observed(self, key: str, uid: str) -> None:
        """The watch showed the deletion, or it failed and will never come."""
        if pending := self._pending.get(key):
            pending.deletions.discard(uid)

    def satisfied(self, key: str) -> bool:
        """Whether the cache shows all that was ordered, so that `key` may be acted on."""
        pending = self._pending.get(key)
        if pending is None or not (pending.creations or pending.deletions):
            return True
        return self.expires_in(key) <= 0

    def expires_in(self, key: str) -> float:
        """Seconds until `key` may be acted on whatever the watch showed."""
        pending = self._pending.get(key)
        return pending.since + TIMEOUT - self._clock.monotonic() if pending else 0.0

    def forget(self, key: str) -> None:
        """The object is gone, and what it ordered with it."""
        self._pending.pop(key, None)

    def _renewed(self, key: str) -> _Pending:
        if self.satisfied(key):
            self._pending[key] = _Pending(since=self._clock.monotonic())
        return self._pending[key]
