"""`python -m labkit.engine --state-dir D --socket S`: the container engine alone.

Runs until it gets SIGINT or SIGTERM.  Try it with
`DOCKER_HOST=unix://S docker run -d -p 3001:3001 todolist`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

import uvloop

from labkit.clock import Clock
from labkit.engine import Engine
from labkit.errors import LabkitError


async def serve(state_dir: Path, socket_path: Path) -> None:
    """Serve until a signal asks to end."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    async with Engine(state_dir, socket_path, Clock()) as engine:
        print(f"Docker Engine API: export DOCKER_HOST=unix://{engine.socket_path}", flush=True)
        await ended.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m labkit.engine", description=__doc__)
    parser.add_argument("--state-dir", type=Path, required=True, help="where containers' files go")
    parser.add_argument("--socket", type=Path, required=True, help="where the API is served")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    try:
        uvloop.run(serve(options.state_dir, options.socket))
    except LabkitError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
