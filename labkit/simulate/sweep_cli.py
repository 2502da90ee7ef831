"""`labkit simulate scenario.yaml --sweep hpa.spec.minReplicas=1,2 --objective 250`: a table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from labkit.errors import UsageError
from labkit.observe.comparison import cost_column
from labkit.observe.labels import shortened
from labkit.simulate.sweeps import sweep

_SHOWN = ("seconds_over", "p99_ms", "lost", "pod_seconds", "churn", "peak_replicas")


def run(args: argparse.Namespace, scenario: Path | str) -> int:
    """Print the table of a sweep; `--csv` gets all of it, `--figure` cost against latency."""
    over = parse(args.sweep)
    if args.seed is not None:
        over = {"seed": [args.seed], **over}
    df = sweep(scenario, over, objective_ms=args.objective)
    shown = df[[*over, *_SHOWN, cost_column(df)]].dropna(axis="columns", how="all").round(6)
    print(shown.rename(columns=dict(zip(over, shortened(list(over)), strict=True))).to_string())
    if args.csv:
        df.to_csv(args.csv, index=False)
        print(f"{len(df)} rows written to {args.csv}")
    if args.figure:
        from labkit.observe import trade_off

        Path(args.figure).write_bytes(trade_off(df).png())
        print(f"the figure is in {args.figure}")
    return 0


def parse(texts: Sequence[str]) -> dict[str, list[Any]]:
    """`["hpa.spec.minReplicas=1,2", "seed=1,2"]` → what `sweep` goes over.  Raises UsageError."""
    over = {}
    for text in texts:
        path, sign, values = text.partition("=")
        found = yaml.safe_load(f"[{values}]") if sign and values else None
        if not path or not found:
            raise UsageError(
                f"--sweep {text} says no values.",
                "It is a path and its values.",
                "Write for example --sweep hpa.spec.minReplicas=1,2",
            )
        over[path] = found
    return over
