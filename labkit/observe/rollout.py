"""`Rollout`: who answers while a Deployment changes, and which of its Pods there are.

    load = lab.load("myapp", labkit.step(20, 60), path="api/rule")
    with load, Rollout(lab.api, "myapp", load) as seen:
        lab.kubectl("set image deployment/myapp myapp=todolist:v2")
        lab.kubectl("rollout status deployment/myapp")
        seen.settle()
    seen

A thread asks the API server for the Deployment's Pods, ten times a second, and so learns which Pod
is of which version; the load knows which Pod has answered.  Both together tell which version has
answered, and `rollout_figure` draws it.  A version is an image's tag, and the revision of its
ReplicaSet: a probe may change while the image stays.

What lasts less than a tenth of a second may be missed.  A recording ends with the last whole second
of the load: what is under way then is neither answered nor lost.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from labkit.client.official import client
from labkit.clock import Clock
from labkit.kube.pods import is_ready
from labkit.kube.selectors import format_selector, from_label_selector
from labkit.observe.source import ask, items

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

    from labkit.observe.figure import Timeline

INTERVAL = 0.1
REVISION = "deployment.kubernetes.io/revision"
#: (time, version → (Pods, ready Pods)): one look at a Deployment.
Look = tuple[float, dict[str, tuple[int, int]]]


class Sending(Protocol):
    """What is asked of a load (`labkit.load.Load`)."""

    @property
    def seconds(self) -> list[dict[str, Any]]: ...

    def follow(self) -> Iterator[dict[str, Any]]: ...


class Rollout:
    """Records the Pods of `deployment` by version, while `load` is sent to them."""

    def __init__(
        self, api_client: ApiClient, deployment: str, load: Sending, namespace: str = "default"
    ) -> None:
        self.load, self._clock = load, Clock()
        self._pods = _PodsOf(api_client, deployment, namespace)
        self._looks: list[Look] = []
        self._seconds: list[dict[str, Any]] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._record, name="labkit-rollout", daemon=True)

    def __enter__(self) -> Rollout:
        self._take()
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._seconds = self.load.seconds
        self._stop.set()
        self._thread.join(15)

    def _record(self) -> None:
        while not self._stop.wait(INTERVAL):
            self._take()

    def _take(self) -> None:
        now = self._clock.now()
        with suppress(OSError):  # nobody answers: this look is missing
            found = self._pods.read()
            self._looks.append((now, count(found, self._pods.version)))

    def wait(self, seconds: int) -> None:
        """Wait for so many whole seconds more of the load, or for its end."""
        last = len(self.load.seconds) + seconds
        next((row for row in self.load.follow() if row["second"] + 1 >= last), None)

    def settle(self) -> None:
        """Wait for the first second, from this one on, with answers and without loss, or for the
        load's end."""
        now = len(self.load.seconds)
        rows = (row for row in self.load.follow() if row["second"] >= now)
        next((row for row in rows if row["completed"] and not row["errors"]), None)

    @property
    def seconds(self) -> list[dict[str, Any]]:
        """The rows of the load while this was recorded."""
        return self.load.seconds if self._seconds is None else self._seconds

    @property
    def pods(self) -> pd.DataFrame:
        """One row per look: t (s since the load began), and for each version, in the order of
        appearance, its Pods that are not ending (`pods`) and those that are ready (`ready`)."""
        looks, seconds = list(self._looks), self.seconds
        began = seconds[0]["time"] if seconds else (looks[0][0] if looks else 0.0)
        versions = list(dict.fromkeys(one for _, counts in looks for one in counts))
        rows = [
            [number for one in versions for number in counts.get(one, (0, 0))]
            for _, counts in looks
        ]
        columns = pd.MultiIndex.from_product([versions, ["pods", "ready"]])
        times = pd.Index([time - began for time, _ in looks], name="t")
        return pd.DataFrame(rows, index=times, columns=columns)

    @property
    def answers(self) -> pd.DataFrame:
        """One row per second of the load: the answers of each version, and `lost`."""
        return answers(self.seconds, self._pods.version)

    @property
    def lost(self) -> int:
        """How many requests got no answer, or an error."""
        return sum(row["errors"] for row in self.seconds)

    @property
    def most_pods(self) -> int:
        """The most Pods that there were at a time, without those that were ending."""
        return int(self.pods.xs("pods", axis=1, level=1).sum(axis=1).max())

    @property
    def fewest_ready(self) -> int:
        """The fewest Pods that were ready at a time."""
        return int(self.pods.xs("ready", axis=1, level=1).sum(axis=1).min())

    @property
    def finding(self) -> str:
        """One sentence with its numbers."""
        total = self.lost + sum(row["completed"] for row in self.seconds)
        return (
            f"{total} requests, {self.lost or 'none'} lost; at most {self.most_pods} Pods, "
            f"at least {self.fewest_ready} ready"
        )

    def figure(self) -> Timeline:
        """Answers of each version and what was lost, above the Pods of each version."""
        from labkit.observe.rollout_figure import draw

        return draw(self.finding, self.answers, self.pods)

    def __repr__(self) -> str:
        return f"{self.finding}\n{self.answers.to_string()}"

    def _repr_mimebundle_(self, **options: object) -> Any:
        data, metadata = self.figure().bundle(scale=2)
        return {**data, "text/plain": repr(self)}, metadata


def count(pods: Iterable[Mapping], version: Callable[[str], str]) -> dict[str, tuple[int, int]]:
    """Version → how many of its Pods there are, and how many of them are ready.

    One that is about to end counts no more, as for the Deployment's limits.
    """
    present = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    of = {pod["metadata"]["name"]: version(pod["metadata"]["name"]) for pod in present}
    every = Counter(of.values())
    ready = Counter(of[pod["metadata"]["name"]] for pod in present if is_ready(pod))
    return {one: (every[one], ready[one]) for one in every}


def answers(seconds: Iterable[Mapping], version: Callable[[str], str]) -> pd.DataFrame:
    """The seconds of a load → answers of each version in each, and what was lost in it."""
    rows = []
    for row in seconds:
        by = Counter()
        for pod, number in row["served_by"].items():
            by[version(pod)] += number
        rows.append({**by, "lost": row["errors"]})
    versions = dict.fromkeys(name for row in rows for name in row if name != "lost")
    frame = pd.DataFrame(rows, columns=[*versions, "lost"]).fillna(0).astype(int)
    frame.index.name = "second"
    return frame


class _PodsOf:
    """Asks for the Pods of a Deployment, and remembers of which version each was."""

    def __init__(self, api_client: ApiClient, deployment: str, namespace: str) -> None:
        self._core, self._apps = client.CoreV1Api(api_client), client.AppsV1Api(api_client)
        self._deployment, self._namespace = deployment, namespace
        self._revisions: dict[str, str] = {}
        self._versions: dict[str, str] = {}

    def read(self) -> list[dict]:
        """The Pods of now.  OSError if nobody answers."""
        found = self._list(self._core.list_namespaced_pod)
        fresh = [pod for pod in found if pod["metadata"]["name"] not in self._versions]
        if fresh:  # a ReplicaSet that is used again has a new revision by now
            self._revisions = self._read_revisions()
        self._versions |= {pod["metadata"]["name"]: self._version_of(pod) for pod in fresh}
        return found

    def version(self, pod: str) -> str:
        """`v2 (revision 3)`, or `another` for a Pod that was never seen."""
        return self._versions.get(pod, "another")

    def _read_revisions(self) -> dict[str, str]:
        found = self._list(self._apps.list_namespaced_replica_set)
        notes = {one["metadata"]["name"]: one["metadata"].get("annotations") or {} for one in found}
        return {name: note.get(REVISION, "") for name, note in notes.items()}

    def _version_of(self, pod: Mapping) -> str:
        owner = next((one["name"] for one in pod["metadata"].get("ownerReferences") or ()), "")
        tag = pod["spec"]["containers"][0]["image"].rpartition(":")[2]
        return f"{tag} (revision {self._revisions.get(owner, '?')})"

    @cached_property
    def _selector(self) -> str:
        found = ask(self._apps.read_namespaced_deployment, self._deployment, self._namespace) or {}
        selector = (found.get("spec") or {}).get("selector")
        return format_selector(from_label_selector(selector))

    def _list(self, listing: Callable[..., Any]) -> list[dict]:
        return items(listing, self._namespace, label_selector=self._selector) or []
