"""Probes: the counting as tables, the probing against a small HTTP server and real containers."""

import asyncio

import pytest
from aiohttp import web

from labkit.kubelet import probe_actions, probes
from labkit.kubelet.view import Probed
from tests.kubelet.conftest import RUNS_ON, Lab, container, is_ready, shell


@pytest.mark.parametrize(
    ("success", "failure", "results", "verdicts"),
    [
        (1, 3, "+", "+"),
        (1, 3, "---", "..-"),
        (1, 3, "--+--", "..+.."),
        (2, 1, "++", ".+"),
        (2, 1, "+-++", ".-.+"),
        (1, 1, "-", "-"),
        (1, 2, "----", ".---"),
    ],
)
def test_thresholds_count_results_in_a_row(success, failure, results, verdicts):
    tally = probes.Tally(success, failure)
    names = {True: "+", False: "-", None: "."}
    assert "".join(names[tally.add(one == "+")] for one in results) == verdicts


@pytest.mark.parametrize(
    ("kind", "verdict", "known", "news"),
    [
        ("readiness", True, Probed(True, False), Probed(True, True)),
        ("readiness", False, Probed(True, True), Probed(True, False)),
        ("startup", True, Probed(False, False), Probed(True, False)),
        ("startup", False, Probed(False, False), Probed(False, False, "startup")),
        ("liveness", True, Probed(True, True), Probed(True, True)),
        ("liveness", False, Probed(True, True), Probed(True, True, "liveness")),
    ],
)
def test_each_kind_of_probe_decides_one_thing(kind, verdict, known, news):
    assert probes.judged(known, kind, verdict) == news


@pytest.mark.parametrize(
    ("port", "number"), [(80, 80), ("http", 8080), ("9090", 9090), ("none", None)]
)
def test_ports_are_numbers_or_names(port, number):
    assert (
        probe_actions.port_of({"ports": [{"name": "http", "containerPort": 8080}]}, port) == number
    )


class App:
    """A small HTTP server whose health a test decides."""

    def __init__(self) -> None:
        self.status = 200
        self.requests: list[web.BaseRequest] = []

    async def answer(self, request: web.BaseRequest) -> web.Response:
        self.requests.append(request)
        return web.Response(status=self.status)

    def probe(self, **fields: object) -> dict:
        """An httpGet probe of this server."""
        action = {"host": "127.0.0.1", "port": self.port, "path": "/health"}
        return {"httpGet": action, "periodSeconds": 1, "failureThreshold": 1, **fields}


@pytest.fixture
async def app():
    app = App()
    runner = web.ServerRunner(web.Server(app.answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    app.port = runner.addresses[0][1]
    yield app
    await runner.cleanup()


async def test_a_pod_is_ready_when_its_probe_passes_and_no_longer_when_it_fails(
    embedded: Lab, app: App
):
    await embedded.kubelet()
    app.status = 503
    await embedded.create({"containers": [shell(RUNS_ON, readinessProbe=app.probe())]})
    pod = await embedded.until(lambda pod: container(pod)["state"].get("running"))
    await embedded.until(lambda _: app.requests)
    assert not is_ready(pod)
    app.status = 200
    embedded.clock.step(1)
    await embedded.until(is_ready)
    app.status = 500
    embedded.clock.step(1)
    await embedded.until(lambda pod: not is_ready(pod))
    events = await embedded.events()
    assert "Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 500" in events
    assert container(await embedded.pod())["restartCount"] == 0


async def test_probes_say_who_they_are(embedded: Lab, app: App):
    await embedded.kubelet()
    probe = app.probe()
    probe["httpGet"]["httpHeaders"] = [{"name": "X-Custom", "value": "yes"}]
    await embedded.create({"containers": [shell(RUNS_ON, readinessProbe=probe)]})
    await embedded.until(is_ready)
    request = app.requests[0]
    assert request.path == "/health"
    assert request.headers["User-Agent"] == "kube-probe/1.36"
    assert request.headers["X-Custom"] == "yes"


async def test_a_container_that_fails_its_liveness_probe_is_restarted(embedded: Lab, app: App):
    await embedded.kubelet()
    await embedded.create({"containers": [shell(RUNS_ON, livenessProbe=app.probe())]})
    await embedded.until(is_ready)
    app.status = 500
    embedded.clock.step(1)
    await embedded.until(lambda pod: container(pod)["restartCount"] == 1)
    events = await embedded.events()
    assert "Killing: Container app failed liveness probe, will be restarted" in events
    assert "Unhealthy: Liveness probe failed: HTTP probe failed with statuscode: 500" in events


async def test_other_probes_wait_for_the_startup_probe(embedded: Lab, app: App):
    await embedded.kubelet()
    app.status = 500
    startup = app.probe(failureThreshold=30)
    fine = {"exec": {"command": ["/bin/sh", "-c", "exit 0"]}}
    await embedded.create(
        {"containers": [shell(RUNS_ON, startupProbe=startup, readinessProbe=fine)]}
    )
    pod = await embedded.until(lambda pod: container(pod)["state"].get("running"))
    assert container(pod)["started"] is False
    app.status = 200
    embedded.clock.step(1)
    await embedded.until(lambda pod: container(pod).get("started"))
    embedded.clock.step(10)
    await embedded.until(is_ready)


async def test_a_container_that_does_not_start_in_time_is_restarted(embedded: Lab, app: App):
    await embedded.kubelet()
    app.status = 500
    await embedded.create({"containers": [shell(RUNS_ON, startupProbe=app.probe())]})
    await embedded.until(lambda pod: container(pod)["restartCount"] == 1)
    events = await embedded.events()
    assert "Killing: Container app failed startup probe, will be restarted" in events


async def test_an_open_port_is_enough_for_a_tcp_probe(embedded: Lab, app: App):
    await embedded.kubelet()
    probe = {"tcpSocket": {"host": "127.0.0.1", "port": app.port}}
    await embedded.create({"containers": [shell(RUNS_ON, readinessProbe=probe)]})
    await embedded.until(is_ready)


async def test_a_port_that_opens_late_makes_no_failure(embedded: Lab):
    await embedded.kubelet()
    listener = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    listener.close()
    await listener.wait_closed()
    probe = {"tcpSocket": {"host": "127.0.0.1", "port": port}}
    await embedded.create({"containers": [shell(RUNS_ON, readinessProbe=probe)]})
    await embedded.until(lambda pod: container(pod)["state"].get("running"))
    again = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", port)
    async with again:
        await embedded.until(is_ready)
    assert not [event for event in await embedded.events() if event.startswith("Unhealthy")]


async def test_a_closed_port_is_told_in_gos_words(embedded: Lab):
    await embedded.kubelet()
    probe = {"httpGet": {"port": 1, "host": "127.0.0.1"}, "periodSeconds": 1}
    await embedded.create({"containers": [shell(RUNS_ON, livenessProbe=probe)]})
    await embedded.until(lambda pod: container(pod)["restartCount"] == 0 and is_ready(pod))
    told = (
        'Unhealthy: Liveness probe failed: Get "http://127.0.0.1:1/": '
        "dial tcp 127.0.0.1:1: connect: connection refused"
    )

    async def untold() -> bool:
        return told not in await embedded.events()

    await embedded.settle(untold)


async def test_a_command_in_the_container_may_be_the_probe(lab: Lab):
    await lab.kubelet()
    probe = {"exec": {"command": ["/bin/sh", "-c", "echo unwell; exit 3"]}, "periodSeconds": 1}
    fine = {"exec": {"command": ["/bin/sh", "-c", "exit 0"]}}
    one = shell(RUNS_ON, livenessProbe={**probe, "failureThreshold": 1}, readinessProbe=fine)
    await lab.create({"containers": [one]})
    await lab.until(lambda pod: container(pod)["restartCount"] == 1)
    events = await lab.events()
    assert any(event.startswith("Unhealthy: Liveness probe failed: unwell") for event in events)


async def test_a_command_that_hangs_fails(lab: Lab):
    await lab.kubelet()
    probe = {"exec": {"command": ["/bin/sh", "-c", "sleep 5"]}, "timeoutSeconds": 1}
    await lab.create({"containers": [shell(RUNS_ON, readinessProbe=probe)]})
    told = (
        'Unhealthy: Readiness probe failed: command timed out: "/bin/sh -c sleep 5" '
        "timed out after 1s"
    )

    async def untold() -> bool:
        return told not in await lab.events()

    await lab.settle(untold)
