"""`make bench`: every figure, with the machine that it was measured on.

`python -m benchmarks --kubeconfig FILE` measures the API server of any other cluster instead.
"""

from __future__ import annotations

import argparse
import os
import platform
from itertools import chain
from pathlib import Path

from benchmarks import api, cluster, scheduling, simulation


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--kubeconfig", type=Path, help="measure only this cluster's API server")
    path = parser.parse_args().kubeconfig
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"API server: TLS, {api.CONNECTIONS} connections, medians of {api.ROUNDS} rounds")
    for what, figure in api.measure(path):
        print(f"{what:<40} {figure}", flush=True)
    if path is None:
        parts = cluster, scheduling, simulation
        for what, figure in chain.from_iterable(part.measure() for part in parts):
            print(f"{what:<40} {figure}", flush=True)


if __name__ == "__main__":
    main()
