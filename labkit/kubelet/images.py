"""Images for containers: present, pulled in the background, or in back-off; here or from mirrors.

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
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from labkit.client import EventRecorder
from labkit.client.events import NORMAL, WARNING
from labkit.clock import Clock
from labkit.kubelet import backoff, mirrors
from labkit.kubelet.backoff import BackOff
from labkit.kubelet.decide import go_duration
from labkit.kubelet.mirrors import REFERENCE, Mirror, with_tag
from labkit.kubelet.runtime import ENGINE_ERRORS, Runtime, message_of
from labkit.kubelet.settings import KubeletSettings
from labkit.kubelet.view import Blocked

log = logging.getLogger(__name__)

# How long ErrImagePull is shown before ImagePullBackOff takes its place, seconds.  Upstream's
# interval is that of its next sync of the Pod, some seconds too.
_SHOW_ERROR = 2.0


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


class Source(NamedTuple):
    """Where an image is looked for: by these names in order, because of a mirror or None."""

    names: list[str]
    mirror: Mirror | None


class Pulled(NamedTuple):
    """How a pull went: the name that can be run, or an error; how long it took; bytes."""

    name: str
    error: str = ""
    took: str = ""
    size: int = 0


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
        self._names: dict[tuple[str, str], str] = {}  # what a container's image is on this engine

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
        for key in [key for key in self._names if key[0] == uid]:
            del self._names[key]

    def name_of(self, pod: Mapping, container: Mapping) -> str:
        """The name under which the engine has the container's image, once `ensure` found it."""
        return self._names.get((pod["metadata"]["uid"], container["name"]), container["image"])

    def _source(self, image: str) -> Source:
        found = mirrors.chosen(image, self._settings.image_mirrors)
        return Source(found[1], found[0]) if found else Source([with_tag(image)], None)

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
        if not REFERENCE.fullmatch(image):
            return self._invalid(tell, image)
        source, policy = self._source(image), pull_policy(container)
        present = policy != "Always" and await self._present(source, policy)
        if present:
            self._found(tell, asked, source, present, image)
            there = "already present on machine and can be accessed by the pod"
            tell(NORMAL, "Pulled", f'Container image "{image}" {there}')
            return None
        if policy == "Never":
            return self._never(tell, image)
        held = self._held_off(tell, (uid, image))
        if held:
            return held
        tell(NORMAL, "Pulling", f'Pulling image "{image}"')
        work = self._pull(source, credentials(secrets, source.names[0]))
        task = asyncio.create_task(work, name=f"pull {image}")
        task.add_done_callback(lambda _: wake())
        self._waiting[asked] = task
        return Blocked("ContainerCreating", "", math.inf)

    async def _present(self, source: Source, policy: str) -> str:
        """The name of an image that needs no pull.

        A stand-in for a tag is not taken before the tag itself was asked for, if that may be.
        """
        for name in source.names if policy == "Never" else source.names[:1]:
            if await self._runtime.image(name):
                return name
        return ""

    def _found(
        self, tell: _Teller, asked: tuple[str, str], source: Source, name: str, image: str
    ) -> None:
        self._names[asked] = name
        if source.mirror:
            message = f'Image "{image}" is taken from "{name}" (mirror {source.mirror})'
            tell(NORMAL, "ImageMirrored", message)

    def _outcome(self, pod: Mapping, container: Mapping, asked: tuple[str, str]) -> Blocked | None:
        task, image = self._waiting[asked], container["image"]
        if not task.done():
            return Blocked("ContainerCreating", "", math.inf)
        del self._waiting[asked]
        tell = _Teller(self._recorder, pod, container)
        name, error, took, size = task.result()
        if error:
            return self._failed(tell, (asked[0], image), error)
        self._back_offs.pop((asked[0], image), None)
        self._found(tell, asked, self._source(image), name, image)
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
        # An image that comes by another way, from `docker build`, is looked for meanwhile.
        again = now + min(left, self._settings.back_off_period)
        return Blocked("ImagePullBackOff", f"{message}: ErrImagePull: {error}", again)

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

    async def _pull(self, source: Source, auth: dict | None) -> Pulled:
        """The first of the names that can be pulled; a mirror's copy that is here will do too."""
        begun, errors = self._clock.monotonic(), []
        for name in source.names:
            try:
                await self._pull_once(name, auth)
            except ENGINE_ERRORS as error:
                errors.append(message_of(error))
                if not source.mirror or not await self._here(name):
                    continue
            details = await self._here(name) or {}
            took = go_duration(self._clock.monotonic() - begun)
            return Pulled(name, "", took, details.get("Size", 0))
        where = f'from mirror "{source.names[-1]}": ' if source.mirror else ""
        return Pulled("", where + errors[-1])

    async def _here(self, name: str) -> Mapping | None:
        try:
            return await self._runtime.image(name)
        except ENGINE_ERRORS:
            return None

    async def _pull_once(self, name: str, auth: dict | None) -> None:
        """Pull, or share a pull that is under way.  Raises ENGINE_ERRORS."""
        task = self._pulls.get(name)
        if task is None:
            task = asyncio.create_task(self._runtime.pull(name, auth))
            self._pulls[name] = task
            task.add_done_callback(lambda _: self._pulls.pop(name, None))
        # Shielded: others may wait for the same pull when this Pod is deleted.
        await asyncio.shield(task)

    async def fetch(self, image: str) -> str:
        """Have an image before any Pod asks for it; what prevents it, or ""."""
        source = self._source(image)
        if await self._present(source, "IfNotPresent"):
            return ""
        return (await self._pull(source, None)).error


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
