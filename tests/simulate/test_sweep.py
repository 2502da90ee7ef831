"""Sweeps: a table that does not depend on who played it, and processes that are never left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from labkit.cli import main
from labkit.errors import UsageError
from labkit.observe.score import Scores
from labkit.simulate import Scenario, Simulation
from labkit.simulate.cli import LESSON
from labkit.simulate.paths import vary
from labkit.simulate.sweep_cli import parse
from labkit.simulate.sweeps import bar, sweep
from labkit.simulate.workers import processors

SHORT = vary(LESSON, {"minutes": 5})
OVER = {"hpa.spec.minReplicas": [1, 2], "seed": [1, 2]}


@pytest.fixture(scope="module")
def swept():
    return sweep(SHORT, OVER, objective_ms=250, processes=1)


def test_there_is_a_row_for_each_combination_in_their_order(swept):
    assert list(swept.columns) == [*OVER, *Scores._fields]
    rows = swept[["hpa.spec.minReplicas", "seed"]].to_numpy().tolist()
    assert rows == [[1, 1], [1, 2], [2, 1], [2, 2]]


def test_the_table_does_not_depend_on_how_many_processes_played_it(swept):
    assert sweep(SHORT, OVER, objective_ms=250, processes=3).equals(swept)


def test_a_row_is_what_playing_it_alone_gives(swept):
    from labkit.observe.score import scores

    alone = scores(Simulation(vary(SHORT, {"hpa.spec.minReplicas": 2})).run(), objective_ms=250)
    assert swept.loc[2, list(Scores._fields)].astype(float).equals(alone)


def test_long_values_can_have_names():
    policies = {"today": None, "patient": {"scaleUp": {"stabilizationWindowSeconds": 120}}}
    found = sweep(SHORT, {"hpa.spec.behavior": policies}, objective_ms=250)
    assert found["hpa.spec.behavior"].tolist() == ["today", "patient"]
    assert found.pod_seconds.is_monotonic_decreasing


def test_what_cannot_be_played_is_named_with_its_settings():
    with pytest.raises(UsageError, match=r"^With seed=2, hpa.spec.minReplicas=-1: .*minReplicas"):
        sweep(SHORT, {"seed": [2], "hpa.spec.minReplicas": [1, -1]})


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({}, "nothing to sweep over"),
        ({"seed": []}, "nothing to sweep over"),
        ({"seed": 3}, "seed has no list of values: 3"),
        ({"sead": [3]}, "There is no 'sead'"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused_before_anything_is_played(over, message):
    with pytest.raises(UsageError, match=message):
        sweep(SHORT, over)


ENDLESS = """
from labkit.simulate.cli import LESSON
from labkit.simulate.sweeps import sweep
print("begins", flush=True)
sweep(LESSON, {"minutes": [100000], "seed": range(9)}, processes=2)
"""


def workers_of(process: subprocess.Popen) -> list[str]:
    """Their process ids: a worker has that of its owner as its argument."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if words[1:4] == ["-m", "labkit.simulate.worker", str(process.pid)]:
            found.append(path.parent.name)
    return found


def until(condition, seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_a_sweep_that_is_ended_leaves_no_process(sent):
    # Not a `with` block, nor asked for `__main__`: that is what learners write.
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdout.readline() == b"begins\n"
        assert until(lambda: len(workers_of(process)) == 2)
        os.kill(process.pid, sent)
        _, errors = process.communicate(timeout=60)
        assert until(lambda: not workers_of(process))
    finally:
        process.kill()
        process.wait()
    if sent == signal.SIGINT:
        assert errors.rstrip().endswith(b"KeyboardInterrupt")
        assert b"Exception ignored" not in errors


def test_settings_come_from_a_command_line_as_yaml():
    assert parse(["hpa.spec.minReplicas=1,2", "nodes.memory=4Gi", "noisy=true"]) == {
        "hpa.spec.minReplicas": [1, 2],
        "nodes.memory": ["4Gi"],
        "noisy": [True],
    }
    with pytest.raises(UsageError, match="--sweep seed says no values"):
        parse(["seed"])


def test_a_command_line_gets_the_table_and_a_figure(tmp_path, capsys):
    paths = [str(tmp_path / name) for name in ("out.csv", "out.png")]
    sweeps = ["--sweep", "hpa.spec.minReplicas=1,2", "--sweep", "minutes=5"]
    files = ["--csv", paths[0], "--figure", paths[1]]
    assert main(["simulate", str(LESSON), *sweeps, "--objective", "250", *files]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].split()[:3] == ["minReplicas", "minutes", "seconds_over"]
    assert len(pd.read_csv(paths[0])) == 2
    assert Path(paths[1]).read_bytes().startswith(b"\x89PNG")


def test_the_bar_tells_how_much_is_left():
    assert bar(0, 12, 0.1) == "░" * 24 + "  0 of 12 played"
    assert bar(3, 12, 3.0) == "█" * 6 + "░" * 18 + "  3 of 12 played, about 9 s left"
    assert bar(12, 12, 130) == "█" * 24 + "  12 of 12 played in 2 min 10 s"


def test_there_is_at_least_one_processor():
    assert 1 <= processors() <= (os.cpu_count() or 1)


def test_a_scenario_that_was_read_can_be_swept_as_well_as_its_text(swept):
    assert isinstance(SHORT, Scenario)
    text = LESSON.read_text().replace("minutes: 60", "minutes: 5")
    assert sweep(text, OVER, objective_ms=250).equals(swept)
