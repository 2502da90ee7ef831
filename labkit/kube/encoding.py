"""JSON that is kept."""

from __future__ import annotations

import orjson


def compact(obj: object, option: int | None = None) -> bytes:
    """The JSON of `obj`, in no more memory than its length.

    orjson answers with the buffer that it wrote into, which is 4 KiB for the shortest text and
    several times the length of others.  Whoever keeps many of them keeps a copy.
    """
    return bytes(memoryview(orjson.dumps(obj, option=option)))
