"""What a client is told where no endpoint answers: a small page that says why.

The status codes are nginx' own: 404 without a rule, 503 without a ready endpoint, 502 where no
endpoint could be reached, 504 where one did not answer in time.
"""

from __future__ import annotations

from html import escape
from http import HTTPStatus

from labkit.proxy.ingress.routes import Location

_PHRASES = {503: "Service Temporarily Unavailable", 504: "Gateway Time-out"}  # as nginx says them


def page(status: int, why: str) -> str:
    """A page in HTML."""
    title = f"{status} {_PHRASES.get(status) or HTTPStatus(status).phrase}"
    return (
        f"<!DOCTYPE html>\n<html><head><title>{title}</title></head>\n"
        f"<body><h1>{title}</h1>\n<p>{escape(why)}</p>\n"
        "<hr><p>Ingress controller</p></body></html>\n"
    )


def no_rule(host: str, path: str) -> str:
    """Why there is a 404."""
    return f"No Ingress has a rule for the host {host or '(none)'} and the path {path}."


def no_endpoint(location: Location) -> str:
    """Why there is a 503."""
    if location.backend is None:
        return f"The backend that the Ingress {location.ingress} names is no Service."
    backend = location.backend
    name = f"{backend.namespace}/{backend.service}"
    return f"The Service {name} has no ready endpoint for its port {backend.port}."


def no_answer(location: Location) -> str:
    """Why there is a 502 or 504."""
    backend = location.backend
    return f"No endpoint of the Service {backend.namespace}/{backend.service} has answered."
