"""The figure of cost against latency: what it says, and that all of it can be read."""

from itertools import combinations
from pathlib import Path

import pytest
from matplotlib.text import Text

from labkit.errors import UsageError
from labkit.simulate import Simulation, tradeoff, vary
from labkit.simulate.tradeoffs import Point, finding

WAVE = Path(__file__).with_name("wave.yaml")


@pytest.fixture(scope="module")
def recordings():
    answers = {
        "machines as needed": {},
        "two machines, always": {"nodes.count": 2, "cluster_autoscaler": None},
    }
    return {
        name: Simulation(vary(WAVE, {"minutes": 12, **changes})).run()
        for name, changes in answers.items()
    }


def test_it_tells_what_each_cost_and_how_long_users_waited(recordings):
    figure = tradeoff(recordings, objective_ms=200)
    title, first, second = figure.facts.splitlines()
    cost = recordings["machines as needed"].bill.cost.sum()
    assert title.startswith(f"Machines as needed: ${cost:.2g} and ")
    assert first.startswith(f"machines as needed: ${cost:.2g}, ")
    assert second.startswith("two machines, always: $0.034, ")
    assert figure.png().startswith(b"\x89PNG")


def test_no_text_covers_another_or_is_cut_off(recordings):
    figure = tradeoff(recordings, objective_ms=200)
    figure.png()
    renderer = figure.canvas.get_renderer()
    boxes = [
        (text.get_text(), text.get_window_extent(renderer))
        for text in figure.findobj(Text)
        if text.get_text() and text.get_visible()
    ]
    shown = figure.bbox
    for words, box in boxes:
        assert shown.x0 <= box.x0, words
        assert box.x1 <= shown.x1, words
        assert shown.y0 <= box.y0, words
        assert box.y1 <= shown.y1, words
    for (one, first), (other, second) in combinations(boxes, 2):
        assert not first.overlaps(second), (one, other)


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (
            [Point("a", 0.2, 100), Point("b", 0.4, 10)],
            "a: $0.20 and 100 s over 200 ms; b: $0.40 and 10 s",
        ),
        (
            [Point("a", 0.2, 10), Point("b", 0.4, 10)],
            "a: $0.20 and 10 s over 200 ms, cheapest and best",
        ),
    ],
)
def test_the_title_is_the_cheapest_and_what_is_better(points, words):
    assert finding(points, 200) == words


def test_nothing_cannot_be_compared():
    with pytest.raises(UsageError, match="0 recordings cannot be compared"):
        tradeoff({}, objective_ms=200)
