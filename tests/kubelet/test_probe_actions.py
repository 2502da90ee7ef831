"""Single runs of probes: gRPC against a server of a few frames, HTTP redirects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from labkit.kubelet.probe_actions import Actions, Target
from tests.kubelet.builders import running


def target() -> Target:
    return Target({}, {"name": "app"}, running(), "127.0.0.1")


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


@asynccontextmanager
async def health(answer: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that says `answer` to a call, and the bytes that it was sent."""
    sent: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(4, 0, 0) + frame(6, 0, 0, b"12345678"))  # SETTINGS, PING
        sent.append(await reader.read(1 << 16))
        writer.write(answer)
        sent.append(await reader.read(1 << 16))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], sent


OK = frame(1, 0x4, 1, b"\x88")  # HEADERS: :status 200
END = frame(1, 0x5, 1, b"\x88")  # and the last ones


@pytest.mark.parametrize(
    ("answer", "success", "output"),
    [
        (OK + frame(0, 0, 1, b"\0\0\0\0\2\x08\1") + END, True, ""),
        (
            OK + frame(0, 0, 1, b"\0\0\0\0\2\x08\2") + END,
            False,
            'service unhealthy (responded with "NOT_SERVING")',
        ),
        (
            OK + frame(0, 0, 1, b"\0\0\0\0\0") + END,
            False,
            'service unhealthy (responded with "UNKNOWN")',
        ),
        (END, False, "error: health rpc probe failed: the server has refused the call"),
        (
            frame(3, 0, 1, b"\0\0\0\7"),
            False,
            "error: health rpc probe failed: the server has ended the call",
        ),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            False,
            "error: health rpc probe failed: this is no gRPC server",
        ),
    ],
    ids=["serving", "not serving", "unknown", "refused", "reset", "http/1"],
)
async def test_a_grpc_probe_asks_for_health(answer: bytes, success: bool, output: str):
    async with health(answer) as (port, sent):
        probe = {"grpc": {"port": port, "service": "shop"}, "timeoutSeconds": 5}
        result = await Actions(None).execute(target(), probe)
    assert (result.success, result.output) == (success, output)
    assert sent[0].startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert b"/grpc.health.v1.Health/Check" in sent[0]
    assert sent[0].endswith(b"\0\0\0\0\6\x0a\4shop")


async def test_a_grpc_probe_tells_that_nobody_listens():
    async with health(b"") as (port, _):
        pass
    result = await Actions(None).execute(target(), {"grpc": {"port": port}})
    assert result.refused
    assert result.output.startswith(f'error: failed to connect service at "127.0.0.1:{port}": ')


async def test_a_redirect_is_followed_on_the_same_host_only():
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.path)
        if request.path == "/here":
            raise web.HTTPFound("/well")
        if request.path == "/away":
            raise web.HTTPFound("http://elsewhere.invalid/", text="gone")
        if request.path == "/round":
            raise web.HTTPFound("/round")
        return web.Response(status=500 if request.path == "/ill" else 200)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    actions = Actions(None)

    async def probe(path: str):
        return await actions.execute(
            target(), {"httpGet": {"port": port, "path": path}, "timeoutSeconds": 5}
        )

    try:
        assert (await probe("/here")).success
        assert seen == ["/here", "/well"]
        away = await probe("/away")
        assert (away.success, away.warning) == (True, True)
        assert away.output == "Probe terminated redirects, Response body: gone"
        assert (await probe("/round")).output.endswith("stopped after 10 redirects")
        assert (await probe("/ill")).output == "HTTP probe failed with statuscode: 500"
    finally:
        await actions.close()
        await runner.cleanup()
