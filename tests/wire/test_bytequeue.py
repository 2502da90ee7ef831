"""A bounded number of bytes between two tasks."""

from __future__ import annotations

import asyncio

import pytest

from labkit.wire.bytequeue import ByteQueue


async def test_bytes_come_out_in_order_and_then_the_end():
    queue = ByteQueue()
    await queue.put(b"a")
    await queue.put(b"")
    await queue.put(b"b")
    queue.end()
    await queue.put(b"too late")
    assert [await queue.get() for _ in range(3)] == [b"a", b"b", b""]


@pytest.mark.parametrize("way_out", ["get", "abandon"])
async def test_a_writer_waits_while_there_is_too_much(way_out: str):
    queue = ByteQueue(limit=10)
    writing = asyncio.create_task(queue.put(bytes(10)))
    await asyncio.sleep(0)
    assert not writing.done()
    if way_out == "get":
        await queue.get()
    else:
        queue.abandon()
    await writing


async def test_a_reader_waits_for_bytes():
    queue = ByteQueue()
    reading = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert not reading.done()
    await queue.put(b"now")
    assert await reading == b"now"
