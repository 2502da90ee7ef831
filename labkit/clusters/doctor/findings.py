"""From what was measured to the rows of the table.  Pure.

A row that is not all right is either a warning (something will be slow or missing) or essential
(the lab cannot run).  The thresholds are what the course needs: a cluster of three nodes takes
about 100 MiB, its Pods as much again, a notebook with figures and JupyterLab 150 MiB each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

MIB = 2**20
NEEDED_MEMORY, COMFORTABLE_MEMORY = 512 * MIB, 1024 * MIB
NEEDED_DISK, COMFORTABLE_DISK = 100 * MIB, 1024 * MIB
COMFORTABLE_CPUS = 1.0
PYTHON = (3, 11)


class State(Enum):
    """All right, a warning, or essential and wrong."""

    GOOD = "✓"
    WARNING = "!"
    WRONG = "✗"


@dataclass(frozen=True)
class Row:
    """One line of the table; `do` is what to do, empty where nothing is."""

    what: str
    found: str
    state: State = State.GOOD
    do: str = ""


def python(version: tuple[int, int, int]) -> Row:
    """The interpreter's version."""
    found = ".".join(map(str, version))
    if version[:2] >= PYTHON:
        return Row("Python", found)
    return Row("Python", found, State.WRONG, "Install Python 3.11 or later.")


def system(name: str, machine: str) -> Row:
    """The operating system: Pods have loopback addresses of their own only on Linux."""
    if name == "Linux":
        return Row("System", f"{name}, {machine}")
    do = "Use Linux, a Linux container or mybinder.org; another cluster: LABKIT_CONTEXT."
    return Row("System", f"{name}, {machine}", State.WRONG, do)


def packages(missing: Sequence[str]) -> Row:
    """The Python packages of the notebooks."""
    if not missing:
        return Row("Packages", "all there")
    do = "Install them: pip install -e ."
    return Row("Packages", f"missing: {', '.join(missing)}", State.WRONG, do)


def cpus(usable: int, limit: float | None) -> Row:
    """The CPUs that this process may run on, and a limit of their time."""
    allowed = usable if limit is None else min(usable, limit)
    found = f"{allowed:g}" if limit is None or limit >= usable else f"{limit:g} of {usable} (limit)"
    if allowed >= COMFORTABLE_CPUS:
        return Row("CPUs", found)
    return Row("CPUs", found, State.WARNING, "Figures of load will be noisy; lower the rates.")


def memory(total: int, available: int, limit: int | None, used: int | None) -> Row:
    """What this process may use: the machine's, or less by a limit."""
    if limit is not None and limit < total:
        free, whole, why = min(available, limit - (used or 0)), limit, " (limit)"
    else:
        free, whole, why = available, total, ""
    found = f"{_size(free)} free of {_size(whole)}{why}"
    if free >= COMFORTABLE_MEMORY:
        return Row("Memory", found)
    do = "Close other notebooks (Running → Kernels) and programs."
    return Row("Memory", found, State.WARNING if free >= NEEDED_MEMORY else State.WRONG, do)


def disk(free: int, home: str) -> Row:
    """The room where clusters are kept."""
    found = f"{_size(free)} free"
    if free >= COMFORTABLE_DISK:
        return Row("Disk", found)
    do = f"Free some space on the disk of {home}."
    return Row("Disk", found, State.WARNING if free >= NEEDED_DISK else State.WRONG, do)


def home(path: str, trouble: str | None) -> Row:
    """The directory of the clusters."""
    if trouble is None:
        return Row("Home", f"{path} can be written")
    do = "Choose another place: export LABKIT_HOME=$HOME/labkit"
    return Row("Home", f"{path}: {trouble}", State.WRONG, do)


def loopback(refused: Sequence[str]) -> Row:
    """The addresses of nodes, Pods and Services."""
    if not refused:
        return Row("Addresses", "127.96.x, 127.172.x and 127.244.x can be used")
    do = "Use Linux, where all of 127.0.0.0/8 is this machine's, or LABKIT_CONTEXT."
    return Row("Addresses", f"refused: {', '.join(refused)}", State.WRONG, do)


def ranges(free: int, all_: int, mine: int) -> Row:
    """The address ranges for clusters, one for each; `mine` are in use by this user's clusters."""
    found = f"{free} of {all_} address ranges free"
    if free or mine:
        return Row("Ports", found)
    return Row("Ports", found, State.WRONG, "End clusters that are not needed: labkit status")


def dns_port(permitted: bool, fallback: int) -> Row:
    """Whether cluster DNS may listen where every program asks for it."""
    if permitted:
        return Row("DNS port", "53 can be used")
    # Programs in Pods do not notice: the engine's resolver asks at the other port.
    return Row("DNS port", f"53 is refused, {fallback} is used (Pods do not notice)")


def kubectl(
    path: str | None, version: tuple[int, int] | None, server: tuple[int, int], how: str
) -> Row:
    """kubectl, and how far it is from the API server: one minor version is supported."""
    if path is None:
        return Row("kubectl", "not found", State.WRONG, how)
    if version is None:
        return Row("kubectl", f"{path} does not say its version", State.WARNING, how)
    skew = version[1] - server[1]
    found = f"{version[0]}.{version[1]} ({path})"
    if abs(skew) <= 1:
        return Row("kubectl", found)
    side = "newer" if skew > 0 else "older"
    do = (
        f"It is {abs(skew)} minor versions {side} than the API server ({server[0]}.{server[1]}); "
        "Kubernetes promises one, so a new command may be missing or look different."
    )
    return Row("kubectl", found, State.WARNING, do)


def docker(path: str | None, version: str) -> Row:
    """The docker command: a comfort, since notebooks use the Python package."""
    if path is None:
        do = "Only needed to type docker commands in a terminal: install docker-cli."
        return Row("docker", "not found", State.WARNING, do)
    return Row("docker", f"{version or 'unknown version'} ({path})")


def engine(name: str, trouble: str | None) -> Row:
    """What runs the containers; honest about what the embedded one is."""
    if name == "docker":
        if trouble is None:
            return Row("Engine", "the Docker daemon of this machine")
        do = "Start it, or use the lab's own engine: unset LABKIT_ENGINE"
        return Row("Engine", f"docker: {trouble}", State.WRONG, do)
    found = "embedded: containers are processes of your own user, no isolation boundary"
    return Row("Engine", found, State.GOOD, "Run in it only what you would run yourself.")


def clusters(names: Sequence[tuple[str, bool]], context: str | None) -> Row:
    """The clusters of this user, and whether each is up."""
    found = ", ".join(f"{name} ({'up' if up else 'down'})" for name, up in names) or "none yet"
    if context:
        found += f"; notebooks use the context {context} (LABKIT_CONTEXT)"
    return Row("Clusters", found)


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{max(count, 0) / MIB:.0f} MiB"
