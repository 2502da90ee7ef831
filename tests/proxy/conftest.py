from __future__ import annotations

import asyncio

import pytest
import uvloop

from tests.proxy.loopback import Endpoint, free_port, fresh_ip


@pytest.hookimpl(optionalhook=True)  # before pytest-asyncio 1.4 all run on the default loop
def pytest_asyncio_loop_factories(config, item):
    """What handles sockets directly is tested on both event loops that labkit runs on."""
    if item.path.name == "test_forward.py":
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def endpoint():
    """Starts endpoints: `await endpoint("a", port=..., handler=...)`."""
    started: list[Endpoint] = []

    async def start(name: str, port: int = 0, handler=None, ip: str = "") -> Endpoint:
        ip = ip or fresh_ip()
        made = Endpoint(name, ip, port or free_port(ip))
        started.append(made)
        return await made.start(handler)

    yield start
    for made in started:
        await made.stop()
