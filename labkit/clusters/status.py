"""`labkit status`: the clusters of this user, and what the API of each says about its nodes."""

from __future__ import annotations

import asyncio

import psutil

from labkit.client import ApiError, Client, kubeconfig
from labkit.clusters import manage, paths, settings
from labkit.clusters.parts import Parts
from labkit.kube import conditions
from labkit.kube.resources import NODES, PODS

_NOTHING = "There is no cluster. Start one: labkit up"


def text(names: list[str] | None) -> str:
    """A few lines per cluster; all clusters without `names`.  Raises ClusterError."""
    names = [cluster.name for cluster in paths.all_clusters()] if names is None else names
    return "\n".join(_one(name) for name in names) or _NOTHING


def _one(name: str) -> str:
    found = manage.info(name)
    if found is None:
        raise manage.no_such_cluster(name)
    if not found.running:
        return f"{name}: down. Go on with it: labkit up --name {name}"
    process = psutil.Process(found.pid)
    memory = process.memory_info().rss / 2**20
    children = process.children(recursive=True)
    lines = [
        f"{name}: up",
        f"  server      {found.server}",
        f"  context     {found.context}  (in {found.kubeconfig})",
        f"  containers  {found.docker_host}  ({found.engine} engine)",
        f"  daemon      pid {found.pid}, {memory:.0f} MiB, {len(children)} processes under it",
    ]
    if found.parts == settings.SEPARATE:
        rows = str(Parts(name)).replace("\n", "\n              ")
        lines.append(f"  parts       {rows}")
    try:
        lines += asyncio.run(_nodes_and_pods(found))
    except (ApiError, OSError) as error:
        lines.append(f"  nodes       the API server does not answer: {error}")
    return "\n".join(lines)


async def _nodes_and_pods(found: manage.ClusterInfo) -> list[str]:
    client = Client(kubeconfig.transport(found.kubeconfig))
    try:
        nodes = (await client.list(NODES))["items"]
        pods = (await client.list(PODS))["items"]
    finally:
        await client.close()
    ready = sum(conditions.is_true(node, "Ready") for node in nodes)
    running = sum((pod.get("status") or {}).get("phase") == "Running" for pod in pods)
    return [
        f"  nodes       {ready} of {len(nodes)} Ready",
        f"  Pods        {running} of {len(pods)} Running",
    ]
