"""The kubelet's HTTPS server, for the API server and metrics-server: logs, metrics and health here,
exec, attach and port-forward in streaming.py.

Whoever connects must have a client certificate of the cluster's CA (the SSL context asks for it);
there is no further authorization.  Paths and plain-text errors are the real kubelet's.

Left out: /configz, the debugging handlers.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING

from aiohttp import web

from labkit.client import telemetry
from labkit.clock import Clock
from labkit.kube import times
from labkit.kubelet import instances as inst
from labkit.kubelet import stats
from labkit.kubelet.pod_state import PodState
from labkit.kubelet.runtime import ENGINE_ERRORS, Runtime, message_of
from labkit.kubelet.streaming import Streaming
from labkit.kubelet.telemetry import KubeletMetrics, cadvisor_text
from labkit.kubelet.view import Facts, View

if TYPE_CHECKING:
    from labkit.kubelet.kubelet import Kubelet


class KubeletServer:
    """Serves one kubelet.  `port` is known after `start`."""

    def __init__(
        self, kubelet: Kubelet, runtime: Runtime, clock: Clock, context: ssl.SSLContext | None
    ) -> None:
        self._kubelet, self._runtime, self._clock = kubelet, runtime, clock
        self._context = context
        self._runner: web.AppRunner | None = None
        self._meter = stats.Meter(runtime, clock)
        self._metrics = KubeletMetrics(kubelet.node_name, self._known)
        self._streaming = Streaming(self._find_pod, runtime, clock)
        self.port = 0

    async def start(self, host: str, port: int) -> None:
        """Listen on `host`:`port`.  Raises OSError where that cannot be had."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/pods", self._pods),
                web.get("/containerLogs/{namespace}/{pod}/{container}", self._logs),
                web.get("/metrics", self._own_metrics),
                web.get("/metrics/cadvisor", self._container_metrics),
                web.get("/metrics/resource", self._resource_metrics),
                web.get("/stats/summary", self._summary),
                *self._streaming.routes(),
            ]
        )
        # Handlers end with their connection: whoever follows a log may leave without a word.
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=1.0
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, ssl_context=self._context)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Close all connections.  Safe to repeat."""
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _pods(self, request: web.Request) -> web.Response:
        items = [state.pod for state in self._known()]
        return web.json_response(
            {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}
        )

    async def _own_metrics(self, request: web.Request) -> web.Response:
        return _page(self._metrics.text())

    async def _container_metrics(self, request: web.Request) -> web.Response:
        return _page(cadvisor_text(await self._meter.measure(self._known())))

    async def _resource_metrics(self, request: web.Request) -> web.Response:
        return _page(stats.prometheus_text(await self._meter.measure(self._known())))

    async def _summary(self, request: web.Request) -> web.Response:
        usage = await self._meter.measure(self._known())
        return web.json_response(stats.summary(usage, self._kubelet.node_name))

    def _known(self) -> list[PodState]:
        return [state for state in self._kubelet.pods.values() if not state.stand_in]

    # Logs

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        namespace, name, container = (
            request.match_info[key] for key in ("namespace", "pod", "container")
        )
        query = request.query
        try:
            found = self._find(namespace, name, container, query.get("previous") == "true")
            params = log_params(query, self._clock.now())
        except LogError as error:
            return web.Response(status=error.code, text=str(error))
        container_id, tty = found
        chunks = self._runtime.logs(container_id, params, tty=tty)
        limit = int(query["limitBytes"]) if "limitBytes" in query else None
        return await self._send(request, chunks, limit)

    async def _send(
        self, request: web.Request, chunks: AsyncGenerator[bytes], limit: int | None
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        try:
            async with aclosing(chunks):
                async for chunk in limited(chunks, limit):
                    if not response.prepared:
                        await response.prepare(request)
                    await response.write(chunk)
        except ENGINE_ERRORS as error:
            if not response.prepared:
                return web.Response(status=500, text=message_of(error))
            if request.transport is None or request.transport.is_closing():
                return response  # the client has left
        if not response.prepared:
            await response.prepare(request)
        await response.write_eof()
        return response

    def _find(self, namespace: str, name: str, container: str, previous: bool) -> tuple[str, bool]:
        """The container's id and whether it has a terminal; LogError."""
        state = self._find_pod(namespace, name)
        if state is None:
            raise LogError(404, f'pod "{name}" not found')
        view = View(state.pod, tuple(state.instances.values()), Facts(), self._clock.now())
        every = (*view.init_containers, *view.containers, *view.ephemeral_containers)
        specs = {one["name"]: one for one in every}
        if container not in specs:
            raise LogError(400, f'container {container} not found in pod "{name}"')
        known = [one for one in (view.run(container), view.previous(container)) if one]
        runs = [one for one in known if one.id in state.instances]
        if previous:
            runs = [one for one in runs if one.state == inst.EXITED]
            if not runs:
                raise LogError(
                    400, f'previous terminated container "{container}" in pod "{name}" not found'
                )
        if not runs:
            raise LogError(400, _waiting_message(view, container, name))
        return runs[0].id, bool(specs[container].get("tty"))

    def _find_pod(self, namespace: str, name: str) -> PodState | None:
        for state in self._known():
            meta = state.pod["metadata"]
            if (meta["namespace"], meta["name"]) == (namespace, name):
                return state
        return None


def _page(text: str) -> web.Response:
    return web.Response(text=text, headers={"Content-Type": telemetry.CONTENT_TYPE})


_PULLS = {
    "ErrImagePull": "image can't be pulled",
    "ImagePullBackOff": "trying and failing to pull image",
}


class LogError(Exception):
    """A log that cannot be had: an HTTP status and a plain sentence."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def _waiting_message(view: View, container: str, pod: str) -> str:
    waiting = (view.container_status(container).get("state") or {}).get("waiting") or {}
    reason = waiting.get("reason") or "ContainerCreating"
    words = _PULLS.get(reason, reason)
    return f'container "{container}" in pod "{pod}" is waiting to start: {words}'


def log_params(query: Mapping[str, str], now: float) -> dict[str, str]:
    """The query of `/containerLogs` (PodLogOptions) as that of `docker logs`; LogError."""
    stream = query.get("stream", "All")
    params = {
        "stdout": "true" if stream in ("All", "Stdout") else "false",
        "stderr": "true" if stream in ("All", "Stderr") else "false",
        "follow": "true" if query.get("follow") == "true" else "false",
        "timestamps": "true" if query.get("timestamps") == "true" else "false",
        "tail": query.get("tailLines", "all"),
    }
    try:
        if "sinceSeconds" in query:
            params["since"] = f"{now - int(query['sinceSeconds']):.9f}"
        elif "sinceTime" in query:
            params["since"] = f"{times.parse(query['sinceTime']):.9f}"
        int(query.get("tailLines", 0)), int(query.get("limitBytes", 0))
    except ValueError as error:
        raise LogError(400, f"Unable to decode query: {error}") from error
    return params


async def limited(chunks: AsyncIterator[bytes], limit: int | None) -> AsyncIterator[bytes]:
    """`chunks` up to `limit` bytes in all."""
    async for chunk in chunks:
        if limit is None:
            yield chunk
            continue
        yield chunk[:limit]
        limit -= len(chunk)
        if limit <= 0:
            return
