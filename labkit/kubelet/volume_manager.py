"""Sets up the volumes of Pods before their containers start, and keeps their content up to date.

`mount` brings all volumes of a Pod to where they should be and says what is wrong.  It is called
again whenever the Pod is synced, and does something only when the Pod has changed or the sync
period is over: then what its files come from is fetched again (ConfigMaps, Secrets, tokens, the Pod
itself), and files that differ are replaced in one step (`atomic_writer`).

Source: kubelet's volumemanager (desired state, reconciler); the words of FailedMount are those of
operationexecutor.  Left out: attaching, file systems, quotas.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from labkit.client import ApiError
from labkit.clock import Clock
from labkit.kubelet import atomic_writer, claims, volume_content, volumes
from labkit.kubelet.settings import KubeletSettings
from labkit.kubelet.sources import Sources
from labkit.kubelet.tokens import Tokens
from labkit.kubelet.volume_content import PLUGINS, Content, TokenAsked, VolumeError
from labkit.kubelet.volumes import PodDirectory

_FIRST_AGAIN = 0.5  # seconds; doubles with every failure, as upstream (goroutinemap)


@dataclass(slots=True)
class Mounts:
    """What is known of one Pod's volumes."""

    ready: bool = False  # all were set up once
    failures: list[str] = field(default_factory=list)  # of the last attempt, as Events say it
    again: float = 0.0  # when to look again (Unix seconds)
    delay: float = _FIRST_AGAIN
    words: tuple = ()  # the Pod's labels and annotations, of which files may be made


class VolumeManager:
    """The volumes of one node's Pods.  `allocatable` tells what Pods may use on the node."""

    def __init__(
        self,
        root_dir: Path,
        sources: Sources,
        tokens: Tokens,
        clock: Clock,
        settings: KubeletSettings,
        allocatable: Callable[[], Mapping[str, str]],
    ) -> None:
        self._root, self._sources, self._tokens, self._clock = root_dir, sources, tokens, clock
        self._settings = settings
        self._allocatable = allocatable
        self._mounts: dict[str, Mounts] = {}  # by Pod uid
        self._claimed: dict[str, dict[str, Mapping]] = {}  # what claims stand for, by Pod uid

    def directory(self, pod: Mapping) -> PodDirectory:
        """What the Pod has on disk."""
        if claimed := self._claimed.get(pod["metadata"]["uid"]):
            given = [claimed.get(one["name"], one) for one in pod["spec"]["volumes"]]
            pod = {**pod, "spec": {**pod["spec"], "volumes": given}}
        return PodDirectory(self._root, pod)

    async def mount(self, pod: Mapping) -> Mounts:
        """Set up or refresh the Pod's volumes, where that is due.  `pod` has its address."""
        known = self._mounts.setdefault(pod["metadata"]["uid"], Mounts())
        words = tuple(pod["metadata"].get(name) for name in ("labels", "annotations"))
        if self._clock.now() < known.again and (words == known.words or known.failures):
            return known
        known.words = words
        given = pod["spec"].get("volumes") or ()
        done = await asyncio.gather(*(self._set_up(pod, one) for one in given))
        known.failures = [failure for failure in done if failure]
        known.ready = known.ready or not known.failures
        self._plan_next(known)
        return known

    def _plan_next(self, known: Mounts) -> None:
        if known.failures:
            known.again = self._clock.now() + known.delay
            known.delay = min(known.delay * 2, self._settings.back_off_period)
        else:
            known.again = self._clock.now() + self._settings.sync_frequency
            known.delay = _FIRST_AGAIN

    async def _set_up(self, pod: Mapping, volume: Mapping) -> str:
        """Set up one volume; what to say in an Event if that failed."""
        why = ""
        try:
            if "persistentVolumeClaim" in volume:
                volume = await self._find(pod, volume)
            why = volumes.refusal(volume)
            if not why:
                await self._fill(pod, volume)
        except VolumeError as error:
            why = str(error)
        except ApiError as error:
            why = f"failed to fetch token: {error}" if _has_token(volume) else str(error)
        except OSError as error:
            why = f"failed to sync: {error}"
        return why and f'MountVolume.SetUp failed for volume "{volume["name"]}" : {why}'

    async def _find(self, pod: Mapping, volume: Mapping) -> Mapping:
        """What a claim stands for; found once, it stays so for this Pod."""
        meta = pod["metadata"]
        known = self._claimed.setdefault(meta["uid"], {})
        if volume["name"] not in known:
            found = await claims.host_path(self._sources, meta["namespace"], volume)
            known[volume["name"]] = found
        return known[volume["name"]]

    async def _fill(self, pod: Mapping, volume: Mapping) -> None:
        if "hostPath" in volume:
            volumes.check_host_path(volume["hostPath"])
            return
        directory = self.directory(pod)
        if any(key in volume for key in PLUGINS):
            files = volume_content.files(volume, await self._content(pod, volume))
            path = directory.make_volume(volume)
            atomic_writer.write(path, files, self._clock.now())
        else:
            directory.make_volume(volume)

    async def _content(self, pod: Mapping, volume: Mapping) -> Content:
        namespace = pod["metadata"]["namespace"]
        objects = {
            (kind, name): await self._sources.fetch(kind, namespace, name)
            for kind, name in volume_content.references(volume)
        }
        held: dict[TokenAsked, str] = {
            asked: await self._tokens.get(pod, asked) for asked in volume_content.tokens(volume)
        }
        return Content(
            pod, lambda kind, name: objects[kind, name], held.__getitem__, self._allocatable()
        )

    def tear_down(self, pod: Mapping) -> None:
        """Nothing of the Pod runs any more: remove its volumes."""
        self.directory(pod).remove_volumes()
        self._mounts.pop(pod["metadata"]["uid"], None)
        self._claimed.pop(pod["metadata"]["uid"], None)
        self._tokens.forget(pod["metadata"]["uid"])

    def forget(self, pod: Mapping) -> None:
        """The Pod is gone: remove all that it had on disk."""
        self.tear_down(pod)
        self.directory(pod).remove()

    def remove_others(self, uids: Iterable[str]) -> None:
        """Remove the directories of Pods that are not among these."""
        root, kept = self._root / "pods", set(uids)
        for path in root.iterdir() if root.is_dir() else ():
            if path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)


def _has_token(volume: Mapping) -> bool:
    return bool(volume_content.tokens(volume))
