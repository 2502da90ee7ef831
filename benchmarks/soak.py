"""`make soak`: requests for half an hour while something is killed every twenty seconds.

    python -m benchmarks.soak --minutes 3

A cluster of separate parts serves a Deployment through its Service.  Every `--every` seconds one
victim gets SIGKILL: a container, a node daemon, the Service proxy, the API server, the controllers,
the scheduler or another part.  The run holds if the cluster ends as it was declared (all replicas
and nodes Ready, the Service answers) with as many processes, file descriptors and sockets as it
began with, and leaves nothing behind when it goes down.  All figures are printed; the exit code is
1 where the run does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.soak_census import Census, census, leaks, strays
from benchmarks.soak_cluster import REPLICAS, SoakedCluster
from labkit.clusters import manage
from labkit.load import start, step

NAME = "soak"
_SAMPLE = 0.25  # seconds between two looks at the state
_WARM = 15.0  # seconds of load before anything is counted
_SETTLE = 100.0  # seconds without load: idle connections to the API server are kept for 90
_PATIENCE = 400.0  # seconds for the declared state at the end: back-off goes up to 300
_CONTAINER, _NODE = "container", "node daemon"
VICTIMS = (
    _CONTAINER,
    _NODE,
    "kube-proxy",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "coredns",
    "metrics-server",
    "ingress-controller",
)


@dataclass
class Kill:
    """One kill and what came of it; times in Unix seconds, `recovered` None if not in time."""

    victim: str
    at: float
    bad: float | None = None  # when the state was last seen to be other than declared
    good: float | None = None  # when it was first seen as declared after that
    failures: dict[str, int] = field(default_factory=dict)

    @property
    def recovery(self) -> float | None:
        """Seconds until the state was as declared and stayed so until the next kill."""
        if self.bad is None:
            return 0.0
        return self.good - self.at if self.good is not None else None


class Soak:
    """One run."""

    def __init__(self, cluster: SoakedCluster, options: argparse.Namespace) -> None:
        self.cluster, self.options = cluster, options
        self.random = random.Random(options.seed)
        self.kills: list[Kill] = []

    async def run(self) -> None:
        """Kill, look, kill, look."""
        end = time.time() + self.options.minutes * 60
        while (now := time.time()) < end:
            victim = self.random.choice(VICTIMS)
            what = await self.cluster.kill(victim, self.random)
            kill = Kill(victim, time.time())
            self.kills.append(kill)
            print(f"{now - end + self.options.minutes * 60:6.0f} s  kill -9 {what}", flush=True)
            await self._watch(kill, min(now + self.options.every, end))

    async def _watch(self, kill: Kill, until: float) -> None:
        while time.time() < until:
            trouble = await self.cluster.trouble()
            now = time.time()
            if trouble:
                kill.bad, kill.good = now, None
            elif kill.bad is not None and kill.good is None:
                kill.good = now
            await asyncio.sleep(_SAMPLE)

    def count_failures(self, rows: list[dict]) -> None:
        """Attribute what failed in each second to the kill before it."""
        for row in rows:
            # A second is named by its beginning; what failed in it may have failed at its end.
            before = [kill for kill in self.kills if kill.at < row["time"] + 1]
            if row["kinds"] and before:
                for kind, count in row["kinds"].items():
                    before[-1].failures[kind] = before[-1].failures.get(kind, 0) + count


def report(kills: list[Kill], summary: dict) -> None:
    """The figures by victim."""
    print(f"\nrequests   {summary['total']}, failed {summary['errors']} "
          f"({100 * summary['error_rate']:.3f} %), p50 {summary['p50']:.1f} ms, "
          f"p99 {summary['p99']:.1f} ms")  # fmt: skip
    kinds = ", ".join(f"{kind} {count}" for kind, count in summary["errors_by_kind"].items())
    print(f"failures   {kinds or 'none'}")
    print("\nvictim                   kills  recovery: median     max  over  requests failed")
    for victim in VICTIMS:
        mine = [kill for kill in kills if kill.victim == victim]
        times = [kill.recovery for kill in mine if kill.recovery is not None]
        middle = f"{statistics.median(times):6.1f} s" if times else "       –"
        longest = f"{max(times):6.1f} s" if times else "       –"
        failed = sum(sum(kill.failures.values()) for kill in mine)
        print(f"{victim:<24} {len(mine):>5}          {middle} {longest}  "
              f"{len(mine) - len(times):>4}  {failed:>6}")  # fmt: skip
    print("(over: not as declared before the next kill; a container that was killed before waits)")


def report_census(before: Census, after: Census) -> None:
    """Processes, descriptors, sockets and memory of each part, before and after."""
    print("\npart                     processes  descriptors      sockets       memory (PSS)")
    for name in before:
        a, b = before[name], after.get(name)
        if b:
            print(f"{name:<24} {a.processes:>3} → {b.processes:<3}  {a.descriptors:>4} → "
                  f"{b.descriptors:<4}  {a.sockets:>4} → {b.sockets:<4}  "
                  f"{a.memory / 2**20:>5.0f} → {b.memory / 2**20:.0f} MiB")  # fmt: skip
    total = [sum(each.memory for each in found.values()) / 2**20 for found in (before, after)]
    print(f"{'all':<24} {' ' * 41}{total[0]:>5.0f} → {total[1]:.0f} MiB")


async def soak(options: argparse.Namespace) -> list[str]:
    """One run on a cluster that is up; what does not hold."""
    cluster = SoakedCluster(NAME)
    try:
        url = await cluster.deploy()
        with start(url, step(options.rate, _WARM)) as warm:
            await asyncio.to_thread(warm.result)
        await asyncio.sleep(_SETTLE)
        before = census(cluster.parts)
        run = Soak(cluster, options)
        with start(url, step(options.rate, options.minutes * 60 + _WARM)) as load:
            await run.run()
            await asyncio.to_thread(load.result)
        run.count_failures(load.seconds)
        report(run.kills, load.summary)
        trouble = await cluster.settled(_PATIENCE)
        await asyncio.sleep(_SETTLE)
        after = census(cluster.parts)
        report_census(before, after)
        with start(url, step(20, 2)) as last:
            answered = (await asyncio.to_thread(last.result))["errors"].sum() == 0
        problems = [f"not as declared: {trouble}"] if trouble else []
        problems += [] if answered else ["the Service does not answer"]
        return problems + leaks(before, after)
    finally:
        await cluster.close()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--every", type=float, default=20, help="seconds between kills")
    parser.add_argument("--rate", type=float, default=100, help="requests per second")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="labkit-soak-"))
    os.environ["LABKIT_HOME"] = str(home)
    print(f"{options.minutes:g} minutes, {options.rate:g} requests/s, {REPLICAS} replicas, "
          f"a kill every {options.every:g} s, seed {options.seed}")  # fmt: skip
    try:
        daemon = manage.up(NAME, 3, parts="separate").pid
        problems = asyncio.run(soak(options))
        below = [psutil.Process(daemon), *psutil.Process(daemon).children(recursive=True)]
    finally:
        manage.down(NAME)
    problems += strays(below, home)
    shutil.rmtree(home)
    print("\n" + "\n".join(problems) if problems else "\nThe run holds.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
