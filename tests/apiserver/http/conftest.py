"""An API server over HTTPS, and sessions of who may and who may not."""

import aiohttp
import pytest

from tests.serving import Certificates, address, serving


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("pki"))


@pytest.fixture
async def server(certificates):
    """(APIServer, HTTPServer)."""
    async with serving(certificates) as running:
        yield running


@pytest.fixture
async def http(server, certificates):
    """A session as the admin."""
    connector = aiohttp.TCPConnector(ssl=certificates.client())
    async with aiohttp.ClientSession(address(server[1]), connector=connector) as session:
        yield session


@pytest.fixture
async def stranger(server, certificates):
    """A session without a certificate."""
    connector = aiohttp.TCPConnector(ssl=certificates.anonymous())
    async with aiohttp.ClientSession(address(server[1]), connector=connector) as session:
        yield session
