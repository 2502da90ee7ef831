"""Which objects a list or a watch is about: namespace, name, label selector, field selector.

A `Selection` is compiled once from a request's parameters and then asked about every object and
event, so `matches` is as short as its criteria allow.

Source: Kubernetes API concepts and each kind's selectable fields; a field selector on another
field is a 400 with upstream's words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from labkit.apiserver import statuses
from labkit.apiserver.registration import Registration
from labkit.kube import selectors

_COMMON = ("metadata.name", "metadata.namespace")
_EVENT_SOURCE = "source"


@dataclass(frozen=True, slots=True)
class Selection:
    """`index_value` is the value that the kind's indexed field must have, if one is asked for."""

    namespace: str = ""
    name: str = ""
    labels: selectors.Selector = ()
    fields: tuple[selectors.FieldRequirement, ...] = ()
    index_value: str | None = None

    @property
    def selective(self) -> bool:
        """Whether selectors (beyond the namespace) narrow the result."""
        return bool(self.labels or self.fields)

    def predicate(self, *, placed: bool = False) -> Callable[[Mapping], bool] | None:
        """The test for one object; None if every object passes.

        Objects that are `placed` are known to be of the selection's namespace.
        """
        tests: list[Callable[[Mapping], bool]] = []
        if self.namespace and not placed:
            tests.append(lambda obj: obj["metadata"].get("namespace") == self.namespace)
        if self.name:
            tests.append(lambda obj: obj["metadata"]["name"] == self.name)
        if self.fields:
            tests.append(lambda obj: all(_field_matches(need, obj) for need in self.fields))
        if self.labels:
            tests.append(lambda obj: selectors.matches(self.labels, obj["metadata"].get("labels")))
        if len(tests) <= 1:
            return tests[0] if tests else None
        return lambda obj: all(test(obj) for test in tests)


def select(row: Registration, namespace: str, params: Mapping[str, str]) -> Selection:
    """The selection of a list or watch request.  Raises ApiError 400 for a bad selector."""
    labels = _labels(params.get("labelSelector", ""))
    fields = _fields(row, params.get("fieldSelector", ""))
    index_value, name = None, ""
    for need in fields:
        if need.equal and row.strategy.index and need.path == row.strategy.index:
            index_value = need.value
        if need.equal and need.path == "metadata.name":
            name = need.value
    return Selection(namespace, name, labels, fields, index_value)


def _labels(text: str) -> selectors.Selector:
    if not text:
        return ()
    try:
        return selectors.parse(text)
    except ValueError as error:
        raise statuses.bad_request(str(error)) from None


def _fields(row: Registration, text: str) -> tuple[selectors.FieldRequirement, ...]:
    if not text:
        return ()
    try:
        needs = selectors.parse_fields(text)
    except ValueError as error:
        raise statuses.bad_request(str(error)) from None
    for need in needs:
        if need.path not in _COMMON and need.path not in row.strategy.fields:
            raise statuses.bad_request(_unknown_label(row, need.path))
    return needs


def _unknown_label(row: Registration, path: str) -> str:
    if row.strategy.fields or row.custom:
        return f"field label not supported: {path}"
    return f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"'


def _field_matches(need: selectors.FieldRequirement, obj: Mapping) -> bool:
    return (field_value(obj, need.path) == need.value) == need.equal


def field_value(obj: Mapping, path: str) -> str:
    """A selectable field's value; an Event's `source` is its component's name."""
    if path == _EVENT_SOURCE:
        source = (obj.get("source") or {}).get("component")
        return source or obj.get("reportingComponent") or ""
    return selectors.field_value(obj, _OTHER_NAMES.get(path, path)) or _EMPTY.get(path, "")


# A boolean that is not set reads as false, a count as zero.
_EMPTY = {
    "spec.hostNetwork": "false",
    "spec.unschedulable": "false",
    "status.replicas": "0",
    "status.successful": "0",
}
_OTHER_NAMES = {"status.successful": "status.succeeded"}
