"""One part of a cluster as a process of its own: `python -m labkit.clusters.part PART DIRECTORY`.

`PART` is a name of `roster`: kube-apiserver, kube-scheduler, ..., kubelet/<node>.  The part talks
to the API server over HTTPS as whom its kubeconfig says, lives until SIGTERM or SIGINT, and waits
for what it needs: started before the API server, or without it, it tries until it is there.

On standard output it says, a line each, `ready` once it does its work, `error {...}` where it
cannot, and (the API server alone) `idle N` every minute: for how many seconds nobody but the
cluster itself has asked it.  Its log goes to standard error.

`kubelet/<node>` is the node daemon: the kubelet and a container engine of the node's own.  However
it ends, the node's containers end with it (`labkit.engine.spawner`), as with a machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import uvloop

from labkit.client import Client, kubeconfig
from labkit.clock import Clock
from labkit.clusters import assembly, image_options, roster
from labkit.clusters.assembly import Site
from labkit.clusters.paths import ClusterDir
from labkit.errors import LabkitError

log = logging.getLogger(__name__)

_REPORT = 60.0  # seconds between two reports of idleness
_QUIET = 60.0  # seconds in which a watch does not repeat itself
_SIMPLE = {
    roster.CONTROLLERS: assembly.controller_manager,
    roster.SCHEDULER: assembly.scheduler,
    roster.PROXY: assembly.service_proxy,
    roster.DNS: assembly.cluster_dns,
    roster.INGRESS: assembly.ingress_controller,
}


class Owner:
    """Starts objects and stops them again in reverse."""

    def __init__(self, site: Site, part: str) -> None:
        self.site, self.part = site, part
        self._stack = contextlib.AsyncExitStack()

    async def own(self, thing):
        """Start `thing`; it is stopped also if its start fails half way."""
        self._stack.push_async_callback(thing.stop)
        await thing.start()
        return thing

    def client(self) -> Client:
        """The part's way to the API server; by its name it owns the fields that it writes."""
        transport = kubeconfig.transport(self.site.directory.kubeconfig_of(self.part))
        transport.headers["User-Agent"] = self.part.partition("/")[0]
        self._stack.push_async_callback(transport.close)
        return Client(transport)

    async def stop(self) -> None:
        """Stop all that was started."""
        await self._stack.aclose()


async def start(owner: Owner) -> None:
    """Start the part; returns when it does its work."""
    if owner.part == roster.API_SERVER:
        await _start_api_server(owner)
    elif owner.part == roster.METRICS:
        await _start_metrics_server(owner)
    elif node := roster.node_of(owner.part):
        await _start_node(owner, node)
    else:
        await owner.own(_SIMPLE[owner.part](owner.site, owner.client()))


async def _start_api_server(owner: Owner) -> None:
    from labkit.clusters import backups
    from labkit.clusters.aggregation import RemoteAPI

    site = owner.site
    context = site.credentials.client_context(roster.FRONT_PROXY)
    metrics = await owner.own(RemoteAPI(site.addresses.metrics_server, context))
    api = assembly.api_server(site)
    for group, version in assembly.metrics_apis():
        api.aggregate(group, version, metrics.handle)
    with backups.explained(site.directory):
        await owner.own(api)
    http = await owner.own(assembly.https_server(site, api))
    await owner.own(Every(site.clock, _REPORT, lambda: print(_idle(site, http), flush=True)))


def _idle(site: Site, http) -> str:
    return f"idle {site.clock.monotonic() - http.last_request:.0f}"


async def _start_metrics_server(owner: Owner) -> None:
    from labkit.clusters.aggregation import ExtensionServer

    site = owner.site
    metrics = await owner.own(assembly.metrics_server(site, owner.client()))
    context = site.credentials.server_context("metrics-server-serving", clients=ssl.CERT_REQUIRED)
    await owner.own(ExtensionServer(metrics.handle, site.addresses.metrics_server, context))


async def _start_node(owner: Owner, node: str) -> None:
    site, socket = owner.site, owner.site.directory.docker_socket_of(node)
    await owner.own(assembly.engine(site, site.directory.engine_of(node), socket, node))
    client = owner.client()
    kubelet = assembly.kubelet(site, client, node, f"unix://{socket}", site.dns_port)
    await owner.own(kubelet)
    await image_options.pull(kubelet, site.pre_pull)


class SeldomRepeated(logging.Filter):
    """Lets each watch say the same thing once a minute.

    Without the API server it would say every few seconds that it is away.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[tuple, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        key = (record.msg, record.args[0])  # of what resource
        now = self._clock.monotonic()
        if now < self._said.get(key, now):
            return False
        self._said[key] = now + _QUIET
        return True


class Every:
    """Calls `action` every `seconds`."""

    def __init__(self, clock: Clock, seconds: float, action: Callable[[], None]) -> None:
        self._clock, self._seconds, self._action = clock, seconds, action
        self._task: asyncio.Task | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(self._seconds)
            self._action()


@contextlib.asynccontextmanager
async def _cancelled_by_signals() -> AsyncIterator[None]:
    """SIGTERM and SIGINT end what happens inside, also if that is still a start."""
    me, loop = asyncio.current_task(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, me.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        yield


async def run(part: str, directory: ClusterDir) -> None:
    """Run the part until a signal says to end."""
    owner = Owner(Site.read(directory, Clock()), part)
    try:
        async with _cancelled_by_signals():
            await start(owner)
            # What start-up made stays: keep the collector from walking it again and again.
            gc.collect()
            gc.freeze()
            print("ready", flush=True)
            await asyncio.Event().wait()
    finally:
        await owner.stop()


def main(arguments: list[str]) -> int:
    """A part's main function; its exit code."""
    part, directory = arguments
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname).1s %(name)s %(message)s"
    )
    logging.getLogger("labkit.client.informer").addFilter(SeldomRepeated(Clock()))
    try:
        uvloop.run(run(part, ClusterDir(Path(directory))))
    except LabkitError as error:
        log.error("%s ended error=%s", part, error)
        said = {"what": error.what, "why": error.why, "fix": error.fix}
    except Exception as error:
        log.exception("%s failed", part)
        said = {"what": f"{part} failed: {error!r}."}
    else:
        return 0
    print("error", json.dumps(said), flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
