"""The parts of a running cluster as their user sees them: stop the scheduler, and see what happens.

    parts = Parts("lab")
    parts["kube-scheduler"].stop()      # ends it; it stays away
    parts["kube-scheduler"].start()
    parts["kubelet/lab-worker2"].kill() # SIGKILL; the daemon starts it again, as systemd would
    parts                               # a table

Only a cluster that was started with `--parts separate` has parts that can be told apart.  What is
shown was just asked for; everything may be repeated.
"""

from __future__ import annotations

import html
import signal as signals
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from labkit.clusters import control, manage, roster, settings, virtual_nodes
from labkit.clusters.paths import DEFAULT_NAME, ClusterDir
from labkit.errors import ClusterError, UsageError

_SETTLE = 5.0  # seconds that a part gets to do its work; without the API server most cannot
_COLUMNS = ("part", "state", "pid", "memory", "restarts")


@dataclass(frozen=True)
class Facts:
    """One part at one moment.

    `state` is stopped, starting, running, or waiting (to be started again after a failure);
    `pid` is 0 where there is no process; `restarts` counts since the part was started last.
    """

    name: str
    state: str
    pid: int
    restarts: int

    @property
    def memory(self) -> int:
        """Bytes of its processes in proportion to who shares them (PSS), containers left out."""
        import psutil

        try:
            return psutil.Process(self.pid).memory_full_info().pss if self.pid else 0
        except psutil.Error:
            return 0

    def row(self) -> tuple[str, ...]:
        """The cells of a table."""
        memory = f"{self.memory / 2**20:.0f} MiB" if self.pid else ""
        return self.name, self.state, str(self.pid or ""), memory, str(self.restarts)


class Part:
    """One part, by its name."""

    def __init__(self, directory: ClusterDir, name: str) -> None:
        self.name, self._directory = name, directory

    @property
    def facts(self) -> Facts:
        """How it is now."""
        return self._do("list")

    @property
    def state(self) -> str:
        """stopped, starting, running or waiting."""
        return self.facts.state

    @property
    def pid(self) -> int:
        """Its process's id, 0 if there is none."""
        return self.facts.pid

    @property
    def kubeconfig(self) -> str:
        """The path of its kubeconfig: as whom it talks to the API server."""
        return str(self._directory.kubeconfig_of(self.name))

    @property
    def docker_host(self) -> str:
        """Where a kubelet's own container engine listens: what DOCKER_HOST takes."""
        return f"unix://{self._directory.docker_socket_of(roster.node_of(self.name))}"

    def start(self) -> Facts:
        """Start it; returns when it does its work, or after five seconds of trying."""
        return self._do("start", seconds=_SETTLE)

    def run(self) -> int:
        """Be it, in this process and until interrupted, for a look at its log; its exit code.

        Raises ClusterError where it runs already.
        """
        if self.facts.state != "stopped":
            raise ClusterError(
                f"The part {self.name} of the cluster {self._directory.name} runs already.",
                "The cluster's daemon watches over it.",
                f"Stop that one first: labkit parts stop {self.name} --name {self._directory.name}",
            )
        from labkit.clusters import part

        return part.main([self.name, str(self._directory.root)])

    def stop(self, signal: int = signals.SIGTERM) -> Facts:
        """End it; it stays away until `start`.  With SIGKILL, as a machine that loses power."""
        return self._do("stop", signal=int(signal))

    def kill(self, signal: int = signals.SIGKILL) -> Facts:
        """Send it a signal that it has not asked for; if it ends, it is started again."""
        return self._do("kill", signal=int(signal))

    def log(self, lines: int = 20) -> str:
        """The end of its log."""
        try:
            text = self._directory.log_of(self.name).read_text(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _do(self, what: str, **options: object) -> Facts:
        told = control.ask(self._directory.parts_socket, do=what, parts=[self.name], **options)
        return next(Facts(**facts) for facts in told if facts["name"] == self.name)

    def __repr__(self) -> str:
        facts = self.facts
        return f"{self.name}: {facts.state}" + (f", pid {facts.pid}" if facts.pid else "")


class Parts(Mapping[str, Part]):
    """All parts of the cluster `name`, in the order in which they are started.

    Raises ClusterError where there is no such cluster, or where its parts share one process.
    """

    def __init__(self, name: str = DEFAULT_NAME) -> None:
        found = manage.info(name)
        if found is None:
            raise manage.no_such_cluster(name)
        if found.parts != settings.SEPARATE:
            raise ClusterError(
                f"All parts of the cluster {name} share one process.",
                "It was started so.",
                f"Start it otherwise: labkit down --name {name} && "
                f"labkit up --name {name} --parts separate",
            )
        self._directory = ClusterDir.named(name)
        self._names = roster.parts(virtual_nodes.all_nodes(self._directory.read_description()))

    @property
    def daemon(self) -> int:
        """The process id of the daemon that watches over them, 0 if the cluster is down."""
        return manage.daemon_pid(self._directory) or 0

    def facts(self) -> list[Facts]:
        """How all parts are now."""
        return [Facts(**each) for each in control.ask(self._directory.parts_socket, do="list")]

    def start(self) -> list[Facts]:
        """Start all that are stopped."""
        return self._do("start", seconds=_SETTLE)

    def stop(self) -> list[Facts]:
        """Stop all."""
        return self._do("stop", signal=int(signals.SIGTERM))

    def _do(self, what: str, **options: object) -> list[Facts]:
        told = control.ask(self._directory.parts_socket, do=what, **options)
        return [Facts(**each) for each in told]

    def __getitem__(self, name: str) -> Part:
        if name not in self._names:
            raise UsageError(
                f"The cluster {self._directory.name} has no part {name!r}.",
                f"Its parts are {', '.join(self._names)}.",
                f"Try: parts[{roster.SCHEDULER!r}]",
            )
        return Part(self._directory, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __str__(self) -> str:
        rows = [_COLUMNS, *(facts.row() for facts in self.facts())]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )

    __repr__ = __str__

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        head = "".join(f"<th>{column}</th>" for column in _COLUMNS)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in facts.row()) + "</tr>"
            for facts in self.facts()
        )
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return {"text/plain": str(self), "text/html": table}
