"""Processes as /proc and their CPU clocks show them; one that has ended is None or has no children.

A process' CPU clock (clock_getcpuclockid(3)) is exact to the nanosecond, holds the time of all its
threads, and costs a third of a microsecond; a line of /proc costs twenty times that.  What it does
not hold is the time of the children that the process has waited for.
"""

import os
import signal
import time

TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
MARKER = b"CONTAINER_ROOT="


class Seen:
    """A process: whether it is stopped (by anybody), whether it has a terminal, the CPU time that
    it and the children that it has waited for have used (nanoseconds, in whole ticks), its threads,
    its resident bytes."""

    __slots__ = ("resident", "stopped", "terminal", "threads", "used", "waited")

    def __init__(self, line):
        fields = line.rpartition(b") ")[2].split()  # the name before it may hold anything
        self.stopped = fields[0] in (b"T", b"t")
        self.terminal = fields[4] != b"0"
        self.used = (int(fields[11]) + int(fields[12])) * TICK_NS
        self.waited = (int(fields[13]) + int(fields[14])) * TICK_NS
        self.threads = int(fields[17])
        self.resident = int(fields[21]) * PAGE


def see(pid):
    """What /proc/PID/stat says, or None."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return Seen(file.read(1024))
    except OSError:
        return None


def cpu_clock(pid):
    """CPU time of all threads of `pid` in nanoseconds; None also where clocks cannot be read."""
    try:
        return time.clock_gettime_ns(~pid << 3 | 2)
    except OSError:
        return None


def proportional(pid):
    """Resident bytes of `pid`, each page divided by the number of processes that share it."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith(b"Pss:"))
    except (OSError, StopIteration):
        seen = see(pid)
        return seen.resident if seen else 0


def children_of(pid):
    """The ids of the direct children of `pid`, of all its threads."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        found = []
        for task in tasks:
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                found += map(int, file.read().split())
        return found
    except OSError:
        return [child for child, parent in parents() if parent == pid] if _needs_scan() else []


def _needs_scan():
    """Whether this kernel has no /proc/*/children (CONFIG_PROC_CHILDREN)."""
    return not os.path.exists("/proc/thread-self/children")


def parents():
    """(id, parent's id) of every visible process: for kernels without /proc/*/children."""
    pairs = []
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    pairs.append((int(name), int(file.read().rpartition(b")")[2].split()[1])))
            except OSError:
                continue
    return pairs


def trees(roots):
    """`roots`, their children, grandchildren and so on: parents before their children."""
    found = list(roots)
    for pid in found:
        found += children_of(pid)
    return found


def root_of(pid):
    """The CONTAINER_ROOT that `pid` was started with, or None."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            for item in file.read().split(b"\0"):
                if item.startswith(MARKER):
                    return os.fsdecode(item[len(MARKER) :])
    except OSError:
        pass
    return None


def send_signal(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def kill_trees(roots):
    """Kill `roots` and what descends from them; who is forked meanwhile is met the next time."""
    for victim in trees(roots):
        send_signal(victim, signal.SIGKILL)
