"""The official client against a small server that answers like an API server."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web
from kubernetes import client

from labkit.observe.sample import Answers
from labkit.observe.source import Source
from tests.observe import objects

SPACE = "/namespaces/shop"
DEPLOYMENT = f"/apis/apps/v1{SPACE}/deployments/web"
AUTOSCALERS = f"/apis/autoscaling/v2{SPACE}/horizontalpodautoscalers"
PODS = f"/api/v1{SPACE}/pods"
METRICS = f"/apis/metrics.k8s.io/v1beta1{SPACE}/pods"
EVENTS = f"/api/v1{SPACE}/events"


class Api:
    """Answers from a dictionary of paths; 404 for others.  `asked` has path and query."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, dict(request.query)))
        answer = self.answers.get(request.path)
        if isinstance(answer, str):
            return web.Response(text=answer)
        if answer is None:
            return web.json_response({"kind": "Status", "code": 404}, status=404)
        return web.json_response(answer)


@pytest.fixture
def api() -> Iterator[Api]:
    api, ready = Api(), threading.Event()

    async def serve() -> None:
        api.loop, api.stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application()
        app.router.add_get("/{path:.*}", api.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        api.url = "http://{}:{}".format(*runner.addresses[0])
        ready.set()
        await api.stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    yield api
    api.loop.call_soon_threadsafe(api.stop.set)
    thread.join(10)


def source(url: str) -> Source:
    configuration = client.Configuration()
    configuration.host, configuration.retries = url, False
    return Source(client.ApiClient(configuration), "shop", "web")


def test_everything_about_one_deployment_is_asked(api):
    happened = objects.event("ScalingReplicaSet", "2027-01-15T08:00:00Z")
    api.answers = {
        DEPLOYMENT: objects.deployment(),
        AUTOSCALERS: {"items": [objects.autoscaler("api"), objects.autoscaler("web")]},
        PODS: {"items": [objects.pod("Running")]},
        METRICS: {"items": [objects.pod_metrics("250m")]},
        EVENTS: {"items": [happened]},
    }
    assert source(api.url).read() == Answers(
        deployment=objects.deployment(),
        autoscaler=objects.autoscaler("web"),
        pods=[objects.pod("Running")],
        pod_metrics=[objects.pod_metrics("250m")],
        events=(happened, happened),
    )
    asked = dict(api.asked)
    assert asked[PODS] == asked[METRICS] == {"labelSelector": "app=web"}
    assert [query["fieldSelector"] for path, query in api.asked if path == EVENTS] == [
        "involvedObject.kind=Deployment,involvedObject.name=web",
        "involvedObject.kind=HorizontalPodAutoscaler,involvedObject.name=web-hpa",
    ]


def test_what_is_not_there_is_none_and_the_rest_is_read(api):
    api.answers = {DEPLOYMENT: objects.deployment(), PODS: {"items": []}}
    answers = source(api.url).read()
    assert answers == Answers(deployment=objects.deployment(), pods=[])


def test_without_the_deployment_nothing_is_known_about_its_pods(api):
    assert source(api.url).read() == Answers()
    assert {path for path, _ in api.asked} == {DEPLOYMENT, AUTOSCALERS, EVENTS}


def test_an_answer_that_is_no_json_is_no_answer(api):
    api.answers = {DEPLOYMENT: "<html>gateway</html>"}
    assert source(api.url).read() == Answers()


def test_a_server_that_is_not_there_is_no_error():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert source(f"http://127.0.0.1:{port}").read() == Answers()
