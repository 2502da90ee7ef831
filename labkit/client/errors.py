"""API errors: a Kubernetes Status object as an exception."""

from __future__ import annotations

from collections.abc import Mapping

from labkit.errors import LabkitError


class ApiError(LabkitError):
    """An answer of the API server other than success.

    `code` is the HTTP status, `reason` the machine-readable word (NotFound, AlreadyExists,
    Conflict, Invalid, ...), `status` the whole metav1.Status as the server sent it.
    """

    def __init__(self, status: Mapping) -> None:
        super().__init__(status.get("message") or status.get("reason") or "unknown error")
        self.status = dict(status)
        self.code: int = status.get("code") or 500
        self.reason: str = status.get("reason") or ""

    @property
    def not_found(self) -> bool:
        """404: the object, or the resource, does not exist."""
        return self.code == 404

    @property
    def conflict(self) -> bool:
        """409 Conflict: the object changed since it was read; read again and retry."""
        return self.reason == "Conflict"

    @property
    def already_exists(self) -> bool:
        """409 AlreadyExists: create found an object of that name."""
        return self.reason == "AlreadyExists"

    @property
    def expired(self) -> bool:
        """410: the asked-for revision is compacted; list again."""
        return self.code == 410

    @property
    def too_large_version(self) -> bool:
        """504: the asked-for revision is one that the server has not come to."""
        causes = (self.status.get("details") or {}).get("causes") or ()
        return any(cause.get("reason") == "ResourceVersionTooLarge" for cause in causes)


def status_error(code: int, reason: str, message: str, details: Mapping | None = None) -> ApiError:
    """An ApiError from its parts (the shape of metav1.Status)."""
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        **({} if details is None else {"details": dict(details)}),
        "code": code,
    }
    return ApiError(status)
