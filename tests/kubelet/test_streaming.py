"""exec, attach and port-forward at the kubelet, on both engines."""

from __future__ import annotations

import asyncio
import json
import logging

import aiohttp
import pytest
from multidict import MultiDict

from labkit.kubelet import Kubelet, commands, forwarding
from labkit.kubelet.commands import BadOptions, Options
from labkit.kubelet.forwarding import BadPorts
from tests.kubelet.conftest import RUNS_ON, Lab, is_ready, shell

V4, V5 = "v4.channel.k8s.io", "v5.channel.k8s.io"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("output=1&command=ls&command=-l", Options(False, True, False, False, ("ls", "-l"))),
        ("input=1&output=1&error=1&tty=1", Options(True, True, False, True)),
        ("error=true", Options(False, False, True, False)),
    ],
)
def test_the_query_names_streams_and_the_command(query: str, expected: Options):
    pairs = [tuple(part.split("=")) for part in query.split("&")]
    assert commands.options(MultiDict(pairs)) == expected


def test_at_least_one_stream_must_be_asked_for():
    with pytest.raises(BadOptions, match="at least 1 of stdin, stdout, stderr"):
        commands.options(MultiDict({"tty": "1"}))


def test_ports_are_repeated_or_joined():
    assert forwarding.ports(MultiDict([("port", "80"), ("port", "81,82")])) == [80, 81, 82]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ([], 'query parameter "port" is required'),
        ([""], 'query parameter "port" cannot be empty'),
        (["80,x"], 'unable to parse "80,x" as a port: strconv.ParseUint: parsing "x"'),
        (["65536"], "value out of range"),
        (["0"], 'port "0" must be > 0'),
        (["1," * 127 + "1"], "128 ports are too many"),
    ],
)
def test_ports_must_be_ports(texts: list[str], words: str):
    with pytest.raises(BadPorts, match=words):
        forwarding.ports(MultiDict([("port", text) for text in texts]))


class Channels:
    """One WebSocket to a kubelet."""

    def __init__(self, kubelet: Kubelet) -> None:
        self._base = f"http://127.0.0.1:{kubelet.port}"
        self._session = aiohttp.ClientSession()

    async def __aenter__(self) -> Channels:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def open(self, path: str, protocol: str, query: list[tuple[str, str]]) -> None:
        self.socket = await self._session.ws_connect(
            self._base + path, params=query, protocols=[protocol], max_msg_size=0
        )

    async def heard(self) -> dict[int, bytes]:
        """All that comes on each channel, until the kubelet closes."""
        found: dict[int, bytes] = {}
        async with asyncio.timeout(20):
            async for message in self.socket:
                found[message.data[0]] = found.get(message.data[0], b"") + message.data[1:]
        return found


async def test_a_command_gets_its_input_and_its_end(lab: Lab):
    kubelet = await lab.kubelet()
    await lab.create({"containers": [shell(RUNS_ON)]})
    await lab.until(is_ready)
    words = [("command", word) for word in ("sh", "-c", "cat; echo err >&2; exit 3")]
    async with Channels(kubelet) as channels:
        wanted = [("input", "1"), ("output", "1"), ("error", "1"), *words]
        await channels.open("/exec/default/web/app", V5, wanted)
        await channels.socket.send_bytes(b"\x00hello")
        await channels.socket.send_bytes(b"\xff\x00")
        found = await channels.heard()
    assert (found[1], found[2]) == (b"hello", b"err\n")
    status = json.loads(found[3])
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]


async def test_attach_speaks_with_the_containers_own_process(lab: Lab):
    kubelet = await lab.kubelet()
    echo = {**shell("read line; echo heard $line"), "stdin": True, "stdinOnce": True}
    await lab.create({"containers": [echo], "restartPolicy": "Never"})
    await lab.until(is_ready)
    async with Channels(kubelet) as channels:
        await channels.open("/attach/default/web/app", V4, [("input", "1"), ("output", "1")])
        await channels.socket.send_bytes(b"\x00you\n")
        found = await channels.heard()
    assert found[1] == b"heard you\n"
    assert json.loads(found[3]) == {"metadata": {}, "status": "Success"}


async def test_a_container_that_does_not_run_is_told_over_the_channels(embedded: Lab):
    kubelet = await embedded.kubelet()
    await embedded.create({"containers": [shell(RUNS_ON)]})
    await embedded.until(is_ready)
    for name, words in (("none", 'container not found ("none")'), ("app", "")):
        pod = "web" if words else "nobody"
        async with Channels(kubelet) as channels:
            await channels.open(f"/exec/default/{pod}/{name}", V4, [("output", "1")])
            status = json.loads((await channels.heard())[3])
        why = words or "pod does not exist"
        message = f"Internal error occurred: unable to upgrade connection: {why}"
        assert (status["reason"], status["message"]) == ("InternalError", message)


async def test_an_unknown_protocol_is_refused(embedded: Lab):
    kubelet = await embedded.kubelet()
    async with Channels(kubelet) as channels:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await channels.open("/exec/default/web/app", "v9.channel.k8s.io", [("output", "1")])
    assert caught.value.status == 403


async def test_whoever_stops_following_a_log_leaves_no_trace(
    embedded: Lab, caplog: pytest.LogCaptureFixture
):
    kubelet = await embedded.kubelet()
    await embedded.create({"containers": [shell("while :; do echo tick; sleep 0.05; done")]})
    await embedded.until(is_ready)
    url = f"http://127.0.0.1:{kubelet.port}/containerLogs/default/web/app?follow=true"
    with caplog.at_level(logging.INFO):
        async with aiohttp.ClientSession() as session:
            for _ in range(3):
                answer = await session.get(url)
                assert await answer.content.readline() == b"tick\n"
                answer.close()
        await asyncio.sleep(0.3)
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []
