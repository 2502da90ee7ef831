"""`Simulation`: a scenario, played in virtual time.

    found = Simulation(Scenario.read(Path("lesson.yaml"))).run()
    found.frame       what a `Recorder` records of a live cluster, one row per second
    found.events      the Events of the Deployment and its autoscaler
    found.decisions   every look of an autoscaler: what it decided, and why
    found.bill        what each node has cost

A second of virtual time is this: the application serves the requests of the second, then the row is
taken.  Everything else happens when the parts of the cluster want it to.
"""

from __future__ import annotations

import atexit
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from labkit.client import Informer
from labkit.clock import LoopClock
from labkit.controllers.cluster_autoscaler import ClusterAutoscaler
from labkit.controllers.podautoscaler import Decision, HorizontalPodAutoscalerController
from labkit.controllers.podautoscaler.scale_target import NoMatchError, ScaleTargets
from labkit.errors import UsageError
from labkit.kube import times
from labkit.kube.resources import (
    DEPLOYMENTS,
    EVENTS,
    HORIZONTAL_POD_AUTOSCALERS,
)
from labkit.load.profile import Profile, noisy
from labkit.metrics.exposition import Batch, Point
from labkit.observe.sample import (
    COLUMNS,
    EVENT_COLUMNS,
    MARK,
    columns,
    event_row,
    find_autoscaler,
)
from labkit.simulate import prices
from labkit.simulate.application import PodModel, Second, cores_of, second
from labkit.simulate.census import Census
from labkit.simulate.cluster import SimulatedCluster
from labkit.simulate.decisions import Look, look
from labkit.simulate.faults import strike
from labkit.simulate.loop import VirtualLoop, finish
from labkit.simulate.scenario import Phase, Scenario

EPOCH = times.parse("2026-01-01T00:00:00Z")
"""When every simulation begins, in Unix seconds."""

_NAMESPACE = "default"
_PATIENCE = 600  # seconds
_DIGITS = 6  # of what is recorded: the last ones of a logarithm are not the same on all machines


@dataclass(frozen=True)
class Recording:
    """What happened: `frame` has the columns of `Recorder.frame`, `events` those of its events.

    `decisions` has a row for every `Look` of each autoscaler.  `bill` says what each node has cost,
    `costs` what all of them did second by second: see `labkit.simulate.prices`.
    """

    scenario: Scenario
    frame: pd.DataFrame
    events: pd.DataFrame
    decisions: pd.DataFrame
    bill: pd.DataFrame
    costs: pd.DataFrame


class Simulation:
    """Plays a scenario.  `run` plays all of it; `advance`, `until` and `step` a part, as often as
    you like.

    The loop is this object's own, so it can be used anywhere, in a notebook's cell too.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        target = _under_load(scenario)
        self._name, self._place = target["metadata"]["name"], _namespace(target)
        selector = (target.get("spec") or {}).get("selector") or {}
        self._census = Census(self._place, selector)
        self._loop = VirtualLoop()
        self._models: dict[str, PodModel] = {}
        self._rows: list[dict[str, float]] = []
        self._seen: object = None  # of the API, when the last row was taken
        self._said: Mapping[str, float] = {}  # and the columns that come of it
        self._looks: list[Look] = []
        self._told = 0  # how many of them the caller knows, or has played over
        self._began = self._second = 0.0
        self._left = sorted(scenario.faults, key=lambda fault: fault.at)
        self._struck: list[dict[str, object]] = []
        self._requests = random.Random(scenario.seed)
        self._load, self._sent = _shaken(scenario), 0
        # Whoever plays a part and goes is not to hear of tasks that were left.
        atexit.register(self.close)
        try:
            self._loop.run(self._start())
        except BaseException:
            self.close()
            raise

    async def _start(self) -> None:
        self._clock = LoopClock(EPOCH)
        self._cluster = SimulatedCluster(self.scenario, self._clock, self._usage, self._census)
        client = self._cluster.client
        self._deployments = Informer(client, DEPLOYMENTS, self._clock)
        self._autoscalers = Informer(client, HORIZONTAL_POD_AUTOSCALERS, self._clock)
        autoscaler = HorizontalPodAutoscalerController.name
        self._cluster.controllers.controllers[autoscaler].observers.append(self._looked)
        await self._cluster.start()
        for informer in (self._deployments, self._autoscalers):
            informer.start()
            await informer.synced()
        autoscalers = HORIZONTAL_POD_AUTOSCALERS.kind if self.scenario.phase else ""
        for manifest in self.scenario.manifests:
            if manifest["kind"] != autoscalers:
                await self._apply(manifest)
        await self._until_available()
        if self.scenario.phase:
            await self._fall_in(self.scenario.phase)
        self._began = self._clock.monotonic()
        self._looks.clear()

    def _looked(self, key: str, decision: Decision) -> None:
        self._looks.append(look(key, decision, self._clock.now(), self.seconds))

    async def _fall_in(self, phase: Phase) -> None:
        """Let the cluster's clocks be where the scenario wants them, now that Pods are up."""
        for manifest in self.scenario.manifests:
            if manifest["kind"] == HORIZONTAL_POD_AUTOSCALERS.kind:
                await self._apply(manifest)  # and it is looked at, now and after each period
        settings = self._cluster.controllers.settings
        period = settings.horizontal_pod_autoscaler_sync_period
        await self._clock.sleep(period - phase.autoscaler % period)
        self._cluster.measure_after(phase.metrics)

    async def _until_available(self) -> None:
        """As in life, load is sent to an application that is up."""
        for _ in range(_PATIENCE):
            await self._clock.sleep(1.0)
            deployment = self._deployment()
            ready = (deployment.get("status") or {}).get("readyReplicas", 0)
            if ready >= deployment["spec"]["replicas"]:
                return
        raise UsageError(
            f"The application is not up {_PATIENCE} s after it was applied.",
            "Its Pods fit on no node, or take very long to start.",
            "Give the nodes more, or let the Pods request less.",
        )

    async def _apply(self, manifest: Mapping) -> None:
        version, kind = manifest["apiVersion"], manifest["kind"]
        client = self._cluster.client
        try:
            resource = await ScaleTargets(client, self._clock).resource(version, kind)
        except NoMatchError as error:
            raise UsageError(
                f"No {kind} of {version} can be simulated.",
                "The API server does not serve it.",
                "Look for a spelling mistake in apiVersion and kind of the manifest.",
            ) from error
        namespace = _namespace(manifest)
        await client.create(resource, dict(manifest), namespace if resource.namespaced else None)

    # What passes

    @property
    def seconds(self) -> float:
        """How much of the scenario has been played."""
        return round(self._loop.time() - self._began, _DIGITS)

    def run(self) -> Recording:
        """Play to the end, and close."""
        self.advance(self.scenario.seconds - self.seconds)
        found = self.recording()
        self.close()
        return found

    def advance(self, seconds: float) -> None:
        """Play so many seconds more."""
        self.until(lambda row: False, seconds)

    def until(self, condition: Callable[[Mapping[str, float]], bool], timeout: float) -> bool:
        """Play until `condition` holds for a row, for `timeout` seconds at most; whether it did."""
        held = self._loop.run(self._play(round(timeout), condition))
        self._told = len(self._looks)
        return held

    def step(self) -> Look:
        """Play to the end of the second of the next look of an autoscaler, and return that look.

        Looks of the same second come one by one.  Raises UsageError if nobody will ever look.
        """
        while self._told == len(self._looks):
            if not self._autoscalers.store:
                raise UsageError(
                    "There is no next decision.",
                    "The scenario has no HorizontalPodAutoscaler.",
                    "Add one to its manifests, or play on with advance(seconds).",
                )
            self._loop.run(self._play(1, lambda row: False))
        self._told += 1
        return self._looks[self._told - 1]

    def close(self) -> None:
        """Give everything back.  Safe to repeat."""
        if not self._loop.is_closed():
            atexit.unregister(self.close)
            finish(self._loop)

    def __enter__(self) -> Simulation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _play(self, seconds: int, condition: Callable) -> bool:
        for _ in range(seconds):
            await self._fail()
            served = self._serve()
            await self._clock.sleep(1.0)
            self._rows.append(self._row(served))
            if condition(self._rows[-1]):
                return True
        return False

    async def _fail(self) -> None:
        while self._left and self._left[0].at <= self.seconds:
            words = await strike(self._left.pop(0), self._cluster, list(self._models))
            now = {"time": self._clock.now(), "t": self.seconds}
            self._struck.append({**now, "reason": MARK, "message": words, "object": MARK})

    def _serve(self) -> Second:
        """The application's second that begins now."""
        self._second = self._clock.monotonic()
        scenario, running = self.scenario, self._cluster.nodes.running
        for uid in self._models.keys() - running.keys():
            del self._models[uid]
        for uid, pod in running.items():
            if uid not in self._models and self._census.covers(pod):
                self._models[uid] = PodModel(cores_of(pod, scenario.application))
        return second(scenario.application, self._models.values(), self._arriving(), self._requests)

    def _arriving(self) -> int:
        """The requests of the second that begins now."""
        begin = len(self._rows)
        due = self._load.due(begin + 1)
        if self.scenario.noisy:
            return _poisson(due - self._load.due(begin), self._requests)
        before, self._sent = self._sent, math.ceil(due - 1e-9)  # as `Profile.arrivals` counts
        return self._sent - before

    def _usage(self) -> Batch:
        """What the kubelets would say of all Pods."""
        now, found = round(self._clock.now() * 1000), Batch()
        # Used evenly within a second: what is measured depends on the window alone, not on where in
        # a second it begins, nor on who is first where both happen at once.
        share = min(1.0, self._clock.monotonic() - self._second)
        memory = round(self.scenario.application.memory_mib * 2**20)
        for uid, model in self._models.items():
            pod = self._cluster.nodes.running.get(uid)
            if pod is None:
                continue
            meta, (container, *_) = pod["metadata"], pod["spec"]["containers"]
            (state, *_) = pod["status"]["containerStatuses"]
            start = round(times.parse(state["state"]["running"]["startedAt"]) * 1000)
            point = Point(now, round(model.used(share) * 1e9), memory, start)
            found.pods[meta["namespace"], meta["name"]] = {container["name"]: point}
        return found

    # What is recorded

    def _row(self, load: Second) -> dict[str, float]:
        now = {"time": self._clock.now(), "t": self.seconds, **load._asdict()}
        return self._columns() | {name: round(value, _DIGITS) for name, value in now.items()}

    def _columns(self) -> Mapping[str, float]:
        """What the API says of Deployment, autoscaler and Pods: read anew if it has changed."""
        autoscaler = find_autoscaler(self._autoscalers.store.values(), self._name)
        seen = self._deployment(), autoscaler, self._census.changes
        if seen != self._seen:
            found = columns(seen[0], autoscaler, self._census.used, self._census.counts)
            self._said = {name: round(value, _DIGITS) for name, value in found.items()}
            self._seen = seen
        return self._said

    def _deployment(self) -> Mapping:
        return self._deployments.store[f"{self._place}/{self._name}"]

    def recording(self) -> Recording:
        """What has happened so far."""
        frame = pd.DataFrame(self._rows, columns=list(COLUMNS), dtype=float)
        frame.attrs["clock"] = "virtual clock"
        listed = self._loop.run(self._cluster.client.list(EVENTS, _NAMESPACE))["items"]
        rows = [event_row(one) for one in listed if _is_telling(one)]
        rows = [{**row, "t": max(0.0, row["time"] - EPOCH - self._began)} for row in rows]
        rows += self._struck
        rows.sort(key=lambda row: (row["time"], row["object"], row["message"]))
        events = pd.DataFrame(rows, columns=list(EVENT_COLUMNS))
        decisions = pd.DataFrame(self._looks, columns=list(Look._fields))
        accounts = self._cluster.ledger.accounts.values()
        billed = prices.bill(accounts, self._began, self._began + self.seconds)
        spent = prices.costs(accounts, self._began, frame["t"].to_list())
        return Recording(self.scenario, frame, events, decisions, billed, spent)


def _under_load(scenario: Scenario) -> Mapping:
    """The manifest of the Deployment that gets the load.  Raises UsageError."""
    kind = DEPLOYMENTS.kind
    found = [manifest for manifest in scenario.manifests if manifest["kind"] == kind]
    if len(found) != 1:
        raise UsageError(
            f"The scenario has {len(found)} Deployments.",
            "The load goes to the one that there is.",
            "Leave exactly one Deployment in its manifests.",
        )
    return found[0]


def _namespace(manifest: Mapping) -> str:
    return manifest["metadata"].get("namespace", _NAMESPACE)


def _is_telling(event: Mapping) -> bool:
    """Whether it is about the Deployment or its autoscaler, or the cluster autoscaler's."""
    about = ("Deployment", "HorizontalPodAutoscaler")
    source = (event.get("source") or {}).get("component")
    return event["involvedObject"]["kind"] in about or source == ClusterAutoscaler.name


def _shaken(scenario: Scenario) -> Profile:
    """The load, with its noise."""
    noise = scenario.noise
    if noise is None:
        return scenario.load
    return noisy(scenario.load, noise.spread, noise.every, scenario.seed)


def _poisson(rate: float, source: random.Random) -> int:
    """How many of a Poisson process come in a second."""
    count, left = 0, source.expovariate(1.0)
    while left < rate:
        count += 1
        left += source.expovariate(1.0)
    return count
