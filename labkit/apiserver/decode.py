"""From a decoded body to an object of the kind that its path serves."""

from __future__ import annotations

from labkit.apiserver import statuses
from labkit.apiserver.target import Call


def body(call: Call) -> dict:
    """The request's object, typed.  Raises ApiError 400."""
    obj = call.body
    if not isinstance(obj, dict):
        raise statuses.bad_request("the request's body is not an object")
    resource = call.target.row.resource
    obj.setdefault("apiVersion", resource.api_version)
    obj.setdefault("kind", resource.kind)
    if not isinstance(obj.get("metadata"), dict):
        obj["metadata"] = {}
    return obj


def patched(call: Call, obj: dict) -> dict:
    """A patched object, typed.  Raises ApiError 400, 422."""
    return obj
