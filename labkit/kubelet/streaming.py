"""The kubelet's streaming endpoints: `/exec` and `/attach`, as WebSockets.

A container that does not run is an error that the client hears over its channels, for what a
server answers in place of an upgrade, clients take for a proxy that cannot do it.

Source: k8s.io/kubernetes pkg/kubelet/server/server.go (getExec, getAttach) and k8s.io/kubelet
pkg/cri/streaming.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from aiohttp import web

from labkit.clock import Clock
from labkit.kubelet import commands
from labkit.kubelet import instances as inst
from labkit.kubelet.channels import MAX_MESSAGE, V4, V5, Client, WebSocketClient
from labkit.kubelet.commands import BadOptions, Commands, Options
from labkit.kubelet.pod_state import PodState
from labkit.kubelet.runtime import Runtime

_CHANNELS = (V5, V4)
FindPod = Callable[[str, str], PodState | None]


class Missing(Exception):
    """There is no such Pod, or its container does not run."""


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
        where = "/{namespace}/{pod}/{container}"
        handlers = {"/exec": self._exec, "/attach": self._attach}
        return [
            web.route(method, path + where, handler)
            for path, handler in handlers.items()
            for method in ("GET", "POST")
        ]

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        async def run(found: Found, asked: Options, client: Client) -> None:
            await self._commands.run(found.id, asked, client)

        return await self._command(request, run)

    async def _attach(self, request: web.Request) -> web.StreamResponse:
        async def run(found: Found, asked: Options, client: Client) -> None:
            await self._commands.attach(found.id, found.tty, asked, client)

        return await self._command(request, run)

    async def _command(self, request: web.Request, run: Callable) -> web.StreamResponse:
        try:
            asked = commands.options(request.query)
        except BadOptions as error:
            return web.Response(status=400, text=str(error))
        socket = accept(request, _CHANNELS)
        if isinstance(socket, web.Response):
            return socket
        await socket.prepare(request)
        client = WebSocketClient(socket)
        # An empty message tells the client that it is connected.
        await client.send(asked.lowest, b"")
        try:
            found = self._container(request.match_info)
        except Missing as error:
            await commands.refuse(client, f"unable to upgrade connection: {error}")
        else:
            await run(found, asked, client)
        return socket

    def _container(self, where: Mapping[str, str]) -> Found:
        """The container that a path names.  Raises Missing."""
        state = self._find_pod(where["namespace"], where["pod"])
        if state is None:
            raise Missing("pod does not exist")
        name = where["container"]
        for one in state.instances.values():
            if one.name == name and one.state == inst.RUNNING:
                return Found(one.id, _has_terminal(state.pod, name))
        raise Missing(f'container not found ("{name}")')


def _has_terminal(pod: Mapping, container: str) -> bool:
    spec = pod["spec"]
    every = (*spec["containers"], *(spec.get("initContainers") or ()))
    return any(one.get("tty") for one in every if one["name"] == container)


def accept(
    request: web.Request, protocols: tuple[str, ...]
) -> web.WebSocketResponse | web.Response:
    """A WebSocket that speaks one of `protocols` (or none, if the client names none), not yet
    prepared; or why there is none."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        return web.Response(status=400, text="Upgrade request required")
    asked = [
        name.strip()
        for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")
        if name
    ]
    if asked and not set(asked) & set(protocols):
        text = f"requested protocol(s) are not supported: {asked}; supports {list(protocols)}"
        return web.Response(status=403, text=text)
    return web.WebSocketResponse(protocols=protocols, max_msg_size=MAX_MESSAGE, compress=False)
