"""The cluster under `soak`: what is declared, how it is hurt, and whether it is as declared."""

from __future__ import annotations

import asyncio
import os
import random
import signal

import docker

from labkit.client import ApiError, Client, kubeconfig
from labkit.clusters.parts import Parts
from labkit.clusters.paths import ClusterDir
from labkit.kube import conditions
from labkit.kube.resources import DEPLOYMENTS, NODES, SERVICES

REPLICAS = 6
_PORT = 3001
_POLL = 0.5  # seconds
_LABELS = {"app": "soaked"}


class SoakedCluster:
    """A Deployment, its Service, and a way to every process."""

    def __init__(self, name: str) -> None:
        self.parts, self._directory = Parts(name), ClusterDir.named(name)
        self._client = Client(kubeconfig.transport(self._directory.kubeconfig))

    async def close(self) -> None:
        """Give back connections."""
        await self._client.close()

    async def deploy(self) -> str:
        """Declare, wait until it is so; the URL of the Service."""
        await self._client.create(DEPLOYMENTS, _deployment())
        service = await self._client.create(SERVICES, _service())
        if trouble := await self.settled(60.0):
            raise RuntimeError(f"not as declared: {trouble}")
        return f"http://{service['spec']['clusterIP']}:8080/healthz"

    async def settled(self, seconds: float) -> str:
        """Wait until all is as declared: nothing, or what is not after so many seconds."""
        for _ in range(int(seconds / _POLL)):
            if not (trouble := await self.trouble()):
                break
            await asyncio.sleep(_POLL)
        return trouble

    async def trouble(self) -> str:
        """What is not as declared, in a few words; empty if nothing."""
        not_running = [each.name for each in self.parts.facts() if each.state != "running"]
        if not_running:
            return ", ".join(not_running)
        try:
            found = await self._client.get(DEPLOYMENTS, "soaked", "default")
            nodes = (await self._client.list(NODES))["items"]
        except (OSError, ApiError) as error:
            return str(error)
        ready = found.get("status", {}).get("readyReplicas", 0)
        if ready != REPLICAS or found["status"].get("replicas") != REPLICAS:
            return f"{ready} of {REPLICAS} replicas ready"
        unready = [node for node in nodes if not conditions.is_true(node, "Ready")]
        return f"{len(unready)} nodes not Ready" if unready else ""

    async def kill(self, victim: str, chance: random.Random) -> str:
        """SIGKILL to one victim of a kind; what it was."""
        if victim == "container":
            return await asyncio.to_thread(self._kill_container, chance)
        nodes = [name for name in self.parts if name.startswith("kubelet/")]
        name = chance.choice(nodes) if victim == "node daemon" else victim
        await asyncio.to_thread(self.parts[name].kill)
        return name

    def _kill_container(self, chance: random.Random) -> str:
        nodes = [name.partition("/")[2] for name in self.parts if name.startswith("kubelet/")]
        chance.shuffle(nodes)
        for node in nodes:
            engine = docker.DockerClient(f"unix://{self._directory.docker_socket_of(node)}")
            try:
                found = [each for each in engine.containers.list() if "_POD_" not in each.name]
                if found:
                    container = chance.choice(found)
                    os.kill(container.attrs["State"]["Pid"], signal.SIGKILL)
                    return f"container {container.name} on {node}"
            except (docker.errors.DockerException, OSError):
                continue  # that node is on its way back, or the container went by itself
            finally:
                engine.close()
        return "no container, for there is none"


def _deployment() -> dict:
    container = {
        "name": "todolist",
        "image": "todolist",
        "ports": [{"containerPort": _PORT}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": _PORT}, "periodSeconds": 2},
    }
    return {
        "metadata": {"name": "soaked", "namespace": "default"},
        "spec": {
            "replicas": REPLICAS,
            "selector": {"matchLabels": _LABELS},
            "template": {
                "metadata": {"labels": _LABELS},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 2},
            },
        },
    }


def _service() -> dict:
    return {
        "metadata": {"name": "soaked", "namespace": "default"},
        "spec": {"selector": _LABELS, "ports": [{"port": 8080, "targetPort": _PORT}]},
    }
