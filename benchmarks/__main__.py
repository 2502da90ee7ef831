"""`make bench`: every figure, with the machine that it was measured on."""

from __future__ import annotations

import os
import platform

from benchmarks import cluster


def main() -> None:
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    for what, figure in cluster.measure():
        print(f"{what:<40} {figure}", flush=True)


if __name__ == "__main__":
    main()
