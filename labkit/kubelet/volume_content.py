"""The files of configMap, secret, downwardAPI and projected volumes: functions of values.

What a volume refers to is fetched first (`references`), then `files` says which files it has, as
paths below the volume with their bytes and modes.  What is missing and not optional raises
`VolumeError` with the words of a kubelet's FailedMount Event.

Source: kubelet's volume plugins (pkg/volume/configmap, secret, downwardapi, projected).  Left out:
clusterTrustBundle and podCertificate sources.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from labkit.errors import LabkitError
from labkit.kubelet import env

#: The volume types whose content follows the API, with the names of their directories' plugins.
PLUGINS = {
    "configMap": "configmap",
    "secret": "secret",
    "downwardAPI": "downward-api",
    "projected": "projected",
}
_MODE = 0o644
_WHOLE_MAPS = ("metadata.labels", "metadata.annotations")


class VolumeError(LabkitError):
    """A volume cannot be set up."""


class File(NamedTuple):
    """Content and permissions of one file."""

    data: bytes
    mode: int


class TokenAsked(NamedTuple):
    """A projected token: for whom it is good, for how many seconds, and the file that it is in."""

    audience: str
    seconds: int
    path: str


@dataclass(frozen=True, slots=True)
class Content:
    """What the files are made of: the Pod, what it refers to, the Node's allocatable resources.

    `found(kind, name)` is a ConfigMap or Secret or None, `token(asked)` a token's text.
    """

    pod: Mapping
    found: Callable[[str, str], Mapping | None]
    token: Callable[[TokenAsked], str]
    allocatable: Mapping[str, str]


def references(volume: Mapping) -> set[tuple[str, str]]:
    """The (kind, name) of the ConfigMaps and Secrets that the volume's files come from."""
    return {
        (kind, source["secretName"] if "secretName" in source else source["name"])
        for source_name, source in _sources(volume)
        if (kind := {"configMap": "ConfigMap", "secret": "Secret"}.get(source_name))
    }


def tokens(volume: Mapping) -> list[TokenAsked]:
    """The tokens that the volume holds."""
    return [_asked(one) for name, one in _sources(volume) if name == "serviceAccountToken"]


def files(volume: Mapping, content: Content) -> dict[str, File]:
    """The volume's files by their paths.  Raises VolumeError."""
    kind = next(key for key in PLUGINS if key in volume)
    given = volume[kind].get("defaultMode")
    mode = _MODE if given is None else given
    result: dict[str, File] = {}
    for name, source in _sources(volume):
        result |= _of_source(name, source, mode, content)
    return result


def _sources(volume: Mapping) -> Iterable[tuple[str, Mapping]]:
    """The sources of a projected volume; any other volume is its own."""
    if "projected" in volume:
        for one in volume["projected"].get("sources") or ():
            yield from one.items()
        return
    for name in PLUGINS:
        if name in volume:
            yield name, volume[name]


def _of_source(name: str, source: Mapping, mode: int, content: Content) -> dict[str, File]:
    match name:
        case "configMap":
            return _from_object("ConfigMap", source["name"], source, mode, content)
        case "secret":
            secret = source.get("secretName") or source["name"]
            return _from_object("Secret", secret, source, mode, content)
        case "downwardAPI":
            return _from_pod(source.get("items") or (), mode, content)
        case "serviceAccountToken":
            asked = _asked(source)
            return {asked.path: File(content.token(asked).encode(), mode)}
    raise VolumeError(f"projected volumes have no source {name} here")


def _asked(source: Mapping) -> TokenAsked:
    seconds = source.get("expirationSeconds") or 3600
    return TokenAsked(source.get("audience") or "", seconds, source["path"])


def _from_object(
    kind: str, name: str, source: Mapping, mode: int, content: Content
) -> dict[str, File]:
    obj = content.found(kind, name)
    if obj is None:
        if source.get("optional"):
            return {}
        raise VolumeError(f'{kind.lower()} "{name}" not found')
    data = _bytes_of(kind, obj)
    items = source.get("items")
    if items is None:
        return {key: File(value, mode) for key, value in data.items()}
    result = {}
    for item in items:
        if item["key"] in data:
            result[item["path"]] = File(data[item["key"]], _mode(item, mode))
        elif not source.get("optional"):
            raise VolumeError(_missing_key(kind, item["key"]))
    return result


def _bytes_of(kind: str, obj: Mapping) -> dict[str, bytes]:
    encoded = obj.get("data" if kind == "Secret" else "binaryData") or {}
    result = {key: base64.b64decode(text) for key, text in encoded.items()}
    if kind == "ConfigMap":
        result |= {key: text.encode() for key, text in (obj.get("data") or {}).items()}
    return result


def _missing_key(kind: str, key: str) -> str:
    if kind == "Secret":
        return f"references non-existent secret key: {key}"
    return f"configmap references non-existent config key: {key}"


def _mode(item: Mapping, default: int) -> int:
    given = item.get("mode")
    return default if given is None else given


def _from_pod(items: Iterable[Mapping], mode: int, content: Content) -> dict[str, File]:
    result = {}
    for item in items:
        try:
            text = _field(item, content)
        except env.ConfigError as error:
            raise VolumeError(str(error)) from None
        result[item["path"]] = File(text.encode(), _mode(item, mode))
    return result


def _field(item: Mapping, content: Content) -> str:
    if "resourceFieldRef" in item:
        reference = item["resourceFieldRef"]
        named = {"name": reference.get("containerName") or ""}
        return env.resource_value(content.pod, named, reference, content.allocatable)
    path = item["fieldRef"]["fieldPath"]
    if path in _WHOLE_MAPS:
        return _lines(content.pod["metadata"].get(path.partition(".")[2]) or {})
    return env.field_value(content.pod, path)


def _lines(values: Mapping[str, str]) -> str:
    """`key="value"` in order, the value quoted as Go's %q does (fieldpath.FormatMap)."""
    return "\n".join(
        f"{key}={json.dumps(values[key], ensure_ascii=False)}" for key in sorted(values)
    )
