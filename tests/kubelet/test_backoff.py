"""Back-offs of containers and images, as values."""

import pytest

from labkit.kubelet.backoff import BackOff, raised, remaining


def test_delays_double_up_to_the_maximum():
    entry, delays = None, []
    for crash in range(7):
        entry = raised(entry, crash, crash, 10, 300)
        delays.append(entry.delay)
    assert delays == [10, 20, 40, 80, 160, 300, 300]


@pytest.mark.parametrize(
    ("entry", "event", "now", "left"),
    [
        (None, 0, 0, 0),
        (BackOff(10, 0), 5, 5, 10),
        (BackOff(10, 0), 5, 12, 3),
        (BackOff(10, 0), 5, 15, 0),
        (BackOff(300, 0), 601, 601, 0),
        (BackOff(300, 0), 600, 600, 300),
    ],
    ids=["unknown", "just ended", "some waited", "waited enough", "ran for long", "ran too short"],
)
def test_what_remains_counts_from_the_end_of_the_run(entry, event, now, left):
    assert remaining(entry, event, now) == left


def test_after_ten_good_minutes_the_delay_starts_anew():
    assert raised(BackOff(300, 0), 601, 601, 10, 300) == BackOff(10, 601)
    assert raised(BackOff(300, 0), 600, 600, 10, 300) == BackOff(300, 600)
