"""`POST /build`: an upload and a Dockerfile become an image, step by step on a stream.

What is wrong with the request or the Dockerfile is an HTTP error, as long as nothing has been
written; a step that fails ends the stream with `errorDetail`.  Files are read and hashed in a
thread.  A client that hangs up ends its build.  Source: dockerd's build router and the output of
its classic builder.
"""

from __future__ import annotations

import asyncio
import json
import logging
import posixpath
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import IO, Any

from aiohttp import web

from labkit.engine import contexts, dockerfile, image_routes
from labkit.engine.builder import Builder, BuildError
from labkit.engine.dockerfile import Instruction
from labkit.engine.dockerignore import is_ignored
from labkit.engine.errors import BadParameter, EngineError, NotFound
from labkit.engine.image import Image
from labkit.engine.references import Reference, parse
from labkit.engine.runtime import Runtime
from labkit.engine.server import RUNTIME, Route, answer, flag, stream_json

log = logging.getLogger(__name__)

Message = dict[str, Any]
_BUILDKIT = (
    "BuildKit was asked for. The embedded engine has the classic builder alone. "
    "Choose it: DOCKER_BUILDKIT=0 docker build -t myapp ."
)


@dataclass
class Build:
    """What a request asks for, with all that can be checked beforehand."""

    runtime: Runtime
    builder: Builder
    instructions: list[Instruction]
    tags: list[Reference]
    labels: dict[str, str]
    pull: bool

    async def run(self) -> AsyncIterator[Message]:
        """The whole build as messages; the last one is an error where it fails."""
        try:
            async for message in self._steps():
                yield message
            image = self._result()
            yield {"aux": {"ID": image.id}}
            if unused := self.builder.unused_arguments():
                words = f"One or more build-args [{' '.join(unused)}] were not consumed"
                yield _line(f"[Warning] {words}\n")
            yield _line(f"Successfully built {image.short_id}\n")
            for reference in self.tags:
                image_routes.tag(self.runtime, image, reference)
                yield _line(f"Successfully tagged {reference.familiar}\n")
        except (BuildError, EngineError, OSError) as error:
            yield _failure(str(error))
        except Exception as error:  # there is no status any more that could tell of it
            log.exception("a build failed")
            yield _failure(f"{type(error).__name__}: {error}")

    async def _steps(self) -> AsyncIterator[Message]:
        count = len(self.instructions) + bool(self.labels)
        for number, instruction in enumerate(self.instructions, 1):
            yield _line(f"Step {number}/{count} : {instruction.source}")
            yield _line("\n")
            if instruction.word == "FROM":
                async for message in self._begin(self.builder.base(instruction)):
                    yield message
            else:
                now = self.runtime.clock.now()
                await asyncio.to_thread(self.builder.run, instruction, now)
                for note in self.builder.notes:
                    yield _line(f" ---> {note}\n")
            if instruction.word != "ARG" or self.builder.begun:
                yield _line(f" ---> {self._short_id()}\n")
        if self.labels:
            yield _line(f"Step {count}/{count} : LABEL {_shown(self.labels)}")
            yield _line("\n")
            self.builder.add_labels(self.labels, self.runtime.clock.now())
            yield _line(f" ---> {self._short_id()}\n")

    def _short_id(self) -> str:
        return "" if self.builder.empty else self.builder.image(0.0).short_id

    async def _begin(self, name: str) -> AsyncIterator[Message]:
        """FROM: a present image, or one that can be pulled."""
        images = self.runtime.images
        if name == "scratch":
            self.builder.begin(None)
            return
        try:
            image = None if self.pull else images.find(name)
        except NotFound:
            image = None
        if image is None:
            for message in image_routes.pull(self.runtime, name):
                yield message
            image = images.find(name)
        self.builder.begin(image)

    def _result(self) -> Image:
        if self.builder.empty:
            raise BuildError("No image was generated. Is your Dockerfile empty?")
        image = self.builder.image(self.runtime.clock.now())
        self.runtime.images.add(image)
        return image


def _failure(message: str) -> Message:
    return {"errorDetail": {"message": message}, "error": message}


def _line(text: str) -> Message:
    return {"stream": text}


def _shown(labels: dict[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in sorted(labels.items()))


async def build(request: web.Request) -> web.StreamResponse:
    runtime = request.app[RUNTIME]
    _check(request)
    with runtime.images.adding(), contexts.spool(runtime.directory) as upload:
        async for chunk in request.content.iter_chunked(1 << 18):
            upload.write(chunk)
        messages = (await _prepare(request, upload)).run()
        if flag(request, "q"):
            messages = _quiet(messages)
        return await stream_json(request, messages)


def _check(request: web.Request) -> None:
    """Refuse what is no build of the classic builder.  Raises BadParameter."""
    if request.query.get("version") == "2":
        raise BadParameter(_BUILDKIT)
    if request.query.get("remote"):
        raise BadParameter(
            f"A build from {request.query['remote']} was asked for. The embedded engine fetches "
            "nothing over the network. Fetch it first, then: docker build -t myapp ."
        )
    if request.query.get("target"):
        raise BadParameter(f"failed to reach build target {request.query['target']} in Dockerfile")


async def _prepare(request: web.Request, upload: IO[bytes]) -> Build:
    """Raises EngineError."""
    runtime, query = request.app[RUNTIME], request.query
    tags = [parse(tag) for tag in query.getall("t", ())]
    name = query.get("dockerfile") or "Dockerfile"
    context = await asyncio.to_thread(contexts.from_tar, upload)
    text = context.read(name)
    if text is None:
        raise EngineError(f"Cannot locate specified Dockerfile: {name}")
    ignore = (context.read(".dockerignore") or b"").decode(errors="replace")
    for own in (posixpath.normpath(name), ".dockerignore"):
        if is_ignored(own, ignore):
            context.members.pop(own, None)
    return Build(
        runtime,
        Builder(context, runtime.images.blobs, _mapping(query, "buildargs"), name),
        dockerfile.parse(text.decode(errors="replace"), name),
        list(dict.fromkeys(tags)),
        _mapping(query, "labels"),
        flag(request, "pull"),
    )


def _mapping(query: Any, key: str) -> dict[str, Any]:
    try:
        value = json.loads(query.get(key) or "{}") or {}
    except ValueError as error:
        raise BadParameter(f"error reading {key}: {error}") from None
    if not isinstance(value, dict):
        raise BadParameter(f"error reading {key}: it is no JSON object")
    return value


async def _quiet(messages: AsyncIterator[Message]) -> AsyncIterator[Message]:
    """The id alone; everything if it fails."""
    seen, image_id = [], ""
    async for message in messages:
        seen.append(message)
        image_id = message.get("aux", {}).get("ID", image_id)
    if "error" not in seen[-1]:
        seen = [_line(f"{image_id}\n")]
    for message in seen:
        yield message


async def no_buildkit(_: web.Request) -> web.StreamResponse:
    raise BadParameter(_BUILDKIT)


async def prune_cache(_: web.Request) -> web.StreamResponse:
    """`docker builder prune`, and a part of `docker system prune`: there is no cache."""
    return answer({"CachesDeleted": None, "SpaceReclaimed": 0})


ROUTES: list[Route] = [
    ("POST", "/build", build),
    ("POST", "/build/prune", prune_cache),
    ("POST", "/grpc", no_buildkit),
    ("POST", "/session", no_buildkit),
]
