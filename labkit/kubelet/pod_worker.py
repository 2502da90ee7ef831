"""Brings one Pod's containers to where its spec wants them, step by step.

`PodWorker.sync` asks `decide.plan` for the next step, reports the status, carries the step out, and
repeats until there is nothing to do.  Nothing in a sync waits long: pulls, hooks and stops go on in
the background and wake the Pod when they are done.  At most one sync runs per Pod (the kubelet's
work queue sees to that), so that its state needs no lock.
"""

from __future__ import annotations

import asyncio
import logging

from labkit.client import ApiError
from labkit.client.events import NORMAL, WARNING
from labkit.kube import pods
from labkit.kube.resources import PODS
from labkit.kubelet import decide
from labkit.kubelet import instances as inst
from labkit.kubelet.container_config import PAUSE_IMAGE, sandbox_config
from labkit.kubelet.decide import Plan
from labkit.kubelet.instances import RUNNING, SANDBOX
from labkit.kubelet.pod_state import Desk, PodState, Tools
from labkit.kubelet.runtime import ENGINE_ERRORS, message_of
from labkit.kubelet.starting import Starter
from labkit.kubelet.status import pod_status
from labkit.kubelet.stopping import Stopper
from labkit.kubelet.view import Facts, View

log = logging.getLogger(__name__)

_API_AGAIN = 1.0
# A sync is a handful of steps; more means that two of our rules undo each other.
_MAX_STEPS = 50


class PodWorker:
    """One step after the other for the Pod of one `state`."""

    def __init__(self, state: PodState, tools: Tools) -> None:
        self.state, self.tools = state, tools
        self._desk = Desk(state, tools)
        self._stopper = Stopper(self._desk)
        self._starter = Starter(self._desk, self._stopper.kill)

    async def sync(self) -> float | None:
        """Do all there is to do now; seconds until the next look, None for "when woken"."""
        self._admit()
        for _ in range(_MAX_STEPS):
            await self._mount()
            view = self._view()
            step = decide.plan(view)
            self._report(view, step)
            if step.finished:
                return await self._finish(view)
            if not await self._carry_out(view, step):
                return self._next_look(view, step)
        log.error("pod does not settle pod=%s", self.state.pod["metadata"]["name"])
        return self.tools.settings.back_off_period

    def _admit(self) -> None:
        """Look once whether the node takes a Pod that has not begun here."""
        state = self.state
        begun = state.instances or (state.pod.get("status") or {}).get("startTime")
        if not (state.admitted or begun or state.gone):
            state.evicted = self.tools.refusal(state.pod)
            if state.evicted:
                why = state.evicted.message.removeprefix("Pod was rejected: ")
                self._desk.tell(WARNING, state.evicted.reason, why)
        state.admitted = True

    async def _mount(self) -> None:
        state = self.state
        if state.gone or state.evicted or not pods.is_active(state.pod):
            return
        told = state.mounts.again
        state.mounts = await self.tools.volumes.mount(state.pod)
        if state.mounts.again != told:
            for failure in state.mounts.failures:
                self._desk.tell(WARNING, "FailedMount", failure)

    def _next_look(self, view: View, step: Plan) -> float | None:
        """The plan's, or when volumes are to be looked at again, whichever comes first."""
        if view.deleting or not self.state.mounts.again:
            return step.again
        due = self.state.mounts.again - view.now
        return due if step.again is None else min(step.again, due)

    def _view(self) -> View:
        state, tools = self.state, self.tools
        facts = Facts(
            back_offs=state.back_offs,
            blocked=state.blocked,
            probes=tools.prober.results,
            hooked=frozenset(state.hooked),
            unmounted=None if state.mounts.ready else state.mounts.again,
            evicted=state.evicted,
            gone=state.gone,
        )
        return View(state.pod, tuple(state.instances.values()), facts, tools.clock.now())

    def _report(self, view: View, step: Plan) -> None:
        if self.tools.elastic:
            runs = any(one.state == RUNNING and not one.is_sandbox for one in view.instances)
            self.tools.elastic.seen(self.state.pod, runs)
        self._watch_probes(view, step)
        for name, wait in step.waiting.items():
            if wait.reason == decide.CRASH_LOOP:
                self._tell_crash_loop(view, name)
        if step.deadline_exceeded:
            late = "Pod was active on the node longer than the specified deadline"
            self._desk.tell_once(NORMAL, "DeadlineExceeded", late)
        if not self.state.gone:
            status = pod_status(view, step, self.tools.node_ip)
            self.tools.statuses.set(self.state.pod, status)

    def _tell_crash_loop(self, view: View, name: str) -> None:
        message = f"Back-off restarting failed container {name} in pod "
        key = f"{message}{view.run(name).id}"
        said = message + decide.full_name(self.state.pod)
        self._desk.tell_once(WARNING, "BackOff", said, name, key)

    def _watch_probes(self, view: View, step: Plan) -> None:
        prober = self.tools.prober
        running = [one for one in view.instances if one.state == RUNNING]
        prober.retain({one.id for one in running}, {one.id for one in view.instances})
        if view.deleting or step.ending:
            prober.spare({one.id for one in running})
            return
        specs = {one["name"]: one for one in (*view.init_containers, *view.containers)}
        for one in running:
            if one.name in specs and view.is_up(one):
                prober.watch(self.state.pod, specs[one.name], one, view.pod_ip)

    async def _carry_out(self, view: View, step: Plan) -> bool:
        """Whether anything was done, and hence there may be more to do."""
        for kill in step.kill:
            self._stopper.kill(kill)
        if step.sandbox is not None:
            await asyncio.gather(
                self._make_sandbox(step.sandbox),
                *(self._starter.look_after_image(container) for container in step.start),
            )
            return True
        for container in step.start:
            await self._starter.start(view, container)
        return bool(step.start)

    # The sandbox

    async def _make_sandbox(self, attempt: int) -> None:
        tools, desk = self.tools, self._desk
        if tools.elastic and (wait := tools.elastic.wait(self.state.pod)):
            desk.block(SANDBOX, "", "", wait)
            return
        if tools.node.network_error:
            message = f"network is not ready: {tools.node.network_error}"
            desk.tell_once(WARNING, "NetworkNotReady", message)
            desk.block(SANDBOX, "", "", tools.settings.back_off_period)
            return
        if attempt:
            changed = "Pod sandbox changed, it will be killed and re-created."
            desk.tell(NORMAL, "SandboxChanged", changed)
        try:
            await self._start_sandbox(attempt)
        except ENGINE_ERRORS as error:
            message = f"Failed to create pod sandbox: {message_of(error)}"
            desk.tell(WARNING, "FailedCreatePodSandBox", message)
            desk.block(SANDBOX, "", "", tools.settings.back_off_period)
            return
        await self._starter.remove_old(SANDBOX, attempt)

    async def _start_sandbox(self, attempt: int) -> None:
        runtime, pod = self.tools.runtime, self.state.pod
        if await runtime.image(PAUSE_IMAGE) is None:
            await runtime.pull(PAUSE_IMAGE, None)
        address = self.tools.address(self._desk.uid)
        config = sandbox_config(pod, attempt, self.tools.place, address)
        made = await runtime.create(inst.docker_name(pod, SANDBOX, attempt), config)
        await runtime.start(made)
        seen = await runtime.inspect(made)
        if seen:
            self.state.note(seen)

    async def _finish(self, view: View) -> float | None:
        """Nothing runs any more.  A Pod that is to go, goes, containers and volumes first."""
        if not view.deleting:
            self.tools.volumes.tear_down(self.state.pod)
            return None
        meta = self.state.pod["metadata"]
        if not self.state.gone:
            await self.tools.statuses.written(self._desk.uid)
            # The last word on the containers is in the API now; without it nobody could know
            # how they ended.
        await self._stopper.remove_all()
        self.tools.volumes.forget(self.state.pod)
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
