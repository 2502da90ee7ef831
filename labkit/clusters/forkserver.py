"""The process that all parts of a cluster are forked from: `python -m labkit.clusters.forkserver`.

It has a socket to the cluster's daemon as its standard input, and exists for two reasons:

* Lifeline.  When the daemon ends, however it ends, the kernel closes its end of the socket.  This
  process reads end-of-file, kills everything below it and exits.  It is the *subreaper* of its
  descendants (prctl(2)), so that none can get away.  Should it be killed itself, each part dies
  with it (PR_SET_PDEATHSIG).
* Memory and speed.  It has imported what all parts need before it forks them: a part starts
  without compiling or importing that again, and shares the pages with all others until it writes
  to them.  Hence it runs no event loop and has no thread: a fork copies neither well.

Messages are JSON, one a datagram.  Requests:

    {"start": part, "directory": path}    with descriptors: standard output and error
    {"signal": number, "pid": pid}

Reports, the first in answer to each start:

    {"started": part, "pid": pid}
    {"exited": pid, "status": status}     status as a shell's $?: 128 + n if killed by signal n

`labkit.engine.spawner` does the same for containers, which are other programs; `children` is the
daemon's end.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress

import psutil

from labkit.clusters import part

PR_SET_PDEATHSIG, PR_SET_NAME, PR_SET_CHILD_SUBREAPER = 1, 15, 36
_MOST = 64 << 10  # bytes of a request


class ForkServer:
    """Forks parts as the daemon at the other end of `daemon` asks, until that is gone."""

    def __init__(self, daemon: socket.socket) -> None:
        self._daemon, self._pid = daemon, os.getpid()
        self._parts: set[int] = set()
        self._prctl = ctypes.CDLL(None).prctl

    def serve(self) -> None:
        """Return when the daemon has gone; then everything below is dead."""
        self._prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        wake, waker = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)  # the daemon decides when all ends
        poll = select.poll()
        poll.register(self._daemon, select.POLLIN)
        poll.register(wake, select.POLLIN)
        try:
            while self._once(poll.poll(), wake):
                pass
        except ConnectionError:
            pass  # the daemon has gone while a report was on its way
        finally:
            self._end()

    def _once(self, ready: list[tuple[int, int]], wake: int) -> bool:
        """Do what there is to do; false at end-of-file."""
        for descriptor, _ in ready:
            if descriptor == wake:
                os.read(wake, 4096)
                self._reap()
            elif not self._receive():
                return False
        return True

    def _receive(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self._daemon, _MOST, 2)
        if not data:
            return False
        request = json.loads(data)
        if name := request.get("start"):
            pid = os.fork()
            if pid == 0:
                self._become(name, request["directory"], descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            self._parts.add(pid)
            self._report(started=name, pid=pid)
        elif request["pid"] in self._parts:
            os.kill(request["pid"], request["signal"])
        return True

    def _become(self, name: str, directory: str, descriptors: list[int]) -> None:
        """In the child: be the part.  Does not return."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            os.setsid()
            self._prctl(PR_SET_NAME, name.partition("/")[0].encode(), 0, 0, 0)  # for ps and top
            self._prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != self._pid:
                os._exit(1)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for descriptor, target in zip(descriptors, (1, 2), strict=True):
                os.dup2(descriptor, target)
            os.closerange(3, max(descriptors, default=3) + 1)
            code = part.main([name, directory])
        finally:
            sys.stdout.flush()
            os._exit(code)

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended[0], os.waitstatus_to_exitcode(ended[1])
                if pid in self._parts:
                    self._parts.discard(pid)
                    self._report(exited=pid, status=status if status >= 0 else 128 - status)

    def _report(self, **message: object) -> None:
        self._daemon.send(json.dumps(message).encode())

    def _end(self) -> None:
        """Kill everything below this process and wait until it is gone."""
        me = psutil.Process()
        with suppress(ChildProcessError):
            while True:
                for child in me.children(recursive=True):
                    with suppress(psutil.NoSuchProcess):
                        child.kill()
                os.wait()


def main() -> None:
    """Serve the daemon at standard input."""
    server = ForkServer(socket.socket(fileno=os.dup(0)))
    # What is here already stays: a collection in a part would write to every page of it.
    gc.collect()
    gc.freeze()
    server.serve()


if __name__ == "__main__":
    main()
