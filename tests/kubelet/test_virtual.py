"""Virtual nodes: what their Pods cost, and how long spot instances last."""

from fractions import Fraction

import pytest

from labkit.kubelet.virtual import ON_DEMAND, PRICES, SPOT, Bill, VirtualNode, cost, size


def pod(uid="u", cpu=None, memory=None):
    requests = {key: text for key, text in (("cpu", cpu), ("memory", memory)) if text}
    container = {"name": "c", "resources": {"requests": requests}}
    return {"metadata": {"uid": uid}, "spec": {"containers": [container]}}


@pytest.mark.parametrize(
    ("cpu", "memory", "expected"),
    [
        ("2", "4Gi", (2, 4)),
        ("200m", "64Mi", (Fraction(1, 4), Fraction(1, 2))),
        (None, None, (Fraction(1, 4), Fraction(1, 2))),
        ("1500m", None, (Fraction(3, 2), Fraction(1, 2))),
    ],
)
def test_a_pod_is_billed_for_its_requests_and_for_the_smallest_instance_at_least(
    cpu, memory, expected
):
    assert size(pod(cpu=cpu, memory=memory)) == expected


def test_an_hour_costs_what_the_price_list_says():
    found = cost(pod(cpu="2", memory="4Gi"), PRICES[ON_DEMAND], 3600)
    assert found == pytest.approx(2 * 0.04048 + 4 * 0.004445)
    assert cost(pod(cpu="2", memory="4Gi"), PRICES[SPOT], 3600) == pytest.approx(
        found * 0.3, rel=0.01
    )


class Hours:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def now():
    return Hours()


@pytest.fixture
def bill(now):
    return Bill(PRICES[ON_DEMAND], now)


def seconds(bill):
    return float(bill.annotations()["billing.labkit/pod-seconds"])


def test_a_pod_is_billed_while_it_runs(bill, now):
    bill.seen(pod(), False)
    now.now = 10.0
    bill.seen(pod(), True)
    now.now = 25.0
    assert seconds(bill) == 15.0
    bill.seen(pod(), False)
    now.now = 99.0
    assert seconds(bill) == 15.0


def test_pods_add_up_and_one_that_is_gone_is_closed(bill, now):
    for uid in ("a", "b"):
        bill.seen(pod(uid), True)
    now.now = 5.0
    bill.close("a")
    bill.close("a")
    now.now = 7.0
    assert seconds(bill) == 12.0


def test_the_bill_goes_on_after_a_restart(bill, now):
    bill.seen(pod(), True)
    now.now = 8.0
    after = Bill(PRICES[ON_DEMAND], now)
    after.resume(bill.annotations())
    assert after.annotations() == bill.annotations()
    after.resume({"billing.labkit/cost": "a lot"})


def test_spot_instances_last_as_long_as_the_interval_says_on_average_and_others_for_ever():
    spot = VirtualNode(SPOT, reclaim_interval=60.0)
    lifetimes = [spot.lifetime(str(uid)) for uid in range(2000)]
    assert sum(lifetimes) / len(lifetimes) == pytest.approx(60.0, rel=0.1)
    assert spot.lifetime("7") == lifetimes[7]
    assert VirtualNode(SPOT).lifetime("7") is None
    assert VirtualNode(ON_DEMAND, reclaim_interval=60.0).lifetime("7") is None
