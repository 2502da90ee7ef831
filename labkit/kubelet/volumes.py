"""The volumes of Pods on the node's disk: their directories, checks, and how containers see them.

    <root>/pods/<uid>/volumes/kubernetes.io~<type>/<name>     a volume's content
    <root>/pods/<uid>/volume-subpaths/<name>/<container>/<n>  files as they were, for a subPath
    <root>/pods/<uid>/containers/<container>/<attempt>        a container's termination message

A container sees a volume by a bind mount.  `pods` is for its owner alone, for Secrets are in it.

Source: kubelet's directories (kubelet_getters.go), pkg/volume/hostpath and emptydir, makeMounts and
pkg/volume/util/subpath.  Left out: fsGroup, mount propagation, memory as the medium of an emptyDir
(it is a directory on disk), all types but those named here.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from labkit.kubelet.env import ConfigError, expand
from labkit.kubelet.volume_content import PLUGINS, VolumeError

_EMPTY_DIR = "empty-dir"
_OPEN = 0o777  # of a volume: whoever a container runs as may write to it
_TYPES: Mapping[str, tuple[Callable[[int], bool], str]] = {
    "Directory": (stat.S_ISDIR, "a directory"),
    "File": (stat.S_ISREG, "a file"),
    "Socket": (stat.S_ISSOCK, "a socket file"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
}


def plugin(volume: Mapping) -> str:
    """The name of the volume's type in its directory; empty for a type that has none here."""
    if "emptyDir" in volume or set(volume) == {"name"}:
        return _EMPTY_DIR
    return next((name for key, name in PLUGINS.items() if key in volume), "")


def refusal(volume: Mapping) -> str:
    """Why this kubelet cannot mount a volume, or an empty string."""
    if plugin(volume) or "hostPath" in volume:
        return ""
    kind = next(key for key in volume if key != "name")
    return (
        f"this kubelet mounts no volumes of type {kind}. It has emptyDir, configMap, secret, "
        "downwardAPI, projected, hostPath and persistentVolumeClaim. Use one of these, or a real "
        "cluster."
    )


def check_host_path(source: Mapping) -> None:
    """Make or check what `hostPath.type` asks for.  Raises VolumeError."""
    path, kind = source["path"], source.get("type") or ""
    if kind in ("DirectoryOrCreate", "FileOrCreate"):
        _make(Path(path), kind)
        kind = kind.removesuffix("OrCreate")
    if not kind:
        return
    is_one, what = _TYPES[kind]
    try:
        good = is_one(os.stat(path).st_mode)
    except OSError:
        good = False
    if not good:
        raise VolumeError(f"hostPath type check failed: {path} is not {what}")


def _make(path: Path, kind: str) -> None:
    try:
        if kind == "DirectoryOrCreate":
            path.mkdir(parents=True, exist_ok=True)
        elif not path.exists():
            path.touch(0o644)
    except OSError as error:
        raise VolumeError(f"{path}: {(error.strerror or str(error)).lower()}") from None


class PodDirectory:
    """What one Pod has on the node's disk."""

    def __init__(self, root: Path, pod: Mapping) -> None:
        self.path = root / "pods" / pod["metadata"]["uid"]
        self._volumes = {one["name"]: one for one in pod["spec"].get("volumes") or ()}

    def volume(self, volume: Mapping) -> Path:
        """Where a volume's content is."""
        if "hostPath" in volume:
            return Path(volume["hostPath"]["path"])
        return self.path / "volumes" / f"kubernetes.io~{plugin(volume)}" / volume["name"]

    def make_volume(self, volume: Mapping) -> Path:
        """Make the directory of a volume, unless it is there."""
        path = self.volume(volume)
        if not path.is_dir():
            self._make_private()
            path.mkdir(parents=True, exist_ok=True)
            path.chmod(_OPEN)
        return path

    def remove_volumes(self) -> None:
        """Remove what the volumes hold; what cannot be removed stays."""
        for part in ("volume-subpaths", "volumes"):
            shutil.rmtree(self.path / part, ignore_errors=True)

    def remove(self) -> None:
        """Remove all; what cannot be removed stays."""
        shutil.rmtree(self.path, ignore_errors=True)

    def message_file(self, container: Mapping, attempt: int) -> Path:
        """A fresh file for the termination message of a run."""
        self._make_private()
        path = self.path / "containers" / container["name"] / str(attempt)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        path.chmod(0o666)
        return path

    def binds(self, container: Mapping, values: Mapping[str, str], attempt: int) -> list[str]:
        """The bind mounts of a container, as HostConfig.Binds has them; parents come first.

        `values` are its environment, for subPathExpr.  Raises ConfigError.
        """
        mounts = [
            f"{self._source(container, index, mount, values)}:{mount['mountPath']}"
            f"{':ro' if mount.get('readOnly') or self._is_read_only(mount) else ''}"
            for index, mount in enumerate(container.get("volumeMounts") or ())
            if mount["name"] in self._volumes
        ]
        if path := container.get("terminationMessagePath"):
            mounts.append(f"{self.message_file(container, attempt)}:{path}")
        return sorted(mounts, key=lambda one: one.split(":")[1].rstrip("/").count("/"))

    def _is_read_only(self, mount: Mapping) -> bool:
        """Whether the Pod has its volume for reading alone, as a claim can be had."""
        return bool(self._volumes[mount["name"]].get("readOnly"))

    def _source(
        self, container: Mapping, index: int, mount: Mapping, values: Mapping[str, str]
    ) -> Path:
        volume = self._volumes[mount["name"]]
        whole, part = self.volume(volume), sub_path(mount, values)
        if not part:
            return whole
        try:
            if not any(key in volume for key in PLUGINS):
                return self._inside(whole, part)
            kept = self.path / "volume-subpaths" / volume["name"] / container["name"] / str(index)
            return _keep(self._inside(whole, part), kept)
        except OSError as error:
            raise _bad_sub_path(container, mount, error.strerror or str(error)) from None
        except ValueError as error:
            raise _bad_sub_path(container, mount, str(error)) from None

    def _inside(self, whole: Path, part: str) -> Path:
        """A path below a volume, made as a directory where it is not there."""
        path, root = (whole / part).resolve(), whole.resolve()
        if not path.is_relative_to(root):
            raise ValueError(f"{part} leads out of the volume")
        if not path.exists():
            path.mkdir(parents=True)
            path.chmod(root.stat().st_mode & 0o777)
        return path

    def _make_private(self) -> None:
        """`pods` is for its owner alone."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.mkdir(exist_ok=True, mode=0o700)


def sub_path(mount: Mapping, values: Mapping[str, str]) -> str:
    """The part of a volume that is mounted; empty for all of it.  Raises ConfigError."""
    text = mount.get("subPathExpr")
    if not text:
        return mount.get("subPath") or ""
    expanded = expand(text, values)
    if "$(" in expanded:
        raise ConfigError(f'missing value for "{expanded.partition("$(")[2].partition(")")[0]}"')
    if expanded.startswith("/") or ".." in expanded.split("/"):
        raise ConfigError(f'subPath "{expanded}" must be a relative path without ".."')
    return expanded


def _keep(source: Path, target: Path) -> Path:
    """Hard links to what is there now: a later change of the volume replaces the files, not these.

    So it is with a bind mount of a file, which follows the file and not its name.
    """
    if target.is_dir():
        shutil.rmtree(target)
    target.unlink(missing_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, copy_function=os.link)
    else:
        os.link(source, target)
    return target


def _bad_sub_path(container: Mapping, mount: Mapping, why: str) -> ConfigError:
    return ConfigError(
        f'failed to prepare subPath for volumeMount "{mount["name"]}" of container '
        f'"{container["name"]}": {why}'
    )
