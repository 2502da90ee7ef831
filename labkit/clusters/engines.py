"""Which container engine runs a cluster's containers: the embedded one, or a real Docker daemon.

A cluster keeps its engine as long as it exists, for its Services and nodes have addresses that
belong to it.  For a new one, the variable LABKIT_ENGINE says what is meant by default; one whose
parts are separate processes can have the embedded engine alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from labkit.clusters import settings
from labkit.errors import ClusterError, UsageError

EMBEDDED, DOCKER = "embedded", "docker"
ENGINES = (EMBEDDED, DOCKER)
_DEFAULT_HOST = "unix:///var/run/docker.sock"


def of(description: Mapping) -> str:
    """The engine of the cluster that a cluster.json describes."""
    return description.get("engine", EMBEDDED)


def default() -> str:
    """The engine of a new cluster, where none is named.  Raises UsageError."""
    given = os.environ.get("LABKIT_ENGINE") or EMBEDDED
    if given not in ENGINES:
        raise UsageError(
            f"LABKIT_ENGINE cannot be {given!r}.",
            f"The engines are {EMBEDDED} and {DOCKER}.",
            f"Try: export LABKIT_ENGINE={EMBEDDED}",
        )
    return given


def chosen(name: str, before: Mapping, engine: str | None, parts: str) -> dict[str, str]:
    """What cluster.json says of the engine of cluster `name`.  Raises LabkitError."""
    if before and engine and engine != of(before):
        raise ClusterError(
            f"The cluster {name} is on the {of(before)} engine.",
            "Its objects have addresses that belong to its engine.",
            f"Give the new one another name, or delete this one: labkit down --name {name} "
            "--delete",
        )
    engine = engine or (of(before) if before else _default_for(parts))
    if engine == EMBEDDED:
        return {}
    if parts == settings.SEPARATE:
        raise UsageError(
            "The parts of a cluster on a Docker daemon cannot be separate processes.",
            "A node that is killed there would leave its containers running.",
            f"Try: labkit up --name {name} --parts {settings.TOGETHER}",
        )
    # A cluster goes on with the daemon that it had, whatever the terminal is set up for now.
    return {"engine": engine, "docker_host": before.get("docker_host") or docker_host()}


def _default_for(parts: str) -> str:
    """What was set for every new cluster does not hold for one that cannot have it."""
    return EMBEDDED if parts == settings.SEPARATE else default()


def docker_host() -> str:
    """The URL of the Docker daemon that this terminal is set up for."""
    return os.environ.get("DOCKER_HOST") or _DEFAULT_HOST
