"""Events: what a component tells people about an object.

An Event that repeats within ten minutes becomes one object with a growing `count`.  Recording never
fails and never waits: events are sent by a task in the background, from a bounded queue; when the
queue is full the event is dropped, for an Event is advice and never state.

Source: client-go tools/record (EventRecorder, EventCorrelator).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from labkit.client.client import Client
from labkit.client.errors import ApiError
from labkit.clock import Clock
from labkit.kube import objects
from labkit.kube.resources import EVENTS

log = logging.getLogger(__name__)

NORMAL, WARNING = "Normal", "Warning"
_QUEUE = 1000
_KNOWN = 4096
_SAME_FOR = 600.0  # seconds
_TELL_EVERY = 60.0  # seconds, that Events are dropped


class EventRecorder:
    """Records Events as `component` (and `host`, the node's name, for a kubelet)."""

    def __init__(self, client: Client, clock: Clock, component: str, host: str = "") -> None:
        self.client, self.clock = client, clock
        self.source = {"component": component, **({"host": host} if host else {})}
        self._queue: asyncio.Queue[dict] = asyncio.Queue(_QUEUE)
        self._known: dict[tuple, tuple[float, dict]] = {}
        self._task: asyncio.Task | None = None
        self._serial, self._told = 0, -_TELL_EVERY

    def event(self, obj: Mapping, kind: str, reason: str, message: str, field: str = "") -> None:
        """Record that something happened to `obj`.

        `kind` is NORMAL or WARNING, `reason` a constant in CamelCase; `field` is the involved
        part of the object (`spec.containers{web}`).
        """
        reference = objects.object_reference(obj)
        if field:
            reference["fieldPath"] = field
        draft = {"involvedObject": reference, "type": kind, "reason": reason, "message": message}
        try:
            self._queue.put_nowait(draft)
        except asyncio.QueueFull:
            now = self.clock.monotonic()
            if now - self._told >= _TELL_EVERY:  # one of many
                self._told = now
                log.warning("events dropped, as reason=%s object=%s", reason, reference["name"])
        if self._task is None:
            self._task = asyncio.create_task(self._send_all(), name="event recorder")

    async def stop(self) -> None:
        """Stop sending.  Safe to repeat."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _send_all(self) -> None:
        while True:
            draft = await self._queue.get()
            try:
                await self._send(draft)
            except (ApiError, OSError) as error:
                log.info("event not recorded reason=%s error=%s", draft["reason"], error)

    async def _send(self, draft: dict) -> None:
        reference = draft["involvedObject"]
        identity = (
            reference["kind"], reference.get("namespace"), reference["name"],
            reference.get("uid"), reference.get("fieldPath"),
            draft["type"], draft["reason"], draft["message"],
        )  # fmt: skip
        now, known = self.clock.now(), self._known.get(identity)
        if known and now - known[0] < _SAME_FOR:
            event = await self._repeat(known[1])
        else:
            event = None
        if event is None:
            event = await self.client.create(EVENTS, self._new(draft))
        if len(self._known) >= _KNOWN:
            self._known.clear()
        self._known[identity] = (now, event)

    async def _repeat(self, event: dict) -> dict | None:
        """Count one more; None where the Event has expired meanwhile."""
        meta = event["metadata"]
        patch = {"count": event["count"] + 1, "lastTimestamp": self.clock.timestamp()}
        try:
            return await self.client.patch(EVENTS, meta["name"], patch, meta["namespace"])
        except ApiError as error:
            if error.not_found:
                return None
            raise

    def _new(self, draft: dict) -> dict:
        reference, now = draft["involvedObject"], self.clock.timestamp()
        self._serial += 1
        # Unique as upstream makes it: the object's name and the time in hexadecimal nanoseconds.
        suffix = f"{int(self.clock.now() * 1e9) + self._serial:x}"
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{reference['name']}.{suffix}",
                "namespace": reference.get("namespace") or "default",
            },
            **draft,
            "source": self.source,
            "reportingComponent": self.source["component"],
            "reportingInstance": self.source.get("host", ""),
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
