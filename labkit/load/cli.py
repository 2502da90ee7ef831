"""`labkit load URL --rate 50 --seconds 30`: the load generator in a terminal."""

from __future__ import annotations

import argparse
from typing import Any

from labkit.errors import UsageError
from labkit.load.handle import describe, run
from labkit.load.profile import Profile, check, noisy, ramp, sine, step
from labkit.load.trace import trace


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `load` to the subcommands of `labkit`; its `main` is set as the default `func`."""
    parser = subparsers.add_parser(
        "load",
        help="send HTTP requests on a schedule and measure the answers",
        description="Open-loop load: requests leave on schedule whatever the answers do, and "
        "latency counts from the scheduled time. Ctrl-C stops it and prints the sum.",
    )
    parser.add_argument("url", metavar="URL", help="for example http://127.96.0.10:8080/")
    parser.add_argument("--rate", type=float, default=50, help="requests per second (%(default)g)")
    parser.add_argument("--seconds", type=float, default=30, help="how long (%(default)g)")
    parser.add_argument("--ramp-to", type=float, metavar="R", help="go from --rate to R")
    parser.add_argument(
        "--sine-to", type=float, metavar="R", help="go from --rate to R and back, again and again"
    )
    parser.add_argument(
        "--period", type=float, default=60, metavar="S", help="of --sine-to (%(default)g s)"
    )
    parser.add_argument(
        "--trace", metavar="F", help="rates from a CSV file: columns t,rate, or a rate per second"
    )
    parser.add_argument(
        "--noise",
        type=float,
        default=0,
        metavar="N",
        help="vary each second's rate (0.2: by 20 %%)",
    )
    parser.add_argument("--keep-alive", action="store_true", help="reuse connections")
    parser.add_argument("--csv", metavar="F", help="write the table of seconds to this file")
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    """Run the load; a line each second and the sum at the end.  0, or 130 when interrupted."""
    frame = run(
        args.url,
        profile_of(args),
        keep_alive=args.keep_alive,
        on_second=lambda row: print(line(row), flush=True),
    )
    summary = frame.attrs["summary"]
    for text in closing(summary):
        print(text)
    if args.csv:
        frame.to_csv(args.csv, index=False)
        print(f"{len(frame)} rows written to {args.csv}")
    return 130 if summary["interrupted"] else 0


def profile_of(args: argparse.Namespace) -> Profile:
    """The profile that the options mean; UsageError if they make none."""
    shapes = [one for one in (args.ramp_to, args.sine_to, args.trace) if one is not None]
    if len(shapes) > 1:
        raise UsageError(
            "A load has one shape only.",
            "--ramp-to, --sine-to and --trace each make another.",
            "Leave all of them out but one.",
        )
    if args.trace is not None:
        profile = trace(args.trace)
    elif args.sine_to is not None:
        profile = sine(args.rate, args.sine_to, args.period, args.seconds)
    elif args.ramp_to is not None:
        profile = ramp(args.rate, args.ramp_to, args.seconds)
    else:
        profile = step(args.rate, args.seconds)
    if args.noise:
        profile = noisy(profile, args.noise)
    check(profile)
    return profile


def line(row: dict[str, Any]) -> str:
    """The line of progress for one second."""
    return (
        f"{row['second']:4d} s  {row['offered']:5d} offered  {row['completed']:5d} completed  "
        f"{row['errors']:4d} errors  p50 {_ms(row['p50'])}  p99 {_ms(row['p99'])}"
    )


def closing(summary: dict[str, Any]) -> list[str]:
    """The lines after the last second."""
    lines = [describe(summary)]
    for title, counts in (("errors", "errors_by_kind"), ("served by", "served_by")):
        if summary[counts]:
            each = ", ".join(f"{name} {count}" for name, count in summary[counts].items())
            lines.append(f"{title}: {each}")
    return lines


def _ms(value: float | None) -> str:
    return "     –   " if value is None else f"{value:6.1f} ms"
