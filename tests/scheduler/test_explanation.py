"""What people are told, for a Pod that waits, one that runs, and one that does not exist."""

import pytest

from labkit.errors import UsageError
from labkit.kube.resources import DEPLOYMENTS, PODS
from labkit.scheduler.question import ask
from labkit.scheduler.reasons import amount
from tests.scheduler.test_scheduler import asking


@pytest.fixture
async def nodes(world):
    taint = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
    await world.node("gpu", taints=[taint])
    await world.node("full", cpu="1")
    await world.node("free")
    await world.pod("there", nodeName="full", containers=asking("800m"))


def verdicts(explanation):
    return {each.node: each.possible for each in explanation.nodes}


async def test_a_pod_that_waits(world, nodes):
    waiting = await world.pod("one", containers=asking("500m"))
    found = await ask(world.client, waiting)
    assert verdicts(found) == {"free": True, "full": False, "gpu": False}
    assert found.best == ["free"]
    text = repr(found)
    assert text.startswith("default/one is waiting.\n1 of 3 nodes can take it; the best is free")
    assert "gpu: TaintToleration: node(s) had untolerated taint {gpu: yes} (gpu=yes:" in text
    assert "full: NodeResourcesFit: Insufficient cpu (cpu 0.5 of 0.2 free" in text


async def test_a_pod_that_fits_nowhere_reads_what_the_scheduler_says(world, nodes):
    found = await ask(world.client, await world.pod("one", containers=asking("9")))
    assert found.best == []
    assert found.message == (
        "0/3 nodes are available: 1 node(s) had untolerated taint {gpu: yes}, "
        "2 Insufficient cpu. preemption: 0/3 nodes are available: "
        "3 Preemption is not helpful for scheduling."
    )
    assert found.message in repr(found)


async def test_a_pod_that_runs_is_judged_as_if_it_did_not(world, nodes):
    found = await ask(world.client, await world.find(PODS, "there"))
    assert verdicts(found)["full"], "its own place counts as free"
    assert repr(found).startswith("default/there is on full. What follows is what the scheduler")


async def test_a_manifest_is_completed_by_the_api_server(world, nodes):
    manifest = {"kind": "Pod", "metadata": {"name": "new"}, "spec": {"containers": asking("2")}}
    found = await ask(world.client, manifest)
    assert found.best == ["free"]
    assert repr(found).startswith("default/new does not exist yet.")
    assert await world.find(PODS, "new") is None


async def test_a_deployment_is_asked_where_one_more_would_go(world, nodes):
    deployment = await world.deployment()
    found = await ask(world.client, await world.find(DEPLOYMENTS, "web"))
    assert deployment["metadata"]["name"] in found.pod
    assert verdicts(found) == {"free": True, "full": True, "gpu": False}


async def test_a_gated_pod_says_what_holds_it_back(world, nodes):
    gated = await world.pod("one", schedulingGates=[{"name": "example.com/wait"}])
    text = repr(await ask(world.client, gated))
    assert text.startswith("default/one is held back by its scheduling gates example.com/wait.")


async def test_what_is_never_scheduled_is_refused(world):
    with pytest.raises(UsageError, match="A Service is not scheduled"):
        await ask(world.client, {"kind": "Service", "metadata": {"name": "web"}})


async def test_the_frame_has_every_filter_and_score_of_every_node(world, nodes):
    found = await ask(world.client, await world.pod("one", containers=asking("500m")))
    frame = found.frame
    filters = frame[frame.step == "filter"]
    assert set(filters.groupby("node").size()) == {9}
    assert set(filters[~filters.passes].plugin) == {"TaintToleration", "NodeResourcesFit"}
    points = frame[frame.step == "score"]
    total = frame[frame.step == "total"]
    assert list(total.node) == ["free"]
    assert points.points.sum() == total.points.iloc[0]
    assert frame[frame.step != "total"].reason.str.len().min() > 0


async def test_the_html_face_has_the_facts(world, nodes):
    found = await ask(world.client, await world.pod("one", nodeSelector={"a": "b"}))
    html = found._repr_html_()
    assert "wants a=b, node has none" in html
    assert "filter NodeAffinity" in html


@pytest.mark.parametrize(
    ("value", "words"), [(2**20, "1Mi"), (int(7.64 * 2**30), "7.64Gi"), (40 * 2**40, "40960Gi")]
)
def test_memory_is_written_as_people_write_it(value, words):
    assert amount("memory", value) == words
