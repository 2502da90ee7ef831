from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest
from kubernetes import client

from labkit.observe.rollout import Rollout, answers, count
from labkit.observe.rollout_figure import draw

VERSIONS = {"old-1": "v1", "old-2": "v1", "new-1": "v2"}
SECONDS = [
    {"served_by": {"old-1": 3, "old-2": 2}, "errors": 0},
    {"served_by": {}, "errors": 5},
    {"served_by": {"old-1": 1, "new-1": 4}, "errors": 0},
]


def pod(name: str, *, ready: bool = True, ending: bool = False) -> dict:
    state = {"type": "Ready", "status": "True" if ready else "False"}
    when = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if ending else {}
    return {"metadata": {"name": name, **when}, "status": {"conditions": [state]}}


def test_pods_are_counted_by_version_and_those_that_end_are_not():
    found = [pod("old-1"), pod("old-2", ending=True), pod("new-1", ready=False)]
    assert count(found, VERSIONS.get) == {"v1": (1, 1), "v2": (1, 0)}


def test_answers_are_of_the_version_of_the_pod_that_gave_them():
    frame = answers(SECONDS, VERSIONS.get)
    assert frame.to_dict("list") == {"v1": [5, 0, 1], "v2": [0, 0, 4], "lost": [0, 5, 0]}


class Played:
    """A load of which one second is over."""

    def __init__(self, *rows: tuple[int, int]) -> None:
        self.rows = [
            {"second": second, "time": float(second), "completed": completed, "errors": errors}
            for second, (completed, errors) in enumerate(rows)
        ]
        self.seconds, self.read = self.rows[:1], 0

    def follow(self) -> Iterator[dict]:
        for row in self.rows:
            self.read += 1
            yield row


@pytest.mark.parametrize(
    ("rows", "read"),
    [
        ([(20, 0), (20, 0), (20, 0)], 2),
        ([(20, 0), (8, 12), (0, 0), (20, 0), (20, 0)], 4),
        ([(20, 0), (0, 20)], 2),
    ],
    ids=["the next second", "after loss and silence", "the end of the load"],
)
def test_a_recording_settles_with_a_second_of_answers_and_without_loss(rows, read: int):
    load = Played(*rows)
    seen = Rollout.__new__(Rollout)
    seen.load = load
    seen.settle()
    assert load.read == read


def test_a_recording_goes_on_while_the_api_server_does_not_answer():
    nowhere = client.Configuration()
    nowhere.host, nowhere.retries = "http://127.0.0.1:1", False
    with Rollout(client.ApiClient(nowhere), "web", Played((20, 0))) as seen:
        seen.settle()
    assert seen.pods.empty
    assert seen.lost == 0


def test_a_load_without_a_second_has_no_answers():
    assert answers([], VERSIONS.get).empty


def test_the_figure_names_versions_that_answered_and_what_was_lost():
    columns = pd.MultiIndex.from_product([["v1", "v2"], ["pods", "ready"]])
    pods = pd.DataFrame([[2, 2, 0, 0], [1, 1, 1, 0]], index=[0.0, 0.1], columns=columns)
    upper, lower = draw("found", answers(SECONDS, VERSIONS.get), pods).axes
    assert [text.get_text() for text in upper.texts] == ["v1: 6", "v2: 4", "lost: 5"]
    assert [text.get_text() for text in lower.texts] == ["all, ready or not: 2", "v1: 1", "v2: 0"]
