"""The way to a Pod's kubelet: which node, which address, and whose certificate to show.

The API server asks kubelets as itself; whether the user may, was decided before.

Source: k8s.io/kubernetes pkg/kubelet/client (NodeConnectionInfoGetter), pkg/registry/core/pod
(streamLocation, validateContainer).
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import aiohttp

from labkit.apiserver import statuses
from labkit.apiserver.request import Encoded, Request, User
from labkit.kube.resources import NODES, PODS

ITSELF = User("system:apiserver", ("system:masters",))
_CONNECT_TIMEOUT = 10.0
_CONTAINER_FIELDS = ("initContainers", "containers", "ephemeralContainers")


class Kubelets:
    """`api` answers requests for Pods and Nodes; `ssl_context` shows this server's certificate."""

    def __init__(self, api, ssl_context: ssl.SSLContext) -> None:
        self._api, self.ssl = api, ssl_context
        self._session: aiohttp.ClientSession | None = None

    async def get(self, path: str, **params: str) -> Mapping:
        """An object or a list of the API.  Raises ApiError 404."""
        body = (await self._api.handle(Request("GET", path, ITSELF, params))).body
        return body.obj if isinstance(body, Encoded) else body

    async def pod(self, namespace: str, name: str) -> Mapping:
        """Raises ApiError 404."""
        return await self.get(PODS.path(namespace, name))

    async def of_node(self, name: str) -> str:
        """`https://address:port` of a node's kubelet.  Raises ApiError 404, 500."""
        return kubelet_address(await self.get(NODES.path(None, name)))

    async def of_pod(self, pod: Mapping) -> str:
        """The same for the node that a Pod is on.  Raises ApiError 400 for a Pod without one."""
        node = pod["spec"].get("nodeName")
        if not node:
            name = pod["metadata"]["name"]
            raise statuses.bad_request(f"pod {name} does not have a host assigned")
        return await self.of_node(node)

    @property
    def session(self) -> aiohttp.ClientSession:
        """Connections to kubelets and to whatever is proxied."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT)
            self._session = aiohttp.ClientSession(
                timeout=timeout,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                connector=aiohttp.TCPConnector(limit=0),
            )
        return self._session

    async def close(self) -> None:
        """Close all connections.  Safe to repeat."""
        if self._session:
            await self._session.close()
            self._session = None


def kubelet_address(node: Mapping) -> str:
    """`https://address:port` of a node's kubelet.  Raises ApiError 500 for a node without one."""
    status = node.get("status") or {}
    port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port", 10250)
    for address in status.get("addresses") or ():
        if address.get("type") == "InternalIP" and "address" in address:
            return f"https://{address['address']}:{port}"
    name = node["metadata"]["name"]
    raise statuses.internal(f"no preferred addresses found for the node {name}")


def chosen_container(pod: Mapping, wanted: str) -> str:
    """The container that is meant.  Raises ApiError 400 where it must be named, or is not there."""
    name, spec = pod["metadata"]["name"], pod["spec"]
    if wanted:
        known = {c["name"] for field in _CONTAINER_FIELDS for c in spec.get(field) or ()}
        if wanted not in known:
            raise statuses.bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    if len(spec["containers"]) == 1:
        return spec["containers"][0]["name"]
    names = _words([c["name"] for field in _CONTAINER_FIELDS for c in spec.get(field) or ()])
    message = f"a container name must be specified for pod {name}, choose one of: {names}"
    raise statuses.bad_request(message)


def _words(names: list[str]) -> str:
    """A list as Go prints it."""
    return f"[{' '.join(names)}]"


def is_true(value: str | None) -> bool:
    """A boolean of a query, as upstream's conversion reads it: what is there is true, but for
    these."""
    return value is not None and value.lower() not in ("false", "0")


def dial_failure(url: str, error: OSError) -> str:
    """A failure to connect to the server of `url`, as Go says it."""
    parts = urlsplit(url)
    dial = f"dial tcp {parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    if isinstance(error, ConnectionRefusedError):
        return f"{dial}: connect: connection refused"
    if isinstance(error, TimeoutError):
        return f"{dial}: i/o timeout"
    return f"{dial}: {(error.strerror or str(error)).lower()}"
