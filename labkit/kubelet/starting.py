"""Starts one container: its image, its environment, its mounts, its process, its postStart hook.

A step that fails says so in an Event and as the reason for which the container waits; the next sync
after that time tries again.

Source: kubelet's startContainer (kuberuntime_container.go).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from labkit.client import ApiError
from labkit.client.events import NORMAL, WARNING
from labkit.kubelet import backoff, env
from labkit.kubelet import instances as inst
from labkit.kubelet.container_config import app_config
from labkit.kubelet.decide import Kill
from labkit.kubelet.hooks import HookError
from labkit.kubelet.instances import EXITED, RUNNING, Instance
from labkit.kubelet.pod_state import Desk
from labkit.kubelet.runtime import ENGINE_ERRORS, message_of
from labkit.kubelet.view import Blocked, View, grace_period

log = logging.getLogger(__name__)

# How long an error is shown before CrashLoopBackOff takes its place, seconds.  Upstream's interval
# is that of its next sync of the Pod.
_SHOW_ERROR = 2.0


class Starter:
    """Starts containers of one Pod; `kill` stops one whose postStart hook failed."""

    def __init__(self, desk: Desk, kill: Callable[[Kill], None]) -> None:
        self._desk, self._state, self._tools = desk, desk.state, desk.tools
        self._kill = kill

    async def look_after_image(self, container: Mapping) -> bool:
        """Whether the container's image is here; otherwise it is noted what it waits for."""
        name = container["name"]
        if name in self._state.with_image:
            return True
        secrets = await self._pull_secrets()
        try:
            wait = await self._tools.images.ensure(
                self._desk.pod, container, secrets, lambda: self._desk.unblock(name)
            )
        except ENGINE_ERRORS as error:
            later = self._tools.clock.now() + self._tools.settings.back_off_period
            wait = Blocked("ImageInspectError", message_of(error), later)
        if wait:
            self._state.blocked[name] = wait
            return False
        self._state.with_image.add(name)
        return True

    async def _pull_secrets(self) -> list[Mapping]:
        if self._state.pull_secrets is None:
            found, missing = await self._tools.sources.pull_secrets(self._desk.pod)
            self._state.pull_secrets = found
            if missing:
                self._desk.tell(
                    WARNING,
                    "FailedToRetrieveImagePullSecret",
                    f"Unable to retrieve some image pull secrets ({', '.join(missing)}); "
                    "attempting to pull the image may not succeed.",
                )
        return self._state.pull_secrets

    async def start(self, view: View, container: Mapping) -> None:
        """Start a container that does not run."""
        name = container["name"]
        if not await self.look_after_image(container):
            return
        self._state.with_image.discard(name)  # the next start looks again
        self._state.blocked.pop(name, None)
        run = view.run(name)
        attempt = 0 if run is None else run.attempt + (run.state == EXITED)
        self._raise_back_off(name, run)
        created = await self._create(view, container, attempt)
        if created:
            await self._run(created, container, view.pod_ip)
            await self.remove_old(name, attempt - 1)  # the previous one keeps its log

    def _raise_back_off(self, name: str, run: Instance | None) -> None:
        if run is None or run.state != EXITED:
            return
        settings = self._tools.settings
        self._state.back_offs[name] = backoff.raised(
            self._state.back_offs.get(name),
            run.finished,
            self._tools.clock.now(),
            settings.first_restart_period,
            settings.max_container_restart_period,
        )

    async def _create(self, view: View, container: Mapping, attempt: int) -> str:
        """The id of the new container; empty where it could not be made."""
        name, tools, pod = container["name"], self._tools, self._desk.pod
        try:
            values = await self._environment(view, container)
            binds = tools.volumes.directory(pod).binds(container, values, attempt)
        except env.ConfigError as error:
            self._fail(name, "CreateContainerConfigError", str(error))
            return ""
        except (ApiError, OSError) as error:
            self._fail(name, "CreateContainerConfigError", f"failed to sync cache: {error}")
            return ""
        config = app_config(pod, container, attempt, tools.place, view.sandbox.id, values, binds)
        config["Image"] = tools.images.name_of(pod, container)
        try:
            created = await tools.runtime.create(inst.docker_name(pod, name, attempt), config)
        except ENGINE_ERRORS as error:
            self._fail(name, "CreateContainerError", message_of(error))
            return ""
        self._desk.tell(NORMAL, "Created", "Container created", name)
        return created

    async def _environment(self, view: View, container: Mapping) -> Mapping[str, str]:
        tools, pod = self._tools, self._desk.pod
        services = await tools.sources.service_variables(pod) if tools.service_env else {}
        lookup = await tools.sources.lookup(pod, container)
        # The address may not have reached the API yet.
        here = {"podIP": view.pod_ip, "podIPs": [{"ip": view.pod_ip}]}
        node = {"hostIP": tools.node_ip, "hostIPs": [{"ip": tools.node_ip}]}
        placed = {**pod, "status": {**view.status, **here, **node}}
        return env.environment(placed, container, lookup, services, tools.node.allocatable)

    async def _run(self, container_id: str, container: Mapping, ip: str) -> None:
        name = container["name"]
        try:
            await self._tools.runtime.start(container_id)
        except ENGINE_ERRORS as error:
            message = message_of(error)
            why = f'Error: failed to start container "{name}": {message}'
            self._desk.tell(WARNING, "Failed", why, name)
            self._desk.block(name, "RunContainerError", message, _SHOW_ERROR)
        else:
            self._desk.tell(NORMAL, "Started", "Container started", name)
        try:
            seen = await self._tools.runtime.inspect(container_id)
        except ENGINE_ERRORS as error:
            self._fail(name, "RunContainerError", message_of(error))
            return
        if seen:
            self._state.note(seen)
            self._begin_post_start(container, seen, ip)

    def _begin_post_start(self, container: Mapping, run: Instance, ip: str) -> None:
        hook = (container.get("lifecycle") or {}).get("postStart")
        if hook and run.state == RUNNING:
            self._state.hooked.add(run.id)
            self._tools.background(self._post_start(hook, container, run, ip))

    async def _post_start(self, hook: Mapping, container: Mapping, run: Instance, ip: str) -> None:
        name = container["name"]
        try:
            await self._tools.hooks.run(hook, container, run, ip)
        except HookError as error:
            # The message may hold what nobody else should read: it is not in the Event.
            self._desk.tell(WARNING, "FailedPostStartHook", "PostStartHook failed", name)
            self._desk.block(name, "PostStartHookError", str(error), _SHOW_ERROR)
            self._kill(Kill(run, grace_period(self._desk.pod), "FailedPostStartHook"))
        self._state.hooked.discard(run.id)
        self._desk.wake()

    async def remove_old(self, name: str, before: int) -> None:
        """Remove the ended runs of a container with attempts below `before`."""
        old = [
            one
            for one in self._state.instances.values()
            if one.name == name and one.attempt < before and one.state != RUNNING
        ]
        for one in old:
            try:
                await self._tools.runtime.remove(one.id)
            except ENGINE_ERRORS as error:
                log.info("container not removed id=%.12s error=%s", one.id, error)
            else:
                self._state.lose(one.id)

    def _fail(self, name: str, reason: str, message: str) -> None:
        self._desk.tell(WARNING, "Failed", f"Error: {message}", name)
        self._desk.block(name, reason, message, self._tools.settings.back_off_period)
