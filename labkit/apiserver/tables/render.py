"""From an object or a list to a metav1.Table.

Source: k8s.io/apiserver pkg/endpoints/handlers/response.go (asTable) and
pkg/registry/rest/table.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from labkit.apiserver.tables.format import Printer
from labkit.apiserver.tables.pods import POD, row_conditions
from labkit.apiserver.tables.printers import DEFAULT, PRINTERS
from labkit.client.errors import status_error

Include = Literal["None", "Metadata", "Object"]


def table(
    body: Mapping,
    now: float,
    *,
    include: Include = "Metadata",
    version: str = "v1",
    headers: bool = True,
    printer: Printer | None = None,
) -> dict:
    """The Table of an object or of a list (a kind that ends in `List` and has `items`).

    `include` is what each row carries of its object; `headers=False` leaves the columns out, as
    all but the first event of a watch do; `printer` is a custom resource's own.  Raises ApiError
    for an unknown `include`.
    """
    if include not in get_args(Include):
        wrong = f'includeObject: Invalid value: "{include}": '
        wrong += "must be 'Metadata', 'Object', 'None', or empty"
        message = f"Unable to convert to Table as requested: {wrong}"
        raise status_error(400, "BadRequest", message)
    items, kind = _items(body)
    group = body["apiVersion"].rpartition("/")[0]
    printer = printer or PRINTERS.get((group, kind), DEFAULT)
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": _list_metadata(body),
        "columnDefinitions": [c.definition() for c in printer.columns] if headers else None,
        "rows": [_row(item, printer, now, include, version, body) for item in items],
    }


def is_list(body: Mapping) -> bool:
    """Whether `body` is a list object rather than one whose kind happens to end in List."""
    return body["kind"].endswith("List") and "items" in body


def partial(obj: Mapping, version: str = "v1") -> dict:
    """The PartialObjectMetadata of an object."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": obj["metadata"],
    }


def partial_list(body: Mapping, version: str = "v1") -> dict:
    """The PartialObjectMetadataList of a list."""
    return {
        "kind": "PartialObjectMetadataList",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": body["metadata"],
        "items": [partial(item, version) for item in body["items"]],
    }


def _items(body: Mapping) -> tuple[Iterable[Mapping], str]:
    if is_list(body):
        return body["items"], body["kind"].removesuffix("List")
    return [body], body["kind"]


def _list_metadata(body: Mapping) -> Mapping:
    if is_list(body):
        return body["metadata"]
    version = body["metadata"].get("resourceVersion")
    return {"resourceVersion": version} if version else {}


def _row(
    item: Mapping, printer: Printer, now: float, include: Include, version: str, body: Mapping
) -> dict:
    row: dict = {"cells": printer.cells(item, now)}
    if printer is POD and (found := row_conditions(item)):
        row["conditions"] = found
    if include == "Metadata":
        row["object"] = partial(item, version)
    elif include == "Object":
        # Items of lists carry no type of their own; on its own in a row an object needs one.
        kind = body["kind"].removesuffix("List") if is_list(body) else body["kind"]
        row["object"] = {"kind": kind, "apiVersion": body["apiVersion"], **item}
    else:
        row["object"] = None
    return row
