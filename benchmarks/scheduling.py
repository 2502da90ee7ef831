"""How many Pods a second the scheduler decides about: the decision alone, without an API.

Ten thousand Pods on a thousand nodes in three zones, in the processor's time of this process.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

from labkit.kube import selectors
from labkit.scheduler.cache import Cache
from labkit.scheduler.placement import Placer
from labkit.scheduler.podview import PodView, view
from labkit.scheduler.preemption import preempt
from labkit.scheduler.spread import HOSTNAME, ZONE, spread_of
from labkit.scheduler.table import NO_NEEDS, Needs

NODES, PODS = 1000, 10_000
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def measure() -> Iterator[tuple[str, str]]:
    """What was decided about, and how fast."""
    yield "Pods alike", _rate(_decide(1))
    yield "Pods of 20 Deployments that spread", _rate(_decide(20, spreads=True))
    yield "Pods of 20 apps, one on a host", _rate(_decide(20, affinity=_alone))
    yield "Pods that fit nowhere", _rate(_refuse())


def _rate(seconds: float) -> str:
    return f"{PODS / seconds:,.0f} Pods/s"


def _cluster() -> Placer:
    cache = Cache()
    size = {"cpu": "16", "memory": "64Gi", "pods": "110"}
    for number in range(NODES):
        labels = {HOSTNAME: f"node-{number}", ZONE: "abc"[number % 3]}
        meta = {"name": f"node-{number}", "labels": labels}
        cache.set_node(None, {"metadata": meta, "spec": {}, "status": {"allocatable": size}})
    return Placer(cache, random.Random(1))


def _pod(number: int, app: str, cpu: str = "100m", **spec: object) -> PodView:
    requests = {"cpu": cpu, "memory": "128Mi"}
    containers = [{"name": "app", "image": "app:1", "resources": {"requests": requests}}]
    meta = {"name": f"{app}-{number}", "namespace": "default", "labels": {"app": app}}
    return view({"metadata": meta, "spec": {"containers": containers, **spec}})


def _alone(app: str) -> dict:
    term = {"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": {"app": app}}}
    return {"podAntiAffinity": {_REQUIRED: [term]}}


def _decide(apps: int, spreads: bool = False, affinity=None) -> float:
    """Seconds to find a node for every Pod, those of all apps by turns."""
    placer = _cluster()
    names = [f"app-{number % apps}" for number in range(PODS)]
    more = {name: {"affinity": affinity(name)} if affinity else {} for name in set(names)}
    pods = [_pod(number, name, **more[name]) for number, name in enumerate(names)]
    begun = time.process_time()
    for pod, name in zip(pods, names, strict=True):
        needs = NO_NEEDS
        if spreads:
            needs = Needs(spread_of(pod, selectors.parse(f"app={name}")))
        decision = placer.decide(pod, needs)
        assert decision.node
        placer.cache.assume(pod, decision.node)
    return time.process_time() - begun


def _refuse() -> float:
    """Seconds to find out that a Pod fits nowhere, and that nobody's leaving would help."""
    placer = _cluster()
    pods = [_pod(number, "big", cpu="17") for number in range(PODS)]
    begun = time.process_time()
    for pod in pods:
        decision = placer.decide(pod)
        preempt(pod, decision, placer.alike(pod), placer.cache, [], placer.source)
    return time.process_time() - begun
