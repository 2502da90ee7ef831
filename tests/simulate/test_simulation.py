"""Whole simulations: the lesson, what goes wrong, and that everything can be repeated."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

import labkit.controllers
from labkit.simulate import Scenario, Simulation
from labkit.simulate.cli import LESSON
from labkit.simulate.scenario import Fault


@pytest.fixture(scope="module")
def lesson():
    return Scenario.read(LESSON)


@pytest.fixture(scope="module")
def played(lesson):
    return Simulation(lesson).run()


def changes(recording):
    """(second, replicas) whenever the Deployment got another number."""
    frame = recording.frame.assign(change=recording.frame.replicas_spec.diff())
    return [(int(row.t), int(row.replicas_spec)) for row in frame.itertuples() if row.change]


def test_the_lesson_scales_out_at_the_sync_that_sees_the_load_and_in_after_five_minutes(played):
    found = changes(played)
    out = [t for t, replicas in found if replicas == 3]
    back = [t for t, replicas in found if replicas == 1 and t > 1000]
    # Load from 120 s to 1320 s; metrics and syncs every 15 s.
    assert len(out) == len(back) == 1
    assert 120 < out[0] <= 120 + 45
    assert 1320 + 300 <= back[0] <= 1320 + 300 + 45


def test_cpu_is_what_load_and_requests_make_it(played):
    frame = played.frame
    steady = frame[(frame.t > 400) & (frame.t < 1300)]
    # 12 requests a second of 20 ms on three Pods that request 200m each.
    assert steady.cpu_utilization.mean() == pytest.approx(100 * 12 * 0.020 / (3 * 0.2), rel=0.05)
    assert steady.cpu_milli_total.mean() == pytest.approx(240, rel=0.05)
    assert frame.errors.sum() == 0


def test_latency_falls_when_pods_are_added(played):
    frame = played.frame
    alone = frame[(frame.t > 120) & (frame.replicas_ready == 1) & (frame.t < 300)].p99.median()
    three = frame[(frame.t > 400) & (frame.t < 1300)].p99.median()
    assert three < alone


def test_the_autoscaler_tells_what_it_did(played):
    said = played.events[played.events.reason == "SuccessfulRescale"].message.tolist()
    assert said[0] == (
        "New size: 3; reason: cpu resource utilization (percentage of request) above target"
    )
    assert said[-1] == "New size: 1; reason: All metrics below target"


SHORT = """
import sys
import yaml
from labkit.simulate import Scenario, Simulation
from labkit.simulate.cli import LESSON
faults = [
    {"at": 90, "kind": "container-killed"},
    {"at": 120, "kind": "image-pull-slow", "seconds": 60, "factor": 3},
    {"at": 130, "kind": "pod-deleted"},
    {"at": 200, "kind": "node-lost"},
    {"at": 210, "kind": "metrics-missing", "seconds": 40},
]
given = yaml.safe_load(LESSON.read_text()) | {
    "seed": int(sys.argv[1]),
    "minutes": 6,
    "faults": faults,
    "load": [{"low": 2, "high": 30, "period": 200, "seconds": 360}],
    "noise": {"spread": 0.3, "every": 10},
    "noisy": True,
    "settings": {"node_monitor_grace_period": 50},
}
found = Simulation(Scenario.read(given)).run()
print(found.frame.to_csv(), found.events.to_csv(), found.decisions.to_csv(), found.bill.to_csv())
"""


def in_another_process(seed, hashes):
    return subprocess.run(
        [sys.executable, "-c", SHORT, str(seed)],
        env={"PYTHONHASHSEED": hashes, "PATH": ""},
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        timeout=120,
    ).stdout


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others():
    first = in_another_process(1, "1")
    assert in_another_process(1, "2") == first
    assert in_another_process(2, "1") != first


def test_it_can_be_played_in_parts(lesson, played):
    with Simulation(lesson) as simulation:
        simulation.advance(100)
        assert simulation.seconds == 100
        assert simulation.until(lambda row: row["replicas_ready"] == 3, 300)
        found = simulation.recording().frame
    assert found.equals(played.frame.iloc[: len(found)])


def test_pods_of_a_node_that_is_lost_come_again_elsewhere(lesson):
    lost = Fault(at=300, kind="node-lost")
    settings = {"node_monitor_grace_period": 50.0}
    scenario = dataclasses.replace(lesson, faults=[lost], settings=settings, seconds=1100)
    ready = Simulation(scenario).run().frame.set_index("t").replicas_ready
    assert ready[299] == 3
    assert ready[320:400].min() < 3
    assert ready[1000] == 3


def test_without_metrics_the_autoscaler_stands_still(lesson):
    missing = Fault(at=100, kind="metrics-missing", seconds=200)
    scenario = dataclasses.replace(lesson, faults=[missing], seconds=600)
    found = changes(Simulation(scenario).run())
    assert found[-1][1] == 3
    assert found[-1][0] > 300


def test_controllers_do_not_know_under_which_clock_they_run():
    root = Path(labkit.controllers.__file__).parents[1]
    forbidden = re.compile(r"LoopClock|VirtualLoop|labkit\.simulate|^import time|time\.sleep", re.M)
    for part in ("controllers", "scheduler", "client"):
        for path in (root / part).rglob("*.py"):
            assert not forbidden.search(path.read_text()), path
