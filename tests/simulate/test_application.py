"""The model of the application: what Pods can do, and what that means for those who wait."""

import random

import pytest

from labkit.simulate.application import Application, PodModel, cores_of, second, spread

APP = Application(cpu_ms=20, other_ms=2, queue=100, idle_milli=0)


def play(rate, pods, seconds=60, app=APP, cores=0.5):
    """The last second of a steady load, and the models."""
    source, models = random.Random(1), [PodModel(cores) for _ in range(pods)]
    for _ in range(seconds):
        last = second(app, models, rate, source)
    return last, models


def test_cpu_is_what_the_requests_cost():
    _, (model,) = play(10, 1)
    assert model.cpu_seconds == pytest.approx(60 * 10 * 0.020)


def test_more_pods_mean_less_load_for_each_and_less_waiting():
    few, _ = play(40, 2)
    many, models = play(40, 8)
    assert many.p99 < few.p99
    assert sum(model.cpu_seconds for model in models) == pytest.approx(60 * 40 * 0.020)


def test_latency_rises_towards_saturation():
    found = [play(rate, 1)[0].p99 for rate in (2, 10, 18, 24)]
    assert found == sorted(found)
    assert found[-1] > 5 * found[0]


def test_an_overload_waits_and_then_is_refused():
    last, (model,) = play(50, 1)
    assert last.completed == pytest.approx(25)
    assert last.errors == pytest.approx(25)
    assert model.waiting == 100
    # A full queue of 100, at 25 a second, is four seconds.
    assert last.p50 == pytest.approx(4000, rel=0.1)


def test_without_a_pod_every_request_fails():
    assert second(APP, [], 7, random.Random(1))[:3] == (7, 0.0, 7.0)


def test_requests_are_spread_evenly_but_at_random():
    shares = spread(3000, 3, random.Random(1))
    assert sum(shares) == 3000
    assert len(set(shares)) > 1
    assert all(900 < share < 1100 for share in shares)


@pytest.mark.parametrize(("limit", "cores"), [("500m", 0.5), ("4", 1.0), (None, 1.0)])
def test_a_pod_uses_no_more_than_its_limit_and_no_more_than_it_can(limit, cores):
    limits = {"limits": {"cpu": limit}} if limit else {}
    assert cores_of({"spec": {"containers": [{"resources": limits}]}}, APP) == cores


def test_a_limit_does_not_slow_down_a_pod_that_has_little_to_do():
    """Half a core serves 25 of these a second, each at full speed: 20 ms, and 2 besides."""
    (limited, _), (free, _) = play(2, 1), play(2, 1, cores=1.0)
    assert limited == free
    assert limited.p99 < 40
    (limited, _), (free, _) = play(20, 1), play(20, 1, cores=1.0)
    assert limited.p99 > 2 * free.p99
