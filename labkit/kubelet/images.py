"""Images for containers: present, pulled in the background, or in back-off.

`ensure` never waits for a pull: it starts one, says what the container waits for meanwhile, and
wakes the Pod when the pull has ended, so that a Pod can be deleted while a pull is under way.
Containers that want the same image at the same time share one pull.

Source: kubelet's images.ImageManager, with its Events and messages.  Left out: verification of
pulled images per Pod (KEP-2535), a limit on parallel pulls, image garbage collection.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import math
import re
from collections.abc import Callable, Iterable, Mapping

from labkit.client import EventRecorder
from labkit.client.events import NORMAL, WARNING
from labkit.clock import Clock
from labkit.kubelet import backoff
from labkit.kubelet.backoff import BackOff
from labkit.kubelet.decide import go_duration
from labkit.kubelet.runtime import ENGINE_ERRORS, Runtime, message_of
from labkit.kubelet.settings import KubeletSettings
from labkit.kubelet.view import Blocked

log = logging.getLogger(__name__)

# How long ErrImagePull is shown before ImagePullBackOff takes its place, seconds.  Upstream's
# interval is that of its next sync of the Pod, some seconds too.
_SHOW_ERROR = 2.0
# A reference as the distribution specification has it, roughly: no upper case in the path.
_REFERENCE = re.compile(
    r"(?:[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*"
    r"(?::[\w][\w.-]{0,127})?(?:@[a-z0-9]+:[0-9a-f]{32,})?",
    re.ASCII,
)


def with_tag(image: str) -> str:
    """`image` with `:latest` where it has neither tag nor digest."""
    last = image.rsplit("/", 1)[-1]
    return image if ":" in last or "@" in last else f"{image}:latest"


def pull_policy(container: Mapping) -> str:
    """imagePullPolicy, or its default: Always for `:latest`, else IfNotPresent."""
    given = container.get("imagePullPolicy")
    if given:
        return given
    return "Always" if with_tag(container["image"]).endswith(":latest") else "IfNotPresent"


def credentials(secrets: Iterable[Mapping], image: str) -> dict | None:
    """What the pull Secrets (kubernetes.io/dockerconfigjson) say of the image's registry."""
    host = image.split("/", 1)[0] if "/" in image else "docker.io"
    for secret in secrets:
        encoded = (secret.get("data") or {}).get(".dockerconfigjson")
        try:
            auths = json.loads(base64.b64decode(encoded or "")).get("auths") or {}
        except ValueError:
            continue  # not a docker config: upstream ignores it likewise
        for registry, auth in auths.items():
            if registry.removeprefix("https://").split("/", 1)[0] == host:
                return _login(auth)
    return None


def _login(auth: Mapping) -> dict:
    if auth.get("username"):
        return {"username": auth["username"], "password": auth.get("password", "")}
    user, _, password = base64.b64decode(auth.get("auth") or "").decode().partition(":")
    return {"username": user, "password": password}


class Images:
    """Looks after the images of one node's containers."""

    def __init__(
        self, runtime: Runtime, recorder: EventRecorder, clock: Clock, settings: KubeletSettings
    ) -> None:
        self._runtime, self._recorder, self._clock = runtime, recorder, clock
        self._settings = settings
        self._pulls: dict[str, asyncio.Task] = {}  # by reference: one pull for all who wait
        self._waiting: dict[tuple[str, str], asyncio.Task] = {}  # by Pod uid and container
        self._back_offs: dict[tuple[str, str], tuple[BackOff, float, str]] = {}

    async def stop(self) -> None:
        """End all pulls.  Safe to repeat."""
        tasks = [*self._waiting.values(), *self._pulls.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._waiting.clear()
        self._pulls.clear()

    def forget(self, uid: str) -> None:
        """The Pod is gone."""
        for key in [key for key in self._waiting if key[0] == uid]:
            self._waiting.pop(key).cancel()
        for key in [key for key in self._back_offs if key[0] == uid]:
            del self._back_offs[key]

    async def ensure(
        self, pod: Mapping, container: Mapping, secrets: list[Mapping], wake: Callable[[], None]
    ) -> Blocked | None:
        """None if the image is here; else why the container waits.  `wake` is called when a
        pull has ended, after which `ensure` says how.
        """
        uid, image = pod["metadata"]["uid"], container["image"]
        asked = (uid, container["name"])
        if asked in self._waiting:
            return self._outcome(pod, container, asked)
        tell = _Teller(self._recorder, pod, container)
        if not _REFERENCE.fullmatch(image):
            return self._invalid(tell, image)
        held = self._held_off(tell, (uid, image))
        if held:
            return held
        policy = pull_policy(container)
        if policy != "Always" and await self._runtime.image(with_tag(image)):
            tell(NORMAL, "Pulled", f'Container image "{image}" already present on machine')
            return None
        if policy == "Never":
            return self._never(tell, image)
        tell(NORMAL, "Pulling", f'Pulling image "{image}"')
        task = asyncio.create_task(self._pull(image, secrets), name=f"pull {image}")
        task.add_done_callback(lambda _: wake())
        self._waiting[asked] = task
        return Blocked("ContainerCreating", "", math.inf)

    def _outcome(self, pod: Mapping, container: Mapping, asked: tuple[str, str]) -> Blocked | None:
        task, image = self._waiting[asked], container["image"]
        if not task.done():
            return Blocked("ContainerCreating", "", math.inf)
        del self._waiting[asked]
        tell = _Teller(self._recorder, pod, container)
        error, took, size = task.result()
        if error:
            return self._failed(tell, (asked[0], image), error)
        self._back_offs.pop((asked[0], image), None)
        tell(
            NORMAL,
            "Pulled",
            f'Successfully pulled image "{image}" in {took} ({took} including waiting). '
            f"Image size: {size} bytes.",
        )
        return None

    def _failed(self, tell: _Teller, key: tuple[str, str], error: str) -> Blocked:
        now, settings = self._clock.now(), self._settings
        known = self._back_offs.get(key)
        entry = backoff.raised(
            known and known[0], now, now, settings.back_off_period, settings.max_container_back_off
        )
        self._back_offs[key] = entry, now, error
        tell(WARNING, "Failed", f'Failed to pull image "{key[1]}": {error}')
        tell(WARNING, "Failed", "Error: ErrImagePull")
        return Blocked("ErrImagePull", error, now + _SHOW_ERROR)

    def _held_off(self, tell: _Teller, key: tuple[str, str]) -> Blocked | None:
        if key not in self._back_offs:
            return None
        entry, failed, error = self._back_offs[key]
        now = self._clock.now()
        left = backoff.remaining(entry, failed, now)
        if not left:
            return None
        message = f'Back-off pulling image "{key[1]}"'
        tell(NORMAL, "BackOff", message)
        tell(WARNING, "Failed", "Error: ImagePullBackOff")
        return Blocked("ImagePullBackOff", f"{message}: ErrImagePull: {error}", now + left)

    def _never(self, tell: _Teller, image: str) -> Blocked:
        message = f'Container image "{image}" is not present with pull policy of Never'
        tell(WARNING, "ErrImageNeverPull", message)
        tell(WARNING, "Failed", "Error: ErrImageNeverPull")
        return Blocked("ErrImageNeverPull", message, self._clock.now() + 10.0)

    def _invalid(self, tell: _Teller, image: str) -> Blocked:
        message = (
            f'Failed to apply default image tag "{image}": couldn\'t parse image name "{image}": '
            "invalid reference format"
        )
        tell(WARNING, "InspectFailed", message)
        tell(WARNING, "Failed", "Error: InvalidImageName")
        return Blocked("InvalidImageName", message, math.inf)

    async def _pull(self, image: str, secrets: list[Mapping]) -> tuple[str, str, int]:
        """(error or "", how long it took, size in bytes); shares a pull that is under way."""
        reference, begun = with_tag(image), self._clock.monotonic()
        task = self._pulls.get(reference)
        if task is None:
            auth = credentials(secrets, image)
            task = asyncio.create_task(self._runtime.pull(reference, auth))
            self._pulls[reference] = task
            task.add_done_callback(lambda _: self._pulls.pop(reference, None))
        try:
            # Shielded: others may wait for the same pull when this Pod is deleted.
            await asyncio.shield(task)
            details = await self._runtime.image(reference) or {}
        except ENGINE_ERRORS as error:
            return message_of(error), "", 0
        return "", go_duration(self._clock.monotonic() - begun), details.get("Size", 0)


class _Teller:
    """Records Events about one container of a Pod."""

    def __init__(self, recorder: EventRecorder, pod: Mapping, container: Mapping) -> None:
        self._recorder, self._pod = recorder, pod
        self._field = field_path(pod, container["name"])

    def __call__(self, kind: str, reason: str, message: str) -> None:
        self._recorder.event(self._pod, kind, reason, message, self._field)


def field_path(pod: Mapping, name: str) -> str:
    """`spec.containers{web}`: the involvedObject.fieldPath of a container's Event."""
    spec = pod["spec"]
    for part in ("initContainers", "ephemeralContainers"):
        if any(one["name"] == name for one in spec.get(part) or ()):
            return f"spec.{part}{{{name}}}"
    return f"spec.containers{{{name}}}"
