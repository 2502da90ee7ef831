"""Which Pod dies first, one criterion at a time."""

import pytest

from labkit.controllers.pod_ranking import DELETION_COST, deletion_cost, pods_to_delete
from labkit.kube import times

NOW = 1_767_225_600.0


def pod(
    name, *, node="n", phase="Running", ready=True, since=1000, age=1000, cost=None, restarts=0
):
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": ago(since)}
    annotations = {DELETION_COST: cost} if cost is not None else {}
    return {
        "metadata": {
            "name": name, "uid": name, "creationTimestamp": ago(age), "annotations": annotations,
        },
        "spec": {"nodeName": node},
        "status": {
            "phase": phase,
            "conditions": [condition],
            "containerStatuses": [{"restartCount": restarts}],
        },
    }  # fmt: skip


def ago(seconds):
    return times.rfc3339(NOW - seconds)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(pod("z", node="", since=9), pod("a", since=9), id="not scheduled"),
        pytest.param(pod("z", phase="Pending"), pod("a", phase="Unknown"), id="Pending"),
        pytest.param(pod("z", phase="Unknown"), pod("a"), id="Unknown"),
        pytest.param(pod("z", ready=False), pod("a"), id="not ready"),
        pytest.param(pod("z", cost="-5"), pod("a"), id="lower deletion cost"),
        pytest.param(pod("z", cost="1"), pod("a", cost="2", since=5), id="cost counts before age"),
        pytest.param(pod("z", since=5), pod("a", since=1000), id="ready for a shorter time"),
        pytest.param(pod("z", restarts=4), pod("a", restarts=1), id="more restarts"),
        pytest.param(pod("z", age=5), pod("a", age=1000), id="younger"),
        pytest.param(pod("a", since=1000), pod("z", since=900), id="about as old: the UID decides"),
    ],
)
def test_the_less_valuable_pod_dies_first(first, second):
    for order in ([first, second], [second, first]):
        assert pods_to_delete(order, order, 1, NOW) == [first]


def test_pods_that_share_a_node_die_before_one_that_is_alone():
    crowd = [pod("a", node="full"), pod("b", node="full"), pod("c", node="empty", since=5)]
    assert {p["metadata"]["name"] for p in pods_to_delete(crowd, crowd, 1, NOW)} < {"a", "b"}


def test_pods_of_sibling_replica_sets_count_on_their_node():
    mine = [pod("a", node="one", since=5), pod("b", node="two")]
    sibling = pod("x", node="two")
    assert pods_to_delete(mine, [*mine, sibling], 1, NOW) == [mine[1]]


@pytest.mark.parametrize(
    ("text", "cost"),
    [("7", 7), ("-7", -7), ("seven", 0), (str(2**31), 0), (str(-(2**31)), -(2**31))],
)
def test_a_deletion_cost_is_a_32_bit_number(text, cost):
    assert deletion_cost(pod("a", cost=text)) == cost
