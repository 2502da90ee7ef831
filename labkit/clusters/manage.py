"""Up, down and status of an embedded cluster, as its user sees them: from outside.

A cluster is a directory and, while it is up, a daemon that holds the directory's lock.  Everything
here may be repeated; what is already so is left alone and said.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from labkit.clusters import addresses, backups, engines, image_options, settings, virtual_nodes
from labkit.clusters.paths import ClusterDir, context_name
from labkit.errors import ClusterError, UsageError, WaitTimeout

DEFAULT_NODES = 3
MAX_NODES = 50
_UP_TIMEOUT = 60.0  # from one step to the next
_PULL_TIMEOUT = 600.0  # where images may have to be pulled
_DOWN_TIMEOUT = 20.0


@dataclass(frozen=True)
class ClusterInfo:
    """A cluster as it was asked for, and where it is."""

    name: str
    nodes: int
    settings: Mapping[str, str]
    kubeconfig: Path
    docker_host: str
    server: str
    pid: int | None
    parts: str = settings.TOGETHER
    image_mirrors: Sequence[str] = ()
    pre_pull: Sequence[str] = ()
    virtual_nodes: Sequence[str] = ()
    engine: str = engines.EMBEDDED

    @property
    def context(self) -> str:
        """The context's name in the kubeconfig."""
        return context_name(self.name)

    @property
    def running(self) -> bool:
        """Whether the daemon was alive when this was read."""
        return self.pid is not None

    def environment(self) -> dict[str, str]:
        """The variables under which kubectl and docker find this cluster."""
        found = {"KUBECONFIG": str(self.kubeconfig), "DOCKER_HOST": self.docker_host}
        if self.engine == engines.EMBEDDED:
            found["DOCKER_BUILDKIT"] = "0"  # newer CLIs would ask it for BuildKit, unasked
        return found


def info(name: str) -> ClusterInfo | None:
    """The cluster `name`, up or down; None where there is none."""
    directory = ClusterDir.named(name)
    description = directory.read_description()
    if description is None:
        return None
    return ClusterInfo(
        name=name,
        nodes=description["nodes"],
        settings=description["settings"],
        kubeconfig=directory.kubeconfig,
        docker_host=description.get("docker_host")
        or f"unix://{_docker_socket(directory, description)}",
        # The daemon adds the number when it has found a free one.
        server=addresses.of(description).server_url,
        pid=daemon_pid(directory),
        parts=description.get("parts", settings.TOGETHER),
        image_mirrors=tuple(description.get(image_options.MIRRORS, ())),
        pre_pull=tuple(description.get(image_options.PRE_PULL, ())),
        virtual_nodes=tuple(description.get(virtual_nodes.KEY, ())),
        engine=engines.of(description),
    )


def _docker_socket(directory: ClusterDir, description: Mapping) -> Path:
    """The container engine; of several, that of the first node."""
    if description.get("parts") == settings.SEPARATE:
        return directory.docker_socket_of(addresses.node_name(directory.name, 1))
    return directory.docker_socket


def daemon_pid(directory: ClusterDir) -> int | None:
    """The pid of the daemon that holds the lock, or None."""
    try:
        with open(directory.lock) as file:
            if _lock(file, fcntl.LOCK_SH):
                return None
            return int(file.read() or 0) or None
    except (OSError, ValueError):
        return None


def _lock(file, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def up(
    name: str,
    nodes: int | None = None,
    flags: Mapping[str, str] | None = None,
    progress: Callable[[str], None] = lambda step: None,
    *,
    parts: str | None = None,
    image_mirrors: Sequence[str] | None = None,
    pre_pull: Sequence[str] | None = None,
    engine: str | None = None,
    virtual_node_types: Sequence[str] | None = None,
    restore_backup: bool = False,
) -> ClusterInfo:
    """Start the cluster; return when its nodes are Ready and the default ServiceAccount exists.

    What is not given is as it was the last time.  A cluster that is up as asked for is left
    alone.  `parts` is `together` (in one process) or `separate` (a process each), `engine` is
    `embedded` or `docker`.
    `virtual_node_types` are `on-demand` and `spot`; each makes a virtual node.
    `image_mirrors` (`FROM=TO`) say where images are taken from instead, `pre_pull` which images
    every node has when it is up.  With `restore_backup` the last backup first takes the
    place of its objects.  Raises ClusterError where it is up otherwise, or cannot start.
    """
    wanted = _wanted(name, nodes, flags, parts, engine)
    images = image_options.chosen(wanted, image_mirrors, pre_pull)
    virtual = virtual_nodes.chosen(wanted, virtual_node_types)
    options = (image_options.MIRRORS, image_options.PRE_PULL, virtual_nodes.KEY)
    wanted = {key: value for key, value in wanted.items() if key not in options} | images | virtual
    directory = ClusterDir.named(name)
    found = info(name)
    if found and found.running:
        if restore_backup:
            raise ClusterError(
                f"The cluster {name} is up.",
                "A backup can only be restored while nobody uses the objects.",
                f"Stop it first: labkit down --name {name}",
            )
        if wanted != directory.read_description() | {"parts": found.parts}:
            raise ClusterError(
                f"The cluster {name} is up already, with other settings.",
                f"It has {_spoken(found)}.",
                f"Stop it first (its objects are kept): labkit down --name {name}",
            )
        return found
    directory.make()
    if restore_backup:
        progress(backups.restore(directory))
    directory.write_description(wanted)
    _start_daemon(directory, progress)
    started = info(name)
    if started is None or not started.running:
        raise ClusterError(
            f"The cluster {name} ended right after its start.",
            "Its log says why.",
            f"Read it: less {directory.log}",
        )
    return started


def _wanted(
    name: str,
    nodes: int | None,
    flags: Mapping[str, str] | None,
    parts: str | None,
    engine: str | None,
) -> dict:
    before = ClusterDir.named(name).read_description() or {}
    nodes = before.get("nodes", DEFAULT_NODES) if nodes is None else nodes
    if not 1 <= nodes <= MAX_NODES:
        raise UsageError(
            f"A cluster cannot have {nodes} nodes.",
            f"It has 1 to {MAX_NODES}.",
            f"Try: labkit up --nodes {DEFAULT_NODES}",
        )
    kept = before.get("settings", {}) if flags is None else {}
    merged = {**kept, **(flags or {})}
    settings.complete(merged)  # refuses what cannot be
    parts = parts or before.get("parts", settings.TOGETHER)
    given = engines.chosen(name, before, engine, parts) | {"nodes": nodes, "parts": parts}
    return {**before, "name": name, **given, "settings": merged}


def _spoken(found: ClusterInfo) -> str:
    words = [f"{found.nodes} node{'s' if found.nodes > 1 else ''}", f"--parts={found.parts}"]
    words += [f"--{flag}={text}" for flag, text in found.settings.items()]
    words += [f"--image-mirror={text}" for text in found.image_mirrors]
    words += [f"--virtual-node={text}" for text in found.virtual_nodes]
    return ", ".join(words + [f"--pre-pull={text}" for text in found.pre_pull])


def _start_daemon(directory: ClusterDir, progress: Callable[[str], None]) -> None:
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "labkit.clusters.daemon", str(directory.root), str(writing)]
    with open(directory.log, "wb") as errors:
        starter = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            pass_fds=[writing],
            start_new_session=True,  # a kernel's interrupt or end is none of the cluster's
            cwd="/",
        )
    os.close(writing)
    try:
        _follow(reading, directory, progress)
    finally:
        # If the daemon is not ready yet, it finds the pipe closed and gives up: half a cluster is
        # worse than none.  The daemon is no child of ours; its starter is, and ends at once.
        os.close(reading)
        starter.wait()


def _follow(pipe: int, directory: ClusterDir, progress: Callable[[str], None]) -> None:
    for message in _messages(pipe, directory):
        if error := message.get("error"):
            log = f"Its log: {directory.log}" if error.get("bug") else error.get("fix", "")
            raise ClusterError(error["what"], error.get("why", ""), log)
        if message.get("ready"):
            return
        progress(message["step"])
    raise ClusterError(
        "The cluster's daemon ended before it was ready.",
        f"It said: {_last_line(directory.log)}",
        f"Its log: {directory.log}",
    )


def _messages(pipe: int, directory: ClusterDir) -> Iterator[dict]:
    on_docker = (directory.read_description() or {}).get("docker_host")
    seconds, rest = _PULL_TIMEOUT if on_docker else _UP_TIMEOUT, b""
    while select.select([pipe], [], [], seconds)[0]:
        chunk = os.read(pipe, 65536)
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        yield from map(json.loads, lines)
    raise WaitTimeout("the cluster to start", seconds, _last_line(directory.log))


def _last_line(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip().rpartition("\n")[2][:300]
    except OSError:
        return ""


def down(name: str, *, delete: bool = False) -> list[str]:
    """Stop the cluster and, with `delete`, remove all that it kept; what was done, in sentences.

    Raises ClusterError where there is no such cluster.
    """
    directory = ClusterDir.named(name)
    if directory.read_description() is None:
        raise no_such_cluster(name)
    said = []
    pid = daemon_pid(directory)
    if pid is None:
        said.append(f"The cluster {name} was not up.")
    else:
        _stop_daemon(directory, pid)
        said.append(f"The cluster {name} is down: all of its processes have ended.")
    _sweep_docker(directory)
    directory.sweep()
    if delete:
        directory.delete()
        said.append(f"Deleted {directory.root}.")
    else:
        said.append(
            f"Kept its objects and credentials in {directory.root} "
            f"(labkit down --name {name} --delete removes them)."
        )
    return said


def _sweep_docker(directory: ClusterDir) -> None:
    """Return when nothing of the cluster is left on its Docker daemon, if it has one."""
    description = directory.read_description() or {}
    if engines.of(description) == engines.DOCKER:
        from labkit.clusters import docker_engine

        work = docker_engine.sweep(directory, addresses.of(description), description["docker_host"])
        with ThreadPoolExecutor(1) as thread:  # for a notebook's own has a loop that runs
            thread.submit(asyncio.run, work).result()


def no_such_cluster(name: str) -> ClusterError:
    """The error for a cluster that was never up, or was deleted."""
    return ClusterError(
        f"There is no cluster {name}.",
        "It was never up, or it was deleted.",
        f"Start one: labkit up --name {name}",
    )


def _stop_daemon(directory: ClusterDir, pid: int) -> None:
    os.kill(pid, signal.SIGTERM)
    if not _ends(directory, _DOWN_TIMEOUT):
        os.kill(pid, signal.SIGKILL)  # the containers' lifeline ends them too
        _ends(directory, _DOWN_TIMEOUT)


def _ends(directory: ClusterDir, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if daemon_pid(directory) is None:
            return True
        time.sleep(0.02)
    return False
