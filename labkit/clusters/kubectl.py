"""kubectl on this machine: where it is, and how to get it."""

from __future__ import annotations

import platform
import shutil

from labkit.errors import UsageError

#: Of the embedded API server; kubectl may be one minor version off.
API_VERSION = "v1.36.0"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def find() -> str:
    """The path of kubectl.  Raises UsageError, which says how to get it."""
    if path := shutil.which("kubectl"):
        return path
    raise UsageError(
        "There is no kubectl on this machine's PATH.",
        "The lab's conda environment brings it; a plain Python environment does not.",
        f"Get it: {how_to_get_it()}",
    )


def how_to_get_it() -> str:
    """Lines for a terminal that install kubectl for this user."""
    machine = _MACHINES.get(platform.machine(), "amd64")
    path = f"{API_VERSION}/bin/{platform.system().lower()}/{machine}/kubectl"
    return (
        "conda install -c conda-forge kubernetes-client, or: mkdir -p ~/.local/bin && "
        f"curl -Lo ~/.local/bin/kubectl https://dl.k8s.io/release/{path} && "
        "chmod +x ~/.local/bin/kubectl (and have ~/.local/bin on PATH)"
    )
