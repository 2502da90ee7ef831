"""Revisions of StatefulSets and DaemonSets: which are kept, and names that are taken."""

from __future__ import annotations

import pytest

from labkit.controllers import history
from labkit.controllers.history import History
from labkit.controllers.informers import InformerFactory
from labkit.controllers.replicaset import BY_CONTROLLER, ORPHANS, controller_uid, orphan_namespace
from labkit.kube.resources import CONTROLLER_REVISIONS, STATEFUL_SETS

TEMPLATE = {
    "metadata": {"labels": {"app": "db"}},
    "spec": {"containers": [{"name": "db", "image": "db:1"}]},
}


def revision(number: int) -> dict:
    return {"metadata": {"name": f"v{number}"}, "revision": number}


@pytest.mark.parametrize(
    ("old", "live", "limit", "expected"),
    [
        pytest.param([1, 2, 3], set(), 3, [], id="within the limit"),
        pytest.param([1, 2, 3], set(), 1, ["v1", "v2"], id="the oldest go"),
        pytest.param([1, 2, 3], {"v1"}, 1, ["v2"], id="what Pods live by stays and does not count"),
        pytest.param([1, 2], set(), 0, ["v1", "v2"], id="none is kept"),
    ],
)
def test_which_revisions_go(old, live, limit, expected):
    found = history.surplus([revision(number) for number in old], live, limit)
    assert [each["metadata"]["name"] for each in found] == expected


def test_a_patch_brings_a_template_back():
    patch = history.patch_of(TEMPLATE)
    assert patch["spec"]["template"]["$patch"] == "replace"
    assert history.template_of({"data": patch}) == TEMPLATE


async def test_a_name_that_is_taken_makes_another(world):
    body = {
        "metadata": {"name": "db", "namespace": "default"},
        "spec": {
            "serviceName": "db",
            "selector": {"matchLabels": {"app": "db"}},
            "template": TEMPLATE,
        },
    }
    owner = await world.client.create(STATEFUL_SETS, body)
    taken = history.draft(owner, "hash", 1, 0)
    del taken["metadata"]["ownerReferences"]
    taken["metadata"]["labels"] = {}
    await world.client.create(CONTROLLER_REVISIONS, taken)
    factory = InformerFactory(world.client, world.clock)
    informer = factory.informer(CONTROLLER_REVISIONS)
    informer.add_index(BY_CONTROLLER, controller_uid)
    informer.add_index(ORPHANS, orphan_namespace)
    informer.start()
    await informer.synced()
    found = await History(world.client, informer, STATEFUL_SETS, "hash").revisions(owner)
    await factory.stop()
    assert found.collisions == 1
    assert found.newest["metadata"]["name"] != taken["metadata"]["name"]
