"""One watch of a resource for all controllers of a process.

Every controller wants to know Pods, and each Pod changes several times in its life.  The factory
hands out one informer for each (resource, scope), as upstream's SharedInformerFactory does, so that
a change crosses the API once, however many controllers there are.

Invariants: a handler that is added to a running informer first hears of all objects that are known
already; the handlers of a stopped controller hear nothing more; the factory, not its users, ends
the watches.  A controller that is built without a factory has one of its own and can run alone.
"""

from __future__ import annotations

import asyncio

from labkit.client import Client, Controller, EventRecorder, Informer
from labkit.client.informer import Handler, IndexFunction
from labkit.clock import Clock
from labkit.kube.resources import Resource

_FEW, _PER_SECOND, _LONGEST = 32, 2000, 1.0


def batch_delay(members: int) -> float:
    """Seconds to gather changes of the members of something before looking at it as a whole.

    Looking at n Pods for each change of one of them costs n² for a burst that changes all.  A few
    are looked at at once; of many, changes are gathered for as long as a look about takes.  (Here
    for upstream's limit on requests to the API, which has the same effect.)
    """
    return 0.0 if members <= _FEW else min(members / _PER_SECOND, _LONGEST)


class SharedInformer(Informer):
    """An informer with many users: it starts with the first and ends with its factory."""

    def add_handler(self, handler: Handler) -> None:
        """As an Informer's, at any time: what is known already is replayed."""
        super().add_handler(handler)
        for obj in list(self.store.values()):
            handler(None, obj)

    def remove_handler(self, handler: Handler) -> None:
        """Call `handler` no more."""
        if handler in self._handlers:
            self._handlers.remove(handler)

    def add_index(self, name: str, function: IndexFunction) -> None:
        """As an Informer's, at any time; the same name always means the same function."""
        if name in self._index_functions:
            return
        super().add_index(name, function)
        for key, obj in self.store.items():
            for value in function(obj):
                self._indexes[name][value].add(key)

    def start(self) -> None:
        """Begin to list and watch, once."""
        if self._task is None:
            super().start()

    async def stop(self) -> None:
        """Do nothing: other users may remain.  `InformerFactory.stop` ends the watch."""

    async def end(self) -> None:
        """End the watch for all users."""
        await super().stop()


class InformerFactory:
    """The shared informers of one process."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self.client, self.clock = client, clock
        self._informers: dict[tuple, SharedInformer] = {}

    def informer(self, resource: Resource, **scope: str) -> SharedInformer:
        """The informer of `resource` in `scope`, made on first use."""
        identity = (resource, *sorted(scope.items()))
        if identity not in self._informers:
            self._informers[identity] = SharedInformer(self.client, resource, self.clock, **scope)
        return self._informers[identity]

    async def end(self, informer: SharedInformer) -> None:
        """End one watch, of a resource that is no longer served; the next user has a new one."""
        self._informers = {k: one for k, one in self._informers.items() if one is not informer}
        await informer.end()

    async def stop(self) -> None:
        """End all watches.  Safe to repeat."""
        await asyncio.gather(*(informer.end() for informer in self._informers.values()))


class SharingController(Controller):
    """A controller on shared informers that records Events as `component`."""

    component = ""  # the Events' source; the controller's name where it is empty

    def __init__(
        self, client: Client, clock: Clock, informers: InformerFactory | None = None
    ) -> None:
        super().__init__(client, clock)
        self._own_informers = None if informers else InformerFactory(client, clock)
        self.informers = informers or self._own_informers
        self.events = EventRecorder(client, clock, self.component or self.name)
        self._handlers: list[tuple[SharedInformer, Handler]] = []

    def new_informer(self, resource: Resource, **scope: str) -> SharedInformer:
        """The informer that all controllers share."""
        return self.informers.informer(resource, **scope)

    def on_change(self, informer: SharedInformer, handler: Handler) -> None:
        """Call `handler(old, new)` for every change until this controller stops."""
        self._handlers.append((informer, handler))
        informer.add_handler(handler)

    def unwatch(self, informer: SharedInformer) -> None:
        """Hear no more of an informer."""
        for one, handler in self._handlers:
            if one is informer:
                informer.remove_handler(handler)
        self._handlers = [pair for pair in self._handlers if pair[0] is not informer]
        self._informers = [one for one in self._informers if one is not informer]

    async def stop(self) -> None:
        """End workers, delays and Events, and the watches if nobody shares them."""
        for informer, handler in self._handlers:
            informer.remove_handler(handler)
        await super().stop()
        await self.events.stop()
        if self._own_informers:
            await self._own_informers.stop()
