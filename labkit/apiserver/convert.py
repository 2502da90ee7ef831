"""Resources that are kept in another form than they are served.

Source: k8s.io/kubernetes pkg/apis/autoscaling/v1 and pkg/apis/events/v1 (conversion.go).
"""

from __future__ import annotations

from collections.abc import Callable

from labkit.apiserver.registry import Registration
from labkit.apiserver.request import Encoded
from labkit.apiserver.watch import encode

_Function = Callable[[dict], dict]


def served(row: Registration, item: Encoded) -> Encoded:
    """A stored object as `row` serves it; the very same one where that is how it is kept."""
    functions = _FUNCTIONS.get((row.resource.name, row.resource.version))
    return encode(functions[1](item.obj)) if functions else item


def converter(row: Registration) -> Callable[[Encoded], Encoded] | None:
    """`served` for one row, None where nothing is to be done."""
    needed = (row.resource.name, row.resource.version) in _FUNCTIONS
    return (lambda item: served(row, item)) if needed else None


def stored(row: Registration, obj: dict) -> dict:
    """A served object (given away by the caller) as it is kept."""
    functions = _FUNCTIONS.get((row.resource.name, row.resource.version))
    return functions[0](obj) if functions else obj


_FUNCTIONS: dict[tuple[str, str], tuple[_Function, _Function]] = {}
