"""The subresource scale of custom resources: a Scale made from paths of the definition.

Source: k8s.io/apiextensions-apiserver pkg/registry/customresource (ScaleREST, ValidateScaleSpec,
ValidateScaleStatus).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from labkit.apiserver import fields
from labkit.apiserver.fields import FieldError

_MAX_INT32 = 2**31 - 1


class ScalePaths(NamedTuple):
    """Where an object has its wanted and its present replicas and its selector (may be empty)."""

    spec: str
    status: str
    selector: str

    @classmethod
    def of(cls, subresource: Mapping | None) -> ScalePaths | None:
        """The paths of a definition's `subresources.scale`."""
        if subresource is None:
            return None
        names = ("specReplicasPath", "statusReplicasPath", "labelSelectorPath")
        return cls(*(subresource.get(name) or "" for name in names))

    def wanted(self, obj: Mapping) -> int | None:
        """The wanted replicas, None where they are not set."""
        return _at(obj, self.spec)

    def present(self, obj: Mapping) -> int:
        """The present replicas."""
        return _at(obj, self.status) or 0

    def labels(self, obj: Mapping) -> str:
        """The selector in its text form."""
        return (_at(obj, self.selector) or "") if self.selector else ""

    def set(self, obj: dict, replicas: int) -> None:
        """Set the wanted replicas."""
        *parents, last = self.spec.removeprefix(".").split(".")
        for name in parents:
            obj = obj.setdefault(name, {})
        obj[last] = replicas

    def validate(self, obj: Mapping) -> list[FieldError]:
        """What is wrong with the numbers and texts at the paths."""
        found = [*self._replicas(obj, self.spec), *self._replicas(obj, self.status)]
        selector = _at(obj, self.selector) if self.selector else None
        if selector is not None and not isinstance(selector, str):
            why = (
                f"{self.selector} accessor error: {selector} is of the wrong type, expected string"
            )
            found.append(fields.invalid(self.selector, "", why))
        return found

    def _replicas(self, obj: Mapping, path: str) -> Iterator[FieldError]:
        value = _at(obj, path)
        if value is None:
            return
        if isinstance(value, bool) or not isinstance(value, int):
            why = f"{path} accessor error: {value} is of the wrong type, expected int64"
            yield fields.invalid(path, 0, why)
        elif value < 0:
            yield fields.invalid(path, value, "should be a non-negative integer")
        elif value > _MAX_INT32:
            yield fields.invalid(path, value, f"should be less than or equal to {_MAX_INT32}")


def _at(obj: Mapping, path: str):
    value: object = obj
    for part in path.removeprefix(".").split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
