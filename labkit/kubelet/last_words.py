"""The termination message of a container that has ended: what it left in its file, or its log.

Source: kubelet's kuberuntime (getTerminationMessage); documentation "Determine the Reason for Pod
Failure".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from labkit.kubelet.instances import EXITED, MESSAGE_POLICY, Instance

_MAX_FILE = 4096  # bytes
_MAX_LOG, LOG_LINES = 2048, 80


async def with_message(run: Instance, log: Callable[[], Awaitable[bytes]]) -> Instance:
    """`run` with its message; `log` fetches the last LOG_LINES lines of its log."""
    if run.state != EXITED or run.message or not run.message_file:
        return run
    message = _read(run.message_file)
    policy = (run.labels or {}).get(MESSAGE_POLICY)
    if not message and policy == "FallbackToLogsOnError" and run.exit_code:
        message = (await log())[-_MAX_LOG:].decode(errors="replace")
    return replace(run, message=message) if message else run


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_FILE).decode(errors="replace")
    except OSError:
        return ""  # the Pod is gone, or the engine is on another machine
