"""The Node object that a kubelet registers and the status it reports: pure functions.

Source: kubelet nodestatus/setters.go, with its reasons and messages.  Left out: reserved resources,
volumes, ephemeral storage, pressure on disk and process ids: the machine's are not the node's.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from fractions import Fraction

from labkit.kube import quantity, times
from labkit.kube.quantity import format_quantity

KUBELET_VERSION = "v1.36.0"
_MAX_IMAGES = 50  # nodeStatusMaxImages
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}


def architecture(engine: Mapping) -> str:
    """The machine's architecture under Go's name."""
    word = engine.get("Architecture") or platform.machine()
    return _ARCHITECTURES.get(word, word)


def node_labels(name: str, engine: Mapping) -> dict[str, str]:
    """The labels that every kubelet puts on its Node."""
    system, arch = engine.get("OSType") or "linux", architecture(engine)
    return {
        "beta.kubernetes.io/arch": arch,
        "beta.kubernetes.io/os": system,
        "kubernetes.io/arch": arch,
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": system,
    }


def capacity(engine: Mapping, max_pods: int, memory: str = "100%") -> dict[str, str]:
    """What the machine has, as the engine says (`docker info`); of its `memory` a part or this."""
    present = int(engine.get("MemTotal") or 0) // 1024
    if memory.endswith("%"):
        share = int(present * Fraction(memory[:-1]) / 100)
        memory = f"{share}Ki" if share else "0"
    return {"cpu": str(engine.get("NCPU") or 1), "memory": memory, "pods": str(max_pods)}


def allocatable(capacity: Mapping[str, str], threshold: int) -> dict[str, str]:
    """What Pods may use: all but the memory below which Pods are evicted."""
    left = max(0, quantity.value(capacity["memory"]) - threshold)
    return {**capacity, "memory": format_quantity(left, "BinarySI")}


def node_info(engine: Mapping) -> dict[str, str]:
    """status.nodeInfo."""
    return {
        "architecture": architecture(engine),
        "bootID": "",
        "containerRuntimeVersion": f"docker://{engine.get('ServerVersion', '')}",
        "kernelVersion": engine.get("KernelVersion") or "",
        "kubeProxyVersion": "",
        "kubeletVersion": KUBELET_VERSION,
        "machineID": engine.get("ID") or "",
        "operatingSystem": engine.get("OSType") or "linux",
        "osImage": engine.get("OperatingSystem") or "",
        "systemUUID": "",
    }


def images(listed: Iterable[Mapping]) -> list[dict]:
    """status.images: the largest ones, by all their names."""
    found = []
    for image in listed:
        names = [*(image.get("RepoDigests") or ()), *(image.get("RepoTags") or ())]
        names = [name for name in names if "<none>" not in name]
        if names:
            found.append({"names": names, "sizeBytes": image.get("Size") or 0})
    found.sort(key=lambda one: (-one["sizeBytes"], one["names"]))
    return found[:_MAX_IMAGES]


_MEMORY = {
    False: ("False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    True: ("True", "KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
}
_WELL = (
    ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
)


def node_conditions(
    old: Iterable[Mapping], problem: str, now: float, *, pressure: bool = False
) -> list[dict]:
    """The kubelet's conditions; `problem` is why the node is not ready, or empty.

    `pressure` is that memory is short.
    """
    wanted = [("MemoryPressure", *_MEMORY[pressure])]
    wanted += [(kind, "False", reason, message) for kind, reason, message in _WELL]
    if problem:
        wanted.append(("Ready", "False", "KubeletNotReady", problem))
    else:
        wanted.append(("Ready", "True", "KubeletReady", "kubelet is posting ready status"))
    known = {one["type"]: one for one in old}
    return [_condition(known.get(kind) or {}, now, kind, *rest) for kind, *rest in wanted]


_NEWS = {
    ("MemoryPressure", "False"): "NodeHasSufficientMemory",
    ("MemoryPressure", "True"): "NodeHasInsufficientMemory",
    ("DiskPressure", "False"): "NodeHasNoDiskPressure",
    ("PIDPressure", "False"): "NodeHasSufficientPID",
    ("Ready", "True"): "NodeReady",
    ("Ready", "False"): "NodeNotReady",
}


def news(old: Iterable[Mapping], new: Iterable[Mapping]) -> list[str]:
    """The reasons of the Events about conditions that changed.

    Of a new node's conditions Ready is none: it has not been otherwise.
    """
    known = {one["type"]: one["status"] for one in old}
    return [
        _NEWS[one["type"], one["status"]]
        for one in new
        if known.get(one["type"]) != one["status"]
        and (one["type"] in known or one["type"] != "Ready")
    ]


def _condition(old: Mapping, now: float, kind: str, status: str, reason: str, message: str) -> dict:
    stamp = times.rfc3339(now)
    same = old.get("status") == status
    return {
        "type": kind,
        "status": status,
        "lastHeartbeatTime": stamp,
        "lastTransitionTime": old["lastTransitionTime"] if same else stamp,
        "reason": reason,
        "message": message,
    }


def extended(amounts: Mapping | None) -> dict[str, str]:
    """The resources that others have advertised: `example.com/dongle`.

    The kubelet keeps them, and makes all of their capacity allocatable (documentation "Advertise
    Extended Resources for a Node").
    """
    return {
        name: amount
        for name, amount in (amounts or {}).items()
        if "/" in name and "kubernetes.io/" not in name
    }


def without_heartbeat(status: Mapping) -> dict:
    """`status` without its heartbeat times: what must differ to be worth a write."""
    beats = [
        {key: text for key, text in one.items() if key != "lastHeartbeatTime"}
        for one in status.get("conditions") or ()
    ]
    return {**status, "conditions": beats}
