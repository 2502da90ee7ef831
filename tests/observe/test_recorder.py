from __future__ import annotations

import threading

import numpy as np
import pytest

from labkit.clock import Clock
from labkit.controllers.podautoscaler import controller
from labkit.errors import UsageError, WaitTimeout
from labkit.kube import times
from labkit.observe import Recorder
from labkit.observe.sample import COLUMNS, DECISION, Answers
from tests.observe import objects


class Script:
    """A source that gives one answer after another, and the last one for ever."""

    def __init__(self, *answers: Answers) -> None:
        self.answers = list(answers)

    def read(self) -> Answers:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def of(ready: int, **more) -> Answers:
    return Answers(deployment=objects.deployment(3, ready), **more)


def recorder(*answers: Answers) -> Recorder:
    return Recorder(None, "web", interval=0.1, source=Script(*answers))


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "labkit-record"]


def test_a_row_is_there_from_the_start():
    with recorder(of(1)) as recording:
        frame = recording.frame()
    assert tuple(frame.columns) == COLUMNS
    assert frame["replicas_ready"][0] == 1
    assert frame["time"][0] - recording.began == frame["t"][0] >= 0
    assert np.isnan(frame["offered"][0])
    assert not threads()


def test_until_returns_the_first_row_that_meets_the_condition(capsys):
    with recorder(of(0), of(1), of(2), of(3)) as recording:
        row = recording.until(lambda now: now.replicas_ready == 2, timeout=30)
    assert row["replicas_ready"] == 2
    lines = [line.split("s  ")[1] for line in capsys.readouterr().out.splitlines()]
    assert lines[-1] == "2 of 3 Pods ready"
    assert len(lines) == len(set(lines))


def test_until_names_what_it_waited_for_and_what_it_saw():
    with recorder(of(1)) as recording, pytest.raises(WaitTimeout) as caught:
        recording.until(lambda now: False, 0.3, what="3 ready Pods")
    assert str(caught.value) == (
        "Waited 0.3 s for 3 ready Pods, in vain. Last seen: 1 of 3 Pods ready. "
        "See: kubectl describe hpa,deployment web -n default"
    )


def test_a_recorder_that_was_stopped_does_not_keep_until_waiting():
    recording = recorder(of(1)).start()
    recording.stop()
    with pytest.raises(WaitTimeout):
        recording.until(lambda now: False, 600)


def test_progress_may_be_a_function_of_the_row(capsys):
    with recorder(of(1)) as recording:
        recording.until(lambda now: True, 30, progress=lambda row: f"{row.replicas_ready:.0f}!")
        recording.until(lambda now: True, 30, progress=lambda row: None)
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["1!"]


def test_an_api_server_that_is_silent_for_a_moment_leaves_a_hole():
    with recorder(of(1), Answers(), of(3)) as recording:
        recording.until(lambda now: now.replicas_ready == 3, timeout=30)
    ready = recording.frame()["replicas_ready"][:3]
    assert ready[0] == 1
    assert np.isnan(ready[1])
    assert ready[2] == 3


def test_a_bug_while_recording_is_raised_and_not_taken_for_a_standstill():
    broken = Answers(deployment={"spec": {}, "status": {"readyReplicas": "many"}})
    with recorder(of(1), broken) as recording, pytest.raises(ValueError, match="many"):
        recording.until(lambda now: False, 600)


def test_seconds_of_a_load_join_the_samples():
    with recorder(of(1)) as recording:
        row = {"offered": 50, "completed": 49, "errors": 1, "p50": 2.0, "p99": None}
        recording.load_second({**row, "time": recording.began - 1})
        first = recording.frame().iloc[0]
    assert (first["offered"], first["errors"], first["p50"]) == (50, 1, 2.0)
    assert np.isnan(first["p99"])


def test_events_and_marks_are_in_order_and_each_occurrence_is_one_row():
    now = Clock().now()
    later, before = times.rfc3339(now + 5), times.rfc3339(now - 60)
    happened = objects.event("ScalingReplicaSet", later)
    old = objects.event("ScalingReplicaSet", before)
    with recorder(of(1, events=[happened, old]), of(2, events=[happened])) as recording:
        recording.mark("load starts")
        recording.until(lambda now: now.replicas_ready == 2, timeout=30)
    events = recording.events
    assert list(events["message"]) == ["load starts", "ScalingReplicaSet happened"]
    assert list(events.columns) == ["time", "t", "reason", "message", "object"]
    assert events["t"].ge(0).all()


def test_an_event_that_was_there_in_the_same_second_is_none_of_the_recording():
    there = objects.event("SuccessfulRescale", times.rfc3339(int(Clock().now())))
    with recorder(of(1, events=[there]), of(2, events=[there])) as recording:
        recording.until(lambda now: now.replicas_ready == 2, timeout=30)
    assert recording.events.empty


def test_without_events_there_is_an_empty_table():
    assert recorder(of(1)).events.empty
    assert recorder(of(1)).frame().empty


def test_a_decision_is_a_row_when_it_is_another_one_and_not_just_its_numbers():
    told = [
        (1, 1, "1 replica = ceil(1 × 5 % / 30 %)"),
        (1, 3, "9 replicas = ceil(1 × 250 % / 30 %); limited to maxReplicas 3"),
        (3, 3, "9 replicas = ceil(3 × 83 % / 30 %); limited to maxReplicas 3"),
        (3, 3, "8 replicas = ceil(3 × 80 % / 30 %); limited to maxReplicas 3"),
        (3, 3, "1 replica = ceil(3 × 1 % / 30 %); stabilized at 8"),
    ]
    answers = [Answers(autoscaler=objects.decided(*each)) for each in told]
    with recorder(*answers) as recording:
        recording.until(lambda now: len(recording.decisions) == 4, 30)
    found = recording.decisions
    rows = list(found[["current", "desired", "because"]].itertuples(index=False, name=None))
    assert rows == [told[0], told[1], told[2], told[4]]
    assert found["t"].is_monotonic_increasing


def test_the_reasons_are_where_the_controller_writes_them():
    assert DECISION == controller.DECISION


def test_an_autoscaler_that_gives_no_reasons_has_no_decisions():
    with recorder(of(1, autoscaler=objects.autoscaler())) as recording:
        assert recording.decisions.empty


def test_an_interval_without_sense_is_refused():
    with pytest.raises(UsageError):
        Recorder(None, "web", interval=0, source=Script(of(1)))
