"""Patch requests: from a body and its media type to a function of objects.

Source: k8s.io/apiserver endpoints/handlers (patch.go).  Left out: server-side apply
(`application/apply-patch+yaml`), which is refused with 415 as an unknown media type.
"""

from __future__ import annotations

from collections.abc import Callable

from labkit.apiserver import statuses
from labkit.apiserver.target import Call
from labkit.client.errors import ApiError, status_error
from labkit.client.transport import PATCH_TYPES
from labkit.kube import patch
from labkit.kube.schema import Type, type_of

SCALE = "io.k8s.api.autoscaling.v1.Scale"

Patch = Callable[[dict], object]


def understand(call: Call) -> Patch:
    """The function that a patch is; it changes its argument.  Raises ApiError 400, 415.

    The function raises ApiError 400 and 422 where the patch does not fit the object.
    """
    body, type = call.body, _type(call)
    apply: Patch
    if call.content_type == PATCH_TYPES["json"]:
        _demand(isinstance(body, list), "[]", body)
        apply = lambda obj: patch.json_patch(obj, body)  # noqa: E731
    elif call.content_type == PATCH_TYPES["merge"]:
        _demand(isinstance(body, dict), "{}", body)
        apply = lambda obj: patch.merge_patch(obj, body)  # noqa: E731
    elif call.content_type == PATCH_TYPES["strategic"]:
        _demand(isinstance(body, dict), "{}", body)
        apply = lambda obj: patch.strategic_merge(obj, body, type)  # noqa: E731
    else:
        raise statuses.unsupported_media_type()
    return lambda obj: _guarded(apply, obj, call)


def _type(call: Call) -> Type:
    return type_of(SCALE if call.target.subresource == "scale" else call.target.row.definition)


def _guarded(apply: Patch, obj: dict, call: Call) -> object:
    try:
        return apply(obj)
    except patch.PatchError as error:
        if call.content_type == PATCH_TYPES["json"]:
            raise _unprocessable(str(error)) from None
        raise statuses.bad_request(str(error)) from None


def _demand(holds: bool, shape: str, body: object) -> None:
    if not holds:
        what = "array" if shape == "[]" else "object"
        raise statuses.bad_request(
            f"error decoding patch: the body of this kind of patch is a JSON {what}, not {body!r}"
        )


def _unprocessable(why: str) -> ApiError:
    message = f"the server rejected our request due to an error in our request: {why}"
    return status_error(422, "Invalid", message)
