"""Brings one Pod's containers to where its spec wants them, step by step.

`PodWorker.sync` asks `decide.plan` for the next step, reports the status, carries the step out, and
repeats until there is nothing to do.  Nothing in a sync waits long: pulls and stops go on in the
background and wake the Pod when they are done.  At most one sync runs per Pod (the kubelet's work
queue sees to that), so that its state needs no lock.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from labkit.client import ApiError, Client, EventRecorder
from labkit.client.events import NORMAL, WARNING
from labkit.clock import Clock
from labkit.kube.resources import PODS
from labkit.kubelet import backoff, decide, env
from labkit.kubelet import instances as inst
from labkit.kubelet.container_config import (
    PAUSE_IMAGE,
    NodePlace,
    app_config,
    sandbox_config,
)
from labkit.kubelet.decide import Kill, Plan
from labkit.kubelet.images import Images, field_path
from labkit.kubelet.instances import EXITED, RUNNING, SANDBOX, Instance
from labkit.kubelet.node import NodeAgent
from labkit.kubelet.pod_state import PodState
from labkit.kubelet.probes import Prober
from labkit.kubelet.runtime import ENGINE_ERRORS, Runtime, message_of
from labkit.kubelet.settings import KubeletSettings
from labkit.kubelet.sources import Sources
from labkit.kubelet.status import pod_status
from labkit.kubelet.status_manager import StatusManager
from labkit.kubelet.view import Blocked, Facts, View

log = logging.getLogger(__name__)

_REFUSAL_AGAIN = 120.0  # seconds; upstream repeats a failed mount after 2 min 2 s at most
_API_AGAIN = 1.0
# A sync is a handful of steps; more means that two of our rules undo each other.
_MAX_STEPS = 50


@dataclass(frozen=True, slots=True)
class Tools:
    """What the workers of one node share."""

    client: Client
    clock: Clock
    settings: KubeletSettings
    runtime: Runtime
    recorder: EventRecorder
    images: Images
    prober: Prober
    sources: Sources
    statuses: StatusManager
    node: NodeAgent
    place: NodePlace
    address: Callable[[str], str]  # the address for the next sandbox of the Pod of this uid
    node_ip: str
    service_env: bool
    wake: Callable[[str], None]  # have the Pod of this uid synced
    background: Callable[[object], None]  # run a coroutine that the kubelet's stop cancels


class PodWorker:
    """One step after the other for the Pod of one `state`."""

    def __init__(self, state: PodState, tools: Tools) -> None:
        self.state, self.tools = state, tools

    @property
    def uid(self) -> str:
        return self.state.pod["metadata"]["uid"]

    async def sync(self) -> float | None:
        """Do all there is to do now; seconds until the next look, None for "when woken"."""
        for _ in range(_MAX_STEPS):
            view = self._view()
            step = decide.plan(view, self.tools.settings)
            self._report(view, step)
            if step.finished:
                return await self._finish(view)
            if step.refusal:
                self._once(WARNING, "FailedMount", step.refusal)
                return _REFUSAL_AGAIN
            if not await self._carry_out(view, step):
                return step.again
        log.error("pod does not settle pod=%s", self.state.pod["metadata"]["name"])
        return self.tools.settings.back_off_period

    def _view(self) -> View:
        state, tools = self.state, self.tools
        facts = Facts(
            back_offs=state.back_offs,
            blocked=state.blocked,
            probes=tools.prober.results,
            gone=state.gone,
        )
        return View(state.pod, tuple(state.instances.values()), facts, tools.clock.now())

    def _report(self, view: View, step: Plan) -> None:
        self._watch_probes(view)
        for name, wait in step.waiting.items():
            if wait.reason == decide.CRASH_LOOP:
                self._tell_crash_loop(view, name)
        if not self.state.gone:
            status = pod_status(view, step, self.tools.node_ip)
            self.tools.statuses.set(self.state.pod, status)

    def _watch_probes(self, view: View) -> None:
        running = [one for one in view.instances if one.state == RUNNING]
        self.tools.prober.retain({one.id for one in running}, {one.id for one in view.instances})
        if view.deleting:
            return
        specs = {one["name"]: one for one in (*view.init_containers, *view.containers)}
        for one in running:
            if one.name in specs:
                self.tools.prober.watch(self.state.pod, specs[one.name], one, view.pod_ip)

    async def _carry_out(self, view: View, step: Plan) -> bool:
        """Whether anything was done, and hence there may be more to do."""
        for kill in step.kill:
            self._kill(kill)
        if step.sandbox is not None:
            await asyncio.gather(
                self._make_sandbox(step.sandbox),
                *(self._look_after_image(container) for container in step.start),
            )
            return True
        for container in step.start:
            await self._start(view, container)
        return bool(step.start)

    # The sandbox

    async def _make_sandbox(self, attempt: int) -> None:
        tools, pod = self.tools, self.state.pod
        if tools.node.network_error:
            message = f"network is not ready: {tools.node.network_error}"
            self._once(WARNING, "NetworkNotReady", message)
            self._block(SANDBOX, "", "", tools.settings.back_off_period)
            return
        try:
            if await tools.runtime.image(PAUSE_IMAGE) is None:
                await tools.runtime.pull(PAUSE_IMAGE, None)
            config = sandbox_config(pod, attempt, tools.place, tools.address(self.uid))
            made = await tools.runtime.create(inst.docker_name(pod, SANDBOX, attempt), config)
            await tools.runtime.start(made)
            await self._note(made)
        except ENGINE_ERRORS as error:
            self._tell(
                WARNING,
                "FailedCreatePodSandBox",
                f"Failed to create pod sandbox: {message_of(error)}",
            )
            self._block(SANDBOX, "", "", tools.settings.back_off_period)
            return
        await self._remove_old(SANDBOX, attempt)

    # Containers

    async def _look_after_image(self, container: Mapping) -> bool:
        """Whether the container's image is here; otherwise it is noted what it waits for."""
        name = container["name"]
        if name in self.state.with_image:
            return True
        secrets = await self._pull_secrets()
        try:
            wait = await self.tools.images.ensure(
                self.state.pod, container, secrets, lambda: self._unblock(name)
            )
        except ENGINE_ERRORS as error:
            wait = Blocked("ImageInspectError", message_of(error), self._later())
        if wait:
            self.state.blocked[name] = wait
            return False
        self.state.with_image.add(name)
        return True

    async def _pull_secrets(self) -> list[Mapping]:
        if self.state.pull_secrets is None:
            self.state.pull_secrets, missing = await self.tools.sources.pull_secrets(self.state.pod)
            if missing:
                self._tell(
                    WARNING,
                    "FailedToRetrieveImagePullSecret",
                    f"Unable to retrieve some image pull secrets ({', '.join(missing)}); "
                    "attempting to pull the image may not succeed.",
                )
        return self.state.pull_secrets

    async def _start(self, view: View, container: Mapping) -> None:
        name = container["name"]
        if not await self._look_after_image(container):
            return
        self.state.with_image.discard(name)  # the next start looks again
        self.state.blocked.pop(name, None)
        run = view.run(name)
        attempt = 0 if run is None else run.attempt + (run.state == EXITED)
        self._raise_back_off(name, run)
        created = await self._create(view, container, attempt)
        if created:
            await self._run(created, name)
            await self._remove_old(name, attempt - 1)  # the previous one keeps its log

    def _raise_back_off(self, name: str, run: Instance | None) -> None:
        if run is None or run.state != EXITED:
            return
        settings = self.tools.settings
        self.state.back_offs[name] = backoff.raised(
            self.state.back_offs.get(name),
            run.finished,
            self.tools.clock.now(),
            settings.back_off_period,
            settings.max_container_back_off,
        )

    async def _create(self, view: View, container: Mapping, attempt: int) -> str:
        """The id of the new container; empty where it could not be made."""
        name, runtime = container["name"], self.tools.runtime
        try:
            values = await self._environment(view, container)
        except env.ConfigError as error:
            self._fail(name, "CreateContainerConfigError", str(error))
            return ""
        except (ApiError, OSError) as error:
            self._fail(name, "CreateContainerConfigError", f"failed to sync cache: {error}")
            return ""
        pod, sandbox = self.state.pod, view.sandbox.id
        config = app_config(pod, container, attempt, self.tools.place, sandbox, values)
        try:
            created = await runtime.create(inst.docker_name(pod, name, attempt), config)
        except ENGINE_ERRORS as error:
            self._fail(name, "CreateContainerError", message_of(error))
            return ""
        self._tell(NORMAL, "Created", "Container created", name)
        return created

    async def _environment(self, view: View, container: Mapping) -> Mapping[str, str]:
        sources, pod = self.tools.sources, self.state.pod
        services = await sources.service_variables(pod) if self.tools.service_env else {}
        lookup = await sources.lookup(pod, container)
        # The address may not have reached the API yet.
        here = {"podIP": view.pod_ip, "podIPs": [{"ip": view.pod_ip}]}
        node = {"hostIP": self.tools.node_ip, "hostIPs": [{"ip": self.tools.node_ip}]}
        placed = {**pod, "status": {**view.status, **here, **node}}
        return env.environment(placed, container, lookup, services, self.tools.node.allocatable)

    async def _run(self, container_id: str, name: str) -> None:
        try:
            await self.tools.runtime.start(container_id)
        except ENGINE_ERRORS as error:
            message = f'failed to start container "{name}": {message_of(error)}'
            self._tell(WARNING, "Failed", f"Error: {message}", name)
        else:
            self._tell(NORMAL, "Started", "Container started", name)
        try:
            await self._note(container_id)
        except ENGINE_ERRORS as error:
            self._fail(name, "RunContainerError", message_of(error))

    async def _note(self, container_id: str) -> None:
        """See a container that was just started."""
        seen = await self.tools.runtime.inspect(container_id)
        if seen:
            self.state.note(seen)

    async def _remove_old(self, name: str, before: int) -> None:
        old = [
            one
            for one in self.state.instances.values()
            if one.name == name and one.attempt < before and one.state != RUNNING
        ]
        for one in old:
            try:
                await self.tools.runtime.remove(one.id)
            except ENGINE_ERRORS as error:
                log.info("container not removed id=%.12s error=%s", one.id, error)
            else:
                self.state.instances.pop(one.id, None)

    # Stopping

    def _kill(self, kill: Kill) -> None:
        known = self.state.stopping.get(kill.instance.id)
        if known is not None and known <= kill.grace:
            return  # under way; a shorter grace would be news
        self.state.stopping[kill.instance.id] = kill.grace
        if known is None and kill.message:
            self._tell(NORMAL, "Killing", kill.message, kill.instance.name)
        self.tools.background(self._stop(kill))

    async def _stop(self, kill: Kill) -> None:
        container_id = kill.instance.id
        try:
            await self.tools.runtime.stop(container_id, kill.grace)
            await self._note_end(container_id)
        except ENGINE_ERRORS as error:
            log.warning("container not stopped id=%.12s error=%s", container_id, error)
            await self.tools.clock.sleep(_API_AGAIN)
        self.state.stopping.pop(container_id, None)
        self.tools.wake(self.uid)

    async def _note_end(self, container_id: str) -> None:
        seen = await self.tools.runtime.inspect(container_id)
        if seen is None:
            self.state.instances.pop(container_id, None)
        elif container_id in self.state.instances:
            self.state.note(seen)

    async def _finish(self, view: View) -> float | None:
        """Nothing runs any more.  A Pod that is to go, goes, containers first."""
        if not view.deleting:
            return None
        meta = self.state.pod["metadata"]
        if not self.state.gone:
            await self.tools.statuses.written(self.uid)
            # The last word on the containers is in the API now; without it nobody could know
            # how they ended.
        await self._remove_all()
        if self.state.gone:
            return None
        try:
            await self.tools.client.delete(
                PODS, meta["name"], meta["namespace"], grace_period_seconds=0, uid=meta["uid"]
            )
        except ApiError as error:
            if not (error.not_found or error.code == 409):
                return _API_AGAIN
        except OSError:
            return _API_AGAIN
        return None

    async def _remove_all(self) -> None:
        for one in sorted(self.state.instances.values(), key=lambda one: one.is_sandbox):
            try:
                await self.tools.runtime.remove(one.id)
            except ENGINE_ERRORS as error:
                # The relist finds it again, as a container without a Pod.
                log.info("container not removed id=%.12s error=%s", one.id, error)
            self.state.instances.pop(one.id, None)

    # Words

    def _later(self) -> float:
        return self.tools.clock.now() + self.tools.settings.back_off_period

    def _block(self, name: str, reason: str, message: str, seconds: float) -> None:
        self.state.blocked[name] = Blocked(reason, message, self.tools.clock.now() + seconds)

    def _unblock(self, name: str) -> None:
        self.state.blocked.pop(name, None)
        self.tools.wake(self.uid)

    def _fail(self, name: str, reason: str, message: str) -> None:
        self._tell(WARNING, "Failed", f"Error: {message}", name)
        self._block(name, reason, message, self.tools.settings.back_off_period)

    def _tell_crash_loop(self, view: View, name: str) -> None:
        run = view.run(name)
        message = f"Back-off restarting failed container {name} in pod "
        key = f"{message}{run.id}"
        if key not in self.state.told:
            self.state.told.add(key)
            self._tell(WARNING, "BackOff", message + decide.full_name(self.state.pod), name)

    def _once(self, kind: str, reason: str, message: str) -> None:
        if message not in self.state.told:
            self.state.told.add(message)
            self._tell(kind, reason, message)

    def _tell(self, kind: str, reason: str, message: str, name: str = "") -> None:
        where = field_path(self.state.pod, name) if name else ""
        self.tools.recorder.event(self.state.pod, kind, reason, message, where)
