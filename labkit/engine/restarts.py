"""Restart policies: whether a container that has ended starts again, and after how long.

The rules are those of moby's restartmanager: a first wait of 100 ms that doubles up to a minute,
and begins anew after a run of 10 s; `on-failure:n` gives up after n restarts; what somebody has
stopped stays stopped.

Left out: containers do not outlive the engine, so that `always` and `unless-stopped`, which differ
in what happens when dockerd itself starts, are the same here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labkit.engine.errors import BadParameter

FIRST_SECONDS, LONGEST_SECONDS = 0.1, 60.0
LONG_RUN_SECONDS = 10.0
NONE = ("", "no")
ALWAYS = ("always", "unless-stopped")
ON_FAILURE = "on-failure"


def check_policy(policy: Mapping[str, Any], *, auto_remove: bool = False) -> None:
    """Raises BadParameter for a RestartPolicy that cannot be."""
    name, most = policy.get("Name") or "", policy.get("MaximumRetryCount") or 0
    if name not in (*NONE, *ALWAYS, ON_FAILURE):
        raise BadParameter(f"invalid restart policy '{name}'")
    if most and name != ON_FAILURE:
        raise BadParameter(f"maximum retry count cannot be used with restart policy '{name}'")
    if most < 0:
        raise BadParameter("maximum retry count cannot be negative")
    if auto_remove and name not in NONE:
        raise BadParameter("can't create 'AutoRemove' container with restart policy")


@dataclass
class Restarts:
    """The restarts of one container since somebody started it.

    `cancelled` is set for good when somebody stops it, `signalled` when somebody sends it a signal
    of any kind: moby takes that for a stop under `unless-stopped`.
    """

    count: int = 0
    wait: float = 0.0  # seconds, the latest
    cancelled: bool = False
    signalled: bool = False

    def after(self, policy: Mapping[str, Any], exit_code: int, ran: float) -> float | None:
        """A run of `ran` seconds has ended: seconds until the next, or None for no other."""
        name, most = policy.get("Name") or "", policy.get("MaximumRetryCount") or 0
        if name in NONE or self.cancelled:
            return None
        if name == "unless-stopped" and self.signalled:
            return None
        if ran >= LONG_RUN_SECONDS or not self.wait:
            self.wait = FIRST_SECONDS
        else:
            self.wait = min(2 * self.wait, LONGEST_SECONDS)
        if name == ON_FAILURE and (exit_code == 0 or (most and self.count >= most)):
            return None
        self.count += 1
        return self.wait
