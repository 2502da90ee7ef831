"""Resources that are kept in another form than they are served.

autoscaling/v1 is kept as v2 (`convert_autoscaling`), events.k8s.io/v1 as core/v1.

Source: k8s.io/kubernetes pkg/apis/events/v1/conversion.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from labkit.apiserver import convert_autoscaling
from labkit.apiserver.registration import Registration
from labkit.apiserver.request import Encoded
from labkit.apiserver.watch import encode
from labkit.kube.resources import EVENTS_V1, HPA_V1

_Function = Callable[[Mapping], dict]


def served(row: Registration, item: Encoded) -> Encoded:
    """A stored object as `row` serves it; the very same one where that is how it is kept."""
    if row.custom:
        return row.custom.served(item)
    if row.resource == row.storage:
        return item
    return encode(_FUNCTIONS[row.resource.name, row.resource.version][1](item.obj))


def converter(row: Registration) -> Callable[[Encoded], Encoded] | None:
    """`served` for one row, None where nothing is to be done."""
    same = row.resource == row.storage and not row.custom
    return None if same else lambda item: served(row, item)


def stored(row: Registration, obj: dict) -> dict:
    """A served object (given away by the caller) as it is kept."""
    if row.custom:
        return row.custom.stored(obj)
    if row.resource == row.storage:
        return obj
    return _FUNCTIONS[row.resource.name, row.resource.version][0](obj)


# Names of an Event's fields in events.k8s.io/v1 and in core/v1.
_EVENT_NAMES = (
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
)


def _event_to_core(obj: Mapping) -> dict:
    return _renamed(obj, "v1", dict(_EVENT_NAMES))


def _event_to_v1(obj: Mapping) -> dict:
    return _renamed(obj, "events.k8s.io/v1", {core: new for new, core in _EVENT_NAMES})


def _renamed(obj: Mapping, version: str, new_names: Mapping[str, str]) -> dict:
    result = {new_names.get(name, name): value for name, value in obj.items()}
    return {**result, "apiVersion": version}


_FUNCTIONS: dict[tuple[str, str], tuple[_Function, _Function]] = {
    (HPA_V1.name, HPA_V1.version): (convert_autoscaling.to_v2, convert_autoscaling.to_v1),
    (EVENTS_V1.name, EVENTS_V1.version): (_event_to_core, _event_to_v1),
}
