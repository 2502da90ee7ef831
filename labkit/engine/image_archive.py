"""`docker save` and `docker load`: images as a tar, in the form that every Docker reads.

An image of the lab is saved as one layer.  What is loaded may have many: they are laid over each
other, with their whiteouts, into one set of files.  As with a build's context nothing is unpacked
to disk: no name in a layer can make the engine write anywhere.

Source: the Docker Image Specification v1.2 (manifest.json), which archives of newer Dockers contain
too.  Left out: loading archives that have the OCI layout alone; owners, times, extended attributes.
"""

from __future__ import annotations

import hashlib
import io
import json
import posixpath
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import IO, Any, NamedTuple

from labkit.engine.blobs import CHUNK, Blobs
from labkit.engine.contexts import open_tar
from labkit.engine.errors import BadParameter
from labkit.engine.image import EMPTY_CONFIG, Image, architecture
from labkit.engine.references import Reference, parse
from labkit.engine.timestamps import rfc3339_nano
from labkit.engine.trees import Entry, Tree, TreeError

_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"


class Loaded(NamedTuple):
    """An image of an archive, and the names that it had."""

    image: Image
    names: list[Reference]


# Saving


def save(images: Iterable[tuple[Image, list[str]]], blobs: Blobs, target: IO[bytes]) -> None:
    """Write images, each with its names by tag, as a tar."""
    manifest = []
    with tarfile.open(fileobj=target, mode="w") as tar:
        for image, names in images:
            with tempfile.TemporaryFile() as layer:
                _write_layer(image.files, blobs, layer)
                layer.seek(0)
                digest = hashlib.file_digest(layer, "sha256").hexdigest()
                place, file = f"{digest}/layer.tar", f"{image.id[7:]}.json"
                _add(tar, place, layer)
            _add_json(tar, file, _described(image, digest))
            manifest.append({"Config": file, "RepoTags": names or None, "Layers": [place]})
        _add_json(tar, "manifest.json", manifest)


def _add(tar: tarfile.TarFile, name: str, file: IO[bytes]) -> None:
    info = tarfile.TarInfo(name)
    info.size = file.seek(0, io.SEEK_END)
    file.seek(0)
    tar.addfile(info, file)


def _add_json(tar: tarfile.TarFile, name: str, value: Any) -> None:
    _add(tar, name, io.BytesIO(json.dumps(value).encode()))


def _write_layer(files: Tree, blobs: Blobs, target: IO[bytes]) -> None:
    with tarfile.open(fileobj=target, mode="w") as tar:
        for path, entry in sorted(files.entries.items()):
            info = tarfile.TarInfo(path.lstrip("/"))
            info.mode = entry.mode
            if entry.digest:
                info.size = entry.size
                with open(blobs.path(entry.digest), "rb") as file:
                    tar.addfile(info, file)
            else:
                info.type = tarfile.SYMTYPE if entry.target else tarfile.DIRTYPE
                info.linkname = entry.target
                tar.addfile(info)


def _described(image: Image, layer: str) -> dict[str, Any]:
    """The image's own JSON.  The one layer belongs to the last step."""
    steps = [
        {
            "created": rfc3339_nano(step["created"]),
            "created_by": step["created_by"],
            "empty_layer": True,
        }
        for step in image.history
    ]
    if steps:
        del steps[-1]["empty_layer"]
    return {
        "architecture": architecture(),
        "os": "linux",
        "created": rfc3339_nano(image.created),
        "config": image.config,
        "history": steps,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}"]},
    }


# Loading


def load(upload: IO[bytes], blobs: Blobs) -> Iterator[Loaded]:
    """The images of an archive; their files are with `blobs` then.  Raises BadParameter."""
    with open_tar(upload) as tar:
        for described in _json(tar, "manifest.json"):
            try:
                loaded = _image(tar, described, blobs)
            except (KeyError, TypeError, AttributeError, ValueError, tarfile.TarError) as error:
                raise BadParameter(f"invalid archive: {error!r}") from None
            yield loaded


def _json(tar: tarfile.TarFile, name: str) -> Any:
    try:
        return json.load(_file(tar, name))
    except ValueError:
        raise BadParameter(f"invalid archive: {name} is no JSON") from None


def _file(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    try:
        found = tar.extractfile(name)
    except KeyError:
        found = None
    if found is None:
        raise BadParameter(f"invalid archive: it has no {name}")
    return found


def _image(tar: tarfile.TarFile, described: Mapping[str, Any], blobs: Blobs) -> Loaded:
    own = _json(tar, described["Config"])
    given = {key: value for key, value in (own.get("config") or {}).items() if value is not None}
    config = {key: given.get(key, default) for key, default in EMPTY_CONFIG.items()}
    files = Tree()
    for name in described["Layers"]:
        with tarfile.open(fileobj=_file(tar, name)) as layer:
            _lay_over(files, layer, blobs)
    history = [
        {"created": _time(step), "created_by": step.get("created_by", ""), "size": 0}
        for step in own.get("history") or ()
    ]
    if history:
        history[-1]["size"] = files.size
    image = Image.of(config, files, history, _time(own))
    return Loaded(image, [parse(name) for name in described.get("RepoTags") or ()])


def _time(described: Mapping[str, Any]) -> float:
    text = described.get("created") or ""
    # Nanoseconds are more than Python reads.
    seconds, _, _ = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{seconds}+00:00").timestamp() if seconds else 0.0


def _lay_over(files: Tree, layer: tarfile.TarFile, blobs: Blobs) -> None:
    """Put one layer's files over those of the layers before it."""
    for info in layer:
        path = posixpath.normpath("/" + info.name)
        directory, name = posixpath.split(path)
        try:
            if name == _OPAQUE:
                files.remove(directory, itself=False)
            elif name.startswith(_WHITEOUT):
                files.remove(posixpath.join(directory, name.removeprefix(_WHITEOUT)))
            elif info.isdir():
                files.put(path, Entry(info.mode & 0o777 | 0o700))
            elif info.issym():
                files.put(path, Entry(0o777, target=info.linkname))
            elif info.islnk():
                files.put(path, files.entries[posixpath.normpath("/" + info.linkname)])
            elif info.isfile():
                digest, size = blobs.add(layer.extractfile(info))
                files.put(path, Entry(info.mode & 0o777 | 0o400, size, digest))
        except (TreeError, KeyError) as error:
            raise BadParameter(f"invalid archive: {info.name}: {error}") from None


def chunks(file: IO[bytes]) -> Iterator[bytes]:
    """A file's content from its beginning."""
    file.seek(0)
    while chunk := file.read(CHUNK):
        yield chunk
