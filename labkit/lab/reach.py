"""How this machine reaches a Service of the cluster.

On a cluster of the lab's own every NodePort is on 127.0.0.1.  Elsewhere a node's address may be
reachable (kind, k3s and minikube on Linux) or not (a cloud, Docker Desktop); then the way leads
through the API server, which proxies to the Service's Pods, one request at a time: `kubectl proxy`
does the credentials.

Source: Kubernetes documentation, "Access Services Running on Clusters".
"""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping

from labkit.clusters import kubectl
from labkit.errors import ClusterError, UsageError

#: The shell's stdin is a pipe from us: it closes when we end, however we end.
_WHILE_WE_LIVE = '"$0" proxy --port=0 & trap "kill $!" EXIT; read -r _'
_PATIENCE = 0.5  # seconds for a node to answer; one that can be reached is near


def node_port(service: Mapping) -> int:
    """The first port's node port.  Raises UsageError."""
    name = service["metadata"]["name"]
    found = service["spec"]["ports"][0].get("nodePort")
    if found is None:
        raise UsageError(
            f"The Service {name} has no node port.",
            "Only a Service of type NodePort can be reached at a port of the machine.",
            f'Try: !kubectl patch service {name} -p \'{{"spec": {{"type": "NodePort"}}}}\'',
        )
    return found


def ingress_url(ingress: Mapping, port: int) -> str:
    """The URL of an Ingress whose controller is at `port` of this machine.  Raises UsageError."""
    name = ingress["metadata"]["name"]
    rules = ingress["spec"].get("rules") or [{}]
    host = rules[0].get("host", "127.0.0.1")
    if host.endswith(".localhost") or host == "127.0.0.1":
        return f"http://{host}:{port}/"
    raise UsageError(
        f"No browser finds the host {host} of ingress/{name} on this machine.",
        "Only the Ingress controller knows it; names that end in .localhost are known to all.",
        f"Try: !curl -H 'Host: {host}' http://127.0.0.1:{port}/",
    )


def published_url(ingress: Mapping) -> str:
    """The URL that an Ingress of somebody else's controller says it is at.  Raises UsageError."""
    name = ingress["metadata"]["name"]
    known = ((ingress.get("status") or {}).get("loadBalancer") or {}).get("ingress") or [{}]
    if address := known[0].get("hostname") or known[0].get("ip"):
        return f"http://{address}/"
    raise UsageError(
        f"The Ingress {name} has no address.",
        "The cluster has no Ingress controller, or it does not tell where it is.",
        f"Look at it: !kubectl describe ingress {name}",
    )


def answering(addresses: Iterable[str], port: int) -> str | None:
    """The first of these addresses where somebody answers at `port`."""
    for address in addresses:
        try:
            socket.create_connection((address, port), timeout=_PATIENCE).close()
        except OSError:
            continue
        return address
    return None


def node_addresses(nodes: Iterable[Mapping]) -> Iterator[str]:
    """Where nodes may be reached, those for the world outside first."""
    known = [entry for node in nodes for entry in node["status"].get("addresses") or ()]
    for kind in ("ExternalIP", "InternalIP"):
        yield from (entry["address"] for entry in known if entry["type"] == kind)


class ApiProxy:
    """`kubectl proxy`, while somebody needs it: the API at a port of this machine."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._base = ""

    def service_url(self, service: Mapping) -> str:
        """The URL under which the API server proxies to a Service.  Raises LabkitError."""
        meta, port = service["metadata"], service["spec"]["ports"][0]["port"]
        path = f"api/v1/namespaces/{meta['namespace']}/services/{meta['name']}:{port}/proxy/"
        return self._start() + path

    def _start(self) -> str:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                ["sh", "-c", _WHILE_WE_LIVE, kubectl.find()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            said = self._process.stdout.readline()
            found = re.search(r"127\.0\.0\.1:\d+", said)
            if not found:
                self.close()
                raise ClusterError(
                    f"kubectl proxy does not start: {said.strip()}",
                    "Without it no Service of this cluster can be reached from here.",
                    "Try it in a terminal: kubectl proxy --port=0",
                )
            self._base = f"http://{found[0]}/"
        return self._base

    def close(self) -> None:
        """End it.  Safe to repeat."""
        if self._process is not None:
            self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()
            self._process = None
