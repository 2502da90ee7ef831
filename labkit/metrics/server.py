"""The metrics-server: scrapes every kubelet at a fixed rate and answers the three metrics APIs.

A round asks all kubelets at once, and all Pods that show metrics of their own; it ends when all
have answered or their time is up, and the storage takes in what came.  A Node that does not answer
has no metrics, rather than old ones.

In place of two programs: metrics-server, which answers `metrics.k8s.io`, and Prometheus with
prometheus-adapter, which answer `custom.metrics.k8s.io` and `external.metrics.k8s.io`.

Source: kubernetes-sigs/metrics-server.  Left out: its own metrics and its authorization, which is
the API server's business here.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterable, Mapping

import aiohttp

from labkit.client import Client, Informer
from labkit.client.errors import status_error
from labkit.clock import Clock
from labkit.kube.resources import NODES, PODS, SERVICES
from labkit.metrics import custom_api, resource_api
from labkit.metrics.custom_api import ProgramMetrics
from labkit.metrics.exposition import Batch, decode
from labkit.metrics.resource_api import ResourceMetrics
from labkit.metrics.scraper import Scraper
from labkit.metrics.storage import Storage

log = logging.getLogger(__name__)

KUBELET_PORT = 10250
GROUPS = ((resource_api.GROUP, resource_api.VERSION), custom_api.CUSTOM, custom_api.EXTERNAL)
"""The APIs that `MetricsServer.handle` answers: (group, version)."""
# For one kubelet's answer.  Of the interval, so that a round is over before the next begins; but a
# busy machine answers late, and rounds that skip a beat are better than none.
_PATIENCE, _SHORTEST, _LONGEST = 0.9, 3.0, 10.0  # part of the interval; seconds


class MetricsServer:
    """Usage of Pods and Nodes, measured every `metric_resolution` seconds.

    `ssl_context` holds the CA of the kubelets and the client certificate that they accept;
    `scrape_urls` are pages of metrics of parts that are no Pods.  `handle` is what the API server
    calls for paths of `GROUPS`.
    """

    def __init__(
        self,
        client: Client,
        clock: Clock,
        *,
        ssl_context: ssl.SSLContext,
        metric_resolution: float = 15.0,
        scrape_urls: Iterable[str] = (),
    ) -> None:
        self._clock, self._ssl, self._resolution = clock, ssl_context, metric_resolution
        self._patience = min(_LONGEST, max(_SHORTEST, _PATIENCE * metric_resolution))
        self._pods = Informer(client, PODS, clock)
        self._nodes = Informer(client, NODES, clock)
        self._services = Informer(client, SERVICES, clock)
        self._storage = Storage(metric_resolution)
        self._api = ResourceMetrics(self._storage, self._pods.store, self._nodes.store)
        self._scraper = Scraper(clock, scrape_urls)
        self._programs = ProgramMetrics(self._pods.store, self._services.store)
        self._informers = (self._pods, self._nodes, self._services)
        self._session: aiohttp.ClientSession | None = None
        self._task: asyncio.Task | None = None

    async def start(self) -> None:
        """Learn Pods and Nodes, then measure until `stop`."""
        connector = aiohttp.TCPConnector(ssl=self._ssl, limit=0)
        self._session = aiohttp.ClientSession(connector=connector)
        for informer in self._informers:
            informer.start()
        await asyncio.gather(*(informer.synced() for informer in self._informers))
        self._task = asyncio.create_task(self._run(), name="metrics-server")

    async def stop(self) -> None:
        """End measuring, close all connections.  Safe to repeat."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await asyncio.gather(*(informer.stop() for informer in self._informers))
        if self._session:
            await self._session.close()
            self._session = None

    async def handle(self, path: str, params: Mapping[str, str]) -> dict:
        """Answer a GET of one of the metrics APIs.  Raises ApiError."""
        if params.get("watch") in ("true", "1"):
            raise status_error(405, "MethodNotAllowed", "watching metrics is not supported")
        if path.split("/")[2] == resource_api.GROUP:
            return self._api.answer(path, params, self._clock.timestamp())
        return self._programs.answer(path, params, self._scraper.series)

    async def _run(self) -> None:
        due = self._clock.monotonic()
        while True:
            try:
                await self.scrape()
            except Exception:
                # A bug in one round must not end all measuring, on which autoscaling rests.
                log.exception("scraping failed")
            # A round that took too long skips beats rather than to catch up on them.
            missed = max(0.0, self._clock.monotonic() - due) // self._resolution
            due += (missed + 1) * self._resolution
            await self._clock.sleep(due - self._clock.monotonic())

    async def scrape(self) -> None:
        """One round: ask every Node's kubelet and whoever shows metrics, store what came."""
        nodes, pods = list(self._nodes.store.values()), list(self._pods.store.values())
        *answers, _ = await asyncio.gather(
            *(self._scrape_node(node) for node in nodes),
            self._scraper.round(self._session, pods, self._patience),
        )
        whole = Batch()
        for batch in filter(None, answers):
            whole.nodes |= batch.nodes
            whole.pods |= batch.pods
        self._storage.store(whole)

    async def _scrape_node(self, node: Mapping) -> Batch | None:
        name, url = node["metadata"]["name"], kubelet_url(node)
        if url is None:
            return None  # it has not reported its address yet
        try:
            async with asyncio.timeout(self._patience):
                async with self._session.get(url, raise_for_status=True) as answer:
                    text = await answer.text()
            return decode(text, name, self._clock.now())
        except (aiohttp.ClientError, OSError, ValueError) as error:
            log.info("scrape failed node=%s error=%r", name, error)
            return None


def kubelet_url(node: Mapping) -> str | None:
    """Where the Node's kubelet tells its resource usage; None without an InternalIP."""
    status = node.get("status") or {}
    for entry in status.get("addresses") or ():
        if entry["type"] == "InternalIP":
            endpoint = (status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}
            port = endpoint.get("Port") or KUBELET_PORT
            return f"https://{entry['address']}:{port}/metrics/resource"
    return None
