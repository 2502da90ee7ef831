"""Virtual time: nobody waits, and everything happens in its order."""

import asyncio
import gc
from contextlib import nullcontext

import pytest

from labkit.simulate.loop import Stalled, run


def test_an_hour_passes_at_once_and_in_order():
    seen = []

    async def sleeper(seconds):
        await asyncio.sleep(seconds)
        seen.append((seconds, asyncio.get_running_loop().time()))

    async def main():
        await asyncio.gather(*(sleeper(seconds) for seconds in (3600.0, 0.5, 60.0)))

    run(main())
    assert seen == [(0.5, 0.5), (60.0, 60.0), (3600.0, 3600.0)]


def test_where_everybody_waits_for_somebody_else_it_says_so():
    async def main():
        await asyncio.Event().wait()

    with pytest.raises(Stalled):
        run(main())


async def test_it_runs_inside_of_another_loop_as_in_a_notebook():
    async def main():
        await asyncio.sleep(10)
        return asyncio.get_running_loop()

    outer = asyncio.get_running_loop()
    assert run(main()) is not outer
    assert asyncio.get_running_loop() is outer


def test_timeouts_are_virtual_too():
    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(100):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run(main()) == 100.0


@pytest.mark.parametrize("fails", [False, True])
def test_python_collects_afterwards_as_it_did_before(fails):
    before = gc.get_threshold()

    async def main():
        assert gc.get_threshold() > before
        assert not fails, "as asked for"

    with pytest.raises(AssertionError, match="as asked for") if fails else nullcontext():
        run(main())
    assert gc.get_threshold() == before
