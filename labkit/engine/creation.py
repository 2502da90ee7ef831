"""From the request of `POST /containers/create` to a container: checks, defaults, names.

What a request asks for and this engine cannot give (privileges, volumes by name) is refused with a
sentence that says so; what only tunes (CPU shares, ulimits, log drivers) is kept and shown, and has
no effect.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from labkit.engine import environment
from labkit.engine.blobs import Blobs
from labkit.engine.containers import HOST_DEFAULTS, Container, mounts
from labkit.engine.errors import BadParameter
from labkit.engine.image import Image
from labkit.engine.resources import with_swap
from labkit.engine.restarts import check_policy

NAME = re.compile(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]+")
# fmt: off
MOODS = (
    "amazing", "brave", "calm", "clever", "eager", "elated", "fervent", "focused", "gallant",
    "gifted", "hopeful", "jolly", "keen", "kind", "lucid", "modest", "nifty", "optimistic",
    "peaceful", "quirky", "serene", "sharp", "stoic", "tender", "vibrant", "wise",
)
PEOPLE = (
    "backus", "boole", "cerf", "dijkstra", "engelbart", "erlang", "floyd", "hamilton", "hamming",
    "hoare", "hopper", "kay", "kernighan", "knuth", "lamport", "liskov", "lovelace", "mccarthy",
    "perlman", "ritchie", "shannon", "thompson", "torvalds", "turing", "wirth",
)
# fmt: on


def check_name(name: str) -> str:
    """The name without its slash.  Raises BadParameter."""
    if not NAME.fullmatch(name):
        raise BadParameter(
            f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )
    return name.removeprefix("/")


def invent_name(taken: Callable[[str], bool]) -> str:
    """A name like Docker's own inventions."""
    while True:
        name = f"{secrets.choice(MOODS)}_{secrets.choice(PEOPLE)}"
        if not taken(name):
            return name


def check(body: Mapping[str, Any], host_config: Mapping[str, Any]) -> None:
    """Refuse what cannot be given.  Raises BadParameter."""
    if not body.get("Image") and not body.get("Cmd"):
        raise BadParameter("Config cannot be empty in order to create a container")
    if host_config.get("Privileged"):
        raise BadParameter(
            "A privileged container was asked for. The embedded engine's containers are processes "
            "of your own user and cannot have more rights. Leave out --privileged."
        )
    policy = host_config.get("RestartPolicy") or {}
    check_policy(policy, auto_remove=bool(host_config.get("AutoRemove")))
    if str(host_config.get("NetworkMode")).startswith("container:"):
        _check_joined(body, host_config)
    for mount in mounts(host_config):
        if not mount["Source"].startswith("/"):
            raise BadParameter(
                f"The volume {mount['Source']} was asked for. The embedded engine has bind mounts "
                f"but no volumes. Name a directory: -v /path/to/it:{mount['Destination']}."
            )


def _check_joined(body: Mapping[str, Any], host_config: Mapping[str, Any]) -> None:
    """What belongs to the other container's network cannot be asked for again."""
    conflicts = {
        "hostname and the network mode": body.get("Hostname"),
        "dns and the network mode": host_config.get("Dns"),
        "custom host-to-IP mapping and the network mode": host_config.get("ExtraHosts"),
        "port publishing and the container type network mode": host_config.get("PortBindings"),
    }
    for what, asked in conflicts.items():
        if asked:
            raise BadParameter(f"conflicting options: {what}")


def build(
    name: str, body: Mapping[str, Any], image: Image, directory: Path, now: float
) -> Container:
    """The container, not yet on disk.  Raises BadParameter."""
    given = body.get("HostConfig") or {}
    host_config = with_swap(HOST_DEFAULTS | {k: v for k, v in given.items() if v is not None})
    check(body, host_config)
    container_id = secrets.token_hex(32)
    entrypoint, cmd = environment.command(body, image.config)
    endpoints = (body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
    return Container(
        id=container_id,
        name=name,
        image_id=image.id,
        created=now,
        config=_config(body, image, container_id, entrypoint, cmd),
        host_config=host_config,
        endpoints=next((dict(value) for value in endpoints.values() if value), {}),
        argv=entrypoint + cmd,
        root=directory / container_id / "rootfs",
    )


def _config(
    body: Mapping[str, Any], image: Image, container_id: str, entrypoint: list[str], cmd: list[str]
) -> dict[str, Any]:
    base = image.config
    return {
        "Hostname": body.get("Hostname") or container_id[:12],
        "Domainname": body.get("Domainname") or "",
        "User": body.get("User") or base["User"],
        "AttachStdin": bool(body.get("AttachStdin")),
        "AttachStdout": bool(body.get("AttachStdout", True)),
        "AttachStderr": bool(body.get("AttachStderr", True)),
        "Tty": bool(body.get("Tty")),
        "OpenStdin": bool(body.get("OpenStdin")),
        "StdinOnce": bool(body.get("StdinOnce")),
        "Env": environment.merge_env(base["Env"], body.get("Env") or []),
        "Cmd": cmd,
        "Entrypoint": entrypoint or None,
        "Image": body.get("Image") or "",
        "Volumes": None,
        "WorkingDir": body.get("WorkingDir") or base["WorkingDir"],
        "OnBuild": None,
        "Labels": base["Labels"] | (body.get("Labels") or {}),
        "ExposedPorts": base["ExposedPorts"] | (body.get("ExposedPorts") or {}),
        "StopSignal": body.get("StopSignal") or "SIGTERM",
        "StopTimeout": body.get("StopTimeout"),
        "Healthcheck": body.get("Healthcheck"),
    }


def lay_out(container: Container, image: Image, blobs: Blobs) -> None:
    """Make the container's root directory: the image's files, then the bind mounts as links."""
    container.root.mkdir(parents=True, mode=0o700)
    image.unpack(container.root, blobs)
    for mount in mounts(container.host_config):
        _mount(container.root, mount)


def _mount(root: Path, mount: Mapping[str, Any]) -> None:
    """A link in the place of what the image has there.  Raises BadParameter."""
    target = environment.directory(root, mount["Destination"])
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink() and os.readlink(target) == mount["Source"]:
        return  # made for an earlier container with the same mounts
    own = target.parent.resolve().is_relative_to(root.resolve())
    if not own and os.path.lexists(target):
        # Behind another mount are files that are not the container's.
        raise BadParameter(
            f"A mount at {mount['Destination']} was asked for, and another mount has something "
            "there already. The embedded engine's mounts are links, which would replace it. "
            "Mount it at a path that is not there yet."
        )
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
    target.symlink_to(mount["Source"])
