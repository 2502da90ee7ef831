"""The four views without a browser: traits are set as it would set them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from labkit.client import Client, kubeconfig
from labkit.kube.resources import NODES, PODS
from labkit.observe.sample import Answers
from labkit.scheduler.question import question
from labkit.simulate import Scenario
from labkit.simulate.cli import LESSON
from labkit.widgets.autoscaling import Autoscaling
from labkit.widgets.background import once
from labkit.widgets.cluster_map import ClusterMap
from labkit.widgets.scheduling import Placement, requests, with_requests
from labkit.widgets.stage import STAGE
from labkit.widgets.what_if import WhatIf, what_if
from tests.load.conftest import Server
from tests.observe import objects
from tests.serving import served_in_thread, until
from tests.widgets.objects import node
from tests.widgets.test_words import hpa

SCENARIO = replace(Scenario.read(LESSON), seconds=300.0)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    STAGE.end("the test ended")
    left = [one.name for one in threading.enumerate() if one.name.startswith("labkit")]
    assert left == []


class Api:
    """An API server without nodes of its own: what is there, a test has written."""

    def __init__(self, path) -> None:
        self._path = path

    def connect(self) -> Client:
        return Client(kubeconfig.transport(self._path))

    def run(self, work):
        """`work(client)` in a loop of its own."""

        async def connected():
            client = self.connect()
            try:
                return await work(client)
            finally:
                await client.close()

        return once(connected)


@pytest.fixture
def api(tmp_path) -> Iterator[Api]:
    with served_in_thread(tmp_path) as path:
        made = Api(path)
        for name in ("n1", "n2"):
            made.run(lambda client, name=name: add_node(client, name))
        yield made


async def add_node(client: Client, name: str) -> None:
    wanted = node(name)
    created = await client.create(NODES, wanted)
    await client.update(NODES, {**created, "status": wanted["status"]}, subresource="status")


def a_pod(name: str, cpu: str = "500m", on: str = "") -> dict:
    container = {"name": "c", "image": "busybox", "resources": {"requests": {"cpu": cpu}}}
    spec = {"containers": [container], **({"nodeName": on} if on else {})}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


# -- the map ---------------------------------------------------------------------------------------


def test_the_map_follows_the_cluster(api: Api):
    made = ClusterMap(api.connect)
    assert "2 nodes, 0 Pods; 0 Services" in made.text()
    made.open()
    panel = made.panel
    assert 'data-key="node/n1"' in panel.picture
    api.run(lambda client: client.create(PODS, a_pod("web", on="n1")))
    until(lambda: 'data-key="pod/default/web"' in panel.picture, 10, "the Pod is on the map")
    assert panel.words == "2 nodes, 1 Pod: 1 Pending; 0 Services"
    assert "CPU 500m of 2 requested" in panel.picture
    api.run(lambda client: client.delete(PODS, "web", "default", grace_period_seconds=0))
    until(lambda: "pod/default/web" not in panel.picture, 10, "the Pod is gone")


def test_the_map_shows_the_namespace_that_is_chosen(api: Api):
    api.run(lambda client: client.create(PODS, a_pod("web", on="n1")))
    made = ClusterMap(api.connect)
    made.open()
    panel = made.panel
    assert "pod/default/web" in panel.picture
    panel.values = {"namespace": "kube-system"}
    until(lambda: "pod/default/web" not in panel.picture, 10, "another namespace")


def test_the_map_draws_twice_a_second_at_most(api: Api):
    made = ClusterMap(api.connect)
    made.open()
    drawn: list[str] = []
    made.panel.observe(lambda change: drawn.append(change["new"]), "picture")

    async def many(client: Client) -> None:
        for number in range(40):
            await client.create(PODS, a_pod(f"web-{number}", on="n1"))
            await asyncio.sleep(0.02)

    api.run(many)
    until(lambda: "40 Pods" in made.panel.words, 10, "all are there")
    assert len(drawn) < 10, "forty changes in about a second"


def test_the_stop_button_leaves_the_last_state(api: Api):
    made = ClusterMap(api.connect)
    made.open()
    api.run(lambda client: client.create(PODS, a_pod("web")))
    until(lambda: "no node yet" in made.panel.picture, 10, "the Pod waits")
    made.panel._handle_custom_msg({"press": "stop"}, [])
    assert not made.is_open
    assert "pod default/web: Pending" in made.text()


def test_the_map_of_a_cluster_that_is_down_says_so():
    made = ClusterMap(lambda: Client(kubeconfig.transport("/nowhere/kubeconfig")))
    with pytest.raises(Exception, match="/nowhere/kubeconfig"):
        made.text()


# -- where a Pod would go --------------------------------------------------------------------------


@pytest.fixture
def placement(api: Api) -> Placement:
    api.run(lambda client: client.create(PODS, a_pod("there", "1500m", on="n1")))
    return Placement(api.run(lambda client: question(client, a_pod("web", "100m"))))


def test_a_larger_request_leads_to_another_node(placement: Placement):
    placement.open()
    assert placement.best == ["n2"]
    assert "2 of 2 nodes can take it" in placement.panel.words
    placement.panel.values = {"cpu": 1000, "memory": 0}
    assert "1 of 2 nodes can take it; the best is n2" in placement.panel.words
    assert "Insufficient cpu" in placement.panel.picture
    placement.panel.values = {"cpu": 2500, "memory": 0}
    assert "0/2 nodes are available" in placement.panel.words
    assert set(placement.frame["node"]) == {"n1", "n2"}
    placement.panel._handle_custom_msg({"press": "back"}, [])
    assert placement.panel.values["cpu"] == 100
    assert placement.best == ["n2"]


def test_the_first_container_takes_the_difference():
    pod = a_pod("web", "100m")
    pod["spec"]["containers"].append({"name": "d", "resources": {"requests": {"cpu": "200m"}}})
    changed = with_requests(pod, 500, 64)
    assert requests(changed) == (500, 64)
    assert changed["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "300m"
    assert requests(pod) == (300, 0), "the Pod itself stays"
    nothing = with_requests(pod, 200, 0)["spec"]["containers"][0]["resources"]["requests"]
    assert nothing == {}


# -- what if ---------------------------------------------------------------------------------------


def test_the_newest_slider_is_played_and_its_numbers_are_told():
    made = what_if(SCENARIO)
    first = made.text()
    assert "target 30 %, 1 to 3 Pods" in first
    assert "Pod-minutes; 0 of" in first
    made.open()
    panel, drawn = made.panel, []
    panel.observe(lambda change: drawn.append(change["new"]), "picture")
    for peak in (13, 20, 40, 60):
        panel.values = {**panel.values, "peak": peak, "maximum": 8}
    assert panel.note == "Playing …"
    until(lambda: drawn and panel.note != "Playing …", 30, "it is played")
    assert len(drawn) <= 2, "what was asked for meanwhile was not played"
    assert made.recording.scenario.load.peak == 60
    assert made.recording.frame["replicas_ready"].max() > 3
    assert "load up to 60/s" in made.text()
    panel._handle_custom_msg({"press": "back"}, [])
    until(lambda: "1 to 3 Pods" in made.text(), 30, "it is back")


def test_the_same_settings_give_the_same_numbers():
    assert WhatIf(SCENARIO).text() == WhatIf(SCENARIO).text()


def test_a_scenario_that_cannot_be_played_says_why():
    made = WhatIf(SCENARIO)
    made.open()
    panel = made.panel
    made._scenario = replace(SCENARIO, nodes=replace(SCENARIO.nodes, cpu="100m"))
    panel.values = {**panel.values, "target": 50}
    until(lambda: "not up" in panel.note, 60, "it is told")


# -- autoscaling -----------------------------------------------------------------------------------


class Script:
    """A Deployment with an autoscaler."""

    def read(self) -> Answers:
        return Answers(objects.deployment(3, 2), hpa(74, 2, 5))


def test_the_slider_and_the_button_drive_the_load():
    with Server() as server:
        made = Autoscaling(None, "web", f"{server.url}fast", source=Script(), seconds=60)
        made.open()
        panel = made.panel
        assert "It wants 5 Pods" in panel.words
        panel.values = {"rate": 30.0, "on": True}
        until(lambda: "30 answered" in panel.note, 20, "the load runs")
        panel.values = {"rate": 60.0, "on": True}
        until(lambda: "60 answered" in panel.note, 20, "the load has changed")
        panel.values = {"rate": 60.0, "on": False}
        until(lambda: "No load" in panel.note, 20, "the load has stopped")
        made.end()
        marks = list(made.recorder.events["message"])
    assert marks == ["load starts: 30/s", "load changes to 60/s", "load stops"]
    assert "2 of 5 Pods ready" in made.text()


def test_a_url_where_nobody_listens_is_told_and_the_button_goes_back():
    made = Autoscaling(None, "web", "http://127.0.0.1:9/", source=Script(), seconds=60)
    made.open()
    panel = made.panel
    panel.values = {"rate": 5.0, "on": True}
    until(lambda: not panel.values["on"], 10, "the button is off again")
    assert "Nobody answers" in panel.note


def test_the_end_of_the_view_is_the_end_of_the_load():
    with Server() as server:
        made = Autoscaling(None, "web", f"{server.url}fast", source=Script(), seconds=60)
        made.open()
        made.panel.values = {"rate": 20.0, "on": True}
        until(lambda: "20 answered" in made.panel.note, 20, "the load runs")
        load = made._driver._load
        made.end("interrupted")
        assert not load.running


def test_without_anybody_there_one_look_is_taken():
    made = Autoscaling(None, "web", "http://127.0.0.1:9/", source=Script())
    assert "2 of 5 Pods ready" in made.text()
    assert 'alt="' in made.html()
