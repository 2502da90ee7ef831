"""Sets of completion indexes as a Job's status spells them: `0,2-4,7`.

Source: indexed_job_utils.go of kube-controller-manager (orderedIntervals).
"""

from __future__ import annotations

from collections.abc import Iterable


def parse(text: str | None, completions: int) -> set[int]:
    """The indexes that `text` names, those from `completions` on left out."""
    found: set[int] = set()
    for part in (text or "").split(","):
        first, _, last = part.partition("-")
        if first.isdecimal() and (last.isdecimal() or not last):
            found.update(range(int(first), min(int(last or first), completions - 1) + 1))
    return found


def spell(indexes: Iterable[int]) -> str:
    """The shortest text for `indexes`; two in a row are spelled one by one."""
    runs: list[list[int]] = []
    for index in sorted(indexes):
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return ",".join(_run(run) for run in runs)


def _run(run: list[int]) -> str:
    if len(run) == 1:
        return str(run[0])
    return f"{run[0]}{',' if len(run) == 2 else '-'}{run[-1]}"
