"""API servers in memory, and clients of them."""

from __future__ import annotations

import pytest

from labkit.apiserver.core import APIServer
from labkit.apiserver.request import User
from labkit.apiserver.store import MemoryStore
from labkit.client import Client
from labkit.clock import Clock

ADMIN = User("kubernetes-admin", ("system:masters",))
SERVICE_CIDR = "127.96.0.0/24"


@pytest.fixture
async def api():
    """A running API server that remembers nothing."""
    server = APIServer(MemoryStore(), Clock(), service_cidr=SERVICE_CIDR)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def client(api) -> Client:
    """The admin's client, in memory."""
    return Client(api.transport(ADMIN))
