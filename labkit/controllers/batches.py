"""Slow start: many orders at once, but a few first.

Source: slowStartBatch of kube-controller-manager.  When a quota or an admission rule refuses Pods,
it refuses all of them; batches of 1, 2, 4, 8, ... find that out with one refusal in place of 500.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


async def slow_start(
    count: int, order: Callable[[], Awaitable[None]]
) -> tuple[int, Exception | None]:
    """Await `order()` `count` times in doubling batches, until a batch has a failure.

    Answers how many succeeded, and the first failure.
    """
    done, size = 0, 1
    while done < count:
        size = min(size, count - done)
        results = await asyncio.gather(*(order() for _ in range(size)), return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        done += size - len(failures)
        if failures:
            return done, _first(failures)
        size *= 2
    return done, None


def _first(failures: list[BaseException]) -> Exception:
    for failure in failures:
        if not isinstance(failure, Exception):
            raise failure  # a cancellation is not a failure of the order
    return failures[0]
