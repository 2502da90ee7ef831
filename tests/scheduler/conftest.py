"""The fixtures of the controllers' tests: a real API server in memory."""

from tests.controllers.conftest import running, world

__all__ = ["running", "world"]
