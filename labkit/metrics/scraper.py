"""Asks programs for their own metrics: every Pod that says so, and other parts of the cluster.

A Pod says so by annotations, as the field's habit is:

    prometheus.io/scrape: "true"
    prometheus.io/port: "3001"       the first container's first port, if it is not there
    prometheus.io/path: /metrics     likewise

Who does not answer has no metrics, rather than old ones.  Left out: service discovery by other
means, HTTPS, authorization.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import aiohttp

from labkit.clock import Clock
from labkit.kube import pods
from labkit.metrics.series import Scrape, Series, scrape, series

log = logging.getLogger(__name__)

_PREFIX = "prometheus.io/"
_MOST = 1 << 20  # bytes of one answer


class Target(NamedTuple):
    """Where to ask, and of what Pod the answer speaks; of none, if its labels say that."""

    url: str
    namespace: str = ""
    pod: str = ""


def target(pod: Mapping) -> Target | None:
    """Where a Pod's metrics are, if it runs and says so."""
    meta = pod["metadata"]
    notes = meta.get("annotations") or {}
    address = (pod.get("status") or {}).get("podIP")
    if notes.get(f"{_PREFIX}scrape") != "true" or not address or pods.phase(pod) != "Running":
        return None
    port = notes.get(f"{_PREFIX}port") or _first_port(pod)
    path = notes.get(f"{_PREFIX}path", "/metrics").lstrip("/")
    return Target(f"http://{address}:{port}/{path}", meta["namespace"], meta["name"])


def _first_port(pod: Mapping) -> int:
    ports = (each for one in pod["spec"]["containers"] for each in one.get("ports") or ())
    return next((port["containerPort"] for port in ports), 80)


class Scraper:
    """The series of the last round; `always` are the URLs of parts that are no Pods."""

    def __init__(self, clock: Clock, always: Iterable[str] = ()) -> None:
        self._clock = clock
        self._always = [Target(url) for url in always]
        self._last: dict[Target, Scrape] = {}
        self.series: dict[Target, list[Series]] = {}

    async def round(
        self, session: aiohttp.ClientSession, all_pods: Iterable[Mapping], patience: float
    ) -> None:
        """Ask all that there are, for `patience` seconds at most."""
        targets = [*self._always, *filter(None, map(target, all_pods))]

        found = await asyncio.gather(*(self._ask(session, each, patience) for each in targets))
        fresh = {each: scrape for each, scrape in zip(targets, found, strict=True) if scrape}
        self.series = {
            each: list(series(self._last.get(each), scrape)) for each, scrape in fresh.items()
        }
        self._last = fresh

    async def _ask(
        self, session: aiohttp.ClientSession, where: Target, patience: float
    ) -> Scrape | None:
        try:
            async with asyncio.timeout(patience):
                async with session.get(where.url, raise_for_status=True) as answer:
                    content = await answer.content.read(_MOST)
                    while not answer.content.at_eof() and len(content) < _MOST:
                        content += await answer.content.read(_MOST - len(content))
            return scrape(content.decode(), self._clock.now())
        except (aiohttp.ClientError, OSError, ValueError) as error:
            log.info("scrape failed url=%s error=%r", where.url, error)
            return None
