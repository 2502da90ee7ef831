"""The frame of every controller: informers feed a work queue, workers reconcile its keys.

A controller is one file with `reconcile(key)`: read all the state that matters (from informers or
the API), write the difference, return after how many seconds to look again (or None).  It never
branches on an event's type and never changes a cached object.

Source: kubernetes/sample-controller and controller-runtime's FAQ.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

from labkit.client.client import Client
from labkit.client.errors import ApiError
from labkit.client.informer import Handler, Informer
from labkit.client.workqueue import WorkQueue
from labkit.clock import Clock
from labkit.kube import objects
from labkit.kube.resources import Resource

log = logging.getLogger(__name__)


class Controller:
    """Subclasses set `name`, call `watch` in `__init__` and implement `reconcile`.

    Lifecycle: `start` returns when all informers have synced and the workers run; `stop` ends
    everything.  Keys of failed reconciliations come back with exponential back-off.
    """

    name = "controller"
    workers = 1

    def __init__(self, client: Client, clock: Clock) -> None:
        self.client, self.clock = client, clock
        self.queue = WorkQueue(clock)
        self._informers: list[Informer] = []
        self._tasks: list[asyncio.Task] = []

    def watch(
        self,
        resource: Resource,
        keys: Callable[[Mapping], Iterable[str]] | None = None,
        *,
        enqueue: bool = True,
        **scope: str,
    ) -> Informer:
        """An informer whose changes enqueue `keys(obj)`, the object's own key by default.

        Both the old and the new object's keys are enqueued, so that an object that moves from one
        owner to another wakes both.  With `enqueue=False` it is only a cache.  `scope` is an
        Informer's namespace, label_selector, field_selector.
        """
        informer = self.new_informer(resource, **scope)
        self._informers.append(informer)
        if enqueue:
            keys = keys or (lambda obj: (objects.key(obj),))

            def handler(old: Mapping | None, new: Mapping | None) -> None:
                for obj in (old, new):
                    for key in keys(obj) if obj else ():
                        self.queue.add(key)

            self.on_change(informer, handler)
        return informer

    def new_informer(self, resource: Resource, **scope: str) -> Informer:
        """Where `watch` gets its informers: here one of its own for each call."""
        return Informer(self.client, resource, self.clock, **scope)

    def on_change(self, informer: Informer, handler: Handler) -> None:
        """Call `handler(old, new)` for the changes of one of this controller's informers."""
        informer.add_handler(handler)

    async def reconcile(self, key: str) -> float | None:
        """Make the world as `key` wants it; seconds until the next look, or None."""
        raise NotImplementedError

    async def start(self) -> None:
        """Start the informers, wait until they have synced, start the workers."""
        for informer in self._informers:
            informer.start()
        await asyncio.gather(*(informer.synced() for informer in self._informers))
        for number in range(self.workers):
            task = asyncio.create_task(self._work(), name=f"{self.name} worker {number}")
            self._tasks.append(task)

    async def stop(self) -> None:
        """End workers, delays and watches.  Safe to repeat."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self.queue.close()
        await asyncio.gather(*(informer.stop() for informer in self._informers))

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            try:
                again = await self.reconcile(key)
            except Exception as error:
                self._failed(key, error)
            else:
                self.queue.forget(key)
                if again is not None:
                    self.queue.add_after(key, again)
            finally:
                self.queue.done(key)

    def _failed(self, key: str, error: Exception) -> None:
        delay = self.queue.retry(key)
        if isinstance(error, ApiError | OSError):
            # Conflicts and restarts of the server are the normal life of a controller.
            log.info(
                "reconcile again controller=%s key=%s delay=%.3f error=%s",
                self.name, key, delay, error,
            )  # fmt: skip
        else:
            log.exception("reconcile failed controller=%s key=%s", self.name, key)
