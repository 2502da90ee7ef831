"""A Deployment of ten rolls from v1 to v2 under 200 requests a second: who answers, how fast.

`python -m benchmarks.rolling FILE.png` draws it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from labkit import load
from labkit.clusters import manage

RATE, SECONDS, PODS = 200, 16, 10
_DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": PODS,
        "selector": {"matchLabels": {"app": "web"}},
        "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "containers": [
                    {
                        "name": "web",
                        "image": "todolist",
                        "env": [
                            {"name": "RELEASE", "value": "v1"},
                            {"name": "REQUEST_CPU_MS", "value": "1"},
                        ],
                        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 3001}},
                    }
                ]
            },
        },
    },
}
_SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 8080, "targetPort": 3001}]},
}
_V1, _V2, _LOAD, _TAIL, _LINE = "#0072B2", "#E69F00", "#56B4E9", "#CC79A7", "#444444"


class Rollout(NamedTuple):
    """What was seen: the load's rows and summary, ready Pods of each version, and when it began
    and ended (seconds after the load's start)."""

    rows: list[dict[str, Any]]
    summary: dict[str, Any]
    pods: list[tuple[float, int, int]]
    old: str
    begun: float
    ended: float

    @property
    def title(self) -> str:
        """The finding."""
        lost = self.summary["total"] - self.summary["completed"]
        return (
            f"{PODS} Pods replaced in {self.ended - self.begun:.1f} s under {RATE} requests/s: "
            f"{self.summary['completed']:,} answered, {lost or 'none'} lost"
        )


def measure() -> Iterator[tuple[str, str]]:
    """(what, figure)."""
    seen = run()
    lost = seen.summary["total"] - seen.summary["completed"]
    figure = f"{lost} of {seen.summary['total']} lost, p99 {seen.summary['p99']:.0f} ms"
    yield f"{PODS} Pods rolled under {RATE} requests/s", figure


def run() -> Rollout:
    """Roll it on a cluster of its own."""
    with tempfile.TemporaryDirectory(prefix="labkit-") as home:
        os.environ["LABKIT_HOME"] = home
        cluster = manage.up("bench", 3)
        try:
            return _roll(_Kubectl(cluster.environment()))
        finally:
            manage.down("bench")


class _Kubectl:
    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = {**os.environ, **environment}

    def __call__(self, *words: str, send: object = None) -> str:
        return subprocess.run(
            ["kubectl", *words],
            env=self._environment,
            input=json.dumps(send) if send else None,
            text=True,
            capture_output=True,
            check=True,
        ).stdout

    def items(self, kind: str) -> list[dict]:
        return json.loads(self("get", kind, "-o", "json"))["items"]


def _roll(kubectl: _Kubectl) -> Rollout:
    for obj in (_DEPLOYMENT, _SERVICE):
        kubectl("apply", "-f", "-", send=obj)
    kubectl("rollout", "status", "deployment/web")
    old = kubectl.items("rs")[0]["metadata"]["name"]
    address = next(one for one in kubectl.items("svc") if one["metadata"]["name"] == "web")
    url = f"http://{address['spec']['clusterIP']}:8080/api/rule"
    pods: list[tuple[float, int, int]] = []
    with load.start(url, load.step(RATE, SECONDS), timeout=30.0, connections=4096) as running:
        start = time.monotonic()
        over = threading.Event()
        watch = threading.Thread(target=_count, args=(kubectl, old, start, pods, over))
        watch.start()
        time.sleep(3)
        begun = time.monotonic() - start
        kubectl("set", "env", "deployment/web", "RELEASE=v2")
        kubectl("rollout", "status", "deployment/web")
        ended = time.monotonic() - start
        list(running.follow())
        over.set()
        watch.join()
    return Rollout(running.seconds, running.summary, pods, old, begun, ended)


def _count(kubectl: _Kubectl, old: str, start: float, pods: list, over: threading.Event) -> None:
    """How many Pods of each version are ready, a few times a second."""
    while not over.wait(0.25):
        ready = {
            rs["metadata"]["name"]: rs["status"].get("readyReplicas", 0)
            for rs in kubectl.items("rs")
        }
        before = ready.pop(old, 0)
        pods.append((time.monotonic() - start, before, sum(ready.values())))


def draw(seen: Rollout, path: Path) -> None:
    """The figure: who answers, how many Pods are ready, how long it takes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (answers, replicas, latency) = pyplot.subplots(
        3, 1, sharex=True, figsize=(9, 6.4), height_ratios=(1, 1, 1.2)
    )
    figure.suptitle(seen.title, x=0.07, ha="left", fontsize=12, fontweight="bold")
    _answers(answers, seen)
    _replicas(replicas, seen)
    _latency(latency, seen)
    for axis in (answers, replicas, latency):
        axis.spines[["top", "right"]].set_visible(False)
        axis.axvspan(seen.begun, seen.ended, color="#EEEEEE", zorder=0)
        axis.set_xlim(0, SECONDS)
    latency.set_xlabel("seconds (wall clock); grey: the rollout")
    figure.subplots_adjust(left=0.07, right=0.9, top=0.92, bottom=0.08, hspace=0.25)
    figure.savefig(path, dpi=100)


def _answers(axis, seen: Rollout) -> None:
    seconds = [row["second"] for row in seen.rows if row["second"] < SECONDS]
    shares = [[], []]
    for row in seen.rows[: len(seconds)]:
        by_old = sum(n for pod, n in row["served_by"].items() if pod.startswith(f"{seen.old}-"))
        shares[0].append(by_old)
        shares[1].append(row["completed"] - by_old)
    middles = [second + 0.5 for second in seconds]
    axis.bar(middles, shares[0], 0.9, color=_V1)
    axis.bar(middles, shares[1], 0.9, bottom=shares[0], color=_V2, hatch="///", edgecolor="white")
    axis.axhline(RATE, color=_LINE, linestyle="--", linewidth=1)
    axis.set_ylabel("answers/s")
    axis.text(SECONDS + 0.1, RATE, "sent", color=_LINE, va="center")
    axis.text(0.5, RATE * 0.4, "by v1", color="white", fontweight="bold")
    axis.text(SECONDS - 1.5, RATE * 0.4, "by v2", fontweight="bold")


def _replicas(axis, seen: Rollout) -> None:
    times, old, new = zip(*seen.pods, strict=True)
    axis.step(times, old, where="post", color=_V1)
    axis.step(times, new, where="post", color=_V2, linestyle="--")
    total = [one + other for one, other in zip(old, new, strict=True)]
    axis.step(times, total, where="post", color=_LINE, linewidth=1, linestyle=":")
    axis.set_ylabel("ready Pods")
    axis.set_ylim(0, PODS + 4)
    axis.text(SECONDS + 0.1, PODS, "v2", color=_V2, va="center")
    axis.text(SECONDS + 0.1, 0.3, "v1", color=_V1, va="center")
    axis.text(seen.begun, PODS + 1.7, "both", color=_LINE)


def _latency(axis, seen: Rollout) -> None:
    rows = [row for row in seen.rows if row["p50"] is not None]
    for name, color, dash, place in (("p50", _LOAD, "-", "top"), ("p99", _TAIL, "--", "bottom")):
        axis.plot([row["second"] + 0.5 for row in rows], [row[name] for row in rows], dash,
                  color=color)  # fmt: skip
        axis.text(SECONDS + 0.1, rows[-1][name], name, color=color, va=place)
    axis.set_yscale("log")
    axis.set_ylabel("latency (ms)")


if __name__ == "__main__":
    result = run()
    print(result.title)
    draw(result, Path(sys.argv[1]))
