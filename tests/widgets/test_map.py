"""The map's places, its two layers, and its words."""

import base64
import itertools
import re
from xml.etree import ElementTree

import pytest

from labkit.widgets import map_svg, map_words
from labkit.widgets.map_layout import WIDTH, Box, layout
from labkit.widgets.map_state import Objects, map_state
from labkit.widgets.traffic import Traffic
from tests.widgets import objects
from tests.widgets.objects import NOW

BUSY = Traffic(
    True,
    {("default/web", "127.244.1.2"): 12.0, ("default/rule", "127.244.1.17"): 3.0},
    {("default/rule", "127.244.1.2"): 2.0},
)


def plan_of(pods: int):
    return layout(map_state(objects.cluster(pods), NOW))


def overlap(one: Box, other: Box) -> bool:
    return (
        one.x < other.right
        and other.x < one.right
        and one.y < other.bottom
        and other.y < one.bottom
    )


@pytest.mark.parametrize("pods", [0, 1, 4, 5, 30, 200])
def test_nothing_overlaps_and_all_is_inside(pods):
    plan = plan_of(pods)
    tiles = [box for _, box in plan.pods]
    others = [box for _, box in (*plan.nodes, *plan.services)]
    assert len(tiles) == pods + 1
    for group in (tiles, [*others, plan.legend]):
        assert not [pair for pair in itertools.combinations(group, 2) if overlap(*pair)]
    nodes = {node.name: box for node, box in plan.nodes}
    for pod, box in plan.pods:
        node = nodes[pod.node]
        assert node.x <= box.x
        assert box.right <= node.right
        assert node.y < box.y
        assert box.bottom < node.bottom
    assert all(box.x >= 0 and box.right <= WIDTH and box.bottom <= plan.height for box in others)


def test_many_services_stay_above_the_legend():
    services = tuple(objects.service(f"s{number:02}") for number in range(20))
    plan = layout(map_state(Objects((objects.node("n"),), (), services), NOW))
    boxes = [box for _, box in plan.services]
    assert not [pair for pair in itertools.combinations(boxes, 2) if overlap(*pair)]
    assert max(box.bottom for box in boxes) < plan.legend.y


def test_every_thing_can_be_reached_and_says_what_it_is():
    plan = plan_of(30)
    tree = ElementTree.fromstring(map_svg.standing(plan, ""))
    things = {
        one.get("data-key"): one.get("aria-label") for one in tree.iter() if one.get("data-key")
    }
    assert len(things) == 31 + 4 + 2
    assert things["node/lab-worker3"].startswith("Node lab-worker3: Ready, cordoned; CPU 900m of 2")
    assert things["service/default/web"] == (
        "Service default/web: NodePort :3001 → 30080; endpoints: 8/10 ready"
    )
    crashing = things["pod/default/web-5d8f7c9b4d-x0008"]
    assert "Failing (CrashLoopBackOff)" in crashing
    assert "on lab-worker3" in crashing


def test_each_state_has_a_colour_and_a_shape_of_its_own():
    shapes = {re.sub("#[0-9A-F]{6}", "", map_svg.glyph(state, 0, 0)) for state in map_svg.COLOURS}
    assert len(shapes) == len(set(map_svg.COLOURS.values())) == 6


def test_names_cannot_break_out_of_the_picture():
    evil = objects.pod('<script>"&', "n")
    plan = layout(map_state(Objects((objects.node("n<b>"),), (evil,)), NOW))
    svg = map_svg.standing(plan, "<i>")
    ElementTree.fromstring(svg)
    assert "<script" not in svg
    assert "<b>" not in svg
    assert "<i>" not in svg


def test_names_that_are_too_long_keep_their_ends():
    pod = objects.pod("a-deployment-with-a-very-long-name-7d9c5b7f4-x2x4z", "n")
    plan = layout(map_state(Objects((objects.node("n"),), (pod,)), NOW))
    assert re.search(r">a-d[^<]*…x2x4z<", map_svg.standing(plan, ""))


def test_traffic_is_drawn_apart_and_only_where_there_is_some():
    plan = plan_of(30)
    assert map_svg.moving(plan, Traffic(True)) == ""
    tree = ElementTree.fromstring(map_svg.moving(plan, BUSY))
    texts = [one.text for one in tree.iter() if one.tag.endswith("text")]
    assert sorted(texts) == ["12/s", "12/s", "2/s", "3/s", "3/s"]
    arrows = [one for one in tree.iter() if one.get("class") == "flow"]
    # web and rule to a node each, from outside to each, and from web's Pod to rule.
    assert len(arrows) == 5


def test_the_static_picture_has_both_layers_and_its_own_colours():
    data = map_svg.image(plan_of(30), "note", BUSY)
    svg = base64.b64decode(data.partition(",")[2]).decode()
    ElementTree.fromstring(svg)
    assert "12/s" in svg
    assert "lab-worker3" in svg
    assert "prefers-color-scheme:dark" in svg
    assert set(re.findall(r"var\((--[\w-]+)\)", svg)) - {"--lk-focus"} <= set(
        re.findall(r"(--lk-\w+):#", svg)
    ), "an image knows nothing of the page's variables"


def test_a_redraw_of_thirty_pods_is_small():
    plan = plan_of(30)
    assert len(map_svg.standing(plan, "note")) < 25_000
    assert len(map_svg.moving(plan, BUSY)) < 5_000


def test_the_words_have_the_facts():
    state = map_state(objects.cluster(30), NOW)
    assert map_words.finding(state) == (
        "3 nodes, 31 Pods: 25 Ready, 1 Running, not ready, 2 Pending, 1 Terminating, 1 Failing, "
        "1 Completed; 2 Services"
    )
    lines = map_words.facts(state, BUSY).splitlines()
    assert "  node lab-worker Ready: 10 Pods, CPU 1 of 2, memory 640Mi of 4Gi requested" in lines
    assert (
        "  service default/web NodePort :3001 → 30080: 8 of 10 endpoints ready, "
        "12/s new connections" in lines
    )
    assert "  pod default/web-5d8f7c9b4d-wait1: Pending (Pending), on no node" in lines


def test_without_counters_the_words_are_silent_about_traffic():
    assert "connections" not in map_words.facts(map_state(objects.cluster(3), NOW), Traffic())
