from __future__ import annotations

import itertools

import numpy as np
import pytest

from labkit.errors import UsageError
from labkit.observe import compare
from labkit.observe.overlay_panels import STYLES
from tests.observe.recordings import phases, recording, scaling


def requests(df):
    """Pods that request a whole vCPU each, so that there is something to pay."""
    ready = df["replicas_ready"]
    return df.assign(pods_running=ready, pods_pending=0.0, cpu_request_milli=1000 * ready)


def quicker():
    """The same load; three Pods are ready 10 s sooner."""
    ready = phases((16, 1), (4, 2), (75, 3), (25, 1))
    slow = (ready < 3) & (scaling()["offered"] > 0)
    p99 = np.where(slow, 1900.0, np.where(scaling()["offered"] > 0, 60.0, np.nan))
    return requests(scaling().assign(replicas_ready=ready, p99=p99))


TODAY = requests(scaling())


def title(recordings, **options):
    return compare(recordings, **options).facts.splitlines()[0]


FINDINGS = {
    "two": (
        {"today": TODAY, "quicker": quicker()},
        "quicker, against today: scaled out 10 s earlier; 9 s over 250 ms instead of 19 s; "
        "cost $0.00304 instead of $0.00282, 8 % more",
    ),
    "the-other-way-round": (
        {"quicker": quicker(), "today": TODAY},
        "today, against quicker: scaled out 10 s later; 19 s over 250 ms instead of 9 s; "
        "cost $0.00282 instead of $0.00304, 7 % less",
    ),
    "three": (
        {"today": TODAY, "quicker": quicker(), "never": TODAY.assign(replicas_ready=1.0)},
        "First to scale out: quicker (6 s, others up to 16 s); "
        "least over 250 ms: quicker (9 s, others up to 19 s); "
        "cheapest: today and never ($0.00282, others up to $0.00304)",
    ),
    "the-same-twice": ({"one": TODAY, "two": TODAY}, "two, against one: no difference"),
    "never": (
        {"today": TODAY, "fixed": TODAY.assign(replicas_ready=1.0)},
        "fixed, against today: did not scale out",
    ),
    "failures": (
        {"today": TODAY, "worse": TODAY.assign(errors=phases((40, 0), (10, 3), (70, 0)))},
        "worse, against today: 29 s over 250 ms instead of 19 s; 30 requests failed instead of 0",
    ),
    "one-is-shorter": (
        {"today": TODAY, "quicker": quicker().head(61)},
        "quicker, against today, in the first 60 s: scaled out 10 s earlier; 9 s over 250 ms "
        "instead of 19 s; cost $0.00163 instead of $0.00141, 16 % more",
    ),
    "one": ({"today": TODAY}, "today: 19 s over 250 ms, cost $0.00282"),
    "nothing": ({"a": recording(9), "b": recording(9)}, "b, against a: no difference"),
}  # fmt: skip


@pytest.mark.parametrize(("recordings", "expected"), FINDINGS.values(), ids=FINDINGS)
def test_the_title_is_what_became_different(recordings, expected):
    prices = {"vcpu_hour": 0.04, "gib_hour": 0.0}
    recordings = {name: df.assign(memory_request_mib=0.0) for name, df in recordings.items()}
    assert title(recordings, objective_ms=250, prices=prices) == expected


def test_runs_are_told_apart_by_colour_and_by_dash_and_named_at_their_ends():
    figure = compare({"today": TODAY, "quicker": quicker()}, objective_ms=250)
    _, _, replicas, latency, over = figure.axes
    drawn = {(line.get_color(), line.get_linestyle()) for line in replicas.lines}
    assert drawn == {(STYLES[0].color, "-"), (STYLES[1].color, "--")}
    assert {text.get_text() for text in replicas.texts} == {"today: 1", "quicker: 1"}
    assert "quicker: 60 ms" in {text.get_text() for text in latency.texts}
    assert {text.get_text() for text in over.texts} == {"today: 19 s", "quicker: 9 s"}
    assert all(axes.get_legend() is None for axes in figure.axes)


def test_a_load_that_is_the_same_is_drawn_once():
    load = compare({"today": TODAY, "quicker": quicker().head(80)}).axes[0]
    assert [text.get_text() for text in load.texts] == ["offered 50/s"]
    other = compare({"today": TODAY, "more": TODAY.assign(offered=70.0)}).axes[0]
    assert {text.get_text() for text in other.texts} == {"today: 50/s", "more: 70/s"}


def test_the_strip_shows_when_each_was_over_its_objective():
    over = compare({"today": TODAY, "quicker": quicker()}, objective_ms=250).axes[-1]
    bars = [each.get_paths()[0].get_extents() for each in over.collections]
    assert [(bar.x0, bar.x1) for bar in bars] == [(10, 29), (10, 19)]
    assert len(compare({"today": TODAY}).axes) == 4


def test_the_axis_says_which_clocks():
    virtual = quicker()
    virtual.attrs["clock"] = "virtual clock"
    said = compare({"measured": TODAY, "simulated": virtual}).axes[-1].get_xlabel()
    assert said == (
        "seconds since each recording began (measured: wall clock; simulated: virtual clock)"
    )


LONG = {
    "the first one, with a name that is much too long": TODAY,
    "a policy that waits": quicker(),
    "third": TODAY.assign(errors=5.0, p99=700.0),
    "fourth": TODAY.assign(cpu_target=70.0, cpu_utilization=12.0),
}


@pytest.mark.parametrize("scale", [1.0, 60.0], ids=["seconds", "minutes"])
def test_labels_of_four_runs_neither_collide_nor_leave_the_page(scale):
    runs = {name: df.assign(t=df["t"] * scale) for name, df in LONG.items()}
    figure = compare(runs, objective_ms=250)
    renderer = figure.canvas.get_renderer()
    figure.draw(renderer)
    for axes in figure.axes:
        boxes = [text.get_window_extent(renderer) for text in axes.texts]
        for one, other in itertools.combinations(boxes, 2):
            overlap = min(one.x1, other.x1) > max(one.x0, other.x0) + 1
            assert not overlap or min(one.y1, other.y1) <= max(one.y0, other.y0) + 3
        assert all(box.x1 <= 900 for box in boxes)


def test_in_jupyter_it_is_a_picture_and_its_facts_as_text():
    data, _ = compare({"today": TODAY, "quicker": quicker()}, 250)._repr_mimebundle_()
    assert set(data) == {"image/png", "text/plain"}
    assert "today: 19 s over, 0 of 3000 requests failed, up to 3 Pods" in data["text/plain"]


@pytest.mark.parametrize("given", [{}, TODAY, {str(n): TODAY for n in range(5)}])
def test_none_or_too_many_are_refused(given):
    with pytest.raises(UsageError, match="recordings cannot be compared"):
        compare(given)
