"""Handlers of `/images`: requests to calls of `Images`, and the events that tell of them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterable
from typing import Any

from aiohttp import web

from labkit.engine import contexts, image_archive
from labkit.engine.errors import BadParameter
from labkit.engine.filters import Filters
from labkit.engine.image import Image
from labkit.engine.image_removal import User
from labkit.engine.images import Images
from labkit.engine.references import Reference
from labkit.engine.references import parse as parse_reference
from labkit.engine.runtime import Runtime
from labkit.engine.server import RUNTIME, Route, answer, flag, stream, stream_json
from labkit.engine.timestamps import parse as parse_time

LIST_FILTERS = frozenset({"before", "dangling", "label", "reference", "since", "until"})
PRUNE_FILTERS = frozenset({"dangling", "label", "label!", "until"})


def tell(runtime: Runtime, action: str, image: Image, name: str = "") -> None:
    """Publish an image's event."""
    attributes = {**image.config["Labels"], "name": name or image.id}
    runtime.events.publish("image", action, image.id, attributes)


def users(runtime: Runtime) -> list[User]:
    """The containers, as images see them."""
    return [User(c.id, c.image_id, c.state.running) for c in runtime.containers.values()]


async def each(items: Iterable[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    """What is there already, as a stream."""
    for item in items:
        yield item


async def image_list(request: web.Request) -> web.StreamResponse:
    filters = Filters.parse(request.query.get("filters", ""), LIST_FILTERS)
    return answer(request.app[RUNTIME].images.list(filters))


async def image_inspect(request: web.Request) -> web.StreamResponse:
    return answer(request.app[RUNTIME].images.inspect(request.match_info["name"]))


async def image_history(request: web.Request) -> web.StreamResponse:
    return answer(request.app[RUNTIME].images.history(request.match_info["name"]))


async def image_pull(request: web.Request) -> web.StreamResponse:
    runtime = request.app[RUNTIME]
    name = request.query.get("fromImage", "")
    if not name:
        raise BadParameter(
            "An import of an image was asked for. The embedded engine makes images from a "
            "Dockerfile only. Build one: docker build -t myapp ."
        )
    return await stream_json(request, each(pull(runtime, name, request.query.get("tag", ""))))


def pull(runtime: Runtime, name: str, tag: str = "") -> Iterable[dict[str, Any]]:
    """Pull an image; what is reported meanwhile.  Raises NotFound, BadParameter."""
    reference = parse_reference(name, tag)
    progress = runtime.images.pull(reference)
    attributes = {"name": reference.repository}
    runtime.events.publish("image", "pull", reference.familiar, attributes)
    return progress


async def image_push(request: web.Request) -> web.StreamResponse:
    runtime, name = request.app[RUNTIME], request.match_info["name"]
    reference = parse_reference(name, request.query.get("tag", ""))
    progress = runtime.images.push(reference)
    tell(runtime, "push", runtime.images.find(str(reference)), reference.familiar)
    return await stream_json(request, each(progress))


async def image_tag(request: web.Request) -> web.StreamResponse:
    runtime, repository = request.app[RUNTIME], request.query.get("repo", "")
    reference = parse_reference(repository, request.query.get("tag", ""))
    image = runtime.images.find(request.match_info["name"])
    tag(runtime, image, reference)
    return web.Response(status=201)


def tag(runtime: Runtime, image: Image, reference: Reference) -> None:
    """Give an image a name.  Raises BadParameter."""
    if reference.digest:
        raise BadParameter("refusing to create a tag with a digest reference")
    runtime.images.tag(image, reference)
    tell(runtime, "tag", image, reference.familiar)


async def image_remove(request: web.Request) -> web.StreamResponse:
    runtime, name = request.app[RUNTIME], request.match_info["name"]
    image = runtime.images.find(name)
    removed = runtime.images.remove(name, users(runtime), force=flag(request, "force"))
    _tell_of(runtime, removed, image)
    return answer(removed)


async def image_prune(request: web.Request) -> web.StreamResponse:
    runtime = request.app[RUNTIME]
    filters = Filters.parse(request.query.get("filters", ""), PRUNE_FILTERS)
    known = {image.id: image for image in runtime.images.present()}
    report = runtime.images.prune(filters, users(runtime), _until(filters, runtime.clock.now()))
    for item in report["ImagesDeleted"] or ():
        if item.get("Deleted") in known:
            _tell_of(runtime, [item], known[item["Deleted"]])
    reclaimed = {"reclaimed": str(report["SpaceReclaimed"])}
    runtime.events.publish("image", "prune", "", reclaimed)
    return answer(report)


def _until(filters: Filters, now: float) -> float:
    given = filters.get("until")
    if not given:
        return math.inf
    if len(given) > 1:
        raise BadParameter("more than one until filter specified")
    try:
        return parse_time(given[0], now)
    except ValueError as error:
        raise BadParameter(f"invalid value for 'until' filter: {error}") from None


def _tell_of(runtime: Runtime, removed: list[dict[str, str]], image: Image) -> None:
    for item in removed:
        if "Untagged" in item:
            tell(runtime, "untag", image)
        elif item["Deleted"] == image.id:
            tell(runtime, "delete", image)


async def image_save(request: web.Request) -> web.StreamResponse:
    """`docker save`: of one image, or of several `names`."""
    images = request.app[RUNTIME].images
    names = request.query.getall("names", ()) or [request.match_info["name"]]
    with contexts.spool(request.app[RUNTIME].directory) as file:
        chosen = _by_image([(images.find(name), name) for name in names], images)
        await asyncio.to_thread(image_archive.save, chosen, images.blobs, file)

        async def parts() -> AsyncIterator[bytes]:
            for chunk in image_archive.chunks(file):
                yield chunk

        return await stream(request, parts(), "application/x-tar")


def _by_image(found: list[tuple[Image, str]], images: Images) -> list[tuple[Image, list[str]]]:
    """Each image once, with the names that it was asked for by; an id brings no name."""
    chosen: dict[str, tuple[Image, list[str]]] = {}
    for image, name in found:
        names = chosen.setdefault(image.id, (image, []))[1]
        if images.by_id(name) is not image:
            names.append(parse_reference(name).familiar)
    return list(chosen.values())


async def image_load(request: web.Request) -> web.StreamResponse:
    """`docker load`."""
    runtime = request.app[RUNTIME]
    with runtime.images.adding(), contexts.spool(runtime.directory) as upload:
        async for chunk in request.content.iter_chunked(1 << 18):
            upload.write(chunk)
        found = await asyncio.to_thread(list, image_archive.load(upload, runtime.images.blobs))
        lines = [line for loaded in found for line in _keep(runtime, loaded)]
    return await stream_json(request, each({"stream": f"{line}\n"} for line in lines))


def _keep(runtime: Runtime, loaded: image_archive.Loaded) -> list[str]:
    runtime.images.add(loaded.image)
    tell(runtime, "load", loaded.image)
    for reference in loaded.names:
        tag(runtime, loaded.image, reference)
    names = [f"Loaded image: {reference.familiar}" for reference in loaded.names]
    return names or [f"Loaded image ID: {loaded.image.id}"]


ROUTES: list[Route] = [
    ("GET", "/images/json", image_list),
    ("POST", "/images/create", image_pull),
    ("GET", "/images/get", image_save),
    ("POST", "/images/load", image_load),
    ("POST", "/images/prune", image_prune),
    ("GET", "/images/{name:.+}/json", image_inspect),
    ("GET", "/images/{name:.+}/history", image_history),
    ("GET", "/images/{name:.+}/get", image_save),
    ("POST", "/images/{name:.+}/tag", image_tag),
    ("POST", "/images/{name:.+}/push", image_push),
    ("DELETE", "/images/{name:.+}", image_remove),
]
