"""What a simulation costs: an account for each machine, and for each Pod on a virtual node.

An account is opened when something begins to cost and closed when it no longer does.  Nothing is
added up while the simulation runs; the bill and the costs of every second follow from the accounts
afterwards.

A machine costs from the moment it is ordered: while it boots it is paid for, as at the big
providers.  A Pod on a virtual node costs from when its containers run until they do not
(`labkit.kubelet.virtual`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

FIXED, AUTOSCALED, VIRTUAL = "fixed", "autoscaled", "virtual"
ON_DEMAND = "on-demand"

_HOUR = 3600.0
_BILL = ("node", "kind", "capacity_type", "from", "to", "seconds", "pod_seconds", "cost")
_COSTS = ("t", "nodes", "nodes_ready", "instances", "rate", "cost")


@dataclass(slots=True)
class Account:
    """Seconds of the simulation's clock; `ready` and `closed` are None until then."""

    node: str
    kind: str
    capacity_type: str
    hourly: float  # dollars
    opened: float
    ready: float | None = None
    closed: float | None = None

    def lasts(self, begin: float, end: float) -> tuple[float, float]:
        """From when until when it cost something between `begin` and `end`, from `begin` on."""
        until = end if self.closed is None else min(self.closed, end)
        return max(self.opened, begin) - begin, max(until, begin) - begin


class Ledger:
    """All accounts, by the name of the machine or the uid of the Pod."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}

    def open(self, key: str, account: Account) -> None:
        """Something begins to cost."""
        self.accounts[key] = account

    def ready(self, key: str, now: float) -> None:
        """A machine has become a node that is ready."""
        self.accounts[key].ready = now

    def close(self, key: str, now: float) -> None:
        """Something costs no more.  Safe to repeat, and for what has never cost."""
        account = self.accounts.get(key)
        if account and account.closed is None:
            account.closed = now


def bill(accounts: Iterable[Account], begin: float, end: float) -> pd.DataFrame:
    """One row per node: its `kind`, from when to when it was there, and what it cost (USD).

    `seconds` are those that were paid for; of a virtual node they are its Pods' `pod_seconds`.
    """
    rows: dict[str, dict] = {}
    for account in accounts:
        since, until = account.lasts(begin, end)
        if until <= since and account.closed is not None:
            continue  # gone before the first second
        seconds, is_pod = until - since, account.kind == VIRTUAL
        row = rows.setdefault(
            account.node,
            {
                "node": account.node,
                "kind": account.kind,
                "capacity_type": account.capacity_type,
                "from": since,
                "to": until,
                "seconds": 0.0,
                "pod_seconds": 0.0 if is_pod else float("nan"),
                "cost": 0.0,
            },
        )
        row["from"], row["to"] = min(row["from"], since), max(row["to"], until)
        row["seconds"] += seconds
        row["pod_seconds"] += seconds
        row["cost"] += seconds * account.hourly / _HOUR
    return pd.DataFrame(list(rows.values()), columns=list(_BILL)).set_index("node")


def costs(accounts: Iterable[Account], begin: float, seconds: Sequence[float]) -> pd.DataFrame:
    """A row for each of `seconds` (t, from `begin` on).

    nodes        machines that are paid for
    nodes_ready  those that are ready
    instances    Pods on virtual nodes that are paid for
    rate         dollars per hour
    cost         dollars until then
    """
    t = np.asarray(seconds, dtype=float)
    found = {name: np.zeros(len(t)) for name in _COSTS[1:]}
    for account in accounts:
        since, until = account.lasts(begin, begin + float(t[-1]) if len(t) else begin)
        running = (t > since) & ((t <= until) | (account.closed is None))
        found["instances" if account.kind == VIRTUAL else "nodes"] += running
        if account.ready is not None and account.kind != VIRTUAL:
            found["nodes_ready"] += running & (t > account.ready - begin)
        found["rate"] += running * account.hourly
        found["cost"] += np.clip(t - since, 0.0, until - since) * account.hourly / _HOUR
    return pd.DataFrame({"t": t, **found}, columns=list(_COSTS))
