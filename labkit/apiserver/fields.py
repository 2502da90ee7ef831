"""What is wrong with which field, in the API server's own words.

Source: k8s.io/apimachinery util/validation/field (Error.ErrorBody) and api/errors (NewInvalid).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import orjson

_WORDS = {
    "FieldValueRequired": "Required value",
    "FieldValueInvalid": "Invalid value",
    "FieldValueNotSupported": "Unsupported value",
    "FieldValueDuplicate": "Duplicate value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueTooLong": "Too long",
    "FieldValueTooMany": "Too many",
    "FieldValueNotFound": "Not found",
    "FieldValueTypeInvalid": "Invalid value",
    "InternalError": "Internal error",
}
_WITHOUT_VALUE = {"FieldValueRequired", "FieldValueForbidden", "FieldValueTooLong", "InternalError"}


class FieldError(NamedTuple):
    """One error: `reason` is a metav1.CauseType, `path` a field path, `body` the message."""

    reason: str
    path: str
    body: str

    def __str__(self) -> str:
        return f"{self.path}: {self.body}"

    def cause(self) -> dict:
        """The entry of `status.details.causes`."""
        return {"reason": self.reason, "message": self.body, "field": self.path}


def _make(reason: str, path: str, value: object, detail: str) -> FieldError:
    body = _WORDS[reason]
    if reason not in _WITHOUT_VALUE:
        body += f": {_shown(value)}"
    return FieldError(reason, path, f"{body}: {detail}" if detail else body)


def _shown(value: object) -> str:
    """A value as Go's field.Error prints it: strings quoted, structures as JSON."""
    if value is None:
        return "null"
    if isinstance(value, tuple | set | frozenset):
        value = list(value)
    return orjson.dumps(value).decode()


def required(path: str, detail: str = "") -> FieldError:
    """A field that must be set is not."""
    return _make("FieldValueRequired", path, None, detail)


def invalid(path: str, value: object, detail: str) -> FieldError:
    """The value does not obey a rule."""
    return _make("FieldValueInvalid", path, value, detail)


def forbidden(path: str, detail: str) -> FieldError:
    """The field may not be set, or not be changed."""
    return _make("FieldValueForbidden", path, None, detail)


def duplicate(path: str, value: object) -> FieldError:
    """The value must be unique and is not."""
    return _make("FieldValueDuplicate", path, value, "")


def not_found(path: str, value: object) -> FieldError:
    """The value names something that is not there."""
    return _make("FieldValueNotFound", path, value, "")


def unsupported(
    path: str, value: object, valid: Iterable[str], *, in_order: bool = False
) -> FieldError:
    """The value is none of the `valid` ones, which are sorted unless they are `in_order`."""
    choices = ", ".join(f'"{choice}"' for choice in (valid if in_order else sorted(valid)))
    return _make("FieldValueNotSupported", path, value, f"supported values: {choices}")


def too_long(path: str, limit: int) -> FieldError:
    """The value has more than `limit` bytes."""
    return _make("FieldValueTooLong", path, None, f"may not be more than {limit} bytes")


def too_many(path: str, count: int, limit: int) -> FieldError:
    """The value has more than `limit` items."""
    return _make("FieldValueTooMany", path, count, f"must have at most {limit} items")
