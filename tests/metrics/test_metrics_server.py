"""The metrics-server between real HTTPS kubelets and a real API server."""

import asyncio
import json
import subprocess

import pytest
from aiohttp import web

from labkit.apiserver.core import APIServer
from labkit.apiserver.request import User
from labkit.apiserver.store import MemoryStore
from labkit.client import ApiError, Client
from labkit.clock import Clock
from labkit.kube.resources import NODE_METRICS, NODES, POD_METRICS, PODS
from labkit.metrics import MetricsServer
from labkit.metrics.server import kubelet_url
from tests.serving import Certificates, address, serving

RESOLUTION = 0.05  # seconds
START = 1_700_000_000_000


class Kubelet:
    """Answers `/metrics/resource` as a node would on which time runs faster.

    Every answer is one second later than the one before it, and each container has used `cores`
    CPU seconds more.
    """

    def __init__(self, certificates, containers):
        self.certificates, self.containers = certificates, containers
        self.scrapes, self.used, self.cores, self.broken = 0, 0.0, 0.25, False

    async def start(self):
        application = web.Application()
        application.add_routes([web.get("/metrics/resource", self.metrics)])
        self.runner = web.AppRunner(application)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0, ssl_context=self.certificates.kubelet())
        await site.start()
        self.port = self.runner.addresses[0][1]
        return self

    async def stop(self):
        await self.runner.cleanup()

    async def metrics(self, request):
        assert request.transport.get_extra_info("peercert")
        if self.broken:
            return web.Response(status=500)
        self.scrapes += 1
        self.used += self.cores
        at, used = START + self.scrapes * 1000, self.used
        lines = [
            f"node_cpu_usage_seconds_total {used * 2} {at}",
            f"node_memory_working_set_bytes 1073741824 {at}",
        ]
        for name in self.containers:
            labels = f'{{container="c",namespace="default",pod="{name}"}}'
            lines += [
                f"container_cpu_usage_seconds_total{labels} {used} {at}",
                f"container_memory_working_set_bytes{labels} 1048576 {at}",
                f"container_start_time_seconds{labels} 1.6999e+09",
            ]
        return web.Response(text="\n".join(lines))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("pki"))


@pytest.fixture
async def api():
    server = APIServer(MemoryStore(), Clock(), service_cidr="127.96.0.0/16")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def client(api):
    return Client(api.transport(User("metrics-server", ("system:masters",))))


@pytest.fixture
async def kubelet(client, certificates):
    made = await Kubelet(certificates, ["web-0", "web-1"]).start()
    await add_node(client, "lab-worker", made.port)
    for name in made.containers:
        await add_pod(client, name, "lab-worker")
    yield made
    await made.stop()


@pytest.fixture
async def metrics_server(api, client, certificates, kubelet):
    made = MetricsServer(
        client,
        Clock(),
        ssl_context=certificates.client("kubelet-client"),
        metric_resolution=RESOLUTION,
    )
    api.aggregate("metrics.k8s.io", "v1beta1", made.handle)
    await made.start()
    yield made
    await made.stop()


async def add_node(client, name, port):
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        "capacity": {"cpu": "2", "memory": "4Gi", "pods": "110"},
        "allocatable": {"cpu": "2", "memory": "4Gi", "pods": "110"},
    }
    await client.create(NODES, {"metadata": {"name": name}})
    await client.patch(NODES, name, {"status": status}, subresource="status")


async def add_pod(client, name, node):
    pod = {
        "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "web"}]},
    }
    await client.create(PODS, pod)
    status = {"status": {"phase": "Running"}}
    await client.patch(PODS, name, status, "default", subresource="status")


async def eventually(condition, seconds=20.0):
    """The first true answer of the coroutine function `condition`."""
    async with asyncio.timeout(seconds):
        while not (answer := await condition()):  # noqa: ASYNC110 - asked over the network
            await asyncio.sleep(RESOLUTION / 4)
        return answer


async def pods(client, **options):
    return (await client.list(POD_METRICS, "default", **options))["items"]


async def test_usage_of_pods_and_nodes_appears_in_the_api(client, metrics_server):
    items = await eventually(lambda: pods(client, label_selector="app=web"))
    assert [item["metadata"]["name"] for item in items] == ["web-0", "web-1"]
    for item in items:
        assert item["containers"] == [{"name": "c", "usage": {"cpu": "250m", "memory": "1Mi"}}]
        assert item["window"] == "1s"
    node = await client.get(NODE_METRICS, "lab-worker")
    assert node["usage"] == {"cpu": "500m", "memory": "1Gi"}
    one = await client.get(POD_METRICS, "web-0", "default")
    assert one["metadata"]["labels"] == {"app": "web"}
    assert await pods(client, label_selector="app=other") == []


async def test_new_load_and_new_pods_show_within_a_few_rounds(client, metrics_server, kubelet):
    async def shows(expected):
        containers = [item["containers"] for item in await pods(client)]
        return [found[0]["usage"]["cpu"] for found in containers] == expected

    await eventually(lambda: shows(["250m", "250m"]))
    kubelet.cores = 0.75
    await eventually(lambda: shows(["750m", "750m"]))
    kubelet.containers.append("web-2")
    await add_pod(client, "web-2", "lab-worker")
    await eventually(lambda: shows(["750m", "750m", "750m"]))


async def test_before_there_are_two_measurements_there_is_a_404(client, metrics_server):
    await add_pod(client, "new", "lab-worker")
    with pytest.raises(ApiError) as caught:
        await client.get(POD_METRICS, "new", "default")
    assert str(caught.value) == 'podmetrics.metrics.k8s.io "default/new" not found'


async def test_a_node_that_does_not_answer_loses_its_metrics_and_gets_them_back(
    client, metrics_server, kubelet, certificates
):
    other = await Kubelet(certificates, ["far"]).start()
    await add_node(client, "lab-worker2", other.port)
    await add_node(client, "lab-worker3", 1)  # nobody is there
    await add_pod(client, "far", "lab-worker2")

    async def names(expected):
        return [item["metadata"]["name"] for item in await pods(client)] == expected

    try:
        await eventually(lambda: names(["far", "web-0", "web-1"]))
        other.broken = True
        await eventually(lambda: names(["web-0", "web-1"]))
        other.broken = False
        await eventually(lambda: names(["far", "web-0", "web-1"]))
    finally:
        await other.stop()


async def test_a_kubelet_that_hangs_does_not_hold_up_the_others(
    client, metrics_server, certificates
):
    server = await asyncio.start_server(lambda reader, writer: reader.read(), "127.0.0.1", 0)
    await add_node(client, "hung", server.sockets[0].getsockname()[1])
    before = metrics_server._storage._last
    await eventually(lambda: pods(client))

    async def moved():
        return metrics_server._storage._last is not before

    await eventually(moved)
    assert await pods(client)
    server.close()


async def test_stop_ends_the_scraping_and_may_be_repeated(client, metrics_server, kubelet):
    await eventually(lambda: pods(client))
    await metrics_server.stop()
    await metrics_server.stop()
    scrapes = kubelet.scrapes
    await asyncio.sleep(RESOLUTION * 4)
    assert kubelet.scrapes == scrapes
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "metrics-server"]


async def test_kubectl_top_shows_pods_and_nodes(
    kubectl, tmp_path, api, client, metrics_server, certificates
):
    await eventually(lambda: pods(client))
    async with serving(certificates, api) as (_, http):
        config = certificates.write_kubeconfig(tmp_path / "kubeconfig", address(http))

        def top(*arguments):
            command = [kubectl, f"--kubeconfig={config}", "top", *arguments]
            return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)

        shown = (await asyncio.to_thread(top, "pods")).stdout
        assert [line.split() for line in shown.splitlines()] == [
            ["NAME", "CPU(cores)", "MEMORY(bytes)"],
            ["web-0", "250m", "1Mi"],
            ["web-1", "250m", "1Mi"],
        ]
        shown = (await asyncio.to_thread(top, "nodes")).stdout
        assert shown.splitlines()[1].split() == ["lab-worker", "500m", "25%", "1024Mi", "25%"]
        raw = ["get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes"]
        command = [kubectl, f"--kubeconfig={config}", *raw]
        listed = await asyncio.to_thread(subprocess.check_output, command, timeout=30)
        assert json.loads(listed)["kind"] == "NodeMetricsList"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, None),
        ({"addresses": [{"type": "Hostname", "address": "n"}]}, None),
        (
            {"addresses": [{"type": "InternalIP", "address": "127.172.0.1"}]},
            "https://127.172.0.1:10250/metrics/resource",
        ),
        (
            {
                "addresses": [
                    {"type": "Hostname", "address": "n"},
                    {"type": "InternalIP", "address": "127.172.0.1"},
                ],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": 10350}},
            },
            "https://127.172.0.1:10350/metrics/resource",
        ),
    ],
)
def test_where_a_kubelet_is_asked(status, expected):
    assert kubelet_url({"metadata": {"name": "n"}, "status": status}) == expected
