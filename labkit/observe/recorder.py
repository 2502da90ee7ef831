"""`Recorder`: what happened to one Deployment, one row per second.

    with Recorder(api_client, "web") as recorder:
        with labkit.load.start(url, profile, on_second=recorder.load_second):
            recorder.until(lambda now: now.replicas_ready >= 3, timeout=120)
    recorder.frame()

A thread asks the API server (`source`), turns the answers into a row (`sample`) and keeps it.  The
thread belongs to the recorder: it ends with the `with` block, and after an hour in any case, so a
forgotten recorder neither runs nor grows for ever.  A failing answer makes NaNs, not an error.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from labkit.clock import Clock
from labkit.errors import UsageError, WaitTimeout
from labkit.observe.notebook import Progress
from labkit.observe.sample import (
    COLUMNS,
    DECISION_COLUMNS,
    EVENT_COLUMNS,
    MARK,
    Answers,
    decision_row,
    event_row,
    load_at,
    sample,
    says_more,
)
from labkit.observe.source import Source
from labkit.observe.units import milliseconds, pods

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

MAX_SECONDS = 3600.0


class Answering(Protocol):
    """What a recorder asks (`Source`; in tests a script)."""

    def read(self) -> Answers: ...


class Recorder:
    """Records the Deployment `deployment`, its autoscaler, Pods, metrics and Events.

    api_client   an `ApiClient` of the official Python client; works with any cluster
    interval     seconds from one sample to the next
    """

    def __init__(
        self,
        api_client: ApiClient | None,
        deployment: str,
        namespace: str = "default",
        *,
        interval: float = 1.0,
        source: Answering | None = None,
        clock: Clock | None = None,
    ) -> None:
        if not 0.1 <= interval <= 60:
            raise UsageError(
                f"An interval of {interval!r} s cannot be used.",
                "It is the time from one sample to the next, from 0.1 to 60 seconds.",
                "Write for example interval=1.",
            )
        self.deployment, self.namespace = deployment, namespace
        self._source = source or Source(api_client, namespace, deployment)
        self._clock = clock or Clock()
        self._interval = interval
        self._samples: list[dict[str, float]] = []
        self._seconds: list[Mapping[str, Any]] = []
        self._events: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._earlier: set[tuple[Any, ...]] = set()  # what was there when the recording began
        self._decisions: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None
        self.began: float | None = None

    def start(self) -> Recorder:
        """Take the first sample and begin to record; does nothing if it has begun."""
        if self._thread is None:
            self.began = self._clock.now()
            self._take()
            self._thread = threading.Thread(target=self._record, name="labkit-record", daemon=True)
            self._thread.start()
        return self

    def stop(self) -> None:
        """End the recording; `frame` and `events` stay.  Does nothing if it has ended."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(15)

    def __enter__(self) -> Recorder:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        frame = self.frame()
        last = (
            f"{frame['t'].iloc[-1]:.0f} s, {describe(frame.iloc[-1])}" if len(frame) else "nothing"
        )
        return f"<Recorder of deployment/{self.deployment}: {last}>"

    def load_second(self, row: Mapping[str, Any]) -> None:
        """Take over a second of a load: the `on_second` of `labkit.load.run` and `start`."""
        with self._news:
            self._seconds.append(row)

    def mark(self, text: str) -> None:
        """Put an event of your own on the clock, such as "load starts"."""
        row = {"time": self._clock.now(), "reason": MARK, "message": text, "object": MARK}
        with self._news:
            self._events[(text, row["time"])] = row

    def frame(self) -> pd.DataFrame:
        """The recording so far: one row per sample.

        time (Unix s), t (s since the recording began), replicas_spec, replicas_ready,
        replicas_desired and hpa_current (of the autoscaler's status), cpu_utilization and
        cpu_target (% of the request), cpu_milli_total (used by all Pods), cpu_request_milli and
        memory_request_mib (requested by all), pods_running, pods_pending, and of the load in the
        last full second before the sample: offered, completed, errors, p50, p99 (ms).  NaN is
        unknown.
        """
        with self._news:
            samples, seconds = list(self._samples), list(self._seconds)
        seconds.sort(key=lambda row: row["time"])
        loads = load_at([row["time"] for row in samples], seconds)
        rows = [{**row, **load} for row, load in zip(samples, loads, strict=True)]
        return pd.DataFrame(rows, columns=list(COLUMNS), dtype=float)

    @property
    def events(self) -> pd.DataFrame:
        """Events of the Deployment and its autoscaler, and our marks, in order of time.

        time (Unix s), t (s since the recording began), reason, message, object.
        """
        with self._news:
            rows = sorted(self._events.values(), key=lambda row: row["time"])
        began = self.began or 0.0
        rows = [{**row, "t": max(0.0, row["time"] - began)} for row in rows]
        return pd.DataFrame(rows, columns=list(EVENT_COLUMNS))

    @property
    def decisions(self) -> pd.DataFrame:
        """What the autoscaler decided, and why, in its own words.

        time (Unix s), t (s since the recording began), current and desired replicas, because.  A
        row for each sample in which the decision was another one, not just its numbers.  It is
        empty where the autoscaler does not give its reasons: only that of the lab does.
        """
        with self._news:
            return pd.DataFrame(self._decisions, columns=list(DECISION_COLUMNS))

    def until(
        self,
        condition: Callable[[pd.Series], bool],
        timeout: float,
        *,
        what: str = "the condition",
        progress: Callable[[pd.Series], str | None] | None = None,
    ) -> pd.Series:
        """Wait until `condition` holds for the newest row, and return that row.

        `progress` makes the text that is shown meanwhile, by default the state of the Deployment:
        a line whenever it changes, in Jupyter one display that is updated.  A `LiveFigure` is a
        progress too.  WaitTimeout after `timeout` seconds.
        """
        self.start()
        shown, text = Progress(), progress or describe
        deadline = self._clock.monotonic() + timeout
        seen = 0
        while True:
            seen = self._wait_for_sample(seen, deadline)
            if self._failure is not None:
                raise self._failure
            row = self.frame().iloc[-1]
            shown.show(text(row), row["t"])
            if condition(row):
                return row
            if self._clock.monotonic() >= deadline or self._stop.is_set():
                raise WaitTimeout(
                    what,
                    timeout,
                    describe(row),
                    f"See: kubectl describe hpa,deployment {self.deployment} -n {self.namespace}",
                )

    def _wait_for_sample(self, seen: int, deadline: float) -> int:
        with self._news:
            while len(self._samples) == seen and not self._stop.is_set():
                left = deadline - self._clock.monotonic()
                if left <= 0:
                    break
                self._news.wait(min(left, 1.0))
            return len(self._samples)

    def _record(self) -> None:
        try:
            self._sample_on_schedule()
        except Exception as error:  # a bug; it must not look like a cluster that stands still
            self._failure = error
        self._stop.set()
        with self._news:
            self._news.notify_all()

    def _sample_on_schedule(self) -> None:
        for count in range(1, int(MAX_SECONDS / self._interval)):
            # On a grid, so that slow answers do not make the clock of the figure drift.
            due = self.began + count * self._interval
            if self._stop.wait(max(0.0, due - self._clock.now())):
                return
            self._take()

    def _take(self) -> None:
        now = self._clock.now()
        answers = self._source.read()
        row = {"time": now, "t": now - self.began, **sample(answers)}
        decision = decision_row(answers.autoscaler)
        events = [event_row(event) for event in answers.events]
        with self._news:
            if not self._samples:  # an Event has whole seconds, and this one may be half over
                self._earlier = {tuple(event.values()) for event in events if event["time"] <= now}
            self._samples.append(row)
            if decision and (not self._decisions or says_more(decision, self._decisions[-1])):
                self._decisions.append({"time": now, "t": row["t"], **decision})
            for event in events:
                # An Event that happens again is the same object with a later time and a count.
                key = tuple(event.values())
                if event["time"] >= int(self.began) and key not in self._earlier:
                    self._events[key] = event
            self._news.notify_all()


def describe(row: Mapping[str, float]) -> str:
    """One line about a row: what is desired and ready, CPU, latency."""
    desired = row["replicas_spec"] if pd.isna(row["replicas_desired"]) else row["replicas_desired"]
    parts = [
        "the Deployment is unknown"
        if pd.isna(row["replicas_ready"])
        else f"{row['replicas_ready']:.0f} of {pods(desired)} ready"
    ]
    if not pd.isna(row["cpu_target"]):
        now = "unknown" if pd.isna(row["cpu_utilization"]) else f"{row['cpu_utilization']:.0f} %"
        parts.append(f"CPU {now} (target {row['cpu_target']:.0f} %)")
    if not pd.isna(row["p99"]):
        parts.append(f"p99 {milliseconds(row['p99'])}")
    return ", ".join(parts)
