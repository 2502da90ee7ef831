"""Everything that labkit raises on purpose.

    LabkitError
    ├── UsageError            the caller asked for something that cannot be; says what to type next
    ├── ClusterError          a cluster cannot be started, reached or stopped
    └── WaitTimeout           a condition did not come true before its deadline
    ApiError (labkit.client)  an answer of the API server: a real Kubernetes Status

A learner's mistake is one of these, with a message of up to three sentences: what happened (with
the value), the likely cause, and the exact next line to type.  Anything else that escapes is a bug
of labkit.
"""

from __future__ import annotations


class LabkitError(Exception):
    """Base of all deliberate errors.  `str(error)` is the whole message for a person."""

    def __init__(self, what: str, why: str = "", fix: str = "") -> None:
        super().__init__(" ".join(part for part in (what, why, fix) if part))
        self.what, self.why, self.fix = what, why, fix


class UsageError(LabkitError):
    """An argument or a file that cannot be used as given."""


class ClusterError(LabkitError):
    """The cluster cannot be started, reached or stopped."""


class WaitTimeout(LabkitError):
    """`condition` was not met after `seconds`; `last` is the state seen last."""

    def __init__(self, condition: str, seconds: float, last: str, fix: str = "") -> None:
        super().__init__(
            f"Waited {seconds:g} s for {condition}, in vain.", f"Last seen: {last}.", fix
        )
