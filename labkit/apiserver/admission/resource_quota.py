"""ResourceQuota: new objects must fit into what their namespace has left.

Whoever creates an object first adds its usage to `status.used` of the quotas that it falls under,
by a write that fails if the quota has changed meanwhile.  Requests of one namespace that arrive
while such a write is under way wait together, are checked one after the other against a running
copy, and are charged by one write.  Two requests therefore never both get the last place.

What is charged for an object that in the end is not stored, and what deleted objects give back, is
found by the quota controller, which counts what is there.

Source: k8s.io/apiserver admission/plugin/resourcequota (controller.go), with its messages.  Left
out: limited resources (quotas that must exist).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from labkit.apiserver import statuses
from labkit.apiserver.admission.attributes import UPDATE, Attributes
from labkit.apiserver.state import State
from labkit.kube import objects, resourcelist
from labkit.kube.quantity import parse_quantity
from labkit.kube.quotas import Evaluator, evaluator
from labkit.kube.resources import RESOURCE_QUOTAS

_RETRIES = 3


class Refused(Exception):
    """A quota does not admit the object; the message says why."""


@dataclass(frozen=True)
class Charge:
    """What a request wants of its namespace's quotas, at one time (seconds of the epoch)."""

    evaluator: Evaluator
    obj: Mapping
    old: Mapping | None
    now: float


def charged(quotas: Sequence[Mapping], charge: Charge) -> list[Mapping]:
    """The quotas as they are once the request has been charged.  Raises Refused."""
    kind, obj = charge.evaluator, charge.obj
    concerned = {index for index, quota in enumerate(quotas) if _concerns(quota, kind, obj)}
    if not concerned:
        return list(quotas)
    usage = kind.usage(obj, charge.now)
    if negative := sorted(name for name, amount in usage.items() if parse_quantity(amount) < 0):
        raise Refused(f"quota usage is negative for resource(s): {','.join(negative)}")
    return [
        _charged(quota, _difference(quota, charge, usage)) if index in concerned else quota
        for index, quota in enumerate(quotas)
    ]


def _concerns(quota: Mapping, kind: Evaluator, obj: Mapping) -> bool:
    if not kind.matches(quota, obj):
        return False
    status, name = quota["status"], quota["metadata"]["name"]
    limited = kind.matching(status["hard"])
    if missing := kind.missing(limited, obj):
        raise Refused(f"failed quota: {name}: {missing}")
    if not set(limited) <= (status.get("used") or {}).keys():
        raise Refused(f"status unknown for quota: {name}, resources: {','.join(sorted(limited))}")
    return True


def _difference(quota: Mapping, charge: Charge, usage: Mapping[str, str]) -> Mapping[str, str]:
    """What the request adds: all of it, or on update what was not there before."""
    if charge.old is None or not charge.evaluator.matches(quota, charge.old):
        return usage
    return resourcelist.subtract(usage, charge.evaluator.usage(charge.old, charge.now))


def _charged(quota: Mapping, difference: Mapping[str, str]) -> Mapping:
    status = quota["status"]
    hard, used = status["hard"], status["used"]
    requested = resourcelist.only(resourcelist.nonzero(difference), hard)
    if not requested:
        return quota
    total = resourcelist.add(used, requested)
    exceeded = resourcelist.beyond(resourcelist.only(total, requested), hard)
    if exceeded:
        asked, taken, limits = (
            resourcelist.describe(resourcelist.only(amounts, exceeded))
            for amounts in (requested, used, hard)
        )
        raise Refused(
            f"exceeded quota: {quota['metadata']['name']}, requested: {asked}, used: {taken}, "
            f"limited: {limits}"
        )
    return {**quota, "status": {**status, "used": total}}


@dataclass
class _Waiter:
    """A request that waits to be charged."""

    charge: Charge
    dry_run: bool
    done: asyncio.Future = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def admit(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def refuse(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()  # who asked may have left; that is no error of ours


class ResourceQuota:
    """Charges requests to the quotas in `state`."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._waiting: dict[str, list[_Waiter]] = {}
        self._tasks: set[asyncio.Task] = set()

    def concerns(self, a: Attributes) -> bool:
        """Whether a quota of the object's namespace may have to do with the write."""
        if not self._state.of(RESOURCE_QUOTAS).items or not a.namespace:
            return False
        kind = evaluator(a.row.storage.name)
        return a.operation in kind.operations and bool(a.others(RESOURCE_QUOTAS))

    async def validate(self, a: Attributes, now: float) -> None:
        """Charge the write's object.  Raises ApiError 403 where a quota does not admit it."""
        old = a.old if a.operation == UPDATE else None
        waiter = _Waiter(Charge(evaluator(a.row.storage.name), a.obj, old, now), a.dry_run)
        self._enqueue(a.namespace, waiter)
        try:
            # The quota is charged for the others too when this caller is gone.
            await asyncio.shield(waiter.done)
        except Refused as why:
            raise a.forbidden(str(why)) from None

    def _enqueue(self, namespace: str, waiter: _Waiter) -> None:
        queue = self._waiting.get(namespace)
        if queue is not None:
            queue.append(waiter)
            return
        self._waiting[namespace] = [waiter]
        task = asyncio.create_task(self._work(namespace), name=f"quotas of {namespace}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, namespace: str) -> None:
        """Serve the requests of a namespace in turns until none is left."""
        while waiters := self._waiting[namespace]:
            self._waiting[namespace] = []
            try:
                await self._serve(namespace, waiters)
            except Exception as error:
                for waiter in waiters:
                    waiter.refuse(error)
        del self._waiting[namespace]

    async def _serve(self, namespace: str, waiters: list[_Waiter]) -> None:
        names: set[str] | None = None  # of the quotas that are still to be charged
        for _ in range(_RETRIES + 1):
            before = await self._settled(namespace, names)
            waiters, after = _evaluate(before, waiters)
            names = {
                old["metadata"]["name"]
                for old, new in zip(before, after, strict=True)
                if old is not new and not await self._put(old, new)
            }
            if not names:
                for waiter in waiters:
                    waiter.admit()
                return
        conflict = statuses.conflict(RESOURCE_QUOTAS, min(names))
        for waiter in waiters:
            waiter.refuse(conflict)

    async def _settled(self, namespace: str, names: set[str] | None) -> list[Mapping]:
        """The namespace's quotas, once no write of theirs is under way."""
        prefix = f"{namespace}/"
        items = self._state.of(RESOURCE_QUOTAS).items
        for key in [key for key in items if key.startswith(prefix)]:
            await self._state.settled(RESOURCE_QUOTAS, key)
        found = [item.obj for key, item in items.items() if key.startswith(prefix)]
        return [quota for quota in found if names is None or quota["metadata"]["name"] in names]

    async def _put(self, old: Mapping, new: Mapping) -> bool:
        """Store a quota unless it has changed since `old`."""
        key = objects.key(old)
        await self._state.settled(RESOURCE_QUOTAS, key)
        item = self._state.of(RESOURCE_QUOTAS).items.get(key)
        if item is None:
            return True  # a quota that is gone limits nothing
        if item.obj is not old:
            return False
        fresh = {**new, "metadata": dict(new["metadata"])}
        await self._state.commit(RESOURCE_QUOTAS, key, fresh)
        return True


def _evaluate(quotas: list[Mapping], waiters: list[_Waiter]) -> tuple[list[_Waiter], list[Mapping]]:
    """The requests that fit one after the other, and the quotas with them charged."""
    fitting = []
    for waiter in waiters:
        try:
            after = charged(quotas, waiter.charge)
        except Refused as why:
            waiter.refuse(why)
            continue
        if waiter.dry_run:
            waiter.admit()
            continue
        quotas = after
        fitting.append(waiter)
    return fitting, quotas
