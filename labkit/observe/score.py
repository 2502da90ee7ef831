"""A recording → one row of scores: what the users got, what was paid, how much was moved.  Pure.

A row of a recording stands for the time since the row before it.

**Over the objective.**  p99 is the latency that one request in a hundred exceeds, and a request
that failed exceeds every latency.  So a second is over the objective when its p99 is above it, or
when more than one in a hundred of its requests failed.  A second in which requests were sent but
none ended is judged by the next one in which some did: those that waited are among them.

**Cost.**  There are two ways to pay, and a score for each.  `cost` is what Pods request while they
run, by the second, as on the virtual nodes of a live lab; Pods that request nothing cost nothing,
and one that is being deleted is no longer counted.  `nodes_cost` is the sum of a simulation's bill:
machines by the hour, full or empty, and the instances of virtual nodes.

What cannot be known is NaN: no load in the recording, no objective, no Pods.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from labkit.errors import UsageError
from labkit.kubelet import virtual

#: More than this share of a second's requests failed: then p99 is one of them.
_FAILED = 0.01
_HOUR = 3600.0
_MIB_PER_GIB = 1024.0


class Prices(NamedTuple):
    """Dollars per hour, for what Pods request; by default those of a virtual node on demand."""

    vcpu_hour: float = virtual.PRICES[virtual.ON_DEMAND].vcpu
    gib_hour: float = virtual.PRICES[virtual.ON_DEMAND].gib


class Scores(NamedTuple):
    """One recording.

    objective_ms    the latency that p99 should stay under
    seconds_over    how long it did not, or too many requests failed
    p99_ms          99 of 100 requests were sent in a second whose p99 was at most this; infinite if
                    more than one in a hundred was sent in a second in which too many failed
    requests, lost  how many were sent, and how many of them failed
    pod_seconds     the sum over all Pods of the time that they ran
    vcpu_seconds, gib_seconds   the same, times what they request
    cost            dollars for what Pods request
    nodes_cost      dollars for nodes, if the recording has a bill
    churn           the sum of all changes of `spec.replicas`, up or down
    reversals       how often such a change went the other way than the one before it
    peak_replicas   the highest `spec.replicas`
    """

    objective_ms: float
    seconds_over: float
    p99_ms: float
    requests: float
    lost: float
    pod_seconds: float
    vcpu_seconds: float
    gib_seconds: float
    cost: float
    nodes_cost: float
    churn: float
    reversals: float
    peak_replicas: float


def scores(
    recording: Any, objective_ms: float | None = None, prices: Prices | Mapping | None = None
) -> pd.Series:
    """The scores of a recording: one row, named as in `Scores`.

    `recording` is a `Recorder`, what a `Simulation` has recorded, or the table of either.  `prices`
    are `Prices` or a mapping of some of their names.  Raises UsageError.
    """
    return scores_of(frame_of(recording), bill_of(recording), objective_ms, prices_of(prices))


def scores_of(
    df: pd.DataFrame, nodes_cost: float, objective_ms: float | None, rates: Prices
) -> pd.Series:
    """The same, of a table."""
    lasted = durations(df)
    late = latencies(df)
    pods = _Pods.of(df, lasted)
    found = Scores(
        objective_ms=math.nan if objective_ms is None else float(objective_ms),
        seconds_over=_over(late, lasted, objective_ms),
        p99_ms=_weighted(late, df["offered"] * lasted, 0.99),
        requests=_sum(df["offered"] * lasted),
        lost=_sum(df["errors"] * lasted),
        **pods._asdict(),
        cost=(pods.vcpu_seconds * rates.vcpu_hour + pods.gib_seconds * rates.gib_hour) / _HOUR,
        nodes_cost=nodes_cost,
        **_scaling(df["replicas_spec"].dropna()),
    )
    return pd.Series(found._asdict(), name="scores", dtype=float)


def frame_of(recording: Any) -> pd.DataFrame:
    """The table of a `Recorder`, of a simulation's recording, or the table itself."""
    found = getattr(recording, "frame", recording)
    found = found() if callable(found) else found
    if not isinstance(found, pd.DataFrame):
        raise UsageError(
            f"A {type(recording).__name__} is no recording.",
            "A recording is a Recorder, what Simulation.run() gives, or the table of either.",
            "Write for example scores(Simulation(scenario).run(), objective_ms=250).",
        )
    missing = {"t", "offered", "errors", "p99", "replicas_spec", "pods_running"} - {*found.columns}
    if missing:
        raise UsageError(
            f"The table has no column {', '.join(sorted(missing))}.",
            "A recording has the columns of labkit.observe.Recorder.frame().",
            "Write for example scores(recorder, objective_ms=250).",
        )
    return found


def durations(df: pd.DataFrame) -> pd.Series:
    """For how long each row stands, in seconds."""
    # A sample that comes some hundredths of a second late makes no second longer.
    lasted = df["t"].round(1).diff()
    usual = lasted.median()
    return lasted.fillna(1.0 if math.isnan(usual) else usual)


def latencies(df: pd.DataFrame) -> pd.Series:
    """p99 of each row in ms, of requests that failed too; NaN where nobody asked."""
    ended = df["completed"] + df["errors"]
    failed = df["errors"] > _FAILED * ended
    late = df["p99"].mask(failed, math.inf).where(ended > 0)
    return late.where(late.notna() | ~(df["offered"] > 0), late.bfill())


def over(df: pd.DataFrame, objective_ms: float) -> pd.Series:
    """Whether each row is over the objective."""
    return latencies(df) > objective_ms


def _over(late: pd.Series, lasted: pd.Series, objective_ms: float | None) -> float:
    if objective_ms is None or late.isna().all():
        return math.nan
    return float(lasted[late > objective_ms].sum())


def _weighted(values: pd.Series, weights: pd.Series, share: float) -> float:
    """The least value that `share` of the weight does not exceed; NaN without weight."""
    known = values.notna() & (weights > 0)
    order = np.argsort(values[known].to_numpy(), kind="stable")
    if not len(order):
        return math.nan
    reached = weights[known].to_numpy()[order].cumsum()
    index = int(np.searchsorted(reached, share * reached[-1]))
    return float(values[known].to_numpy()[order][index])


def _sum(values: pd.Series) -> float:
    return float(values.sum(min_count=1))


class _Pods(NamedTuple):
    pod_seconds: float
    vcpu_seconds: float
    gib_seconds: float

    @classmethod
    def of(cls, df: pd.DataFrame, lasted: pd.Series) -> _Pods:
        # What was known last holds until something else is known.
        known = df["pods_running"].notna()
        running, pending = (df[name].ffill() for name in ("pods_running", "pods_pending"))
        # Requests are those of all Pods; Pods of one Deployment are alike.
        share = (running / (running + pending)).fillna(0) * lasted
        cpu = _requested(df, "cpu_request_milli", known) / 1000
        memory = _requested(df, "memory_request_mib", known) / _MIB_PER_GIB
        return cls(_sum(running * lasted), _sum(cpu * share), _sum(memory * share))


def bill_of(recording: Any) -> float:
    """What the nodes have cost, in dollars; NaN if the recording does not tell."""
    bill = getattr(recording, "bill", None)
    return float(bill["cost"].sum()) if isinstance(bill, pd.DataFrame) else math.nan


def _requested(df: pd.DataFrame, column: str, known: pd.Series) -> pd.Series:
    """What all Pods request: nothing, where there are Pods and no requests."""
    if column not in df:
        return pd.Series(math.nan, df.index)
    return df[column].where(df[column].notna() | ~known, 0.0).ffill()


def _scaling(replicas: pd.Series) -> dict[str, float]:
    changes = replicas.diff().to_numpy()[1:]
    changes = changes[changes != 0]
    if replicas.empty:
        return dict.fromkeys(("churn", "reversals", "peak_replicas"), math.nan)
    return {
        "churn": float(np.abs(changes).sum()),
        "reversals": float((changes[1:] * changes[:-1] < 0).sum()),
        "peak_replicas": float(replicas.max()),
    }


def prices_of(given: Prices | Mapping | None) -> Prices:
    """`Prices`, from some of their names or none.  Raises UsageError."""
    if given is None or isinstance(given, Prices):
        return given or Prices()
    for name in given:
        if name not in Prices._fields:
            raise UsageError(
                f"There is no price {name!r}.",
                f"There are {', '.join(Prices._fields)}, in dollars.",
                'Write for example prices={"vcpu_hour": 0.04, "gib_hour": 0.0045}.',
            )
    return Prices(**given)
