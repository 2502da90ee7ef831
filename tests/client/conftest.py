"""An API server over HTTPS for the clients."""

import os
from pathlib import Path

import pytest

from tests.serving import served_in_thread


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory):
    """Ours, or `LABKIT_TEST_KUBECONFIG`."""
    if given := os.environ.get("LABKIT_TEST_KUBECONFIG"):
        yield Path(given)
        return
    with served_in_thread(tmp_path_factory.mktemp("server")) as path:
        yield path
