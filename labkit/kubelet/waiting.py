"""Waiting with a limit, by the clock that everything goes by."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from labkit.clock import Clock


async def within(clock: Clock, seconds: float, work: Coroutine) -> bool:
    """Do `work`; false if it was cancelled because `seconds` were over.  Raises what it raises."""
    doing = asyncio.ensure_future(work)
    limit = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({doing, limit}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            return False
        doing.result()
        return True
    finally:
        for task in (doing, limit):
            task.cancel()
        await asyncio.gather(doing, limit, return_exceptions=True)
