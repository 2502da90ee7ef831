"""The application in a simulation: requests, shared among Pods, each of which is a queue.

A second at a time.  The requests of a second are spread over the ready Pods at random, one by one,
as a Service's connections are.  A Pod serves as many as its CPU allows; what it cannot serve waits,
up to a limit, beyond which it is refused.  So more Pods really mean less load for each, latency
rises towards saturation, and an overload sheds.

Within a second requests come at random moments and each costs the same, so a Pod is an M/D/1 queue:
waiting times beyond those of the backlog are about exponential, P(W > t) = ρ·exp(-2·(1-ρ)·t·µ).
A CPU limit does not slow a request down: it works at full speed until the limit's share of a period
of 100 ms is used up.  So a Pod is the slower of two queues: one at full speed, and one at the speed
of its limit of which the first 100 ms do not hurt.  The latency of a second's requests is the
mixture over all Pods.

Source: L. Kleinrock, "Queueing Systems", volume 2 (M/G/1 in heavy traffic); Linux kernel
documentation, "CFS Bandwidth Control"; Kubernetes documentation, "Virtual IPs and Service Proxies"
(the choice of an endpoint is random).
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from labkit.kube.quantity import parse_quantity

# Nearer to 1 the queue of the formula takes longer than a second to grow; the backlog is that.
_BUSIEST = 0.9
_PERIOD = 0.1  # seconds, in which a container may use what its limit allows as it likes
_STEPS = 16  # of a bisection: to some hundred-thousandth of where it began


@dataclass(frozen=True, slots=True)
class Application:
    """What a request costs, and what a Pod can do.

    cpu_ms      CPU time of one request, milliseconds
    other_ms    what it takes besides: the network, waiting for others
    cores       what one Pod can use at most, whatever its limit is (1: one interpreter)
    queue       requests that may wait in a Pod
    idle_milli  what a Pod uses without requests, millicores
    memory_mib  what it holds, MiB
    """

    cpu_ms: float = 5.0
    other_ms: float = 1.0
    cores: float = 1.0
    queue: int = 512
    idle_milli: float = 1.0
    memory_mib: float = 30.0


class Second(NamedTuple):
    """What became of the requests of one second; latencies in milliseconds, NaN without any."""

    offered: int
    completed: float
    errors: float
    p50: float
    p99: float


class _Served(NamedTuple):
    """How one Pod did: requests served, the wait of all (seconds), and that of some beyond it.

    P(W > t) is the greater of busy · exp(-decay · t), at full speed, and throttled ·
    exp(-recovery · (t + period)), at that of its limit (throttled is 0 for a Pod without one).
    """

    count: float
    wait: float
    busy: float
    decay: float
    throttled: float
    recovery: float


_NOTHING = _Served(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(slots=True)
class PodModel:
    """One Pod.  `cpu_seconds` is what it has used when its last second is over, `before` when that
    began.
    """

    cores: float
    waiting: float = 0.0
    cpu_seconds: float = 0.0
    before: float = 0.0

    def second(self, app: Application, arriving: int) -> tuple[_Served, float]:
        """Serve for a second; what was served, and how many were refused."""
        self.before = self.cpu_seconds
        if not arriving and not self.waiting:  # as most of thousands of Pods do in a second
            self.cpu_seconds += app.idle_milli / 1000
            return _NOTHING, 0.0
        rate = self.cores * 1000 / app.cpu_ms
        wait = self.waiting / rate
        there = self.waiting + arriving
        count = min(there, rate)
        self.waiting = there - count
        refused = max(0.0, self.waiting - app.queue)
        self.waiting -= refused
        self.cpu_seconds += count * app.cpu_ms / 1000 + app.idle_milli / 1000
        wait = (wait + self.waiting / rate) / 2  # the mean of its beginning and its end
        free = app.cores * 1000 / app.cpu_ms
        busy = min(count / free, _BUSIEST)
        decay, throttled = 2 * (1 - busy) * free, 0.0
        if self.cores < app.cores:
            throttled = min(count / rate, _BUSIEST)
        recovery = 2 * (1 - throttled) * rate
        return _Served(count, wait, busy, decay, throttled, recovery), refused

    def used(self, share: float) -> float:
        """CPU seconds since its start, at the moment when `share` of its last second is over."""
        return self.before + share * (self.cpu_seconds - self.before)


def cores_of(pod: Mapping, app: Application) -> float:
    """How much CPU a Pod can use: its limit, if there is one, and no more than it has use for."""
    limits = [
        ((one.get("resources") or {}).get("limits") or {}).get("cpu")
        for one in pod["spec"]["containers"]
    ]
    known = [float(parse_quantity(limit)) for limit in limits if limit is not None]
    return min([app.cores, *known[:1]])


def spread(arriving: int, count: int, source: random.Random) -> list[int]:
    """So many requests among so many Pods, each at random."""
    shares = [0] * count
    for _ in range(arriving):
        shares[int(source.random() * count)] += 1
    return shares


def second(
    app: Application, ready: Iterable[PodModel], arriving: int, source: random.Random
) -> Second:
    """Let a second pass for all ready Pods; without any, every request fails."""
    pods = list(ready)
    if not pods:
        return Second(arriving, 0.0, float(arriving), math.nan, math.nan)
    served, errors = Counter[_Served](), 0.0
    for pod, share in zip(pods, spread(arriving, len(pods), source), strict=True):
        done, refused = pod.second(app, share)
        errors += refused
        if done.count:
            served[done] += 1
    completed = sum(one.count * alike for one, alike in served.items())
    base = app.cpu_ms / 1000 + app.other_ms / 1000
    p50, p99 = (_quantile(served, completed, base, share) for share in (0.5, 0.99))
    return Second(arriving, completed, errors, p50 * 1000, p99 * 1000)


def _quantile(served: Mapping[_Served, int], total: float, base: float, share: float) -> float:
    """The time within which `share` of all requests were answered, in seconds.

    `served` says how many Pods did alike: many are idle but for a request or two.
    """
    if not served:
        return math.nan
    each = [_wait(one, share) for one in served]
    low, high = min(each), max(each)
    if len(served) > 1:
        # That of all lies between those of the best and of the worst Pod.
        for _ in range(_STEPS):
            middle = (low + high) / 2
            within = 0.0
            for one, alike in served.items():
                within += alike * one.count * _within(one, middle)
            low, high = (middle, high) if within < share * total else (low, middle)
    return base + high


def _wait(one: _Served, share: float) -> float:
    """The time that `share` of a Pod's requests waited at most, in seconds."""
    rest, beyond = 1 - share, 0.0
    if one.busy > rest:
        beyond = math.log(one.busy / rest) / one.decay
    if one.throttled > rest:
        beyond = max(beyond, math.log(one.throttled / rest) / one.recovery - _PERIOD)
    return one.wait + beyond


def _within(one: _Served, seconds: float) -> float:
    """The share of a Pod's requests that waited no longer."""
    beyond = seconds - one.wait
    if beyond < 0.0:
        return 0.0
    late = one.busy * math.exp(-one.decay * beyond)
    if one.throttled:
        late = max(late, one.throttled * math.exp(-one.recovery * (beyond + _PERIOD)))
    return 1.0 - late
