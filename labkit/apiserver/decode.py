"""From a decoded body to an object of the kind that its path serves.

The schema's compiled check passes almost every object in microseconds; only what it does not
accept is walked, to drop nulls and unknown fields and to say what is wrong.

Source: k8s.io/apiserver endpoints/handlers (create, patch) and Kubernetes API concepts, "Field
validation".  `fieldValidation` Strict refuses unknown fields, Warn (the default) warns of them,
Ignore drops them silently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import orjson

from labkit.apiserver import fields, statuses
from labkit.apiserver.bodies import YAML_ERRORS, Malformed, not_object
from labkit.apiserver.registration import Registration
from labkit.apiserver.target import Call
from labkit.client.errors import ApiError, status_error
from labkit.kube import schema

_MAX_ERRORS = 100  # of strict decoding, as upstream


def body(call: Call) -> dict:
    """The request's object, typed.  Raises ApiError 400."""
    obj = call.body
    if not isinstance(obj, dict):
        raise _unrecognized(call, obj)
    _check_type(call, obj)
    try:
        obj, unknown = typed(call, obj)
    except schema.DecodeError as error:
        raise statuses.bad_request(f"{_cannot(call)}: {error}") from None
    if errors := _strict_errors(call, call.repeated, unknown):
        raise statuses.bad_request(f"{_cannot(call)}: {errors}")
    return obj


def other(call: Call, row: Registration) -> dict:
    """The request's object, of another kind than its path names.  Raises ApiError 400."""
    return body(replace(call, target=replace(call.target, row=row)))


def _unrecognized(call: Call, body: object) -> ApiError:
    """400: the body is not even an object."""
    wrong = body if isinstance(body, Malformed) else not_object(body)
    kind = call.target.row.resource.kind
    return statuses.bad_request(
        f"the object provided is unrecognized (must be of type {kind}): {wrong.as_object} "
        f"({wrong.shown})"
    )


def patched(call: Call, obj: object, patch_errors: Sequence[str] = ()) -> dict:
    """A patched object, typed.  Raises ApiError 400, 422.

    `patch_errors` are what strict decoding has against the patch itself.
    """
    if not isinstance(obj, dict):
        raise statuses.bad_request(f"the patched object is not a {call.target.row.resource.kind}")
    _check_type(call, obj)
    try:
        obj, unknown = typed(call, obj)
    except schema.DecodeError as error:
        raise _invalid_patch(call, str(error)) from None
    if errors := _strict_errors(call, patch_errors, unknown):
        raise _invalid_patch(call, errors)
    return obj


def demand_strict_patch(call: Call) -> None:
    """Raises ApiError 400 for a configuration that strict decoding does not take."""
    if call.repeated and call.params.get("fieldValidation") == "Strict":
        head = "error strict decoding YAML: error converting YAML to JSON: "
        raise statuses.bad_request(head + ", ".join(call.repeated))


def typed(call: Call, obj: dict) -> tuple[dict, list[str]]:
    """The object without nulls and unknown fields, and the latter.  Raises DecodeError."""
    if custom := call.target.row.custom:
        return custom.decode(obj)
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


def _strict_errors(call: Call, others: Sequence[str], unknown: Sequence[str]) -> str:
    """The strict decoding error that a request wants to be refused for; warnings where it does not.

    Each line of a YAML decoder's complaint is a warning of its own.
    """
    errors = [*others, *(f'unknown field "{path}"' for path in unknown)][:_MAX_ERRORS]
    mode = call.params.get("fieldValidation") or "Warn"
    if not errors or mode == "Ignore":
        return ""
    if mode == "Strict":
        return "strict decoding error: " + ", ".join(errors)
    for error in errors:
        lines = error.removeprefix(YAML_ERRORS).split("\n")
        call.warnings.extend(line.strip() for line in lines)
    return ""


def _cannot(call: Call) -> str:
    resource = call.target.row.resource
    return f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}'


def _invalid_patch(call: Call, why: str) -> ApiError:
    """What a kube-apiserver says when a patch makes something that is no object of the kind."""
    shown = orjson.dumps(call.body).decode()
    cause = fields.invalid("patch", shown, why)
    details = {"causes": [cause.cause()]}
    return status_error(422, "Invalid", f' "" is invalid: {cause}', details)
