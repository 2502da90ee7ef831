"""The machine that the engine reports: its name, processors and memory."""

from __future__ import annotations

import os
from dataclasses import dataclass

from labkit.engine import accounting


@dataclass(frozen=True)
class Host:
    """`cpus` processors and `memory` bytes, as `docker info` shows them."""

    name: str
    cpus: int
    memory: int

    @classmethod
    def describe(cls, name: str, cpus: int | None, memory: int | None) -> Host:
        """What is given, and the machine's own figures for what is not."""
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return cls(name, cpus or os.cpu_count() or 1, memory or total)

    def cpu_time(self) -> int:
        """CPU time of these processors so far, idle time included, in nanoseconds."""
        return accounting.system_cpu(self.cpus)
