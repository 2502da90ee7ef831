"""Rows of Roles and bindings.

Source: the functions of the same names in pkg/printers/internalversion/printers.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labkit.apiserver.tables import format
from labkit.apiserver.tables.format import AGE, NAME, Column, Printer, wide


def _role(obj: Mapping, now: float) -> list:
    meta = obj["metadata"]
    return [meta["name"], meta["creationTimestamp"]]


def _binding(obj: Mapping, now: float) -> list:
    reference, subjects = obj["roleRef"], obj.get("subjects") or ()
    accounts = (s for s in subjects if s["kind"] == "ServiceAccount")
    return [
        obj["metadata"]["name"],
        f"{reference['kind']}/{reference['name']}",
        format.age(obj, now),
        _names(subjects, "User"),
        _names(subjects, "Group"),
        ", ".join(f"{s.get('namespace', '')}/{s['name']}" for s in accounts),
    ]


def _names(subjects: Iterable[Mapping], kind: str) -> str:
    return ", ".join(subject["name"] for subject in subjects if subject["kind"] == kind)


ROLE = Printer((NAME, Column("Created At", format="date-time")), _role)
ROLE_BINDING = Printer(
    (NAME, Column("Role"), AGE, wide("Users"), wide("Groups"), wide("ServiceAccounts")),
    _binding,
)
