"""Answers that are worth compressing: big ones, for clients that say they can read gzip.

Level 1 and off the event loop, since a list of a thousand Pods takes ten milliseconds, in which
others want their answers.

Source: k8s.io/apiserver endpoints/handlers/responsewriters (SerializeObject).
"""

from __future__ import annotations

import asyncio
import gzip

THRESHOLD = 128 * 1024  # bytes; smaller answers are sooner sent than compressed
_LEVEL = 1


def accepted(header: str) -> bool:
    """Whether an Accept-Encoding header names gzip."""
    return "gzip" in header and any(part.strip() == "gzip" for part in header.split(","))


async def compressed(content: bytes) -> bytes:
    """`content` as gzip."""
    return await asyncio.to_thread(gzip.compress, content, _LEVEL, mtime=0)
