r"""One setting of a scenario, by its path.

    seed
    application.cpu_ms
    load.1.rate
    settings.horizontal_pod_autoscaler_sync_period
    HorizontalPodAutoscaler.spec.minReplicas
    hpa.spec.behavior.scaleDown.stabilizationWindowSeconds
    Deployment/myapp.spec.template.spec.containers.myapp.resources.requests.cpu

A path begins with a part of the scenario, or with a manifest: its kind (or kubectl's short name of
it), and `/` and its name where there are several.  Then go names, and into a list the number of an
element, from 0, or its `name`.  A dot that is part of a name is written `\.`.

What a manifest does not say yet may be set as well, if Kubernetes knows it: a path is checked
against Kubernetes' own schema.  None takes away what is there.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from labkit.errors import UsageError
from labkit.kube import kinds, schema
from labkit.kube.schema import Type
from labkit.simulate.scenario import Scenario, read_part

_DOT = re.compile(r"(?<!\\)\.")
_MINUTES = "minutes"  # as a scenario may also say `seconds`
_MANY = 12  # names that an error still lists all of


def vary(scenario: Scenario | Path | str | Mapping, changes: Mapping[str, Any]) -> Scenario:
    """The scenario with other settings: `{path: value}`.  Raises UsageError.

    Where the scenario is one already, and not its text, `load` can only be changed as a whole.
    """
    directory = scenario.parent if isinstance(scenario, Path) else Path()
    varied = _opened(scenario)
    for path, value in changes.items():
        varied = _changed(varied, path, value)
    return varied if isinstance(varied, Scenario) else Scenario.read(varied, directory)


def _opened(scenario: Scenario | Path | str | Mapping) -> Scenario | Mapping:
    """The same as a scenario, or as what YAML gives, with a list of manifests."""
    if isinstance(scenario, Scenario):
        return scenario
    Scenario.read(scenario)  # says better what is wrong than what follows
    text = scenario.read_text() if isinstance(scenario, Path) else scenario
    given = yaml.safe_load(text) if isinstance(text, str) else text
    if not isinstance(given["manifests"], str):
        return given
    return {**given, "manifests": [one for one in yaml.safe_load_all(given["manifests"]) if one]}


def _changed(scenario: Scenario | Mapping, path: str, value: Any) -> Scenario | Mapping:
    first, *keys = [key.replace(r"\.", ".") for key in _DOT.split(path)]
    parts = [field.name for field in dataclasses.fields(Scenario)]
    if first == _MINUTES and isinstance(scenario, Scenario):
        first, value = "seconds", float(value) * 60
    if isinstance(scenario, Scenario) and not keys:
        value = read_part(first, value, dataclasses.asdict(scenario.nodes))
    if first in (*parts, _MINUTES):
        return _Setter(path, value).into(scenario, [first, *keys], None)
    manifests = _manifests(scenario)
    index = _index(manifests, first, parts)
    changed = _Setter(path, value).into(manifests[index], keys, _type(manifests[index]))
    return _with(scenario, "manifests", [*manifests[:index], changed, *manifests[index + 1 :]])


def _manifests(scenario: Scenario | Mapping) -> Sequence[Mapping]:
    if isinstance(scenario, Scenario):
        return scenario.manifests
    return scenario.get("manifests") or []


def _index(manifests: Sequence[Mapping], wanted: str, parts: Sequence[str]) -> int:
    """Which manifest `Kind` or `Kind/name` means."""
    kind, _, name = wanted.partition("/")
    found = [
        index
        for index, one in enumerate(manifests)
        if one["kind"].lower() in (kind.lower(), _kind(kind))
        and name in ("", one["metadata"]["name"])
    ]
    if len(found) == 1:
        return found[0]
    there = [f"{one['kind']}/{one['metadata']['name']}" for one in manifests]
    if found:
        raise UsageError(
            f"There are {len(found)} manifests that {wanted!r} can mean.",
            "A path names one of them.",
            f"Write {' or '.join(there[index] for index in found)}.",
        )
    raise UsageError(
        f"There is no {wanted!r} in the scenario.",
        f"There are {', '.join(parts)}, and of manifests {', '.join(there) or 'none'}.",
        _nearest(wanted, [*parts, *there, *(one["kind"] for one in manifests)]),
    )


def _kind(short: str) -> str:
    """`hpa` → `horizontalpodautoscaler`."""
    try:
        return kinds.parse(f"{short}/any")[0].kind.lower()
    except UsageError:
        return ""


@cache
def _definitions() -> dict[tuple[str, str], str]:
    """(apiVersion, kind) → the name of its definition."""
    found = {}
    for name, definition in schema.definitions().items():
        for one in definition.get("x-kubernetes-group-version-kind", ()):
            version = f"{one['group']}/{one['version']}".removeprefix("/")
            found[version, one["kind"]] = name
    return found


def _type(manifest: Mapping) -> Type | None:
    """What Kubernetes knows of the manifest; None where that is nothing."""
    name = _definitions().get((manifest.get("apiVersion", ""), manifest["kind"]))
    return schema.type_of(name) if name else None


@dataclasses.dataclass(frozen=True)
class _Setter:
    """Puts `value` where `path` says; what is on the way is copied, not changed."""

    path: str
    value: Any

    def into(self, node: Any, keys: Sequence[str], type_: Type | None) -> Any:
        if not keys:
            return self.value
        if dataclasses.is_dataclass(node):
            return self._into_part(node, keys)
        if isinstance(node, Sequence) and not isinstance(node, str):
            return self._into_list(node, keys, type_)
        if node is None or isinstance(node, Mapping):
            return self._into_mapping(node or {}, keys, type_)
        raise self._wrong(keys, f"is {node!r}", "Nothing is in it.", ())

    def _into_part(self, node: Any, keys: Sequence[str]) -> Any:
        names = [field.name for field in dataclasses.fields(node)]
        if keys[0] not in names:
            raise self._missing(keys, names)
        return _with(node, keys[0], self.into(getattr(node, keys[0]), keys[1:], None))

    def _into_mapping(self, node: Mapping, keys: Sequence[str], type_: Type | None) -> dict:
        key, inner = keys[0], None
        if type_ is not None and type_.kind == "object":
            if key not in type_.fields:
                raise self._missing(keys, type_.fields)
            inner = type_.fields[key]
        elif type_ is not None and type_.kind == "list":
            raise self._wrong(keys, "is an empty list", "It has no element to change.", ())
        elif type_ is not None:
            if type_.kind not in ("map", "any"):
                raise self._wrong(keys, f"is a {type_.kind}", "Nothing is in it.", ())
            inner = type_.items
        changed = {**node, key: self.into(node.get(key), keys[1:], inner)}
        return {key: one for key, one in changed.items() if one is not None}

    def _into_list(self, node: Sequence, keys: Sequence[str], type_: Type | None) -> Any:
        names = [str(one["name"]) for one in node if isinstance(one, Mapping) and "name" in one]
        at = names.index(keys[0]) if keys[0] in names else _number(keys[0])
        if at is None or at >= len(node):
            raise self._missing(keys, [*map(str, range(len(node))), *names])
        inner = self.into(node[at], keys[1:], type_.items if type_ else None)
        # None takes the element away.
        return type(node)([*node[:at], *([] if inner is None else [inner]), *node[at + 1 :]])

    def _missing(self, keys: Sequence[str], names: Sequence[str] | Mapping) -> UsageError:
        shown = list(names)
        listed = ", ".join(shown[:_MANY]) + (", …" if len(shown) > _MANY else "")
        why = f"There {'is' if len(shown) == 1 else 'are'} {listed}." if shown else "It is empty."
        return self._wrong(keys, f"has no {keys[0]!r}", why, shown)

    def _wrong(self, keys: Sequence[str], what: str, why: str, names: Sequence[str]) -> UsageError:
        whole = _DOT.split(self.path)
        place = ".".join(whole[: len(whole) - len(keys)]) or "The scenario"
        return UsageError(f"{place} {what}.", why, _nearest(keys[0], names))


def _with(node: Any, key: str, value: Any) -> Any:
    if dataclasses.is_dataclass(node):
        return dataclasses.replace(node, **{key: value})
    return {**node, key: value}


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def _nearest(wrong: str, names: Sequence[str]) -> str:
    found = difflib.get_close_matches(wrong, names, n=1, cutoff=0.5)
    return f"Did you mean {found[0]}?" if found else ""
