"""Patch requests: from a body and its media type to a function of objects."""

from __future__ import annotations

from collections.abc import Callable

import jsonpatch

from labkit.apiserver import statuses
from labkit.apiserver.target import Call

_JSON, _MERGE, _STRATEGIC = statuses.PATCH_MEDIA_TYPES


def understand(call: Call) -> Callable[[dict], dict]:
    """The function that a patch is.  Raises ApiError 400, 415."""
    if call.content_type == _JSON:
        return jsonpatch.JsonPatch(call.body).apply
    if call.content_type in (_MERGE, _STRATEGIC):
        return lambda obj: _merge(obj, call.body)
    raise statuses.unsupported_media_type()


def _merge(obj: object, patch: object) -> object:
    if not isinstance(patch, dict):
        return patch
    result = obj if isinstance(obj, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merge(result.get(key), value)
    return result
