"""From nothing to a cluster, from POST to Ready, from one Pod to thirty, and what it weighs.

Everything is done as a learner does it: `labkit up` is the command, in a process of its own with a
fresh directory; Pods are created and watched over HTTPS.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from labkit.client import Client, kubeconfig
from labkit.clusters import manage
from labkit.kube import pods
from labkit.kube.resources import DEPLOYMENTS, PODS

STARTS, SINGLE_PODS, MANY = 7, 15, 20
_LABELS = {"app": "bench"}


def measure() -> Iterator[tuple[str, str]]:
    """(what, figure) one after the other."""
    times, resting = [], []
    for _ in range(STARTS):
        with _cluster() as (name, seconds):
            times.append(seconds)
            resting.append(_memory(name))
    yield "labkit up, 3 nodes Ready", _spread(times)
    yield "memory of the daemon after start", f"{statistics.median(resting):.0f} MiB"
    with _cluster() as (name, _):
        yield from _pods(name)


def _pods(name: str) -> Iterator[tuple[str, str]]:
    config = manage.info(name).kubeconfig

    def timed(work: Callable) -> float:
        return asyncio.run(_timed(config, work))

    timed(_one_pod)  # the first pulls the image
    yield "one Pod, POST to Ready", _spread([timed(_one_pod) for _ in range(SINGLE_PODS)])
    yield f"{MANY} Pods, apply to all Ready", _spread([timed(_many_pods) for _ in range(3)])
    yield "3 to 30 replicas", _spread([timed(_scale_out) for _ in range(3)])
    yield "memory of the daemon with 30 Pods", f"{_memory(name):.0f} MiB"


@contextmanager
def _cluster() -> Iterator[tuple[str, float]]:
    with tempfile.TemporaryDirectory(prefix="labkit-") as home:
        os.environ["LABKIT_HOME"] = home
        command = [sys.executable, "-m", "labkit"]
        begun = time.perf_counter()
        subprocess.run([*command, "up", "--nodes", "3"], check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - begun
        try:
            yield "lab", seconds
        finally:
            subprocess.run([*command, "down"], check=True, stdout=subprocess.DEVNULL)


async def _timed(config: Path, work: Callable) -> float:
    client = Client(kubeconfig.transport(config))
    try:
        return await work(client)
    finally:
        await client.close()


async def _one_pod(client: Client) -> float:
    spec = {"containers": [{"name": "todolist", "image": "todolist", "readinessProbe": _probe()}]}
    revision = (await client.list(PODS, "default"))["metadata"]["resourceVersion"]
    begun = time.perf_counter()
    made = await client.create(
        PODS, {"metadata": {"generateName": "one-"}, "spec": spec}, "default"
    )
    name = made["metadata"]["name"]
    async for event in client.watch(PODS, "default", resource_version=revision):
        if event["object"]["metadata"].get("name") == name and pods.is_ready(event["object"]):
            break
    seconds = time.perf_counter() - begun
    await client.delete(PODS, name, "default", grace_period_seconds=0)
    return seconds


async def _many_pods(client: Client) -> float:
    begun = time.perf_counter()
    await client.create(DEPLOYMENTS, _deployment(MANY), "default")
    await _until_ready(client, MANY)
    seconds = time.perf_counter() - begun
    await _delete(client)
    return seconds


async def _scale_out(client: Client) -> float:
    await client.create(DEPLOYMENTS, _deployment(3), "default")
    await _until_ready(client, 3)
    begun = time.perf_counter()
    await client.patch(DEPLOYMENTS, "bench", {"spec": {"replicas": 30}}, "default")
    await _until_ready(client, 30)
    seconds = time.perf_counter() - begun
    await _delete(client)
    return seconds


async def _until_ready(client: Client, count: int) -> None:
    async for event in client.watch(DEPLOYMENTS, "default", resource_version="0"):
        if (event["object"].get("status") or {}).get("readyReplicas", 0) == count:
            return


async def _delete(client: Client) -> None:
    answer = await client.delete(DEPLOYMENTS, "bench", "default", propagation_policy="Foreground")
    revision = answer["metadata"]["resourceVersion"]
    async for event in client.watch(DEPLOYMENTS, "default", resource_version=revision):
        if event["type"] == "DELETED":
            return


def _deployment(replicas: int) -> dict:
    container = {"name": "todolist", "image": "todolist", "readinessProbe": _probe()}
    template = {"metadata": {"labels": _LABELS}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": _LABELS}, "template": template}
    return {"metadata": {"name": "bench"}, "spec": spec}


def _probe() -> dict:
    return {"httpGet": {"path": "/healthz", "port": 3001}, "periodSeconds": 1}


def _memory(name: str) -> float:
    """The daemon's resident memory in MiB, without its containers."""
    return psutil.Process(manage.info(name).pid).memory_info().rss / 2**20


def _spread(times: list[float]) -> str:
    return (
        f"median {statistics.median(times):.2f} s "
        f"({min(times):.2f} to {max(times):.2f}, {len(times)} runs)"
    )
