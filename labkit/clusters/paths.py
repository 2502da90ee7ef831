"""What a cluster keeps on disk: one directory, readable by its owner alone.

    <home>/<name>/
        cluster.json     what was asked for, and where the cluster is
        kubeconfig       admin credentials (0600)
        pki/             CA, certificates and keys (keys 0600)
        state.db         every object (SQLite), with backups beside it
        audit.log        every request over the network (0600), and audit.log.1, the one before
        daemon.lock      locked while the daemon lives; holds its pid
        daemon.log       the daemon's log
        docker.sock      the container engine
        engine/, kubelet/  running containers' files
        images/          the images that each engine has, and the registry that they share
        volumes/         the directories of provisioned PersistentVolumes

    and, where the parts of the cluster have processes of their own,

        kubeconfigs/     credentials of each part (0600)
        logs/            the log of each part
        parts.sock       where the daemon is told to start and stop them
        docker-<node>.sock  the container engine of each node

`<home>` is `$LABKIT_HOME`, or `labkit` in the XDG state directory.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from labkit.errors import ClusterError, UsageError

DEFAULT_NAME = "lab"
_NAME = re.compile(r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$")
_LONGEST_SOCKET_PATH = 100  # sun_path holds 108 bytes on Linux, 104 elsewhere
_LONGEST_SOCKET_NAME = len("/docker-.sock") + 32 + len("-worker50")


def context_name(cluster: str) -> str:
    """The kubeconfig context of a cluster: `labkit-lab` for `lab`."""
    return f"labkit-{cluster}"


def home() -> Path:
    """The directory that holds all clusters of this user."""
    if given := os.environ.get("LABKIT_HOME"):
        return Path(given).expanduser().resolve()
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "labkit"


@dataclass(frozen=True)
class ClusterDir:
    """The paths of one cluster.  Nothing is created until `make`."""

    root: Path

    @classmethod
    def named(cls, name: str) -> ClusterDir:
        """The directory of cluster `name`.  Raises UsageError for an impossible name."""
        if not _NAME.match(name):
            raise UsageError(
                f"{name!r} cannot be a cluster's name.",
                "A name has 1 to 32 lower-case letters, digits and dashes, as a host's has.",
                f"Try: labkit up --name {re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')[:32]}",
            )
        return cls(home() / name)

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def description(self) -> Path:
        return self.root / "cluster.json"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def store(self) -> Path:
        return self.root / "state.db"

    @property
    def audit_log(self) -> Path:
        return self.root / "audit.log"

    @property
    def lock(self) -> Path:
        return self.root / "daemon.lock"

    @property
    def log(self) -> Path:
        return self.root / "daemon.log"

    @property
    def engine(self) -> Path:
        return self.root / "engine"

    @property
    def registry(self) -> Path:
        """The images that were pushed, for all engines of the cluster."""
        return self.root / "images" / "registry"

    def images_of(self, engine: str) -> Path:
        """The images that an engine has; they outlive it."""
        return self.root / "images" / f"engine-{engine}"

    @property
    def kubelet(self) -> Path:
        return self.root / "kubelet"

    @property
    def volumes(self) -> Path:
        """What Pods keep: the directories of provisioned PersistentVolumes."""
        return self.root / "volumes"

    @property
    def docker_socket(self) -> Path:
        return self._sockets / "docker.sock"

    @property
    def kubeconfigs(self) -> Path:
        return self.root / "kubeconfigs"

    @property
    def parts_socket(self) -> Path:
        return self._sockets / "parts.sock"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def kubeconfig_of(self, part: str) -> Path:
        """The kubeconfig of a part."""
        return self.kubeconfigs / f"{part.replace('/', '-')}.conf"

    def log_of(self, part: str) -> Path:
        """The log of a part."""
        return self.logs / f"{part.replace('/', '-')}.log"

    def engine_of(self, node: str) -> Path:
        """The files of a node's own container engine."""
        return self.engine / node

    def docker_socket_of(self, node: str) -> Path:
        """The socket of a node's own container engine."""
        return self._sockets / f"docker-{node}.sock"

    @property
    def _sockets(self) -> Path:
        """In the directory itself, or, where its path is too long for sockets, in /tmp."""
        if len(os.fsencode(self.root)) + _LONGEST_SOCKET_NAME <= _LONGEST_SOCKET_PATH:
            return self.root
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"labkit-{os.getuid()}-{digest}"

    @property
    def docker_labels(self) -> dict[str, str]:
        """What marks the cluster's containers: two users may have a cluster `lab` on one daemon."""
        return {"io.labkit.cluster": str(self.root)}

    def make(self) -> None:
        """Create the directory (0700).  Raises ClusterError where that is not possible."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            raise ClusterError(
                f"The cluster's directory {self.root} cannot be written ({error.strerror}).",
                "A cluster keeps its objects, keys and sockets there.",
                "Choose another place: export LABKIT_HOME=$HOME/labkit",
            ) from None

    def read_description(self) -> dict | None:
        """The content of cluster.json, or None where there is no (whole) one."""
        try:
            return json.loads(self.description.read_text())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None

    def write_description(self, description: dict) -> None:
        """Replace cluster.json in one step.  Raises ClusterError where that is not possible."""
        fresh = self.description.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(description, indent=2) + "\n")
            fresh.replace(self.description)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            raise ClusterError(
                f"{self.description} cannot be written ({error.strerror}).",
                "A cluster keeps there what was asked for.",
                "Free some space on its disk, then try again.",
            ) from None

    def sweep(self) -> None:
        """Remove what only a running cluster needs: engines' files, and sockets."""
        shutil.rmtree(self.engine, ignore_errors=True)
        for socket in self._sockets.glob("*.sock"):
            socket.unlink(missing_ok=True)
        if self._sockets != self.root:
            shutil.rmtree(self._sockets, ignore_errors=True)

    def delete(self) -> None:
        """Remove everything."""
        self.sweep()
        shutil.rmtree(self.root, ignore_errors=True)


def all_clusters() -> list[ClusterDir]:
    """Every cluster of this user that has a description, by name."""
    if not home().is_dir():
        return []
    found = (ClusterDir(path) for path in sorted(home().iterdir()) if path.is_dir())
    return [cluster for cluster in found if cluster.description.exists()]
