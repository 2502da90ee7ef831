"""The errors that the Engine API answers with, in the daemon's own words and codes.

Each is `{"message": ...}` with a status code; clients (the docker SDK's `NotFound`, the CLI's
"Error response from daemon: ...") act on both.  The words are those of dockerd 20.10 to 28.
"""

from __future__ import annotations


class EngineError(Exception):
    """An answer other than success; `str(error)` is the message."""

    status = 500


class BadParameter(EngineError):
    status = 400


class Forbidden(EngineError):
    status = 403


class NotFound(EngineError):
    status = 404


class Conflict(EngineError):
    status = 409


class NotModified(EngineError):
    """The container is in the wanted state already."""

    status = 304


def no_such_container(name: str) -> NotFound:
    return NotFound(f"No such container: {name}")


def not_running(container_id: str) -> Conflict:
    return Conflict(f"Container {container_id} is not running")


def is_restarting(container_id: str) -> Conflict:
    return Conflict(f"Container {container_id} is restarting, wait until the container is running")


def is_paused(container_id: str) -> Conflict:
    return Conflict(f"Container {container_id} is paused, unpause the container before exec")


def name_in_use(name: str, container_id: str) -> Conflict:
    return Conflict(
        f'Conflict. The container name "/{name}" is already in use by container "{container_id}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )


def remove_running(container_id: str, state: str) -> Conflict:
    """`state`: running, paused or restarting."""
    first = "Unpause and then stop" if state == "paused" else "Stop"
    return Conflict(
        f"You cannot remove a {state} container {container_id}. "
        f"{first} the container before attempting removal or force remove"
    )


def cannot_exec(what: str, command: str, reason: str) -> str:
    """The words of runc; `what` is `runc create failed` or `exec failed`."""
    return (
        f"OCI runtime {what}: unable to start container process: "
        f'exec: "{command}": {reason}: unknown'
    )
