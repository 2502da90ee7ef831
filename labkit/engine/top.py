"""`docker top`: the processes of a container as ps(1) would list them.

dockerd runs the host's `ps` with the options that it is given, and picks out the container's
processes.  Many machines that the lab runs on have no `ps`, so the table is made here, from /proc:
for `-ef` (the default), `aux`, and `-o`, `-eo` with a list of columns.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cached_property

from labkit.engine.errors import EngineError
from labkit.engine.spawner.procfs import PAGE

TICKS = os.sysconf("SC_CLK_TCK")
DEVICES = {136: "pts/", 4: "tty"}  # by major number (proc_pid_stat(5), tty_nr)


class Row:
    """One process, read when it is made.  Raises OSError if it has ended."""

    def __init__(self, pid: int, now: float) -> None:
        with open(f"/proc/{pid}/stat") as file:
            line = file.read()
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")[:-1]
        self.pid = str(pid)
        self.name = line[line.index("(") + 1 : line.rindex(")")]
        self.fields = line[line.rindex(")") + 2 :].split()
        self.command = b" ".join(words).decode(errors="replace") or f"[{self.name}]"
        self.user_id = os.stat(f"/proc/{pid}").st_uid
        self._now = now

    @cached_property
    def started(self) -> float:
        """Unix seconds."""
        with open("/proc/uptime") as file:
            uptime = float(file.read().split()[0])
        return self._now - uptime + int(self.fields[19]) / TICKS

    @property
    def age(self) -> float:
        """Seconds since it started."""
        return max(self._now - self.started, 1 / TICKS)

    @property
    def cpu(self) -> float:
        """CPU seconds."""
        return (int(self.fields[11]) + int(self.fields[12])) / TICKS

    @property
    def user(self) -> str:
        try:
            return pwd.getpwuid(self.user_id).pw_name
        except KeyError:
            return str(self.user_id)

    @property
    def terminal(self) -> str:
        number = int(self.fields[4])
        name = DEVICES.get(number >> 8 & 0xFFF)
        return f"{name}{number & 0xFF}" if name else "?"

    @property
    def state(self) -> str:
        """STAT of `ps`: the state, session leaders, several threads, foreground."""
        leader = "s" if self.fields[3] == self.pid else ""
        threads = "l" if int(self.fields[17]) > 1 else ""
        front = "+" if self.fields[5] == self.fields[2] else ""
        return self.fields[0] + leader + threads + front

    def share_of_memory(self) -> float:
        total = os.sysconf("SC_PHYS_PAGES")
        return 100 * int(self.fields[21]) / total


def clock(seconds: float) -> str:
    """`[DD-]HH:MM:SS`."""
    whole = int(seconds)
    days, rest = divmod(whole, 86400)
    text = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}-{text}" if days else text


def elapsed(seconds: float) -> str:
    """`[[DD-]HH:]MM:SS`."""
    text = clock(seconds)
    return text.removeprefix("00:") if seconds < 3600 else text


def _started(row: Row) -> str:
    moment = datetime.fromtimestamp(row.started)
    return moment.strftime("%H:%M" if row.age < 86400 else "%b%d")


Column = tuple[str, Callable[[Row], str]]  # title, value
# By the names that `ps -o` knows.
# fmt: off
COLUMNS: dict[str, Column] = {
    "args": ("COMMAND", lambda row: row.command),
    "c": ("C", lambda row: f"{100 * row.cpu / row.age:.0f}"),
    "cmd": ("CMD", lambda row: row.command),
    "comm": ("COMMAND", lambda row: row.name),
    "command": ("COMMAND", lambda row: row.command),
    "etime": ("ELAPSED", lambda row: elapsed(row.age)),
    "ni": ("NI", lambda row: row.fields[16]),
    "nlwp": ("NLWP", lambda row: row.fields[17]),
    "pcpu": ("%CPU", lambda row: f"{100 * row.cpu / row.age:.1f}"),
    "pgid": ("PGID", lambda row: row.fields[2]),
    "pid": ("PID", lambda row: row.pid),
    "pmem": ("%MEM", lambda row: f"{row.share_of_memory():.1f}"),
    "ppid": ("PPID", lambda row: row.fields[1]),
    "rss": ("RSS", lambda row: str(int(row.fields[21]) * PAGE >> 10)),
    "s": ("S", lambda row: row.fields[0]),
    "sid": ("SID", lambda row: row.fields[3]),
    "start": ("START", _started),
    "stat": ("STAT", lambda row: row.state),
    "stime": ("STIME", _started),
    "time": ("TIME", lambda row: clock(row.cpu)),
    "tt": ("TT", lambda row: row.terminal),
    "tty": ("TTY", lambda row: row.terminal),
    "uid": ("UID", lambda row: str(row.user_id)),
    "user": ("USER", lambda row: row.user),
    "vsz": ("VSZ", lambda row: str(int(row.fields[20]) >> 10)),
}
ALIASES = {"%cpu": "pcpu", "%mem": "pmem", "cputime": "time", "euser": "user", "vsize": "vsz"}
FULL: list[Column] = [
    ("UID", lambda row: row.user),
    *(COLUMNS[name] for name in ("pid", "ppid", "c", "stime", "tty", "time", "cmd")),
]
# fmt: on
BSD = [COLUMNS[n] for n in ("user", "pid", "pcpu", "pmem", "vsz", "rss")] + [
    ("TTY", lambda row: row.terminal),
    COLUMNS["stat"],
    COLUMNS["start"],
    ("TIME", lambda row: f"{int(row.cpu) // 60}:{int(row.cpu) % 60:02}"),
    COLUMNS["command"],
]


def columns(options: str) -> list[Column]:
    """What the options of `ps` ask for.  Raises EngineError."""
    words = options.split() or ["-ef"]
    if words == ["-ef"]:
        return FULL
    if words in (["aux"], ["-aux"]):
        return BSD
    if len(words) == 2 and words[0] in ("-o", "-eo"):
        names = [ALIASES.get(name, name) for name in words[1].lower().split(",")]
        if unknown := [name for name in names if name not in COLUMNS]:
            raise EngineError(f'ps: error: unknown user-defined format specifier "{unknown[0]}"')
        if "pid" not in names:
            raise EngineError("Couldn't find PID field in ps output")
        return [COLUMNS[name] for name in names]
    raise EngineError(
        f"ps: error: the embedded engine does not know these options: {options}. It has a table "
        "of its own in the place of ps. Ask for -ef, aux, or columns: docker top web -o pid,args."
    )


def table(pids: Iterable[int], options: str, now: float) -> dict[str, list]:
    """The answer of `GET /containers/{id}/top`; `now` in Unix seconds.  Raises EngineError."""
    wanted, rows = columns(options), []
    for pid in pids:
        try:
            row = Row(pid, now)
        except OSError:
            continue  # it has ended meanwhile
        rows.append([value(row) for _, value in wanted])
    return {"Titles": [title for title, _ in wanted], "Processes": rows}
