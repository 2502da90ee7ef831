"""Measuring: each function asks this machine one thing and leaves the judgement to `findings`."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from labkit.clusters import addresses, contexts, engines, kubectl, manage, paths
from labkit.clusters.doctor import findings, limits
from labkit.clusters.doctor.findings import Row
from labkit.clusters.doctor.report import Report
from labkit.errors import LabkitError

_PACKAGES = ("jupyterlab", "ipywidgets", "kubernetes", "docker", "pandas", "matplotlib")
_PROBES = ("127.96.255.253", "127.172.255.253", "127.244.255.253")
_PATIENCE = 10.0  # seconds for a program to say its version


def doctor() -> Report:
    """Whether this machine can run the lab: a table that shows itself."""
    return Report(tuple(_rows()))


def _rows() -> Iterator[Row]:
    allowed = limits.read()
    machine = psutil.virtual_memory()
    home = paths.home()
    yield findings.python(sys.version_info[:3])
    yield findings.system(platform.system(), platform.machine())
    yield findings.packages([name for name in _PACKAGES if find_spec(name) is None])
    yield findings.cpus(_usable_cpus(), allowed.cpus)
    yield findings.memory(machine.total, machine.available, allowed.memory, allowed.memory_used)
    yield findings.home(str(home), _trouble_with(home))
    yield findings.disk(shutil.disk_usage(_existing(home)).free, str(home))
    yield findings.loopback([probe for probe in _PROBES if not addresses.is_free(probe, 0)])
    found = [manage.info(directory.name) for directory in paths.all_clusters()]
    running = [one for one in found if one and one.running]
    yield findings.ranges(_free_ranges(), addresses.CLUSTERS, len(running))
    permitted = addresses.is_permitted(addresses.Addresses(0).dns, addresses.DNS_PORT)
    yield findings.dns_port(permitted, addresses.DNS_FALLBACK_PORT)
    path = shutil.which("kubectl")
    server = _numbers(kubectl.API_VERSION)
    yield findings.kubectl(path, path and _kubectl_version(path), server, kubectl.how_to_get_it())
    path = shutil.which("docker")
    yield findings.docker(path, path and _docker_version(path))
    yield _engine()
    names = [(one.name, one.running) for one in found if one]
    yield findings.clusters(names, os.environ.get(contexts.VARIABLE))


def _usable_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _existing(path: Path) -> Path:
    """The path, or the nearest above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


def _trouble_with(home: Path) -> str | None:
    """Why the home cannot be written, if it cannot; nothing is left there."""
    place = _existing(home)
    try:
        with tempfile.TemporaryFile(dir=place):
            return None
    except OSError as error:
        return error.strerror or str(error)


def _free_ranges() -> int:
    """How many clusters could start now."""
    free = 0
    for number in range(addresses.CLUSTERS):
        try:
            _, holder = addresses.claim(number)
        except LabkitError:
            continue
        holder.close()
        free += 1
    return free


def _said(*command: str) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _kubectl_version(path: str) -> tuple[int, int] | None:
    try:
        version = json.loads(_said(path, "version", "--client", "-o", "json"))["clientVersion"]
    except (ValueError, KeyError):
        return None
    return _numbers(version.get("gitVersion", ""))


def _numbers(version: str) -> tuple[int, int] | None:
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else None


def _docker_version(path: str) -> str:
    found = re.search(r"\d+(\.\d+)+", _said(path, "--version"))
    return found[0] if found else ""


def _engine() -> Row:
    try:
        name = engines.default()
    except LabkitError as error:
        return findings.engine("docker", error.what)
    return findings.engine(name, _daemon_trouble() if name == engines.DOCKER else None)


def _daemon_trouble() -> str | None:
    """Why the Docker daemon of this machine does not answer, if it does not."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    url = urlsplit(host)
    family = socket.AF_UNIX if url.scheme == "unix" else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.settimeout(_PATIENCE)
            probe.connect(url.path if url.scheme == "unix" else (url.hostname, url.port or 2375))
    except OSError as error:
        return f"{host}: {error.strerror or error}"
    return None
