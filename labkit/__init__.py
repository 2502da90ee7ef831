"""labkit: a Kubernetes lab for notebooks.

    import labkit
    lab = labkit.Lab()          # a working cluster in about a second

A tour of the code, in reading order:

- `labkit.kube`        the vocabulary of Kubernetes, as pure functions
- `labkit.client`      the API client, informers, work queues: how every part talks
- `labkit.apiserver`   where the truth is: store, validation, watch, HTTP
- `labkit.controllers` Deployment, ReplicaSet, EndpointSlice, HorizontalPodAutoscaler and the rest
- `labkit.scheduler`   which node a Pod runs on, and why
- `labkit.kubelet`     from Pods to containers, probes and back to status
- `labkit.engine`      the embedded container engine, which speaks the Docker Engine API
- `labkit.proxy`       Services and cluster DNS
- `labkit.metrics`     what `kubectl top` and the autoscaler read
- `labkit.clusters`    all of these, in one process or in one each: up, down, status
- `labkit.load`        open-loop HTTP load
- `labkit.observe`     recording a run, and the figure of it
- `labkit.widgets`     live views: the map, the autoscaler, what if, where would a Pod go
- `labkit.lab`         `Lab`, the one object of a notebook
- `labkit.apps`        what runs in the containers

Importing `labkit` imports none of them; its public names arrive when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labkit.clusters.doctor import doctor
    from labkit.lab import Lab
    from labkit.load import ramp, spike, step
    from labkit.observe import Recorder, hpa_timeline
    from labkit.widgets.what_if import what_if

_HOMES = {
    "Lab": "labkit.lab",
    "doctor": "labkit.clusters.doctor",
    "load_ipython_extension": "labkit.lab",
    "step": "labkit.load",
    "ramp": "labkit.load",
    "spike": "labkit.load",
    "Recorder": "labkit.observe",
    "hpa_timeline": "labkit.observe",
    "what_if": "labkit.widgets.what_if",
}
__all__ = ["Lab", "Recorder", "doctor", "hpa_timeline", "ramp", "spike", "step", "what_if"]
__version__ = "0.1.0"


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'labkit' has no attribute {name!r}")
