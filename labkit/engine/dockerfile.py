"""The Dockerfiles of the lab's images, read as data.

An image of the lab is described by the Dockerfile that `docker build` would read (its context is
`labkit/apps/`), so that there is one description for the embedded engine and for the real one.
The embedded engine has no base images and runs nothing at build time: FROM is ignored, the host's
programs are the base; RUN is refused.

Understood: COPY (files and directories, no flags), ENV, WORKDIR, EXPOSE, LABEL (k=v), CMD and
ENTRYPOINT (JSON form), FROM.
"""

from __future__ import annotations

import json
import posixpath
import shlex
from pathlib import Path
from typing import Any


def parse(text: str) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """A Dockerfile → (config of the image, [(source in the context, absolute target)]).

    Raises ValueError with the line that is not understood.
    """
    config: dict[str, Any] = {
        "Env": [],
        "Cmd": None,
        "Entrypoint": None,
        "WorkingDir": "",
        "ExposedPorts": {},
        "Labels": {},
    }
    copies: list[tuple[str, str]] = []
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        if not word or word.startswith("#") or word == "FROM":
            continue
        if word == "COPY":
            *sources, target = rest.split()
            target = posixpath.join(config["WorkingDir"] or "/", target)
            copies += [(source, target) for source in sources]
        elif word == "ENV":
            config["Env"] += shlex.split(rest)
        elif word == "WORKDIR":
            config["WorkingDir"] = posixpath.join("/", config["WorkingDir"], rest.strip())
        elif word == "EXPOSE":
            config["ExposedPorts"] |= {f"{port}/tcp": {} for port in rest.split()}
        elif word == "LABEL":
            config["Labels"] |= dict(pair.split("=", 1) for pair in shlex.split(rest))
        elif word in ("CMD", "ENTRYPOINT"):
            config[word.capitalize()] = json.loads(rest)
        else:
            raise ValueError(f"not understood in a Dockerfile of the lab: {line.strip()!r}")
    return config, copies


def collect(context: Path, copies: list[tuple[str, str]]) -> dict[str, tuple[int, bytes]]:
    """What COPY puts into the image: absolute path → (mode, content)."""
    files = {}
    for source, target in copies:
        origin = context / source
        if origin.is_dir():
            for path in sorted(origin.rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    place = posixpath.join(target, path.relative_to(origin).as_posix())
                    files[place] = (_mode(path), path.read_bytes())
        else:
            place = posixpath.join(target, origin.name) if target.endswith("/") else target
            files[posixpath.normpath(place)] = (_mode(origin), origin.read_bytes())
    return files


def _mode(path: Path) -> int:
    """0755 or 0644; what lies in a `bin` is a program also where an installer lost the bit."""
    return 0o755 if path.parent.name == "bin" or path.stat().st_mode & 0o100 else 0o644
