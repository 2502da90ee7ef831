"""Writes the statuses of Pods, each only when it changed, and never two at once of one Pod.

`set` never waits: it replaces what is to be written.  While a write is under way later statuses
replace each other, so that a burst of changes costs two writes.  Where the API server cannot be
reached the newest status waits for it; the kubelet goes on meanwhile.

Source: kubelet's status.Manager.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from labkit.client import ApiError, Client
from labkit.clock import Clock
from labkit.kube.resources import PODS
from labkit.kubelet.status import status_patch

log = logging.getLogger(__name__)

_FIRST_RETRY, _LAST_RETRY = 0.1, 5.0


class StatusManager:
    """`written(pod)` is called with the Pod as the API server answered."""

    def __init__(self, client: Client, clock: Clock, written: Callable[[Mapping], None]) -> None:
        self._client, self._clock, self._on_written = client, clock, written
        self._wanted: dict[str, tuple[Mapping, dict]] = {}  # by uid: the Pod and its status to be
        self._tasks: dict[str, asyncio.Task] = {}

    def set(self, pod: Mapping, status: dict) -> None:
        """Have `status` written unless the API has it.  `pod` is the newest known object."""
        uid = pod["metadata"]["uid"]
        if uid not in self._tasks and not status_patch(pod.get("status") or {}, status):
            return
        self._wanted[uid] = pod, status
        if uid not in self._tasks:
            task = asyncio.create_task(self._write_all(uid), name=f"status {uid}")
            self._tasks[uid] = task
            task.add_done_callback(lambda _: self._tasks.pop(uid, None))

    async def written(self, uid: str) -> None:
        """Return when nothing is left to be written of the Pod `uid`."""
        while task := self._tasks.get(uid):
            await asyncio.wait([task])

    def forget(self, uid: str) -> None:
        """The Pod is gone: nothing is to be written any more."""
        self._wanted.pop(uid, None)
        task = self._tasks.get(uid)
        if task:
            task.cancel()

    async def stop(self) -> None:
        """End all writes.  Safe to repeat."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _write_all(self, uid: str) -> None:
        delay, answer = _FIRST_RETRY, None
        while uid in self._wanted:
            pod, status = self._wanted.pop(uid)
            try:
                # What was just answered is newer than the object that came with the request.
                answer = await self._write(answer or pod, status)
                delay = _FIRST_RETRY
            except (ApiError, OSError) as error:
                if isinstance(error, ApiError) and error.code < 500 and error.code != 429:
                    # Gone, or not the Pod it was: whatever it is, it will be heard of.
                    log.info("status refused pod=%s error=%s", pod["metadata"]["name"], error)
                    continue
                log.info("status not written pod=%s error=%s", pod["metadata"]["name"], error)
                self._wanted.setdefault(uid, (pod, status))
                await self._clock.sleep(delay)
                delay = min(delay * 2, _LAST_RETRY)

    async def _write(self, pod: Mapping, status: dict) -> Mapping:
        patch = status_patch(pod.get("status") or {}, status)
        if not patch:
            return pod
        meta = pod["metadata"]
        answer = await self._client.patch(
            PODS,
            meta["name"],
            # The uid is a precondition: never write to a namesake that came later.
            {"metadata": {"uid": meta["uid"]}, "status": patch},
            meta["namespace"],
            kind="strategic",
            subresource="status",
        )
        self._on_written(answer)
        return answer
