"""Lifecycle hooks: what a container asks to be done after its start and before its end.

An `exec` hook fails by its exit code.  An `httpGet` hook is done when an answer came, whatever it
says: only a request that could not be made fails.  `sleep` waits.  `tcpSocket`, which the API has,
fails always, as upstream.

Source: kubelet's lifecycle handlers (pkg/kubelet/lifecycle/handlers.go).  Left out: the second try
of an https hook over http.
"""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

from labkit.clock import Clock
from labkit.errors import LabkitError
from labkit.kubelet.instances import Instance
from labkit.kubelet.probe_actions import http_target
from labkit.kubelet.runtime import ENGINE_ERRORS, Runtime, message_of

_AGENT = "kube-lifecycle/1.36"


class HookError(LabkitError):
    """A hook failed."""


class Hooks:
    """Runs hooks through `runtime` and over the network."""

    def __init__(self, runtime: Runtime, clock: Clock) -> None:
        self._runtime, self._clock = runtime, clock

    async def run(self, hook: Mapping, container: Mapping, run: Instance, ip: str) -> None:
        """Run one hook to its end.  Raises HookError."""
        if "exec" in hook:
            await self._exec(hook["exec"].get("command") or [], container, run)
        elif "httpGet" in hook:
            await self._http(hook["httpGet"], container, ip)
        elif "sleep" in hook:
            await self._clock.sleep(hook["sleep"].get("seconds") or 0)
        else:
            raise HookError("invalid handler")

    async def _exec(self, command: list[str], container: Mapping, run: Instance) -> None:
        words = " ".join(command)
        try:
            code, output = await self._runtime.exec(run.id, list(command))
        except ENGINE_ERRORS as error:
            code, output = -1, message_of(error)
        if code:
            raise HookError(
                f'Exec lifecycle hook ([{words}]) for Container "{container["name"]}" failed - '
                f"error: command '{words}' exited with {code}: , message: \"{output}\""
            )

    async def _http(self, action: Mapping, container: Mapping, ip: str) -> None:
        url, headers = http_target(action, container, ip, _AGENT)
        if not url:
            raise HookError(f"couldn't find port: {action['port']}")
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session,
                session.get(url, headers=headers, ssl=False),
            ):
                pass
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise HookError(
                f"Http lifecycle hook ({action.get('path', '')}) for Container "
                f'"{container["name"]}" failed - error: {error}'
            ) from None
