"""One run of a probe: an HTTP request, a connection, a gRPC call, or a command in the container.

A redirect to the same host is followed; one that leads elsewhere ends the probe, which counts as a
success with a warning.

Source: k8s.io/kubernetes pkg/probe (http, tcp, exec, grpc) and pkg/kubelet/prober.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from labkit.kubelet import grpc_health
from labkit.kubelet.grpc_health import GrpcError
from labkit.kubelet.instances import Instance
from labkit.kubelet.runtime import ENGINE_ERRORS, Runtime, is_down, message_of

_AGENT = "kube-probe/1.36"
_MOST_REDIRECTS = 10
_SHOWN = 10 << 10  # bytes of a body


@dataclass(frozen=True, slots=True)
class Result:
    """One run of a probe.  `refused` is that nobody listened; `warning` goes with a success."""

    success: bool
    output: str = ""
    refused: bool = False
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """What is probed: a run of a Pod's container, at the Pod's address."""

    pod: Mapping
    container: Mapping
    run: Instance
    ip: str


def port_of(container: Mapping, port: int | str) -> int | None:
    """A probe's port as a number; a name is looked up among the container's ports."""
    if isinstance(port, int):
        return port
    for one in container.get("ports") or ():
        if one.get("name") == port:
            return one["containerPort"]
    return int(port) if port.isdigit() else None


def http_target(
    action: Mapping, container: Mapping, ip: str, agent: str
) -> tuple[str, CIMultiDict[str]]:
    """The URL and the headers of an httpGet action; no URL where its port is unknown."""
    port = port_of(container, action["port"])
    if port is None:
        return "", CIMultiDict()
    path = "/" + (action.get("path") or "/").lstrip("/")
    scheme = (action.get("scheme") or "HTTP").lower()
    headers = CIMultiDict()
    for one in action.get("httpHeaders") or ():
        headers.add(one["name"], one.get("value") or "")
    headers.setdefault("User-Agent", agent)
    headers.setdefault("Accept", "*/*")
    return f"{scheme}://{action.get('host') or ip}:{port}{path}", headers


class Actions:
    """Runs probes through `runtime` and over the network."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Give back sockets.  Safe to repeat."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def execute(self, target: Target, probe: Mapping) -> Result:
        """Run a probe once."""
        timeout = probe.get("timeoutSeconds") or 1
        try:
            if "exec" in probe:
                return await self._exec(target, probe["exec"].get("command") or [], timeout)
            if "httpGet" in probe:
                return await self._http(target, probe["httpGet"], timeout)
            if "tcpSocket" in probe:
                return await _tcp(target, probe["tcpSocket"], timeout)
            if "grpc" in probe:
                return await _grpc(target, probe["grpc"], timeout)
        except TimeoutError:
            return Result(False, "context deadline exceeded")
        except (OSError, aiohttp.ClientError, ValueError) as error:
            return Result(False, str(error))
        return Result(False, "missing probe handler")

    async def _http(self, target: Target, action: Mapping, timeout: float) -> Result:
        url, headers = http_target(action, target.container, target.ip, _AGENT)
        if not url:
            return _no_port(action["port"])
        try:
            async with asyncio.timeout(timeout):
                return await self._get(URL(url), headers)
        except TimeoutError:
            why = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
            return Result(False, f'Get "{url}": {why}')
        except aiohttp.ClientConnectorError as error:
            refused = error.os_error.errno == errno.ECONNREFUSED
            why = "connect: connection refused" if refused else str(error.os_error)
            return Result(False, f'Get "{url}": dial tcp {error.host}:{error.port}: {why}', refused)
        except aiohttp.ClientError as error:
            return Result(False, f'Get "{url}": {error or "EOF"}')

    async def _get(self, url: URL, headers: CIMultiDict[str]) -> Result:
        first = url
        for _ in range(_MOST_REDIRECTS):
            async with self._open().get(url, headers=headers, allow_redirects=False) as response:
                place = response.headers.get("Location")
                if place is None or not 300 <= response.status < 400:
                    return _judged(response.status)
                url = url.join(URL(place))
                if url.host != first.host:
                    body = (await response.content.read(_SHOWN)).decode(errors="replace")
                    said = f"Probe terminated redirects, Response body: {body}"
                    return Result(True, said, warning=True)
        return Result(False, f'Get "{url}": stopped after {_MOST_REDIRECTS} redirects')

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=False, force_close=True, limit=0)
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session

    async def _exec(self, target: Target, command: list[str], timeout: float) -> Result:
        try:
            async with asyncio.timeout(timeout):
                code, output = await self._runtime.exec(target.run.id, list(command))
        except TimeoutError:
            return Result(False, f'command timed out: "{" ".join(command)}" timed out after '
                                 f"{timeout:g}s")  # fmt: skip
        except ENGINE_ERRORS as error:
            return Result(False, message_of(error), is_down(error))
        return Result(code == 0, output)


async def _tcp(target: Target, action: Mapping, timeout: float) -> Result:
    host, port = action.get("host") or target.ip, port_of(target.container, action["port"])
    if port is None:
        return _no_port(action["port"])
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        return Result(False, f"dial tcp {host}:{port}: i/o timeout")
    except ConnectionRefusedError:
        return Result(False, f"dial tcp {host}:{port}: connect: connection refused", True)
    writer.close()
    return Result(True)


async def _grpc(target: Target, action: Mapping, timeout: float) -> Result:
    address, service = f"{target.ip}:{action['port']}", action.get("service") or ""
    try:
        async with asyncio.timeout(timeout):
            return await _ask(target.ip, action["port"], service, address)
    except TimeoutError:
        return Result(False, f"timeout: health rpc did not complete within {timeout:g}s")
    except OSError as error:
        refused = isinstance(error, ConnectionRefusedError)
        why = f"dial tcp {address}: connect: {(error.strerror or str(error)).lower()}"
        said = f'error: failed to connect service at "{address}": {why}'
        return Result(False, said, refused)
    except GrpcError as error:
        return Result(False, f"error: health rpc probe failed: {error}")


async def _ask(host: str, port: int, service: str, address: str) -> Result:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        state = await grpc_health.check(reader, writer, service, address, _AGENT)
    finally:
        writer.close()
    if state == grpc_health.SERVING:
        return Result(True)
    return Result(False, f'service unhealthy (responded with "{state}")')


def _judged(status: int) -> Result:
    if 200 <= status < 400:
        return Result(True)
    return Result(False, f"HTTP probe failed with statuscode: {status}")


def _no_port(port: object) -> Result:
    return Result(False, f"couldn't find port: {port}")
