"""`Load`: the owner of one worker process, and the two ways to use it.

    run(url, profile)            in the foreground; returns the table when the load has ended
    with start(url, profile):    in the background, while the notebook looks at something else

The worker dies with its owner, however the owner dies: the pipe to its stdin closes, and on Linux
the kernel kills it (`PR_SET_PDEATHSIG`).  A thread reads its rows; it ends with the worker.  An
interrupt of the kernel stops the load and keeps what was measured until then.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from labkit.errors import LabkitError, UsageError
from labkit.load.profile import Profile, check
from labkit.load.tally import COLUMNS, summarize

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]

_ROOT = Path(__file__).resolve().parents[2]
#: How long a stopped worker may take to close its connections and to report (s).
_GRACE = 3.0


class Load:
    """Open-loop load on one URL (GET), not yet started.

    url         where the requests go; a new connection for each, unless `keep_alive`
    profile     how many, when (`step`, `ramp`, `spike`)
    timeout     seconds after which a request is given up and counted as an error
    connections how many requests may be in flight; one more is dropped and counted as an error
    seed        None: evenly spaced; a number: a Poisson process, the same for the same number
    on_second   called with each row, in the thread that reads them (see `run` for the foreground)

    Raises UsageError for a URL or a number that cannot be used.
    """

    def __init__(
        self,
        url: str,
        profile: Profile,
        *,
        timeout: float = 5.0,
        connections: int = 512,
        keep_alive: bool = False,
        seed: int | None = None,
        on_second: Callable[[Row], None] | None = None,
    ) -> None:
        _check_url(url)
        check(profile)
        _check_limits(timeout, connections)
        self.url, self.profile = url, profile
        self._order = {
            "url": url,
            "pieces": _pieces(profile),
            "timeout": timeout,
            "connections": connections,
            "keep_alive": keep_alive,
            "seed": seed,
        }
        self._patience = profile.duration + timeout + _GRACE + 10
        self._on_second = on_second
        self._rows: list[Row] = []
        self._end: Row | None = None
        self._failure: Exception | None = None
        self._over = False  # whether the last row has been read
        self._news = threading.Condition()
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._stopped = False

    def start(self) -> Load:
        """Start sending; UsageError if nobody listens at the URL."""
        if self._process is not None:
            raise UsageError(
                "This load has been started before.",
                "A Load is good for one run.",
                "Write labkit.load.start(url, profile) for another.",
            )
        _check_reachable(self.url)
        try:
            self._process = _spawn(self._order)
            self._reader = threading.Thread(target=self._read, name="labkit-load", daemon=True)
            self._reader.start()
        except BaseException:
            self.stop()
            raise
        return self

    def change(self, profile: Profile) -> None:
        """Send `profile` from now on, in place of what is left; the rows go on.

        Nothing happens if the load has ended.  UsageError for a profile that cannot be sent.
        """
        self._check_started()
        check(profile)
        self.profile = profile
        self._patience += profile.duration
        line = json.dumps({"pieces": _pieces(profile)}) + "\n"
        with contextlib.suppress(OSError, ValueError):  # its pipe is closed, from there or here
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()

    def stop(self) -> None:
        """Stop sending and give up what is in flight; does nothing if the load has ended."""
        process = self._process
        if process is None:
            return
        # Not `running`: a worker that has said everything may take a moment more to end.
        self._stopped = self._stopped or not self._over
        try:
            process.stdin.close()  # the worker takes it as the word to end
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill()  # nothing happens if it has ended
            process.wait()
            if self._reader is not None and self._reader is not threading.current_thread():
                self._reader.join(_GRACE)

    @property
    def running(self) -> bool:
        """Whether the worker is still at work."""
        return self._process is not None and self._process.poll() is None

    @property
    def seconds(self) -> list[Row]:
        """The rows so far, one per second that is over (a copy)."""
        with self._news:
            return list(self._rows)

    @property
    def summary(self) -> Row:
        """The sum so far.

        total, completed, errors, unfinished (given up by a stop), error_rate (0 to 1),
        errors_by_kind, served_by (X-Served-By → answers); and when the load has ended also p50 and
        p99 of all (ms), late_ms (how late the generator itself sent at worst) and cpu_seconds
        (what it used).
        """
        return {
            "url": self.url,
            "profile": str(self.profile),
            **summarize(self.seconds, self._end),
            "interrupted": self._stopped,
        }

    def follow(self) -> Iterator[Row]:
        """Each row as its second ends, until the load has ended."""
        self._check_started()
        seen = 0
        while True:
            with self._news:
                while len(self._rows) == seen and not self._over:
                    self._news.wait()
                fresh = self._rows[seen:]
            if not fresh:
                return
            yield from fresh
            seen += len(fresh)

    def result(self) -> pd.DataFrame:
        """Wait until the load has ended and return its table (see `frame`).

        LabkitError if the worker was killed from outside; whatever `on_second` raised.
        """
        self._check_started()
        self._reader.join(self._patience)
        self.stop()
        if self._failure is not None:
            raise self._failure
        if self._end is None and not self._stopped:
            raise LabkitError(
                f"The load generator ended by itself after {len(self._rows)} s "
                f"(exit status {self._process.returncode}).",
                "It was probably killed, perhaps for want of memory.",
                "Start it again; load.frame() has what was measured.",
            )
        return self.frame()

    def frame(self) -> pd.DataFrame:
        """The seconds so far: second, time (Unix s), offered, completed, errors, p50, p99 (ms).

        `attrs["summary"]` is the `summary`.
        """
        # Not at the top: the worker imports this package too, and pandas takes half a second.
        import pandas as pd

        rows = [[row[column] for column in COLUMNS] for row in self.seconds]
        frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(
            {"second": int, "time": float, "offered": int, "completed": int, "errors": int}
            | {"p50": float, "p99": float}
        )
        frame.attrs["summary"] = self.summary
        return frame

    def __enter__(self) -> Load:
        return self if self._process is not None else self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "running" if self.running else "ended" if self._process else "not started"
        return f"<Load {self.url} {self.profile}: {state}, {describe(self.summary)}>"

    def _check_started(self) -> None:
        if self._reader is None:
            raise UsageError(
                "This load has not been started.",
                "Load(...) only prepares it.",
                "Write labkit.load.start(url, profile) instead.",
            )

    def _read(self) -> None:
        try:
            with self._process.stdout as lines:
                for line in lines:
                    self._take(json.loads(line))
        except Exception as error:  # of `on_second`, and there is nobody to catch it here
            self._failure = error
        finally:
            with self._news:
                self._over = True
                self._news.notify_all()

    def _take(self, message: Row) -> None:
        if "end" in message:
            self._end = message["end"]
            return
        with self._news:
            self._rows.append(message)
            self._news.notify_all()
        if self._on_second is not None:
            self._on_second(message)


def start(
    url: str,
    profile: Profile,
    *,
    timeout: float = 5.0,
    connections: int = 512,
    keep_alive: bool = False,
    seed: int | None = None,
    on_second: Callable[[Row], None] | None = None,
) -> Load:
    """Start a load in the background.  As a context manager it is stopped at the end of the block.

    The parameters are those of `Load`.
    """
    return Load(
        url,
        profile,
        timeout=timeout,
        connections=connections,
        keep_alive=keep_alive,
        seed=seed,
        on_second=on_second,
    ).start()


def run(
    url: str,
    profile: Profile,
    *,
    timeout: float = 5.0,
    connections: int = 512,
    keep_alive: bool = False,
    seed: int | None = None,
    on_second: Callable[[Row], None] | None = None,
) -> pd.DataFrame:
    """Send a load and return its table (`Load.frame`) when it has ended.

    The parameters are those of `Load`, but `on_second` is called here, in the caller's thread.  An
    interrupt (Ctrl-C, or ■ in Jupyter) stops the load; the table then holds the seconds until then.
    """
    load = Load(
        url,
        profile,
        timeout=timeout,
        connections=connections,
        keep_alive=keep_alive,
        seed=seed,
    )
    try:
        with load:
            for row in load.follow():
                if on_second is not None:
                    on_second(row)
            return load.result()
    except KeyboardInterrupt:
        print(f"Interrupted: {describe(load.summary)}.")
        return load.frame()


def describe(summary: Row) -> str:
    """One line for a person, from a `Load.summary`."""
    text = (
        f"{summary['total']} requests, {summary['completed']} completed, "
        f"{summary['errors']} errors ({summary['error_rate']:.1%})"
    )
    if summary["p99"] is not None:
        text += f", p50 {summary['p50']:.3g} ms, p99 {summary['p99']:.3g} ms"
    return text


def _pieces(profile: Profile) -> list[list[float]]:
    return [[piece.start, piece.end, piece.seconds] for piece in profile.pieces]


def _spawn(order: Row) -> subprocess.Popen[bytes]:
    # The signal of PR_SET_PDEATHSIG comes when the *thread* that started the child ends, so it is
    # asked for only in the thread that lives as long as the process.
    main = threading.current_thread() is threading.main_thread()
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        # -P: a file random.py beside the notebook must not stand for Python's own.
        [sys.executable, "-P", "-m", "labkit.load.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,  # the interrupt of a terminal or a notebook is for its owner alone
    )
    try:
        line = json.dumps({**order, "parent": os.getpid() if main else None}) + "\n"
        process.stdin.write(line.encode())
        process.stdin.flush()
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    try:
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # the port is no number
        usable = False
    if not usable:
        guess = f"http://{url}" if url and "://" not in url else "http://127.0.0.1:8080/"
        raise UsageError(
            f"{url!r} is not a URL to which a load can be sent.",
            "It needs a scheme (http or https), a host and, unless it is 80 or 443, a port.",
            f"Write for example {guess!r}.",
        )


def _check_limits(timeout: float, connections: int) -> None:
    if not 0 < timeout <= 60:
        raise UsageError(
            f"A timeout of {timeout!r} s cannot be used.",
            "It must be greater than 0 and at most 60 seconds.",
            "Write for example timeout=5.",
        )
    if not 1 <= connections <= 5000:
        raise UsageError(
            f"{connections!r} connections cannot be used.",
            "It is the number of requests that may be in flight, from 1 to 5000.",
            "Write for example connections=512.",
        )


def _check_reachable(url: str) -> None:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    try:
        socket.create_connection((parts.hostname, port), timeout=3).close()
    except OSError as error:
        raise UsageError(
            f"Nobody answers at {url} ({error.strerror or error}).",
            "The Service or its Pods are probably not there yet, or the port is another one.",
            "See with: kubectl get services,endpointslices",
        ) from error
