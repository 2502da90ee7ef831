"""The official client (package `kubernetes`), imported in a third of the time.

When it is imported it tries `kubernetes_validate`, for `DynamicClient.validate` alone, and that
builds a parser of URLs: more than a second of CPU.  labkit has that package for its schemas and
never imports it, and here it is hidden until the official client has looked.  Whoever asks for
`DynamicClient.validate` afterwards is told that the package is missing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_SLOW = "kubernetes_validate"


@contextmanager
def _hidden(name: str) -> Iterator[None]:
    """Importing `name` fails meanwhile, as if it were not installed."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None
    try:
        yield
    finally:
        del sys.modules[name]


with _hidden(_SLOW):
    from kubernetes import client, config

__all__ = ["client", "config"]
