"""The kubelet's streaming endpoints: `/exec`, `/attach` and `/portForward`.

Each is served over WebSockets, for clients of our day, and over SPDY, for older ones.  A container
that does not run is an error that the client hears over its channels, for what a server answers in
place of an upgrade, clients take for a proxy that cannot do it.

Source: k8s.io/kubernetes pkg/kubelet/server/server.go (getExec, getAttach, getPortForward),
k8s.io/kubelet pkg/cri/streaming, KEP-4006.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiohttp import WSMsgType, web
from multidict import CIMultiDict

from labkit.clock import Clock
from labkit.kubelet import commands, forwarding
from labkit.kubelet import instances as inst
from labkit.kubelet.channels import MAX_MESSAGE, V4, V5, Client, SpdyClient, WebSocketClient
from labkit.kubelet.commands import BadOptions, Commands, Options
from labkit.kubelet.forwarding import BadPorts, SpdyForwarder
from labkit.kubelet.pod_state import PodState
from labkit.kubelet.runtime import Runtime
from labkit.wire.hijack import LIMIT, hijacked
from labkit.wire.spdy_session import Receive, Send

SPDY = "SPDY/3.1"
PORT_FORWARD = "portforward.k8s.io"
_TUNNEL = f"{SPDY}+{PORT_FORWARD}"  # SPDY inside a WebSocket
_VERSION = "X-Stream-Protocol-Version"
FindPod = Callable[[str, str], PodState | None]
Talk = Callable[["Found", Options, Client], Awaitable[None]]


class Missing(Exception):
    """There is no such Pod, or its container does not run."""


class Refused(Exception):
    """A request that cannot be upgraded, with an HTTP status."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Found(NamedTuple):
    """A running container, and whether its own process has a terminal."""

    id: str
    tty: bool


class Streaming:
    """`find_pod(namespace, name)` gives the Pods of this node."""

    def __init__(self, find_pod: FindPod, runtime: Runtime, clock: Clock) -> None:
        self._find_pod = find_pod
        self._commands = Commands(runtime, clock)

    def routes(self) -> list[web.RouteDef]:
        """What to serve."""
        handlers = {
            "/exec/{namespace}/{pod}/{container}": self._exec,
            "/attach/{namespace}/{pod}/{container}": self._attach,
            "/portForward/{namespace}/{pod}": self._port_forward,
        }
        return [
            web.route(method, path, _explained(handler))
            for path, handler in handlers.items()
            for method in ("GET", "POST")
        ]

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        return await self._command(
            request, lambda found, asked, client: self._commands.run(found.id, asked, client)
        )

    async def _attach(self, request: web.Request) -> web.StreamResponse:
        return await self._command(
            request,
            lambda found, asked, client: self._commands.attach(found.id, found.tty, asked, client),
        )

    async def _command(self, request: web.Request, talk: Talk) -> web.StreamResponse:
        asked = commands.options(request.query)
        if _upgrade_of(request) == SPDY.lower():
            async with _spdy(request, (V4,)) as (response, receive, write):
                await self._talk(request, talk, asked, SpdyClient(asked.streams, receive, write))
            return response
        socket = await _web_socket(request, (V5, V4))
        client = WebSocketClient(socket, stdin=asked.stdin)
        # An empty message tells the client that it is connected.
        await client.send(asked.lowest, b"")
        await self._talk(request, talk, asked, client)
        return socket

    async def _talk(self, request: web.Request, talk: Talk, asked: Options, client: Client) -> None:
        try:
            found = self._container(request.match_info)
        except Missing as error:
            await commands.refuse(client, f"unable to upgrade connection: {error}")
        else:
            await talk(found, asked, client)

    async def _port_forward(self, request: web.Request) -> web.StreamResponse:
        pod = self._pod(request.match_info)
        if _upgrade_of(request) == SPDY.lower():
            async with _spdy(request, (PORT_FORWARD,)) as (response, receive, write):
                await SpdyForwarder(pod, receive, write).run()
            return response
        channels = _TUNNEL not in _asked_protocols(request)
        wanted = forwarding.ports(request.query) if channels else []
        socket = await _web_socket(request, (V4,) if channels else (_TUNNEL,))
        if channels:
            await forwarding.forward_channels(pod, wanted, socket)
        else:
            await SpdyForwarder(pod, lambda: _next(socket), socket.send_bytes).run()
            await socket.close()
        return socket

    def _state(self, where: Mapping[str, str]) -> PodState:
        state = self._find_pod(where["namespace"], where["pod"])
        if state is None:
            raise Missing("pod does not exist")
        return state

    def _container(self, where: Mapping[str, str]) -> Found:
        """The container that a path names.  Raises Missing."""
        state, name = self._state(where), where["container"]
        for one in state.instances.values():
            if one.name == name and one.state == inst.RUNNING:
                return Found(one.id, _has_terminal(state.pod, name))
        raise Missing(f'container not found ("{name}")')

    def _pod(self, where: Mapping[str, str]) -> forwarding.Pod:
        """Where a Pod's ports are.  Raises Refused."""
        try:
            state = self._state(where)
        except Missing as error:
            raise Refused(404, str(error)) from None
        for one in state.instances.values():
            if one.is_sandbox and one.state == inst.RUNNING and one.ip:
                return forwarding.Pod(one.ip, one.id, one.pod_uid)
        raise Refused(500, f'pod not found ("{where["pod"]}_{where["namespace"]}")')


def _has_terminal(pod: Mapping, container: str) -> bool:
    kinds = ("containers", "initContainers", "ephemeralContainers")
    every = [one for kind in kinds for one in pod["spec"].get(kind) or ()]
    return any(one.get("tty") for one in every if one["name"] == container)


def _explained(handler):
    """`handler`, whose refusals become plain text."""

    async def explained(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except (BadOptions, BadPorts) as error:
            return web.Response(status=400, text=str(error))
        except Refused as error:
            return web.Response(status=error.code, text=str(error))

    return explained


def _upgrade_of(request: web.Request) -> str:
    return request.headers.get("Upgrade", "").lower()


def _asked_protocols(request: web.Request) -> list[str]:
    names = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
    return [name.strip() for name in names if name.strip()]


async def _web_socket(request: web.Request, protocols: tuple[str, ...]) -> web.WebSocketResponse:
    """A WebSocket that speaks one of `protocols`, or none if the client names none.

    Raises Refused.
    """
    if _upgrade_of(request) != "websocket":
        raise Refused(400, "Upgrade request required")
    asked = _asked_protocols(request)
    if asked and not set(asked) & set(protocols):
        raise Refused(403, _unsupported(asked, protocols))
    socket = web.WebSocketResponse(protocols=protocols, max_msg_size=MAX_MESSAGE, compress=False)
    await socket.prepare(request)
    return socket


def _unsupported(asked: Sequence[str], known: Sequence[str]) -> str:
    return (
        f"unable to upgrade: unable to negotiate protocol: client supports [{' '.join(asked)}], "
        f"server accepts [{' '.join(known)}]"
    )


async def _next(socket: web.WebSocketResponse) -> bytes:
    """The next bytes from a WebSocket that carries a stream; b"" at its end."""
    while True:
        message = await socket.receive()
        if message.type is WSMsgType.BINARY and message.data:
            return message.data
        if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
            return b""


@asynccontextmanager
async def _spdy(
    request: web.Request, versions: tuple[str, ...]
) -> AsyncIterator[tuple[web.StreamResponse, Receive, Send]]:
    """The connection, which speaks SPDY from now on.  Raises Refused."""
    asked = request.headers.getall(_VERSION, [])
    agreed = next((name for name in asked if name in versions), None)
    if agreed is None:
        raise Refused(403, _unsupported(asked, versions))
    headers = CIMultiDict({"Connection": "Upgrade", "Upgrade": SPDY, _VERSION: agreed})
    async with hijacked(request, headers) as (response, reader, writer):

        async def write(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        yield response, lambda: _read(reader), write


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(LIMIT)
    except ConnectionError:
        return b""
