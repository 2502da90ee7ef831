"""From a decoded body to an object of the kind that its path serves.

The schema's compiled check passes almost every object in microseconds; only what it does not
accept is walked, to drop nulls and unknown fields and to say what is wrong.

Source: k8s.io/apiserver endpoints/handlers (create, patch) and Kubernetes API concepts, "Field
validation".  `fieldValidation` Strict refuses unknown fields, Warn (the default) warns of them,
Ignore drops them silently.
"""

from __future__ import annotations

import orjson

from labkit.apiserver import fields, statuses
from labkit.apiserver.target import Call
from labkit.client.errors import ApiError, status_error
from labkit.kube import schema

_MODES = ("", "Strict", "Warn", "Ignore")


def body(call: Call) -> dict:
    """The request's object, typed.  Raises ApiError 400."""
    obj, resource = call.body, call.target.row.resource
    if not isinstance(obj, dict):
        raise statuses.bad_request(f"the request's body is not a {resource.kind}")
    _check_type(call, obj)
    try:
        obj, unknown = typed(call, obj)
    except schema.DecodeError as error:
        raise statuses.bad_request(f"{_cannot(call)}: {error}") from None
    if unknown and _mode(call) == "Strict":
        raise statuses.bad_request(f"{_cannot(call)}: {_strict(unknown)}")
    _warn(call, unknown)
    return obj


def patched(call: Call, obj: object) -> dict:
    """A patched object, typed.  Raises ApiError 400, 422."""
    if not isinstance(obj, dict):
        raise statuses.bad_request(f"the patched object is not a {call.target.row.resource.kind}")
    _check_type(call, obj)
    try:
        obj, unknown = typed(call, obj)
    except schema.DecodeError as error:
        raise _invalid_patch(call, str(error)) from None
    if unknown and _mode(call) == "Strict":
        raise _invalid_patch(call, _strict(unknown))
    _warn(call, unknown)
    return obj


def typed(call: Call, obj: dict) -> tuple[dict, list[str]]:
    """The object without nulls and unknown fields, and the latter.  Raises DecodeError."""
    definition = call.target.row.definition
    unknown: list[str] = []
    if not schema.accepts(definition, obj):
        obj, unknown = schema.decode(definition, obj)
    obj.setdefault("metadata", {})
    return obj, unknown


def _check_type(call: Call, obj: dict) -> None:
    """The body's apiVersion and kind, if it has them, are the path's."""
    resource = call.target.row.resource
    version = obj.get("apiVersion") or resource.api_version
    kind = obj.get("kind") or resource.kind
    if version != resource.api_version:
        raise statuses.bad_request(
            f"the API version in the data ({version}) does not match the expected API version "
            f"({resource.api_version})"
        )
    if kind != resource.kind:
        raise statuses.bad_request(
            f'{kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
            f"converting ({resource.version}.{kind}) to ({resource.version}.{resource.kind}): "
            "unknown conversion"
        )
    obj["apiVersion"], obj["kind"] = version, kind


def _mode(call: Call) -> str:
    mode = call.params.get("fieldValidation", "")
    if mode not in _MODES:
        raise statuses.bad_request(
            f'fieldValidation: Unsupported value: "{mode}": supported values: "", "Ignore", '
            '"Strict", "Warn"'
        )
    return mode or "Warn"


def _warn(call: Call, unknown: list[str]) -> None:
    if unknown and _mode(call) == "Warn":
        call.warnings.extend(f'unknown field "{path}"' for path in unknown)


def _strict(unknown: list[str]) -> str:
    return "strict decoding error: " + ", ".join(f'unknown field "{path}"' for path in unknown)


def _cannot(call: Call) -> str:
    resource = call.target.row.resource
    return f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'


def _invalid_patch(call: Call, why: str) -> ApiError:
    """What a kube-apiserver says when a patch makes something that is no object of the kind."""
    shown = orjson.dumps(call.body).decode()
    cause = fields.invalid("patch", shown, why)
    details = {"causes": [cause.cause()]}
    return status_error(422, "Invalid", f' "" is invalid: {cause}', details)
