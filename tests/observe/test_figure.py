from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.collections import PolyCollection

from labkit.errors import UsageError
from labkit.observe import hpa_timeline
from labkit.observe.finding import finding
from labkit.observe.panels import DESIRED, GAP, READY, gaps, log_ticks
from tests.observe.recordings import happenings, phases, recording, scaling

EVENTS = happenings(
    (10, "mark", "load starts"),
    (22, "SuccessfulRescale", "New size: 3; reason: cpu resource utilization above target"),
    (70, "mark", "load ends"),
)
CLOSE = happenings(*((10 + i / 4, f"Reason{i}", "a very long message " * 12) for i in range(9)))


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def named(figure, gid: str) -> list:
    return figure.findobj(lambda artist: artist.get_gid() == gid)


def test_four_panels_share_one_clock_cause_above_consequence():
    figure = hpa_timeline(scaling())
    assert [axes.get_title(loc="left").split(":")[0] for axes in figure.axes] == [
        "Load",
        "CPU",
        "Replicas",
        "Latency",
    ]
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    tops = [axes.get_position().y1 for axes in figure.axes]
    assert tops == sorted(tops, reverse=True)


def test_the_title_is_the_finding_and_can_be_replaced():
    title = " ".join(named(hpa_timeline(scaling()), "title")[0].get_text().split())
    assert title == finding(scaling())
    assert named(hpa_timeline(scaling(), title="Mine"), "title")[0].get_text() == "Mine"


def test_lines_are_named_where_they_end_and_there_is_no_legend():
    figure = hpa_timeline(scaling(), objective_ms=200)
    load, cpu, replicas, latency = figure.axes
    assert texts(load) == ["completed 50/s", "offered 50/s"]
    assert texts(cpu) == ["CPU 3 %", "target 50 ± 5 %"]
    assert texts(replicas)[-2:] == ["ready 1", "desired 1"]
    assert texts(latency) == ["p50 20 ms", "p99 60 ms", "objective 200 ms"]
    assert all(axes.get_legend() is None for axes in figure.axes)


def test_desired_is_dashed_ready_is_solid_and_the_gap_between_them_is_hatched():
    replicas = hpa_timeline(scaling()).axes[2]
    styles = {line.get_color(): line.get_linestyle() for line in replicas.lines}
    assert styles == {DESIRED: "--", READY: "-"}
    (gap,) = (each for each in replicas.collections if isinstance(each, PolyCollection))
    assert gap.get_hatch()
    assert "Pods 8 s behind" in texts(replicas)
    assert GAP == "#E69F00"


def test_the_axis_says_which_clock():
    label = hpa_timeline(scaling()).axes[-1].get_xlabel()
    assert label == "seconds since the recording began (wall clock; it began at 08:00:00 UTC)"
    frame = scaling()
    frame.attrs["clock"] = "virtual clock"
    label = hpa_timeline(frame).axes[-1].get_xlabel()
    assert label == "seconds since the recording began (virtual clock)"


def test_a_long_recording_counts_minutes():
    frame = scaling()
    events = happenings((600, "mark", "load starts"))
    figure = hpa_timeline(frame.assign(t=frame["t"] * 60), events)
    assert figure.axes[-1].get_xlabel().startswith("minutes ")
    assert figure.axes[-1].get_xlim() == (0, 120)
    assert "10.0 min" in [text.get_text() for text in figure.texts]
    assert "1 → 3 Pods 19 min" in figure.facts


def test_the_last_sample_holds_as_long_as_the_others():
    frame = scaling().head(31)  # the third Pod is ready in the very last row
    replicas = hpa_timeline(frame).axes[2]
    ready = next(line for line in replicas.lines if line.get_color() == READY)
    assert list(ready.get_xdata()[-2:]) == [30, 31]
    assert list(ready.get_ydata()[-2:]) == [3, 3]
    assert replicas.get_xlim() == (0, 31)


def test_events_carry_letters_whose_key_is_below():
    figure = hpa_timeline(scaling(), EVENTS)
    assert [badge.get_text() for badge in named(figure, "event")] == ["A", "B", "C"]
    assert [entry.get_text() for entry in named(figure, "key")] == [
        "load starts",
        "SuccessfulRescale: New size: 3; reason: cpu resource utilization above target",
        "load ends",
    ]
    assert "A  10 s  load starts" in figure.facts


def test_badges_of_events_that_happen_together_do_not_cover_each_other():
    figure = hpa_timeline(scaling(), CLOSE)
    renderer = figure.canvas.get_renderer()
    badges = [badge.get_bbox_patch() for badge in named(figure, "event")]
    figure.draw(renderer)
    boxes = [badge.get_window_extent(renderer) for badge in badges]
    assert len(boxes) == 6
    assert all(a.x1 <= b.x0 for a, b in itertools.pairwise(boxes))


def test_the_key_is_cut_where_the_page_ends():
    figure = hpa_timeline(scaling(), CLOSE)
    renderer = figure.canvas.get_renderer()
    entries = named(figure, "key")
    assert all(entry.get_text().endswith("…") for entry in entries)
    assert all(entry.get_window_extent(renderer).x1 <= 900 for entry in entries)


UGLY = {
    "same-values": scaling().assign(p50=scaling()["p99"], cpu_utilization=50.0),
    "spike": scaling().assign(offered=phases((50, 5), (3, 5000), (67, 5)), p99=1e5, p50=0.1),
    "errors": scaling().assign(errors=scaling()["offered"] / 2),
    "cut-in-the-gap": scaling().head(28),
    "minute-of-nothing": recording(60),
    "no-rows": recording(0),
    "one-row": scaling().iloc[[20]],
    "two-rows": scaling().head(2),
    "no-autoscaler": scaling().assign(
        replicas_desired=np.nan, cpu_target=np.nan, cpu_utilization=np.nan
    ),
    "no-metrics-yet": scaling().assign(cpu_utilization=np.nan),
    "hole": scaling().where(lambda df: (df["t"] < 40) | (df["t"] > 50) | (df["t"] == 45)).assign(
        t=scaling()["t"], time=scaling()["time"]
    ),
    "no-completions": scaling().assign(p50=np.nan, p99=np.nan, completed=0.0),
    "latency-of-zero": scaling().assign(p50=0.0, p99=0.0),
}  # fmt: skip


@pytest.mark.parametrize("frame", UGLY.values(), ids=UGLY)
def test_any_recording_can_be_drawn_and_its_labels_never_collide(frame):
    figure = hpa_timeline(frame, EVENTS, objective_ms=66)
    renderer = figure.canvas.get_renderer()
    figure.draw(renderer)
    for axes in figure.axes:
        boxes = [text.get_window_extent(renderer) for text in axes.texts if text.get_text()]
        for one, other in itertools.combinations(boxes, 2):
            overlap = min(one.x1, other.x1) > max(one.x0, other.x0) + 1
            assert not overlap or min(one.y1, other.y1) <= max(one.y0, other.y0) + 2.5
        assert all(box.x1 <= 900 for box in boxes)
    assert figure.png().startswith(b"\x89PNG")


def test_what_is_missing_is_said():
    said = [texts(axes) for axes in hpa_timeline(recording(60)).axes]
    assert said == [
        ["no load in this recording"],
        ["no autoscaler with a CPU target in this recording"],
        ["no Deployment in this recording"],
        ["no answered requests in this recording"],
    ]


def test_in_jupyter_it_is_a_picture_and_its_facts_as_text():
    data, metadata = hpa_timeline(scaling(), EVENTS)._repr_mimebundle_()
    assert set(data) == {"image/png", "text/plain"}
    assert data["text/plain"].startswith("1 → 3 Pods 20 s after the load began")
    assert metadata == {"image/png": {"width": 900}}


def test_a_table_that_is_no_recording_is_refused():
    with pytest.raises(UsageError, match="has no column p99"):
        hpa_timeline(scaling().drop(columns="p99"))


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (10, 100, [10, 20, 50, 100]),
        (8, 300, [10, 20, 50, 100, 200]),
        (8, 2000, [10, 30, 100, 300, 1000]),
        (0.5, 30000, [1, 10, 100, 1000, 10000]),
        (0.001, 30000, [0.001, 0.1, 10, 1000]),
    ],
)
def test_a_logarithmic_axis_has_few_round_ticks(low, high, ticks):
    assert log_ticks(low, high) == pytest.approx(ticks)


def test_gaps_are_where_fewer_pods_are_ready_than_desired():
    frame = scaling().set_index("t")
    assert gaps(frame["replicas_desired"], frame["replicas_ready"]) == [(22, 30)]
