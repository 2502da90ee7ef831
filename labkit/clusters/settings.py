"""Flags of the control plane that `labkit up` takes, with upstream's names and defaults.

Source: Kubernetes documentation, "kube-controller-manager" and "metrics-server" command line
tools.  Durations are Go's: `15s`, `1m30s`, `500ms`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from labkit.errors import UsageError

TOGETHER, SEPARATE = "together", "separate"
"""Whether a cluster's parts share one process, or have one each."""

DEFAULTS: dict[str, str] = {
    "horizontal-pod-autoscaler-sync-period": "15s",
    "horizontal-pod-autoscaler-downscale-stabilization": "5m0s",
    "horizontal-pod-autoscaler-tolerance": "0.1",
    "horizontal-pod-autoscaler-cpu-initialization-period": "5m0s",
    "horizontal-pod-autoscaler-initial-readiness-delay": "30s",
    "node-monitor-grace-period": "50s",
    "metric-resolution": "15s",
}
"""Flag name → default, as text."""

_OWNERS = {
    **dict.fromkeys(DEFAULTS, "kube-controller-manager"),
    "metric-resolution": "metrics-server",
}
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|us|µs|ns|m|s)")


def duration(text: str) -> float:
    """Go's `time.ParseDuration` → seconds.  Raises ValueError."""
    if text == "0":
        return 0.0
    if not text or _PART.sub("", text):
        raise ValueError(f"{text!r} is not a duration")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def number(flag: str, text: str) -> float:
    """The value of `flag`: seconds, or the plain number of the tolerance.  Raises UsageError."""
    if flag not in DEFAULTS:
        raise UsageError(
            f"There is no setting {flag!r}.",
            "Settings are named as the flags of kube-controller-manager and metrics-server.",
            "See them all: labkit up --help",
        )
    try:
        return float(text) if flag.endswith("tolerance") else duration(text)
    except ValueError:
        raise UsageError(
            f"--{flag} cannot be {text!r}.",
            "It takes a number such as 0.1."
            if flag.endswith("tolerance")
            else "It takes a duration such as 15s, 1m30s or 500ms.",
            f"The default is: --{flag}={DEFAULTS[flag]}",
        ) from None


def of_part(part: str, numbers: Mapping[str, float]) -> dict[str, float]:
    """Of all settings (as `complete` gives them) those that are flags of `part`."""
    names = (flag.replace("-", "_") for flag, owner in _OWNERS.items() if owner == part)
    return {name: numbers[name] for name in names}


def complete(given: Mapping[str, str]) -> dict[str, float]:
    """Every setting as a number under its Python name (dashes become underscores)."""
    merged = {**DEFAULTS, **given}
    return {flag.replace("-", "_"): number(flag, text) for flag, text in merged.items()}
