"""The API server's refusals: ApiErrors with the reasons, details and words of upstream.

Source: k8s.io/apimachinery api/errors.  Messages are what kubectl prints, so they are spelled as a
kube-apiserver spells them.
"""

from __future__ import annotations

from collections.abc import Sequence

from labkit.apiserver.fields import FieldError
from labkit.client.errors import ApiError, status_error
from labkit.kube.resources import Resource

MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


def _details(resource: Resource, name: str, kind: str = "", **more: object) -> dict:
    details: dict = {"name": name} if name else {}
    if resource.group:
        details["group"] = resource.group
    return {**details, "kind": kind or resource.plural, **more}


def not_found(resource: Resource, name: str) -> ApiError:
    """404: no such object."""
    message = f'{resource.name} "{name}" not found'
    return status_error(404, "NotFound", message, _details(resource, name))


class PageNotFound(ApiError):
    """404 outside of the APIs, which is answered by plain text rather than by a Status."""

    text = "404 page not found\n"


def no_such_path() -> ApiError:
    """404: no API is served there."""
    return PageNotFound(no_such_route().status)


def no_such_route() -> ApiError:
    """404: the API that is served there has no such version, resource or subresource."""
    return status_error(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(
    resource: Resource, name: str, *, generated: bool = False, leaving: bool = False
) -> ApiError:
    """409: create found an object of that name, which may be `leaving`."""
    message, details = f'{resource.name} "{name}" already exists', _details(resource, name)
    if generated:
        message += ", the server was not able to generate a unique name for the object"
        details["retryAfterSeconds"] = 1
    if leaving:
        message = f"object is being deleted: {message}"
    return status_error(409, "AlreadyExists", message, details)


def conflict(resource: Resource, name: str, why: str = MODIFIED) -> ApiError:
    """409: a precondition does not hold."""
    message = f'Operation cannot be fulfilled on {resource.name} "{name}": {why}'
    return status_error(409, "Conflict", message, _details(resource, name))


def forbidden(resource: Resource, name: str, why: str, causes: Sequence[dict] = ()) -> ApiError:
    """403: understood, and not allowed."""
    subject = f'{resource.name} "{name}"' if name else resource.name
    details = _details(resource, name)
    if causes:
        details["causes"] = list(causes)
    return status_error(403, "Forbidden", f"{subject} is forbidden: {why}", details)


def invalid(resource: Resource, name: str, errors: Sequence[FieldError]) -> ApiError:
    """422: the object breaks rules; each error is one cause."""
    unique = list(dict.fromkeys(errors))
    text = ", ".join(map(str, unique))
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    body = text if len(unique) == 1 else f"[{text}]"
    details = _details(resource, name, resource.kind, causes=[one.cause() for one in unique])
    return status_error(422, "Invalid", f'{kind} "{name}" is invalid: {body}', details)


def bad_request(message: str) -> ApiError:
    """400: the request itself cannot be understood."""
    return status_error(400, "BadRequest", message)


def method_not_allowed() -> ApiError:
    """405: what is served there does not have this verb."""
    message = "the server does not allow this method on the requested resource"
    return status_error(405, "MethodNotAllowed", message, {})


def not_a_patch() -> ApiError:
    """415: there is no such type of patches."""
    return status_error(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})


def unsupported_media_type(accepted: Sequence[str]) -> ApiError:
    """415: the body has a format that is not understood here."""
    message = (
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(accepted)
    )
    return status_error(415, "UnsupportedMediaType", message)


def expired(message: str) -> ApiError:
    """410: the revision is no longer kept; list again."""
    return status_error(410, "Expired", message)


def continue_expired(token: str) -> ApiError:
    """410: the list's snapshot is gone; `token` continues it inconsistently."""
    error = status_error(
        410,
        "Expired",
        "The provided continue parameter is too old to display a consistent list result. You can "
        "start a new list without the continue parameter, or use the continue token in this "
        "response to retrieve the remainder of the results. Continuing with the provided token "
        "results in an inconsistent list - objects that were created, modified, or deleted between "
        "the time the first chunk was returned and now may show up in the list.",
    )
    error.status["metadata"] = {"continue": token}
    return error


def too_large(asked: int, current: int) -> ApiError:
    """504: a revision that does not exist yet."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return status_error(
        504,
        "Timeout",
        f"Timeout: Too large resource version: {asked}, current: {current}",
        {"causes": [cause], "retryAfterSeconds": 1},
    )


def too_many_requests(message: str, causes: Sequence[dict] = ()) -> ApiError:
    """429: not now."""
    details = {"causes": list(causes)} if causes else None
    return status_error(429, "TooManyRequests", message, details)


def insufficient_storage(message: str) -> ApiError:
    """507: there is no room for the write.

    Without Retry-After: a client that waits by itself would hide from a person what only a person
    can mend.
    """
    return status_error(507, "InsufficientStorage", message)


def internal(message: str) -> ApiError:
    """500: a fault on this side."""
    text = f"Internal error occurred: {message}"
    return status_error(500, "InternalError", text, {"causes": [{"message": message}]})
