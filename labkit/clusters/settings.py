"""Flags of the control plane that `labkit up` takes, with upstream's names and defaults.

Source: Kubernetes documentation, the command line tools "kube-apiserver", "kube-controller-manager"
and "metrics-server", and the kubelet's configuration (whose `nodeLeaseDurationSeconds` has no flag
upstream).  Those of virtual nodes are the lab's own.  Durations are Go's: `15s`, `1m30s`, `500ms`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from labkit.errors import UsageError
from labkit.kube import quantity

TOGETHER, SEPARATE = "together", "separate"
"""Whether a cluster's parts share one process, or have one each."""

DEFAULTS: dict[str, str] = {
    "horizontal-pod-autoscaler-sync-period": "15s",
    "horizontal-pod-autoscaler-downscale-stabilization": "5m0s",
    "horizontal-pod-autoscaler-tolerance": "0.1",
    "horizontal-pod-autoscaler-cpu-initialization-period": "5m0s",
    "horizontal-pod-autoscaler-initial-readiness-delay": "30s",
    "node-monitor-period": "5s",
    "node-monitor-grace-period": "50s",
    "default-not-ready-toleration-seconds": "300",
    "default-unreachable-toleration-seconds": "300",
    "node-lease-duration-seconds": "40",
    "node-memory": "100%",
    "eviction-hard": "memory.available<100Mi",
    "eviction-pressure-transition-period": "5m0s",
    "sync-frequency": "1m0s",
    "max-container-restart-period": "5m0s",
    "metric-resolution": "15s",
    "virtual-node-start-delay": "10s",
    "spot-reclaim-interval": "0",
    "spot-reclaim-notice": "2m0s",
}
"""Flag name → default, as text."""

_OWNERS = {
    **dict.fromkeys(DEFAULTS, "kube-controller-manager"),
    "default-not-ready-toleration-seconds": "kube-apiserver",
    "default-unreachable-toleration-seconds": "kube-apiserver",
    "node-lease-duration-seconds": "kubelet",
    "node-memory": "kubelet",
    "eviction-hard": "kubelet",
    "eviction-pressure-transition-period": "kubelet",
    "sync-frequency": "kubelet",
    "max-container-restart-period": "kubelet",
    "metric-resolution": "metrics-server",
    "virtual-node-start-delay": "virtual-kubelet",
    "spot-reclaim-interval": "virtual-kubelet",
    "spot-reclaim-notice": "virtual-kubelet",
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


def number(flag: str, text: str) -> float | str:
    """The value of `flag`: seconds, a plain number, or an amount.  Raises UsageError."""
    if flag not in DEFAULTS:
        raise UsageError(
            f"There is no setting {flag!r}.",
            "Settings are named as the flags of Kubernetes' own parts.",
            "See them all: labkit up --help",
        )
    kind = _kind(flag)
    try:
        return _KINDS[kind](text)
    except ValueError:
        raise UsageError(
            f"--{flag} cannot be {text!r}.",
            f"It takes {kind}.",
            f"The default is: --{flag}={DEFAULTS[flag]}",
        ) from None


def _memory(text: str) -> str:
    if text.endswith("%"):
        float(text[:-1])
    else:
        quantity.parse_quantity(text)
    return text


def _threshold(text: str) -> str:
    signal, _, amount = text.partition("<")
    if text:
        _memory(amount)
    if text and signal != "memory.available":
        raise ValueError(text)
    return text


_SPECIAL = {
    "node-memory": "an amount of memory such as 512Mi, or a part of the machine's such as 25%",
    "eviction-hard": "memory.available<AMOUNT, such as 100Mi or 5%, or nothing for no eviction",
}


def _kind(flag: str) -> str:
    if flag in _SPECIAL:
        return _SPECIAL[flag]
    if flag.endswith("tolerance"):
        return "a number such as 0.1"
    if flag.endswith("-seconds"):
        return "a whole number of seconds, such as 30"
    return "a duration such as 15s, 1m30s or 500ms"


_KINDS = {
    _SPECIAL["node-memory"]: _memory,
    _SPECIAL["eviction-hard"]: _threshold,
    "a number such as 0.1": float,
    "a whole number of seconds, such as 30": int,
    "a duration such as 15s, 1m30s or 500ms": duration,
}


def of_part(part: str, numbers: Mapping[str, float | str]) -> dict[str, float | str]:
    """Of all settings (as `complete` gives them) those that are flags of `part`."""
    names = (flag.replace("-", "_") for flag, owner in _OWNERS.items() if owner == part)
    return {name: numbers[name] for name in names}


def complete(given: Mapping[str, str]) -> dict[str, float | str]:
    """Every setting under its Python name (dashes become underscores)."""
    merged = {**DEFAULTS, **given}
    return {flag.replace("-", "_"): number(flag, text) for flag, text in merged.items()}
