"""Patch requests: from a body and its media type to a function of objects.

What is to be applied (`application/apply-patch+yaml`) is no function but a configuration.

Source: k8s.io/apiserver endpoints/handlers (patch.go).
"""

from __future__ import annotations

from collections.abc import Callable

from labkit.apiserver import statuses
from labkit.apiserver.bodies import Malformed, json_type
from labkit.apiserver.target import Call
from labkit.client.errors import ApiError, status_error
from labkit.client.transport import PATCH_TYPES
from labkit.kube import patch
from labkit.kube.resources import Resource
from labkit.kube.schema import Type, type_of

SCALE = "io.k8s.api.autoscaling.v1.Scale"
_OPERATION = frozenset({"op", "path", "from", "value"})
_MAX_OPERATIONS = 10_000

Patch = Callable[[dict], object]


def understand(call: Call) -> Patch:
    """The function that a patch is; it changes its argument.  Raises ApiError 400, 415.

    The function raises ApiError 400 and 422 where the patch does not fit the object.
    """
    body, type = call.body, _type(call)
    apply: Patch
    if call.content_type == PATCH_TYPES["json"]:
        _demand_operations(body)
        apply = lambda obj: patch.json_patch(obj, body)  # noqa: E731
    elif call.content_type == PATCH_TYPES["merge"]:
        _demand_object(body, "error decoding patch: ")
        apply = lambda obj: patch.merge_patch(obj, body)  # noqa: E731
    elif call.content_type == PATCH_TYPES["strategic"] and not call.target.row.custom:
        _demand_object(body)
        apply = lambda obj: patch.strategic_merge(obj, body, type)  # noqa: E731
    else:
        raise statuses.unsupported_media_type(_accepted(call))
    return lambda obj: _guarded(apply, obj, call)


def strict_errors(call: Call) -> tuple[str, ...]:
    """What strict decoding has against the patch itself."""
    if call.content_type != PATCH_TYPES["json"]:
        return call.repeated
    unknown = (
        f'unknown field "[{index}].{name}"'
        for index, operation in enumerate(call.body)
        for name in operation
        if name not in _OPERATION
    )
    return tuple(f"json patch {error}" for error in (*call.repeated, *unknown))


def configuration(call: Call, resource: Resource) -> dict:
    """The body of an apply to an object of `resource`.  Raises ApiError 400."""
    body = call.body
    if not isinstance(body, dict):
        wrong = _go_error(body, "map[string]interface {}")
        raise statuses.bad_request(f"error decoding YAML: {wrong}")
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


def _demand_object(body: object, head: str = "") -> None:
    """Raises ApiError 400 for a patch that is no JSON object."""
    if not isinstance(body, dict):
        raise statuses.bad_request(head + _go_error(body, "map[string]interface {}"))


def _demand_operations(body: object) -> None:
    """Raises ApiError 400, 413 for a patch that is no list of operations, or too long a one."""
    head = "error decoding patch: "
    if not isinstance(body, list):
        raise statuses.bad_request(head + _go_error(body, "[]handlers.jsonPatchOp"))
    for operation in body:
        if not isinstance(operation, dict):
            raise statuses.bad_request(head + _go_error(operation, "handlers.jsonPatchOp"))
    if len(body) > _MAX_OPERATIONS:
        message = "The allowed maximum operations in a JSON patch is "
        message += f"{_MAX_OPERATIONS}, got {len(body)}"
        too_large = f"Request entity too large: {message}"
        raise status_error(413, "RequestEntityTooLarge", too_large)


def _go_error(body: object, type: str) -> str:
    if isinstance(body, Malformed):
        return body.error
    if body is None:
        return "unexpected end of JSON input"
    return f"json: cannot unmarshal {json_type(body)} into Go value of type {type}"


def _unprocessable(why: str) -> ApiError:
    """422.  Upstream keeps the reason to itself; here it is a cause, which kubectl prints."""
    message = "the server rejected our request due to an error in our request"
    return status_error(422, "Invalid", message, {"causes": [{"message": why}]})
