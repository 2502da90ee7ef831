from __future__ import annotations

import pandas as pd

from labkit.observe.events import choose
from tests.observe.recordings import happenings

RESCALE = "SuccessfulRescale"


def test_letters_follow_the_clock():
    events = happenings((30, RESCALE, "New size: 3"), (10, "mark", "load starts"))
    chosen = choose(events, 0, 60)
    assert [(event.letter, event.t) for event in chosen] == [("A", 10), ("B", 30)]
    assert [event.text for event in chosen] == ["load starts", "SuccessfulRescale: New size: 3"]


def test_at_most_six_are_chosen_and_our_marks_and_decisions_come_first():
    noise = [(t, "Unhealthy", f"number {t}") for t in range(5, 50, 5)]
    events = happenings(*noise, (52, "mark", "load ends"), (55, RESCALE, "New size: 1"))
    chosen = choose(events, 0, 60)
    assert len(chosen) == 6
    assert [event.text for event in chosen[-2:]] == ["load ends", "SuccessfulRescale: New size: 1"]


def test_what_the_deployment_does_at_the_autoscaler_s_word_is_left_out():
    events = happenings(
        (20, RESCALE, "New size: 3"),
        (20.5, "ScalingReplicaSet", "Scaled up replica set web-1 to 3"),
        (40, "ScalingReplicaSet", "Scaled up replica set web-2 to 1"),
    )
    assert [event.t for event in choose(events, 0, 60)] == [20, 40]


def test_an_event_that_repeats_itself_at_once_is_one_event():
    events = happenings(*((t, "FailedGetResourceMetric", "no metrics") for t in (5, 6, 7, 30)))
    assert [event.t for event in choose(events, 0, 60)] == [5, 30]


def test_events_outside_the_recording_are_left_out():
    events = happenings((-20, "mark", "before"), (30, "mark", "in"), (61, "mark", "after"))
    assert [event.text for event in choose(events, 0, 60)] == ["in"]


def test_no_events_are_no_letters():
    assert choose(None, 0, 60) == []
    assert choose(pd.DataFrame(), 0, 60) == []
