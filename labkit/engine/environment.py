"""What a container's process finds: its environment, its program, its /etc files.  All pure but
`resolve` and `placed`, which look at the file system.

There is no chroot(2) without privileges, so a path in a container is one of two things: a path
below the container's root directory if it exists there, else the host's; for arguments it is the
other way round.  The search path begins with the image's own directories, and goes on with
`python3` and the host's.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from labkit.engine.errors import BadParameter

IMAGE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # Docker's default
NETWORK_FILES = ("resolv.conf", "hosts", "hostname")  # of /etc; they go with the network
KEPT = ("LANG", "TZ")  # of the daemon's own environment, with LC_*


class Place(NamedTuple):
    """Where a container is: its root directory, address and name, and where `python3` is."""

    root: Path
    address: str
    hostname: str
    python: Path


def environment(
    settings: Iterable[str], place: Place, host: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The whole environment of a process; `settings` are `K=V`, the later ones win."""
    own = dict(item.split("=", 1) for item in settings if "=" in item)
    kept = {k: v for k, v in host.items() if k in KEPT or k.startswith("LC_")}
    inside = [f"{place.root}{part}" for part in own.get("PATH", IMAGE_PATH).split(":")]
    return {
        **kept,
        "HOSTNAME": place.hostname,
        "HOST": place.address,
        "HOME": str(place.root / "root"),
        **own,
        "PATH": ":".join([*inside, str(place.python), host.get("PATH", IMAGE_PATH)]),
        "CONTAINER_ROOT": str(place.root),
    }


def merge_env(image: Sequence[str], container: Sequence[str]) -> list[str]:
    """The image's `K=V`s with the container's over them, as `docker inspect` shows them."""
    own = {item.partition("=")[0] for item in container}
    return [item for item in image if item.partition("=")[0] not in own] + list(container)


def command(config: Mapping[str, Any], image: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """(Entrypoint, Cmd) of a container: its own entrypoint discards the image's Cmd."""
    entrypoint, cmd = config.get("Entrypoint"), config.get("Cmd")
    if entrypoint is None:
        entrypoint = image["Entrypoint"]
        cmd = cmd or image["Cmd"]
    if entrypoint == [""]:  # `docker run --entrypoint ""`
        entrypoint = []
    if not entrypoint and not cmd:
        raise BadParameter("No command specified")
    return list(entrypoint or []), list(cmd or [])


def directory(root: Path, working: str) -> Path:
    """The directory on the host of a container's working directory."""
    return root / posixpath.normpath("/" + working).lstrip("/")


def resolve(program: str, root: Path, cwd: Path, path: str) -> str:
    """The file to execute for `program`.  Raises LookupError with runc's words."""
    if "/" not in program:
        candidates = [os.path.join(part, program) for part in path.split(":") if part]
        missing = "executable file not found in $PATH"
    elif program.startswith("/"):
        candidates = [f"{root}{posixpath.normpath(program)}", program]
        missing = f"stat {program}: no such file or directory"
    else:
        candidates = [str(cwd / program)]
        missing = f"stat {program}: no such file or directory"
    files = [name for name in candidates if os.path.exists(name)]
    for name in files:
        if os.path.isfile(name) and os.access(name, os.X_OK):
            return name
    raise LookupError("permission denied" if files and "/" in program else missing)


def placed(argument: str, root: Path) -> str:
    """An argument that is a path of the container, and of nothing on the host, as the host has it.

    So `CMD ["python3", "/app/server.py"]` works without a chroot(2); what a shell reads does not.
    """
    if not argument.startswith("/") or os.path.exists(argument):
        return argument
    inside = f"{root}{posixpath.normpath(argument)}"
    fresh = not os.path.exists(posixpath.dirname(argument)) and os.path.isdir(
        posixpath.dirname(inside)
    )
    return inside if fresh or os.path.exists(inside) else argument


def resolv_conf(host_config: Mapping[str, Any]) -> str:
    """/etc/resolv.conf from Dns, DnsSearch and DnsOptions."""
    lines = [f"nameserver {server}" for server in host_config.get("Dns") or ()]
    if host_config.get("DnsSearch"):
        lines.append("search " + " ".join(host_config["DnsSearch"]))
    if host_config.get("DnsOptions"):
        lines.append("options " + " ".join(host_config["DnsOptions"]))
    return "".join(line + "\n" for line in lines)


def hosts(place: Place, extra: Iterable[str]) -> str:
    """/etc/hosts: localhost, the container itself, and ExtraHosts (`name:address`)."""
    lines = ["127.0.0.1\tlocalhost"]
    for item in extra:
        name, _, address = item.partition(":")
        lines.append(f"{address}\t{name}")
    lines.append(f"{place.address or '127.0.0.1'}\t{place.hostname}")
    return "".join(line + "\n" for line in lines)
