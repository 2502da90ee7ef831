"""Asking any cluster why a Pod is where it is: reads the API, and explains.

Nothing here talks to the scheduler: what it would decide follows from the objects of the API, so
that the answer is as good for a real cluster with its default scheduler.  A Pod that runs is judged
as if it did not, on the cluster as it is now.  A Pod that does not exist yet is completed by the
API server (a dry run of its creation), which knows the defaults.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import NamedTuple

from labkit.client import ApiError, Client
from labkit.errors import UsageError
from labkit.kube import objects, pods
from labkit.kube.resources import (
    DEPLOYMENTS,
    JOBS,
    NAMESPACES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    SERVICES,
    STATEFUL_SETS,
    STORAGE_CLASSES,
    Resource,
)
from labkit.scheduler.cache import Cache
from labkit.scheduler.explain import explain
from labkit.scheduler.explanation import Explanation
from labkit.scheduler.messages import failed_scheduling
from labkit.scheduler.needs import OWNERS, needs_of, owner_of
from labkit.scheduler.placement import Placer
from labkit.scheduler.podview import view
from labkit.scheduler.preemption import Outcome, budget, preempt
from labkit.scheduler.volumes import Storage

_READ = (
    NODES, PODS, NAMESPACES, SERVICES, *OWNERS.values(), PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES, STORAGE_CLASSES, POD_DISRUPTION_BUDGETS,
)  # fmt: skip
WORKLOADS = {
    each.kind: each
    for each in (
        DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS, JOBS
    )
}  # fmt: skip
"""The kinds whose template alone says where their Pods may go."""

Stores = Mapping[Resource, Mapping[str, Mapping]]


class Question(NamedTuple):
    """All that an explanation is made of: the Pod, how it is, the cluster, and the Pod's owner."""

    pod: Mapping
    state: str
    stores: Stores
    owner: Mapping | None = None

    def answer(self) -> Explanation:
        """The explanation."""
        return explained(*self)


async def ask(client: Client, given: Mapping, namespace: str = "default") -> Explanation:
    """Explain a Pod of the API, a manifest of one, or one more Pod of a workload's template.

    Raises UsageError for anything else, ApiError where the API server refuses.
    """
    return (await question(client, given, namespace)).answer()


async def question(client: Client, given: Mapping, namespace: str = "default") -> Question:
    """Read what `ask` explains: the answer to it, and to others like it, needs no API server."""
    pod, state = await _the_pod(client, given, namespace)
    found = await asyncio.gather(*(_read(client, resource) for resource in _READ))
    stores = dict(zip(_READ, found, strict=True))
    if given.get("kind") in WORKLOADS:
        return Question(pod, state, stores, given)
    owner = owner_of(pod, lambda kind, *names: stores[OWNERS[kind]].get("/".join(names)))
    return Question(pod, state, stores, owner)


async def _read(client: Client, resource: Resource) -> dict[str, Mapping]:
    try:
        answer = await client.list(resource)
    except ApiError as error:
        if error.not_found:
            return {}  # a cluster that does not serve it
        raise
    return {objects.key(item): item for item in answer["items"]}


async def _the_pod(client: Client, given: Mapping, namespace: str) -> tuple[Mapping, str]:
    """The Pod with all its defaults, and how it is."""
    kind, meta = given.get("kind", PODS.kind), given.get("metadata") or {}
    if kind == PODS.kind and meta.get("uid"):
        return given, _state(given)
    if kind in WORKLOADS:
        template, state = given["spec"]["template"], f"would be one more Pod of the {kind}"
    elif kind == PODS.kind:
        template, state = given, "does not exist yet"
    else:
        raise UsageError(
            f"A {kind} is not scheduled.",
            "Only Pods have a node, and what has a template of Pods makes them.",
            "Try: lab.explain_scheduling('pod/web')",
        )
    kept = template.get("metadata") or {}
    draft = {
        "apiVersion": PODS.api_version,
        "kind": PODS.kind,
        "metadata": {
            "generateName": f"{meta.get('name') or 'pod'}-",
            **{key: kept[key] for key in ("labels", "annotations") if key in kept},
        },
        "spec": template["spec"],
    }
    path = PODS.path(meta.get("namespace") or namespace)
    pod = await client.transport.request("POST", path, params={"dryRun": "All"}, body=draft)
    return {**pod, "metadata": {**pod["metadata"], "name": meta.get("name") or "pod"}}, state


def _state(pod: Mapping) -> str:
    gates = [gate["name"] for gate in pod["spec"].get("schedulingGates") or ()]
    if node := pods.node_name(pod):
        return f"is on {node}"
    return f"is held back by its scheduling gates {', '.join(gates)}" if gates else "is waiting"


def explained(
    pod: Mapping, state: str, stores: Stores, owner: Mapping | None = None
) -> Explanation:
    """The explanation of a Pod of `owner`, from all objects that matter; `state` says how it is."""
    spec = {key: value for key, value in pod["spec"].items() if key != "nodeName"}
    free = {**pod, "spec": spec} if pods.node_name(pod) else pod
    seen, cache = view(free), _cache(stores, pod)
    storage = Storage(
        stores[PERSISTENT_VOLUME_CLAIMS], stores[PERSISTENT_VOLUMES], stores[STORAGE_CLASSES], {}
    )
    services = [
        each
        for each in stores[SERVICES].values()
        if each["metadata"]["namespace"] == seen.namespace
    ]
    needs = needs_of(free, seen, services, owner, storage)
    verdicts = explain(seen, cache, needs)
    outcome, message = Outcome(), ""
    if not any(each.possible for each in verdicts):
        source = random.Random(0)
        placer = Placer(cache, source)
        decision = placer.decide(seen, needs)
        if decision.total:
            budgets = [budget(each) for each in stores[POD_DISRUPTION_BUDGETS].values()]
            alike = placer.alike(seen, needs)
            outcome = preempt(seen, decision, alike, cache, budgets, source)
        message = failed_scheduling(decision, outcome.message)
    return Explanation(_title(pod), state, pods.node_name(pod), verdicts, message, outcome.victims)


def _title(pod: Mapping) -> str:
    meta = pod["metadata"]
    return f"{meta.get('namespace') or 'default'}/{meta['name']}"


def _cache(stores: Stores, pod: Mapping) -> Cache:
    """The cluster without the Pod."""
    cache = Cache()
    for each in stores[NAMESPACES].values():
        cache.set_namespace(None, each)
    for each in stores[NODES].values():
        cache.set_node(None, each)
    for each in stores[PODS].values():
        if each["metadata"].get("uid") == pod["metadata"].get("uid"):
            continue
        cache.set_pod(None, each)
        nominated = (each.get("status") or {}).get("nominatedNodeName")
        if nominated and not pods.node_name(each):
            cache.nominate(view(each), nominated)
    return cache
