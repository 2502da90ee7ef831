"""Status conditions: read and set them as the API conventions ask.

Source: Kubernetes API conventions, "Typical status properties": `lastTransitionTime` changes only
when `status` does.
"""

from __future__ import annotations

from collections.abc import Mapping


def get(obj: Mapping, kind: str) -> dict | None:
    """The condition of type `kind` in `obj.status.conditions`, or None."""
    for condition in (obj.get("status") or {}).get("conditions") or ():
        if condition.get("type") == kind:
            return condition
    return None


def is_true(obj: Mapping, kind: str) -> bool:
    """Whether the condition of type `kind` has status "True"."""
    return (get(obj, kind) or {}).get("status") == "True"


def updated(
    conditions: list[dict] | None, kind: str, status: str, reason: str, message: str, now: str
) -> list[dict]:
    """A new list with one condition set; `now` is its lastTransitionTime if its status changes."""
    fresh = {"type": kind, "status": status, "lastTransitionTime": now}
    fresh |= {key: text for key, text in (("reason", reason), ("message", message)) if text}
    result, found = [], False
    for old in conditions or ():
        if old.get("type") != kind:
            result.append(old)
            continue
        found = True
        if old.get("status") == status:
            fresh["lastTransitionTime"] = old.get("lastTransitionTime", now)
        result.append({**old, **fresh})
    return result if found else [*result, fresh]
