"""Patch requests: from a body and its media type to a function of objects.

What is to be applied (`application/apply-patch+yaml`) is no function but a configuration.

Source: k8s.io/apiserver endpoints/handlers (patch.go).
"""

from __future__ import annotations

from collections.abc import Callable

from labkit.apiserver import statuses
from labkit.apiserver.target import Call
from labkit.client.errors import ApiError, status_error
from labkit.client.transport import PATCH_TYPES
from labkit.kube import patch
from labkit.kube.resources import Resource
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
    elif call.content_type == PATCH_TYPES["strategic"] and not call.target.row.custom:
        _demand(isinstance(body, dict), "{}", body)
        apply = lambda obj: patch.strategic_merge(obj, body, type)  # noqa: E731
    else:
        raise statuses.unsupported_media_type(_accepted(call))
    return lambda obj: _guarded(apply, obj, call)


def configuration(call: Call, resource: Resource) -> dict:
    """The body of an apply to an object of `resource`.  Raises ApiError 400."""
    body = call.body
    if not isinstance(body, dict):
        raise statuses.bad_request("error decoding patch: the configuration is not an object")
    group, _, version = str(body.get("apiVersion") or "").rpartition("/")
    kind = body.get("kind") or ""
    if (group, version, kind) != (resource.group, resource.version, resource.kind):
        raise statuses.bad_request(f"invalid object type: {group}/{version}, Kind={kind}")
    return body


def _type(call: Call) -> Type:
    return type_of(SCALE) if call.target.subresource == "scale" else call.target.row.type


def _accepted(call: Call) -> list[str]:
    """Custom resources have no Go type, hence no strategic merge."""
    refused = ("strategic",) if call.target.row.custom else ()
    return [media for name, media in PATCH_TYPES.items() if name not in refused]


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
