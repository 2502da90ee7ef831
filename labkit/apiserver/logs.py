"""`pods/log`: a Pod's log, read through the kubelet of its node.

The API server keeps no logs.  It finds the Pod, its container and its node, asks that node's
kubelet as a client with a certificate of its own, and passes on what it says, complaints too
(`container "x" in pod "y" is waiting to start: ...` is the kubelet's).

Source: k8s.io/kubernetes pkg/registry/core/pod (LogLocation, validateContainer) and
pkg/kubelet/client.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp

from labkit.apiserver import statuses
from labkit.apiserver.request import Encoded, Request, User
from labkit.client.errors import ApiError, status_error
from labkit.kube.resources import NODES, PODS

_PASSED_ON = (
    "follow",
    "previous",
    "timestamps",
    "sinceSeconds",
    "sinceTime",
    "tailLines",
    "limitBytes",
    "stream",
)
_CONNECT_TIMEOUT = 10.0
_MAX_ERROR = 16 * 1024  # bytes of a kubelet's explanation
_CONTAINER_FIELDS = ("containers", "initContainers", "ephemeralContainers")


def log_request(method: str, path: str) -> tuple[str, str] | None:
    """(namespace, Pod) if the request is for a Pod's log, else None."""
    if method != "GET" or not path.endswith("/log"):
        return None
    parts = path.split("/")
    if len(parts) != 8 or parts[1:4] != ["api", "v1", "namespaces"] or parts[5] != "pods":
        return None
    return parts[4], parts[6]


def chosen_container(pod: Mapping, wanted: str) -> str:
    """The container to read from.  Raises ApiError 400 where it must be named, or is not there."""
    name, spec = pod["metadata"]["name"], pod["spec"]
    if wanted:
        known = {c["name"] for field in _CONTAINER_FIELDS for c in spec.get(field) or ()}
        if wanted not in known:
            raise statuses.bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    names = [container["name"] for container in spec["containers"]]
    if len(names) == 1:
        return names[0]
    message = f"a container name must be specified for pod {name}, choose one of: {_words(names)}"
    initial = [container["name"] for container in spec.get("initContainers") or ()]
    if initial:
        message += f" or one of the init containers: {_words(initial)}"
    raise statuses.bad_request(message)


def _words(names: list[str]) -> str:
    """A list as Go prints it."""
    return f"[{' '.join(names)}]"


def kubelet_address(node: Mapping) -> str:
    """`https://address:port` of a node's kubelet.  Raises ApiError 500 for a node without one."""
    status = node.get("status") or {}
    port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port", 10250)
    for address in status.get("addresses") or ():
        if address["type"] == "InternalIP":
            return f"https://{address['address']}:{port}"
    name = node["metadata"]["name"]
    raise statuses.internal(f"no preferred addresses found for the node {name}")


class KubeletLogs:
    """Streams logs; `api` answers requests for Pods and Nodes."""

    def __init__(self, api, ssl_context: ssl.SSLContext) -> None:
        self._api, self._ssl = api, ssl_context
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def open(
        self, namespace: str, name: str, params: Mapping[str, str], user: User
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The log's chunks.  Raises ApiError before the first one."""
        pod = await self._get(PODS.path(namespace, name), user)
        container = chosen_container(pod, params.get("container", ""))
        if not pod["spec"].get("nodeName"):
            # Upstream too answers an empty log for a Pod that no kubelet knows.
            yield _nothing()
            return
        node = await self._get(NODES.path(None, pod["spec"]["nodeName"]), user)
        url = f"{kubelet_address(node)}/containerLogs/{namespace}/{name}/{container}"
        passed = {key: params[key] for key in _PASSED_ON if params.get(key)}
        try:
            async with self._http().get(url, params=passed, ssl=self._ssl) as answer:
                await _check(answer, name)
                yield answer.content.iter_any()
        except aiohttp.ClientConnectorError as error:
            raise statuses.internal(f'Get "{url}": {error.os_error or error}') from None
        except aiohttp.ClientError as error:
            # The head of the answer has been sent: all that is left is to break off.
            raise ConnectionAbortedError(str(error)) from None

    async def _get(self, path: str, user: User) -> Mapping:
        body = (await self._api.handle(Request("GET", path, user))).body
        return body.obj if isinstance(body, Encoded) else body

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT)
            self._session = aiohttp.ClientSession(timeout=timeout, auto_decompress=False)
        return self._session

    async def close(self) -> None:
        """Close connections to kubelets.  Safe to repeat."""
        if self._session:
            await self._session.close()
            self._session = None


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def _check(answer: aiohttp.ClientResponse, name: str) -> None:
    if answer.status == 200:
        return
    raise _kubelet_error(answer.status, await answer.content.read(_MAX_ERROR), name)


def _kubelet_error(code: int, body: bytes, name: str) -> ApiError:
    text = body.decode(errors="replace").strip()
    if code == 400:
        return statuses.bad_request(text)
    if code == 404:
        details = {"name": name, "kind": "pods/log"}
        return status_error(404, "NotFound", text or "log not found", details)
    message = f'an error on the server ("{text}") has prevented the request from succeeding'
    return status_error(500, "InternalError", f"{message} (get pods {name})")
