"""From points to usage: rates, restarts, fresh containers, late and repeated answers."""

import pytest

from labkit.metrics.exposition import Batch, Point
from labkit.metrics.storage import Storage, Usage

MEMORY = 1 << 20
SECOND, CORE = 1000, 1_000_000_000
T = 1_700_000_000_000  # Unix milliseconds
POD = ("default", "web-0")


def point(at, cpu, start=0.0):
    """Seconds after T, and CPU seconds; a start of 0 is long ago."""
    begun = round(T + start * SECOND) if start else T - 3600 * SECOND
    return Point(round(T + at * SECOND), round(cpu * CORE), MEMORY, begun)


def pods(**containers):
    return Batch(pods={POD: containers})


def usage_after(*batches, resolution=15.0):
    storage = Storage(resolution)
    for batch in batches:
        storage.store(batch)
    return storage.pod(*POD)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        pytest.param([(0, 1.0)], None, id="one point says nothing yet"),
        pytest.param([(0, 1.0), (15, 4.0)], (200_000_000, 15, 15_000), id="two make a rate"),
        pytest.param(
            [(0, 1.0), (2, 1.5)], (250_000_000, 2, 2_000), id="the interval is the measured one"
        ),
        pytest.param(
            [(0, 1.0), (17.021, 2.0)],
            (58_751_000, 17.021, 17_021),
            id="a late answer does not raise the rate",
        ),
        pytest.param(
            [(0, 1.0), (15, 4.0), (30, 4.0)], (0, 30, 15_000), id="only the last two count"
        ),
        pytest.param(
            [(0, 1.0), (15, 4.0), (15, 4.0)],
            (200_000_000, 15, 15_000),
            id="the same point again keeps the older pair",
        ),
        pytest.param([(0, 1.0), (0, 1.0)], None, id="the same point twice is one"),
        pytest.param([(15, 4.0), (0, 1.0)], None, id="an older point makes no pair"),
        pytest.param([(0, 9.0), (15, 1.0)], None, id="a counter that went back"),
        pytest.param(
            [(0, 9.0), (15, 1.0), (30, 2.5)], (100_000_000, 30, 15_000), id="and counts on"
        ),
    ],
)
def test_usage_of_a_container(points, expected):
    found = usage_after(*(pods(web=point(at, cpu)) for at, cpu in points))
    if expected is None:
        assert found is None
        return
    cpu, at, window = expected
    got = found["web"]
    assert (got.memory, got.at, got.window) == (MEMORY, round(T + at * SECOND), window)
    assert got.cpu == pytest.approx(cpu, rel=1e-5)


@pytest.mark.parametrize(
    ("resolution", "points", "expected"),
    [
        pytest.param(15, [(20, 3.0, 8)], Usage(250_000_000, MEMORY, T + 20_000, 12_000), id="12 s"),
        pytest.param(15, [(20, 3.0, 11)], None, id="younger than ten seconds"),
        pytest.param(15, [(20, 3.0, 4)], None, id="older than the interval"),
        pytest.param(2, [(20, 3.0, 8)], None, id="short intervals wait for two points"),
        pytest.param(
            2,
            [(20, 0.1, 19.5), (22, 0.5, 19.5)],
            Usage(200_000_000, MEMORY, T + 22_000, 2_000),
            id="and have them soon",
        ),
        pytest.param(15, [(20, 3.0, 1), (35, 0.5, 30)], None, id="restarted since"),
        pytest.param(
            15,
            [(20, 3.0, 1), (35, 0.5, 34), (50, 2.0, 34)],
            Usage(100_000_000, MEMORY, T + 50_000, 15_000),
            id="two points of the new run",
        ),
    ],
)
def test_fresh_and_restarted_containers(resolution, points, expected):
    batches = [pods(web=point(*each)) for each in points]
    found = usage_after(*batches, resolution=resolution)
    assert (found and found["web"]) == expected


def test_a_pod_is_known_only_when_all_its_containers_are():
    first = pods(web=point(0, 1.0))
    second = pods(web=point(15, 2.0), late=point(15, 1.0, 14))
    third = pods(web=point(30, 3.0), late=point(30, 1.0, 14))
    assert usage_after(first, second) is None
    assert sorted(usage_after(first, second, third)) == ["late", "web"]


def test_what_a_round_does_not_bring_is_forgotten():
    storage = Storage(15)
    for at in (0, 15):
        storage.store(Batch(nodes={"n": point(at, at)}, pods={POD: {"web": point(at, at)}}))
    assert storage.node("n").cpu == CORE
    storage.store(Batch())
    assert storage.node("n") is None
    assert storage.pod(*POD) is None
    storage.store(Batch(nodes={"n": point(45, 45)}))
    assert storage.node("n") is None


def test_a_node_has_usage_though_its_start_is_unknown():
    storage = Storage(15)
    storage.store(Batch(nodes={"n": Point(T, 5 * CORE, MEMORY)}))
    storage.store(Batch(nodes={"n": Point(T + 10_000, 10 * CORE, MEMORY)}))
    assert storage.node("n") == Usage(CORE // 2, MEMORY, T + 10_000, 10_000)
