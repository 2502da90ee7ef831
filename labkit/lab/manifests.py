"""Manifests, as a notebook gives them: YAML text, or the name of a file that holds it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from labkit.errors import UsageError

_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")


def text(manifest: str) -> str:
    """The YAML text itself, read from the file where a name is given.  Raises UsageError."""
    if "\n" in manifest.strip() or not manifest.strip().endswith((".yaml", ".yml", ".json")):
        return manifest
    try:
        return Path(manifest.strip()).read_text()
    except OSError as error:
        raise UsageError(
            f"The manifest {manifest.strip()} cannot be read: {error.strerror}.",
            "The cell that writes it has probably not been run.",
            f"Write it with a cell that begins: %%manifest {manifest.strip()}",
        ) from None


def documents(manifest: str) -> list[dict]:
    """The objects in it, those of Lists too.  Raises UsageError."""
    try:
        found = list(yaml.safe_load_all(manifest))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise UsageError(
            f"The manifest is not YAML: {getattr(error, 'problem', error)}{where}.",
            "Probably the indentation is wrong, or a colon or a quotation mark is missing.",
            "Compare: kubectl create deployment myapp --image=todolist --dry-run=client -o yaml",
        ) from None
    return list(_flat(found))


def names(manifest: str) -> list[tuple[str, str]]:
    """What it would make: (`deployment.apps/myapp`, the namespace that it names or "")."""
    return [
        (f"{_kind(one)}/{meta['name']}", str(meta.get("namespace") or ""))
        for one in documents(manifest)
        if isinstance(meta := one.get("metadata"), Mapping) and meta.get("name") and one.get("kind")
    ]


def is_key(name: str) -> bool:
    """Whether a ConfigMap can have a key of that name."""
    return bool(_KEY.fullmatch(name))


def _flat(found: list) -> Iterator[dict]:
    for one in found:
        if isinstance(one, Mapping) and isinstance(one.get("items"), list):
            yield from _flat(one["items"])
        elif isinstance(one, Mapping):
            yield dict(one)


def _kind(one: Mapping) -> str:
    group, slash, _ = str(one.get("apiVersion", "")).partition("/")
    return f"{one['kind'].lower()}.{group}" if slash else one["kind"].lower()
