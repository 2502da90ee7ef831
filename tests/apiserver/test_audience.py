"""Watchers that share what they see: each gets every event once and in order, come what may."""

from __future__ import annotations

import asyncio
import random

import pytest

from labkit.apiserver.audience import Audience
from labkit.apiserver.request import WatchEvent
from labkit.apiserver.selection import Selection
from labkit.apiserver.watch import ADDED, BOOKMARK, Event, Watcher, encode


def event(number: int) -> Event:
    item = encode({"metadata": {"name": str(number)}})
    return Event(number, ADDED, str(number), item, None)


class Reader:
    """One watch and its connection, which takes bytes at once while it is `quick`."""

    def __init__(self, audience: Audience) -> None:
        self.got: list[int] = []
        self.quick, self.together = True, 0
        self.watcher = Watcher(Selection())
        self.watcher.audience, self.watcher.sink = audience, self
        audience.add(self.watcher)
        self.watcher.on_end.append(audience.remove)
        self.task = asyncio.create_task(self._read())

    def frame(self, events) -> bytes:
        return b" ".join(one.item.obj["metadata"]["name"].encode() for one in events)

    def write(self, content: bytes) -> bool:
        if self.quick:
            self.together += 1
            self.got += [int(name) for name in content.split()]
        return self.quick

    async def _read(self) -> None:
        while found := await self.watcher.batch(100):
            self.got += [int(one.item.obj["metadata"]["name"]) for one in found]

    async def end(self) -> None:
        self.watcher.end()
        await self.task


def offer(audience: Audience, number: int) -> None:
    one = event(number)
    audience.offer(one, WatchEvent(one.type, one.item))


async def test_who_waits_gets_what_comes_without_being_woken():
    audience = Audience(Selection())
    readers = [Reader(audience) for _ in range(3)]
    await asyncio.sleep(0)
    for number in (1, 2):
        offer(audience, number)
    await asyncio.sleep(0)
    assert [reader.got for reader in readers] == [[1, 2]] * 3
    assert [reader.together for reader in readers] == [1] * 3  # a burst is one write
    for reader in readers:
        await reader.end()


async def test_a_bookmark_comes_after_the_events_before_it():
    audience = Audience(Selection())
    reader, other = Reader(audience), Reader(audience)
    await asyncio.sleep(0)
    offer(audience, 1)
    reader.watcher.push(WatchEvent(BOOKMARK, encode({"metadata": {"name": "2"}})))
    offer(audience, 3)
    await reader.end()
    await other.end()
    assert (reader.got, other.got) == ([1, 2, 3], [1, 3])


async def test_who_ends_gets_what_was_offered_before():
    audience = Audience(Selection())
    reader = Reader(audience)
    await asyncio.sleep(0)
    offer(audience, 1)
    reader.watcher.end()
    offer(audience, 2)
    await reader.task
    assert reader.got == [1]
    assert not audience


@pytest.mark.parametrize("seed", range(200))
async def test_each_gets_every_event_once_and_in_order(seed):
    source, audience = random.Random(seed), Audience(Selection())
    readers: list[tuple[int, Reader]] = []
    number = 0
    for _ in range(200):
        match source.randrange(6):
            case 0 if len(readers) < 8:
                readers.append((number, Reader(audience)))
            case 1 if readers:
                began, reader = readers.pop(source.randrange(len(readers)))
                await reader.end()
                assert reader.got == list(range(began + 1, number + 1))
            case 2 if readers:
                reader = source.choice(readers)[1]
                reader.quick = not reader.quick
            case 3:
                await asyncio.sleep(0)
            case _:
                number += 1
                offer(audience, number)
    for began, reader in readers:
        await reader.end()
        assert reader.got == list(range(began + 1, number + 1))
    assert not audience
