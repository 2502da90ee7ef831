"""Handlers of `docker cp` and `docker export`: tars to and from a container's files.

A tar lies in a file without a name while it is on its way: made or read in a thread, so that
neither its size nor the disk holds anybody up.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from typing import IO

from aiohttp import web

from labkit.engine.archive import Files
from labkit.engine.container_routes import target
from labkit.engine.containers import Container
from labkit.engine.contexts import spool
from labkit.engine.errors import BadParameter
from labkit.engine.runtime import Runtime
from labkit.engine.server import Route, flag, stream

_TAR = "application/x-tar"
_PIECE = 256 << 10


def _files(request: web.Request) -> tuple[Runtime, Container, Files]:
    runtime, container = target(request)
    return runtime, container, Files(container, request.match_info["id"])


def _path(request: web.Request) -> str:
    if path := request.query.get("path"):
        return path
    raise BadParameter("bad parameter: path cannot be empty")


def _header(found: dict) -> dict[str, str]:
    encoded = base64.b64encode(json.dumps(found, separators=(",", ":")).encode())
    return {"X-Docker-Container-Path-Stat": encoded.decode()}


async def look(request: web.Request) -> web.StreamResponse:
    """`HEAD`: what is at a path, in a header."""
    _, _, files = _files(request)
    found = await asyncio.to_thread(files.stat, _path(request))
    return web.Response(headers=_header(found))


async def get(request: web.Request) -> web.StreamResponse:
    """What is at a path, as a tar."""
    (runtime, container, files), path = _files(request), _path(request)
    found = await asyncio.to_thread(files.stat, path)
    response = await _send(request, runtime, lambda out: files.pack(path, out), _header(found))
    runtime.publish(container, "archive-path")
    return response


async def put(request: web.Request) -> web.StreamResponse:
    """A tar, into the directory at a path."""
    (runtime, container, files), path = _files(request), _path(request)
    await asyncio.to_thread(files.directory, path)
    with spool(runtime.directory) as upload:
        async for chunk in request.content.iter_chunked(_PIECE):
            upload.write(chunk)
        upload.seek(0)
        keep = flag(request, "noOverwriteDirNonDir")
        await asyncio.to_thread(files.unpack, path, upload, keep_kinds=keep)
    runtime.publish(container, "extract-to-dir")
    return web.Response(status=200)


async def export(request: web.Request) -> web.StreamResponse:
    """The whole root directory as a tar."""
    runtime, container, files = _files(request)
    response = await _send(request, runtime, files.pack_all, {})
    runtime.publish(container, "export")
    return response


async def _send(
    request: web.Request,
    runtime: Runtime,
    pack: Callable[[IO[bytes]], None],
    headers: dict[str, str],
) -> web.StreamResponse:
    with spool(runtime.directory) as tar:
        await asyncio.to_thread(pack, tar)
        tar.seek(0)

        async def pieces() -> AsyncIterator[bytes]:
            while piece := tar.read(_PIECE):
                yield piece

        return await stream(request, pieces(), _TAR, headers)


ROUTES: list[Route] = [
    ("HEAD", "/containers/{id}/archive", look),
    ("GET", "/containers/{id}/archive", get),
    ("PUT", "/containers/{id}/archive", put),
    ("GET", "/containers/{id}/export", export),
]
