"""Memory limits, CPU limits and pause: what the kernel's cgroups do, done by signals.

Mechanism: a *look* at a container reads the CPU clocks of its known processes.  If none has moved,
none has allocated, forked or used anything, and that was all: an idle container costs a few
microseconds a second.  Else the tree of its processes is read anew, with their memory.

* Memory: above the limit all processes are killed, as with memory.oom.group of a cgroup v2, which
  is how a kubelet sets up its containers.  A page that several processes share counts once.
* CPU: `bandwidth` says when a container has to stand still: then all its processes get SIGSTOP, and
  SIGCONT when the next period begins.
* Pause: the same SIGSTOP, until told otherwise.

The next look comes when a limit can be exceeded at the earliest: a busy container is looked at
every few milliseconds if it is near its limit, an idle one every `IDLE` nanoseconds.

Invariants: parents are stopped before their children and continued after them, so that a shell
never sees a job of its own stopped; on a terminal, where shells look for that, it is waited until
they are.  A process that was stopped already (Ctrl-Z in a shell) is left
alone.  Nothing is continued that was not stopped here.

Left out compared with cgroups: page cache and swap; CPU weights.  What has a handler for SIGCONT
(vim, less) gets that signal at each period that follows a standstill.
"""

import os
import signal
from time import clock_gettime_ns, sleep

from . import procfs
from .bandwidth import LOOK, MS, Bandwidth

IDLE = 50 * MS
LONGEST = 100 * MS
MEMORY_LOOK = 5 * MS  # no two looks for the sake of memory are closer
GROWTH = 2 << 30  # bytes that a processor can fill in a second, cached pages of zeros
STOP_ROUNDS, STOP_PAUSE = 50, 0.0001  # how often, and every how many seconds, it is looked
ROUNDS = 10  # how often a tree is read again while it still forks


class Group:
    """What is known of one container's processes."""

    def __init__(self):
        self.memory = 0  # limit in bytes; 0: none
        self.bandwidth = None
        self.looked = self.due = 0  # the latest look and the next, in nanoseconds
        self.clocks = {}  # CPU clocks at the last look, by process
        self.used = 0  # the highest CPU time seen, of all that ever ran
        self.ended = 0  # of it: of processes that only this process has waited for
        self.room = 0  # bytes until the memory limit
        self.threads = 1
        self.stopped = []  # by the CPU limit, parents first
        self.paused = None  # the same for pause; None: not paused

    @property
    def watched(self):
        return self.paused is None and (self.memory or self.bandwidth is not None)


class Limits:
    """The limits of all containers.

    `main` maps each process that was started here, and runs, to its group; `kin(group)` gives the
    other direct children of this process that belong to it; `out_of_memory(group)` is told before
    a group is killed.
    """

    def __init__(self, main, kin, out_of_memory):
        self._main, self._kin, self._out_of_memory = main, kin, out_of_memory
        self._groups = {}
        self._processors = len(os.sched_getaffinity(0))

    def set(self, name, memory, quota, period, now):
        """New limits of a group: bytes, and CPU time in each period; 0 for none."""
        group = self._groups.setdefault(name, Group())
        group.memory, group.clocks = memory, {}
        group.looked = group.due = now
        if quota and group.bandwidth:
            group.bandwidth.change(quota, period, now)
        elif quota:
            group.bandwidth = Bandwidth(quota, period, now)
            # What it has used without a limit is no debt.
            self._measure(group, self._members(name))
        else:
            self._resume(group, now)
            group.bandwidth = None

    def figures(self, name, now):
        """(periods, throttled periods, nanoseconds throttled) of a group."""
        group = self._groups.get(name)
        return group.bandwidth.figures(now) if group and group.bandwidth else (0, 0, 0)

    def started(self, name, now):
        """A process was started in this group: look soon."""
        if name in self._groups:
            self._groups[name].clocks.clear()
            self._groups[name].due = min(self._groups[name].due, now + LOOK)

    def reaped(self, name, cpu):
        """A child of this process has ended, having used so many nanoseconds."""
        if name in self._groups:
            self._groups[name].ended += cpu

    def forget(self, name):
        """No process of the group is left."""
        self._groups.pop(name, None)

    def pause(self, name, now):
        """Stop all processes of a group until `unpause`."""
        group = self._groups.setdefault(name, Group())
        if group.paused is None:
            if group.bandwidth:
                group.bandwidth.release(now)
            group.paused, group.stopped = group.stopped, []
            self._stop(name, self._members(name), group.paused)
            for pid in group.paused:
                _await_standstill(pid)

    def unpause(self, name, now):
        group = self._groups.get(name)
        if group and group.paused is not None:
            _continue(group.paused)
            group.paused, group.due = None, now

    def look(self, now):
        """Look at the groups whose time has come; when to look next, or None."""
        soonest = None
        for name, group in list(self._groups.items()):
            if group.watched:
                if group.due <= now:
                    self._look(name, group, now)
                if soonest is None or group.due < soonest:
                    soonest = group.due
        return soonest

    def _look(self, name, group, now):
        if group.stopped:
            self._throttle(name, group, now, 0)
        elif _moved(group.clocks):
            self._look_closely(name, group, now)
        else:
            # One wake-up for all that are idle.
            group.looked, group.due = now, (now // IDLE + 1) * IDLE

    def _look_closely(self, name, group, now):
        members = self._members(name)
        used = self._measure(group, members)
        if group.memory and self._exceeds(group, members):
            self._kill(name, group, members)
        if group.bandwidth:
            group.bandwidth.charge(group.looked, 0)  # the periods in which it was idle
            self._throttle(name, group, now, used)
        else:
            group.due = now + LONGEST
        if group.memory:
            filled = max(0, group.room) * 10**9 // (GROWTH * self._at_once(group))
            group.due = min(group.due, now + max(MEMORY_LOOK, filled))
        group.looked = now

    def _kill(self, name, group, members):
        self._out_of_memory(name)
        group.memory = 0  # it is told once, however long the dying takes
        for pid in members:
            procfs.send_signal(pid, signal.SIGKILL)

    def _throttle(self, name, group, now, used):
        if not group.bandwidth.charge(now, used):
            self._resume(group, now)
        elif not group.stopped:
            self._stop(name, list(group.clocks), group.stopped)
        group.due = group.bandwidth.due(now, self._at_once(group))

    def _at_once(self, group):
        """How many processors the group can use at a time."""
        return min(self._processors, group.threads)

    def _members(self, name):
        """The processes of a group, parents first."""
        own = [pid for pid, group in self._main.items() if group == name]
        return procfs.trees(own + self._kin(name))

    def _measure(self, group, members):
        """Read what `members` use; the CPU time that is new since the last time."""
        total, group.threads, resident = group.ended, 0, 0
        group.clocks = {}
        for pid in members:
            clock, seen = procfs.cpu_clock(pid), procfs.see(pid)
            if seen is not None:
                clock = seen.used if clock is None else clock
                group.clocks[pid] = clock
                total += clock + seen.waited
                group.threads += seen.threads
                resident += seen.resident
        group.threads = max(1, group.threads)
        group.room = group.memory - resident
        # Time of a child moves to its parent when that waits for it, in whole ticks: it must not
        # count twice.
        used = max(0, total - group.used)
        group.used += used
        return used

    @staticmethod
    def _exceeds(group, members):
        if group.room < 0 and len(members) > 1:
            group.room = group.memory - sum(map(procfs.proportional, members))
        return group.room < 0

    def _stop(self, name, members, stopped):
        """Stop `members` and what they fork meanwhile; `stopped` gets those that were not."""
        known = set(stopped)
        for _ in range(ROUNDS):
            fresh = [pid for pid in members if pid not in known]
            if not fresh:
                return
            known.update(fresh)
            for pid in fresh:
                seen = procfs.see(pid)
                if seen and not seen.stopped:
                    procfs.send_signal(pid, signal.SIGSTOP)
                    stopped.append(pid)
                    if seen.terminal:
                        _await_standstill(pid)
            members = self._members(name)

    @staticmethod
    def _resume(group, now):
        if group.bandwidth:
            group.bandwidth.release(now)
        _continue(group.stopped)
        group.stopped = []


def _moved(clocks):
    """Whether any process has run, or ended, since its CPU clock was so."""
    try:
        for pid, seen in clocks.items():
            if clock_gettime_ns(~pid << 3 | 2) != seen:
                return True
    except OSError:
        return True
    return not clocks


def _await_standstill(pid):
    """Wait until a signal to stop has had its effect; that takes until the process is scheduled."""
    for _ in range(STOP_ROUNDS):
        seen = procfs.see(pid)
        if seen is None or seen.stopped:
            return
        sleep(STOP_PAUSE)


def _continue(stopped):
    for pid in reversed(stopped):
        procfs.send_signal(pid, signal.SIGCONT)
