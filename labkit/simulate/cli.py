"""`labkit simulate scenario.yaml --csv out.csv --figure out.png`: an hour in a second."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

LESSON, ROOM = (Path(__file__).with_name(name) for name in ("lesson.yaml", "room.yaml"))
_EXAMPLES = {"lesson": LESSON, "room": ROOM}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `simulate` to the subcommands of `labkit`; its `main` is set as the default `func`."""
    parser = subparsers.add_parser(
        "simulate",
        help="play a scenario in virtual time",
        description="The cluster's own control plane on a virtual clock, with a model of the nodes "
        "and of the application. The same scenario gives the same numbers on any machine.",
    )
    parser.add_argument("scenario", metavar="FILE", nargs="?", help="a scenario; - is the input")
    parser.add_argument(
        "--example",
        nargs="?",
        const="lesson",
        choices=_EXAMPLES,
        help="print a scenario and end: the lesson's, or one that needs room for a wave",
    )
    parser.add_argument("--seed", type=int, help="another seed than the scenario's")
    parser.add_argument("--csv", metavar="F", help="write a row for every second to this file")
    parser.add_argument("--figure", metavar="F", help="draw what happened into this PNG file")
    parser.add_argument(
        "--sweep",
        metavar="PATH=V1,V2",
        action="append",
        help="play with each of the values, and of several such with all combinations, for a table "
        "of scores: --sweep hpa.spec.minReplicas=1,2 --sweep seed=1,2,3",
    )
    parser.add_argument("--objective", metavar="MS", type=float, help="of p99, for the scores")
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    """Play the scenario and print what the autoscalers decided."""
    if args.example or not args.scenario:
        print(_EXAMPLES[args.example or "lesson"].read_text(), end="")
        return 0
    given = sys.stdin.read() if args.scenario == "-" else Path(args.scenario)
    if args.sweep:
        from labkit.simulate import sweep_cli

        return sweep_cli.run(args, given)
    from labkit.simulate import Scenario, Simulation
    from labkit.simulate.decisions import clock
    from labkit.simulate.story import story

    scenario = Scenario.read(given)
    if args.seed is not None:
        scenario = scenario.with_seed(args.seed)
    begun = time.perf_counter()
    found = Simulation(scenario).run()
    took = time.perf_counter() - begun
    for line in story(found, shutil.get_terminal_size().columns if sys.stdout.isatty() else 0):
        print(line)
    print(f"{clock(scenario.seconds)} of {scenario.name or args.scenario} in {took:.1f} s")
    if found.bill["cost"].any():
        kinds = found.bill.groupby("kind", sort=False)["cost"]
        each = ", ".join(f"{len(costs)} {kind} ${costs.sum():.3f}" for kind, costs in kinds)
        print(f"the nodes cost ${found.bill['cost'].sum():.3f}: {each}")
    if args.csv:
        found.frame.to_csv(args.csv, index=False)
        print(f"{len(found.frame)} rows written to {args.csv}")
    if args.figure:
        from labkit.observe import hpa_timeline

        Path(args.figure).write_bytes(hpa_timeline(found.frame, found.events).png())
        print(f"the figure is in {args.figure}")
    return 0
