"""The Table of custom resources: a name, and a definition's additionalPrinterColumns.

Source: k8s.io/apiextensions-apiserver pkg/registry/customresource/tableconvertor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from labkit.apiserver.custom import jsonpath
from labkit.apiserver.tables.format import NAME, Column, Printer, human_duration
from labkit.kube import times

AGE = {
    "name": "Age",
    "type": "date",
    "jsonPath": ".metadata.creationTimestamp",
    "description": "CreationTimestamp is a timestamp representing the server time when this object "
    "was created. It is not guaranteed to be set in happens-before order across separate "
    "operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC."
    "\n\nPopulated by the system. Read-only. Null for lists. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata",
}
"""What is shown besides the name where a definition asks for nothing."""


def printer(columns: Sequence[Mapping]) -> Printer:
    """The Table of a definition's columns."""
    columns = columns or (AGE,)
    shown = [NAME, *map(_column, columns)]
    return Printer(
        shown,
        lambda obj, now: [obj["metadata"]["name"], *(_cell(one, obj, now) for one in columns)],
    )


def _column(column: Mapping) -> Column:
    path = column.get("jsonPath", "")
    return Column(
        column["name"],
        column["type"],
        column.get("format", ""),
        column.get("priority", 0),
        column.get("description")
        or f"Custom resource definition column (in JSONPath format): {path}",
    )


def _cell(column: Mapping, obj: Mapping, now: float) -> object:
    try:
        found = jsonpath.find(column["jsonPath"], obj)
    except jsonpath.PathError:
        return None
    if not found or (found[0] is None and column["type"] != "string"):
        return None
    value, number = found[0], isinstance(found[0], int | float) and not isinstance(found[0], bool)
    match column["type"]:
        case "string":
            return value if isinstance(value, str) else _printed(value)
        case "integer":
            return int(value) if number else None
        case "number":
            return value if number else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "date":
            return _age(value, now) if isinstance(value, str) else None
    return None


def _printed(value: object) -> str:
    """A value that is no text, as JSONPath prints it."""
    return "<nil>" if value is None else orjson.dumps(value).decode()


def _age(text: str, now: float) -> str:
    try:
        return human_duration(now - times.parse(text))
    except ValueError:
        return "<invalid>"
