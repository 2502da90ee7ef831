"""The TTL-after-finished controller: Jobs that have ended go when their time is over.

A Job with `spec.ttlSecondsAfterFinished` is deleted so long after its condition Complete or Failed
became true, with its Pods first (foreground).  Before that it is read anew, for the time may have
been changed.

Source: kube-controller-manager's ttlafterfinished controller; documentation "Automatic Cleanup for
Finished Jobs".
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.client import ApiError, Client
from labkit.clock import Clock
from labkit.controllers.informers import InformerFactory, SharingController
from labkit.kube import conditions, objects, times
from labkit.kube.resources import JOBS


class TTLAfterFinishedController(SharingController):
    """Deletes Jobs that ended long enough ago."""

    name = "ttl-after-finished-controller"
    workers = 5  # --concurrent-ttl-after-finished-syncs

    def __init__(
        self, client: Client, clock: Clock, informers: InformerFactory | None = None
    ) -> None:
        super().__init__(client, clock, informers)
        self._jobs = self.watch(JOBS)

    async def reconcile(self, key: str) -> float | None:
        """Delete one Job if its time is over; seconds until it is."""
        job = self._jobs.store.get(key)
        if job is None or (left := expires_in(job, self.clock.now())) is None:
            return None
        if left > 0:
            return left
        meta = job["metadata"]
        try:
            fresh = await self.client.get(JOBS, meta["name"], meta["namespace"])
            left = expires_in(fresh, self.clock.now())
            if left is None or left > 0:
                return left
            await self.client.delete(
                JOBS, meta["name"], meta["namespace"],
                propagation_policy="Foreground", uid=fresh["metadata"]["uid"],
            )  # fmt: skip
        except ApiError as error:
            if not error.not_found:
                raise
        return None


def expires_in(job: Mapping, now: float) -> float | None:
    """Seconds until a Job is to be deleted; None for one that is not."""
    ttl = job["spec"].get("ttlSecondsAfterFinished")
    if ttl is None or objects.is_deleting(job):
        return None
    for kind in ("Complete", "Failed"):
        if conditions.is_true(job, kind):
            return times.parse(conditions.get(job, kind)["lastTransitionTime"]) + ttl - now
    return None
