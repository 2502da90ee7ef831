"""Pods and Nodes for tests, in few words."""

from __future__ import annotations

from labkit.scheduler.nodeinfo import node_info
from labkit.scheduler.podview import view


def pod(name="p", *, cpu=None, memory=None, labels=None, node=None, meta=None, **spec):
    requests = {k: v for k, v in (("cpu", cpu), ("memory", memory)) if v is not None}
    container = {"name": "c", "image": spec.pop("image", "i"), "resources": {"requests": requests}}
    if "ports" in spec:
        container["ports"] = spec.pop("ports")
    spec.setdefault("containers", [container])
    if node:
        spec["nodeName"] = node
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": name,
            "labels": labels or {},
            **(meta or {}),
        },
        "spec": spec,
    }


def seen(*args, **kwargs):
    return view(pod(*args, **kwargs))


def node(name="n", *, cpu="4", memory="8Gi", pods="110", labels=None, taints=(), images=(), **spec):
    size = {"cpu": cpu, "memory": memory, "pods": pods}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}},
        "spec": {"taints": list(taints), **spec},
        "status": {
            "allocatable": size,
            "images": [{"names": [name], "sizeBytes": size} for name, size in images],
        },
    }


def info(*args, on=(), **kwargs):
    return node_info(node(*args, **kwargs), on)
