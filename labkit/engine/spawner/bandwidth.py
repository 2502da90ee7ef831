"""The arithmetic of a CPU limit: the kernel's CFS bandwidth control, for one container.

A container may use `quota` of CPU time in each `period`; having used it, it stands still until the
next period (Linux, Documentation/scheduler/sched-bwc.rst).  The kernel counts as it schedules.
Here somebody looks now and then, so a container may have used more than it had before it is
stopped.  The excess is a debt that the next periods pay; so the mean over seconds is exact.  `due`
says when to look again: when the quota can be used up at the earliest.

Periods begin at multiples of their length, so that one wake-up serves all containers.  All times
are in nanoseconds.
"""

MS = 10**6
LOOK = 2 * MS  # no two looks are closer: so much may be used unseen
SHORTEST = 20 * MS  # a shorter period is made longer, its quota with it


class Bandwidth:
    """One container's account.  `periods`, `throttled` and `throttled_time` are what cpu.stat of a
    cgroup says: periods with any use, those that ended in a standstill, and its length."""

    def __init__(self, quota, period, now):
        self.periods = self.throttled = self.throttled_time = 0
        self._since = None  # when it was stopped
        self._busy = False  # it has used something in this period
        self.change(quota, period, now)

    def change(self, quota, period, now):
        """A new limit, which holds from now on."""
        factor = max(1, -(-SHORTEST // period))
        self.quota, self.period = quota * factor, period * factor
        self.left = self.quota
        self._end = (now // self.period + 1) * self.period

    @property
    def stopped(self):
        return self._since is not None

    def charge(self, now, used):
        """It has used so much since the last look; whether it is to stand still from now on."""
        self.left -= used
        self._busy = self._busy or used > 0
        if now >= self._end:
            self._begin_period(now)
        if self.left <= 0:
            if self._since is None:
                self._since = now
        elif self._since is not None:
            self.release(now)
        return self.stopped

    def release(self, now):
        """It stands still no more."""
        if self._since is not None:
            self.throttled_time += now - self._since
            self._since = None

    def _begin_period(self, now):
        passed = 1 + (now - self._end) // self.period
        if self.stopped:
            self.periods += passed
            self.throttled += passed
        elif self._busy:
            self.periods += 1
        self.left = min(self.quota, self.left + passed * self.quota)
        self._end += passed * self.period
        self._busy = False

    def due(self, now, processors):
        """When to look again, if it may use `processors` at once."""
        if self.stopped:
            return self._end
        return min(self._end, now + max(LOOK, self.left // processors))

    def figures(self, now):
        """(periods, throttled periods, time throttled), a standstill of this moment included."""
        standing = now - self._since if self.stopped else 0
        return self.periods, self.throttled, self.throttled_time + standing
