"""Limits and restart policies, modes and columns of `ps`, by tables."""

from __future__ import annotations

import os
import stat

import pytest

from labkit.engine import archive, resources, top
from labkit.engine.errors import BadParameter, Conflict, EngineError
from labkit.engine.resources import Limits
from labkit.engine.restarts import Restarts
from labkit.engine.spawner.bandwidth import MS, Bandwidth

# CPU bandwidth: half a processor, 50 ms in each 100 ms, from a period's beginning on


def account(quota: int = 50, period: int = 100) -> Bandwidth:
    return Bandwidth(quota * MS, period * MS, 0)


@pytest.mark.parametrize(
    ("looks", "standing"),
    [
        pytest.param([(50, 49)], False, id="within-the-quota"),
        pytest.param([(50, 50)], True, id="used-up"),
        pytest.param([(50, 50), (99, 0)], True, id="until-the-period-ends"),
        pytest.param([(50, 50), (100, 0)], False, id="the-next-period"),
        pytest.param([(50, 90), (100, 0)], False, id="a-debt-that-one-period-pays"),
        pytest.param([(50, 110), (100, 0)], True, id="a-debt-that-one-does-not-pay"),
        pytest.param([(50, 110), (100, 0), (200, 0)], False, id="but-two-do"),
        pytest.param([(1000, 0), (1040, 49), (1050, 1)], True, id="nothing-is-saved-up"),
    ],
)
def test_a_container_stands_still_once_its_quota_is_used(looks, standing: bool) -> None:
    bandwidth = account()
    for now, used in looks:
        bandwidth.charge(now * MS, used * MS)
    assert bandwidth.stopped is standing


def test_the_mean_is_exact_however_late_the_looks_are() -> None:
    bandwidth, used, now, last = account(), 0, 0, 0
    for late in [0, 7, 1, 13, 4] * 200:
        now = bandwidth.due(now, 2) + late * MS
        burnt = 0 if bandwidth.stopped else now - last
        bandwidth.charge(now, burnt)
        used, last = used + burnt, now
    assert used / now == pytest.approx(0.5, rel=0.02)


def test_the_next_look_comes_when_the_quota_can_be_used_up() -> None:
    bandwidth = account()
    assert bandwidth.due(0, 1) == 50 * MS
    assert bandwidth.due(0, 2) == 25 * MS
    bandwidth.charge(25 * MS, 49 * MS)
    assert bandwidth.due(25 * MS, 1) == 27 * MS
    bandwidth.charge(27 * MS, 2 * MS)
    assert bandwidth.due(27 * MS, 2) == 100 * MS


def test_the_figures_are_those_of_a_cgroup() -> None:
    bandwidth = account()
    for now, used in [(50, 50), (100, 0), (130, 10), (200, 0), (300, 0), (350, 50)]:
        bandwidth.charge(now * MS, used * MS)
    # Three periods of use, of which one has ended in a standstill of 50 ms; the last goes on.
    assert bandwidth.figures(370 * MS) == (2, 1, 70 * MS)


def test_a_new_limit_holds_at_once_and_keeps_the_figures() -> None:
    bandwidth = account()
    bandwidth.charge(50 * MS, 50 * MS)
    bandwidth.change(80 * MS, 100 * MS, 60 * MS)
    assert not bandwidth.charge(60 * MS, 0)
    assert bandwidth.figures(60 * MS) == (0, 0, 10 * MS)


def test_a_short_period_is_made_longer_with_its_quota() -> None:
    bandwidth = account(quota=1, period=2)
    assert (bandwidth.quota, bandwidth.period) == (10 * MS, 20 * MS)


# What HostConfig asks for


@pytest.mark.parametrize(
    ("config", "limits"),
    [
        ({}, Limits()),
        ({"Memory": 64 << 20}, Limits(64 << 20)),
        ({"NanoCpus": 500_000_000}, Limits(0, 50 * MS, 100 * MS)),
        ({"CpuQuota": 20_000}, Limits(0, 20 * MS, 100 * MS)),
        ({"CpuQuota": 20_000, "CpuPeriod": 50_000}, Limits(0, 20 * MS, 50 * MS)),
        ({"CpuQuota": -1, "CpuPeriod": 50_000}, Limits()),
        ({"Memory": None, "NanoCpus": None}, Limits()),
    ],
)
def test_limits_are_read_from_the_host_config(config, limits: Limits) -> None:
    assert resources.limits(config) == limits


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"Memory": 6 << 20}, ""),
        ({"Memory": (6 << 20) - 1}, "Minimum memory limit"),
        ({"NanoCpus": 2 * 10**9}, ""),
        ({"NanoCpus": 2 * 10**9 + 1}, "Range of CPUs is from 0.01 to 2.00"),
        ({"NanoCpus": -1}, "Range of CPUs"),
        ({"CpuPeriod": 999}, "CPU cfs period"),
        ({"CpuPeriod": 1_000_001}, "CPU cfs period"),
        ({"CpuQuota": 999}, "CPU cfs quota"),
        ({"NanoCpus": 1, "CpuPeriod": 1000}, "Nano CPUs and CPU Period"),
    ],
)
def test_limits_have_bounds(config, words: str) -> None:
    if not words:
        return resources.check(config, 2)
    with pytest.raises(BadParameter, match=words):
        resources.check(config, 2)
    return None


def test_an_update_changes_what_it_names() -> None:
    old = {"Memory": 64, "MemorySwap": 128 << 20, "RestartPolicy": {"Name": "no"}, "Dns": ["a"]}
    wanted = {"Memory": 8 << 20, "NanoCpus": 0, "RestartPolicy": {"Name": "always"}, "Dns": ["b"]}
    assert resources.updated("c", old, wanted, 2) == {
        "Memory": 8 << 20,
        "MemorySwap": 128 << 20,
        "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
        "Dns": ["a"],
    }


def test_an_automatically_removed_container_gets_no_restart_policy() -> None:
    with pytest.raises(Conflict, match="because AutoRemove is enabled"):
        resources.updated("c", {"AutoRemove": True}, {"RestartPolicy": {"Name": "always"}}, 2)


# Restarts


@pytest.mark.parametrize(
    ("policy", "runs", "waits"),
    [
        pytest.param("no", [(1, 0)], [None], id="no"),
        pytest.param("", [(1, 0)], [None], id="none"),
        pytest.param("always", [(0, 0), (1, 0), (0, 0)], [0.1, 0.2, 0.4], id="doubling"),
        pytest.param("always", [(1, 0), (1, 10), (1, 9)], [0.1, 0.1, 0.2], id="after-a-long-run"),
        pytest.param("on-failure", [(1, 0), (0, 0)], [0.1, None], id="success"),
        pytest.param("on-failure:2", [(1, 0)] * 3, [0.1, 0.2, None], id="given-up"),
        pytest.param("unless-stopped", [(0, 0), (1, 0)], [0.1, 0.2], id="unless-stopped"),
    ],
)
def test_a_policy_says_when_to_restart(policy: str, runs, waits) -> None:
    name, _, most = policy.partition(":")
    policy_ = {"Name": name, "MaximumRetryCount": int(most or 0)}
    restarts = Restarts()
    assert [restarts.after(policy_, code, ran) for code, ran in runs] == waits


def test_the_wait_is_a_minute_at_most() -> None:
    restarts = Restarts()
    waits = [restarts.after({"Name": "always"}, 1, 0) for _ in range(12)]
    assert (waits[9], waits[10], waits[11]) == (51.2, 60, 60)


@pytest.mark.parametrize(
    ("policy", "by_hand", "restarted"),
    [
        ("always", {"cancelled": True}, False),
        ("on-failure", {"cancelled": True}, False),
        ("always", {"signalled": True}, True),
        ("unless-stopped", {"signalled": True}, False),
    ],
)
def test_what_somebody_stops_is_not_restarted(policy: str, by_hand, restarted: bool) -> None:
    wait = Restarts(**by_hand).after({"Name": policy}, 1, 0)
    assert (wait is not None) is restarted


# Copies and top


@pytest.mark.parametrize(
    ("mode", "go"),
    [
        (stat.S_IFREG | 0o644, 0o644),
        (stat.S_IFDIR | 0o755, 1 << 31 | 0o755),
        (stat.S_IFLNK | 0o777, 1 << 27 | 0o777),
        (stat.S_IFREG | stat.S_ISUID | 0o755, 1 << 23 | 0o755),
        (stat.S_IFDIR | stat.S_ISVTX | 0o777, 1 << 31 | 1 << 20 | 0o777),
    ],
)
def test_modes_are_written_as_go_has_them(mode: int, go: int) -> None:
    assert archive.go_mode(mode) == go


def test_top_shows_this_process_in_every_column() -> None:
    options = "-o " + ",".join(top.COLUMNS)
    table = top.table([os.getpid(), 2**22 + 1], options, 0)
    assert table["Titles"] == [title for title, _ in top.COLUMNS.values()]
    (row,) = table["Processes"]
    shown = dict(zip(top.COLUMNS, row, strict=True))
    assert (shown["pid"], shown["ppid"]) == (str(os.getpid()), str(os.getppid()))
    assert shown["uid"] == str(os.getuid())
    assert int(shown["rss"]) > 1000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("-o comm", "Couldn't find PID field in ps output"),
        ("-o pid,odd", 'unknown user-defined format specifier "odd"'),
        ("--forest", "does not know these options"),
    ],
)
def test_top_says_what_it_cannot_show(options: str, words: str) -> None:
    with pytest.raises(EngineError, match=words):
        top.columns(options)


@pytest.mark.parametrize(
    ("seconds", "cpu", "age"),
    [(0, "00:00:00", "00:00"), (3599, "00:59:59", "59:59"), (90061, "1-01:01:01", "1-01:01:01")],
)
def test_times_are_written_as_ps_does(seconds: int, cpu: str, age: str) -> None:
    assert (top.clock(seconds), top.elapsed(seconds)) == (cpu, age)
