"""What virtual nodes have cost, as their Nodes say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

_PREFIX = "billing.labkit/"
_COLUMNS = {
    "pod_seconds": "pod-seconds",
    "cost": "cost",
    "vcpu_hour": "price-per-vcpu-hour",
    "gib_hour": "price-per-gib-hour",
}


def bill(nodes: Iterable[Mapping]) -> pd.DataFrame:
    """One row per virtual Node, by name: its capacity type, Pod-seconds, cost and prices (USD)."""
    rows = []
    for node in nodes:
        notes = node["metadata"].get("annotations") or {}
        if f"{_PREFIX}cost" not in notes:
            continue
        numbers = {column: float(notes[_PREFIX + name]) for column, name in _COLUMNS.items()}
        kind = node["metadata"]["labels"].get("karpenter.sh/capacity-type", "")
        rows.append({"node": node["metadata"]["name"], "capacity_type": kind, **numbers})
    return pd.DataFrame(rows, columns=["node", "capacity_type", *_COLUMNS]).set_index("node")
