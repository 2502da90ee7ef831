"""The kubelet's hands: everything it does through the Docker Engine API, and nothing else.

Thin on purpose: no decisions, no retries.  Errors are aiodocker's DockerError (with the engine's
own message); `is_down` tells an engine that cannot be reached from one that refuses.

What aiodocker's typed calls lack (events as they come with their connection, one-shot statistics,
log bytes that are not text) goes through its generic request, in `_json` and `_stream` only.
"""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
from aiodocker import Docker
from aiodocker.exceptions import DockerError

from labkit.kubelet import instances as inst
from labkit.kubelet import last_words
from labkit.kubelet.conversation import Conversation, converse
from labkit.kubelet.instances import Instance

#: What may go wrong in a call: an answer that is not success, or no answer.
ENGINE_ERRORS = (DockerError, aiohttp.ClientError, OSError)
#: The label of images that were built on this machine: no registry has them.
BUILT = "io.labkit.source"
_UNREACHABLE = 900  # aiodocker's status where there is no connection
_FOREVER = aiohttp.ClientTimeout(total=None)
_FRAME = struct.Struct(">BxxxL")  # stream number, length: Docker's multiplexed streams


def is_down(error: Exception) -> bool:
    """Whether the engine could not be reached (rather than having refused)."""
    return not isinstance(error, DockerError) or error.status == _UNREACHABLE


def message_of(error: Exception) -> str:
    """The engine's own words."""
    return error.message if isinstance(error, DockerError) else str(error) or repr(error)


class Runtime:
    """One node's part of a container engine: the containers that have its `labels`."""

    def __init__(self, docker_url: str, labels: Mapping[str, str], node_ip: str) -> None:
        self._url, self._labels, self._node_ip = docker_url, labels, node_ip
        self._marks = [f"{key}={text}" for key, text in labels.items()]
        self._docker: Docker | None = None

    @property
    def docker(self) -> Docker:
        """The connection, made on first use (it needs the running loop)."""
        if self._docker is None:
            self._docker = Docker(url=self._url, timeout=_FOREVER)
        return self._docker

    async def close(self) -> None:
        """Give back sockets.  Safe to repeat."""
        if self._docker is not None:
            await self._docker.close()
            self._docker = None

    # The engine

    async def info(self) -> Mapping:
        """`docker info`."""
        return await self.docker.system.info()

    async def find_network(self, name: str) -> None:
        """See that a network is there.  Raises DockerError."""
        await self._json(f"networks/{name}")

    async def ensure_network(self, name: str, subnet: str) -> None:
        """Create the node's network of Pods unless it exists."""
        if await self.docker.networks.list(filters={"name": [f"^{name}$"]}):
            return
        config = {
            "Name": name,
            "CheckDuplicate": True,
            "Labels": dict(self._labels),
            "IPAM": {"Config": [{"Subnet": subnet}]},
        }
        try:
            await self.docker.networks.create(config)
        except DockerError as error:
            if error.status != 409:  # made by somebody else meanwhile
                raise

    # Containers

    async def list_states(self) -> dict[str, str]:
        """The engine's state word of each of the node's containers, by id."""
        filters = json.dumps({"label": self._marks})
        answer = await self._json("containers/json", params={"all": "1", "filters": filters})
        return {one["Id"]: one["State"] for one in answer}

    async def inspect(self, container_id: str) -> Instance | None:
        """One container; None if there is none of that id."""
        try:
            data = await self._json(f"containers/{container_id}/json")
        except DockerError as error:
            if error.status == 404:
                return None
            raise
        found = inst.from_inspect(data, self._node_ip)
        return await last_words.with_message(found, partial(self._last_lines, data))

    async def _last_lines(self, data: Mapping) -> bytes:
        params = {"stdout": "1", "stderr": "1", "tail": str(last_words.LOG_LINES)}
        chunks = self.logs(data["Id"], params, tty=data["Config"]["Tty"])
        return b"".join([chunk async for chunk in chunks])

    async def create(self, name: str, config: Mapping) -> str:
        """Create a container, in the place of a dead one of the same name; its id."""
        try:
            container = await self.docker.containers.create(config, name=name)
        except DockerError as error:
            if error.status != 409:
                raise
            # Left over from a kubelet that ended between two steps.
            await self.remove(name)
            container = await self.docker.containers.create(config, name=name)
        return container.id

    async def start(self, container_id: str) -> None:
        await self.docker.containers.container(container_id).start()

    async def stop(self, container_id: str, grace: int) -> None:
        """SIGTERM, and SIGKILL after `grace` seconds; returns when it has ended."""
        try:
            await self.docker.containers.container(container_id).stop(t=grace)
        except DockerError as error:
            if error.status not in (304, 404):
                raise

    async def remove(self, container_id: str) -> None:
        """Remove a container; nothing happens if there is none."""
        try:
            await self.docker.containers.container(container_id).delete(force=True, v=True)
        except DockerError as error:
            if error.status not in (404, 409):  # 409: its removal is under way
                raise

    async def stats(self, container_id: str) -> Mapping:
        """One sample of a container's statistics."""
        params = {"stream": "false", "one-shot": "true"}
        return await self._json(f"containers/{container_id}/stats", params=params)

    async def exec(self, container_id: str, command: list[str]) -> tuple[int, str]:
        """Run `command` in a container: its exit code and output."""
        execution = await self.docker.containers.container(container_id).exec(command)
        output = bytearray()
        async with execution.start(detach=False) as stream:
            while (message := await stream.read_out()) is not None:
                output += message.data
        ended = await execution.inspect()
        return ended["ExitCode"] or 0, output.decode(errors="replace")

    async def create_exec(self, container_id: str, body: Mapping) -> str:
        """Prepare a command (the body of `POST /containers/{id}/exec`) in a container; its id."""
        made = await self._json(f"containers/{container_id}/exec", method="POST", data=dict(body))
        return made["Id"]

    def start_exec(self, exec_id: str, *, tty: bool) -> AbstractAsyncContextManager[Conversation]:
        """Start a prepared command and talk with it.  Raises DockerError, OSError."""
        body = {"Detach": False, "Tty": tty}
        return converse(self._url, f"/exec/{exec_id}/start", body, tty=tty)

    async def exec_state(self, exec_id: str) -> tuple[bool, int]:
        """Whether a command still runs, and its exit code."""
        found = await self._json(f"exec/{exec_id}/json")
        return found["Running"], found["ExitCode"] or 0

    def attach(
        self, container_id: str, streams: Mapping[str, bool], *, tty: bool
    ) -> AbstractAsyncContextManager[Conversation]:
        """Talk with a container's own process on `streams` (stdin, stdout, stderr)."""
        wanted = "&".join(f"{name}=1" for name, asked in streams.items() if asked)
        path = f"/containers/{container_id}/attach?stream=1&{wanted}"
        return converse(self._url, path, None, tty=tty)

    async def resize(self, kind: str, ident: str, height: int, width: int) -> None:
        """Tell the terminal of one of the `containers`, or of an `exec`, its size."""
        params = {"h": str(height), "w": str(width)}
        async with self.docker._query(f"{kind}/{ident}/resize", method="POST", params=params):
            pass

    async def events(self) -> AsyncGenerator[Mapping]:
        """The engine's events about the node's containers; first an empty one, when connected."""
        filters = {"type": ["container"], "label": self._marks}
        async with self._stream("events", {"filters": json.dumps(filters)}) as response:
            yield {}
            async for line in response.content:
                if line.strip():
                    yield json.loads(line)

    async def logs(
        self, container_id: str, params: Mapping[str, str], *, tty: bool
    ) -> AsyncGenerator[bytes]:
        """A container's log as it was written; `params` are those of `docker logs`."""
        async with self._stream(f"containers/{container_id}/logs", params) as response:
            # A terminal has one stream, so nothing is multiplexed.
            chunks = response.content.iter_any() if tty else _frames(response.content)
            async for chunk in chunks:
                yield chunk

    # Images

    async def images(self) -> list[Mapping]:
        """All images, as `docker images` lists them."""
        return await self.docker.images.list()

    async def image(self, reference: str) -> Mapping | None:
        """One image; None if it is not here."""
        try:
            return await self.docker.images.inspect(reference)
        except DockerError as error:
            if error.status == 404:
                return None
            raise

    async def pull(self, reference: str, auth: Mapping | None) -> None:
        """Pull an image, unless it was built here.  Raises DockerError with the engine's words."""
        here = await self.image(reference)
        if here and BUILT in (here["Config"].get("Labels") or {}):
            return
        await self.docker.images.pull(reference, auth=dict(auth) if auth else None)

    async def _json(self, path: str, params: Mapping[str, str] | None = None, **options: Any):
        return await self.docker._query_json(path, params=params, **options)

    @asynccontextmanager
    async def _stream(self, path: str, params: Mapping[str, str]):
        async with self.docker._query(path, params=params, timeout=_FOREVER) as response:
            try:
                yield response
            finally:
                # aiodocker leaves that to its caller; a stream is rarely read to its end.
                response.close()


async def _frames(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """The payloads of Docker's multiplexed stream."""
    while True:
        header = await content.read(1)
        if not header:
            return
        header += await content.readexactly(_FRAME.size - 1)
        yield await content.readexactly(_FRAME.unpack(header)[1])
