"""`pods/log`, with a kubelet that is a few lines."""

import asyncio

import pytest
from aiohttp import web

from labkit.apiserver import connect, kubelets
from labkit.client import ApiError
from labkit.kube.resources import NODES, PODS

WAITING = 'container "app" in pod "web" is waiting to start: ContainerCreating'
LOG = "/api/v1/namespaces/default/pods/web/log"


class Kubelet:
    """Answers for one container; `seen` is what it was asked."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict]] = []
        self.answer = (200, [b"one\n", b"two\n"])
        self.follows, self.left = asyncio.Event(), asyncio.Event()

    async def handle(self, request):
        self.seen.append((request.path, dict(request.query)))
        code, chunks = self.answer
        response = web.StreamResponse(status=code)
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        try:
            while self.follows.is_set():
                await asyncio.sleep(0.01)
                await response.write(b"more\n")
        except ConnectionError:
            self.left.set()
            raise
        return response


@pytest.fixture
async def kubelet(certificates):
    """(Kubelet, port)."""
    one = Kubelet()
    runner = web.ServerRunner(web.Server(one.handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=certificates.kubelet())
    await site.start()
    yield one, runner.addresses[0][1]
    await runner.cleanup()


def pod(*names, **status):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web"},
        "spec": {"containers": [{"name": name, "image": "i"} for name in names]},
        "status": status,
    }


async def put_pod(http, port, *names):
    """A Pod on a node whose kubelet listens on `port`."""
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "worker"},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        },
    }
    made = await (await http.post(NODES.path(), json=node)).json()
    made["status"] = node["status"]
    assert (await http.put(NODES.path(None, "worker", "status"), json=made)).status == 200
    obj = pod(*names)
    obj["spec"]["nodeName"] = "worker"
    assert (await http.post(PODS.path("default"), json=obj)).status == 201


async def test_a_log_is_what_the_kubelet_says(http, kubelet):
    one, port = kubelet
    await put_pod(http, port, "app")
    answer = await http.get(LOG, params={"tailLines": "2", "follow": "true", "nonsense": "1"})
    assert answer.headers["Content-Type"] == "text/plain"
    assert await answer.read() == b"one\ntwo\n"
    assert one.seen == [
        ("/containerLogs/default/web/app", {"tailLines": "2", "follow": "true"}),
    ]


async def test_the_kubelets_complaints_are_passed_on(http, kubelet):
    one, port = kubelet
    await put_pod(http, port, "app")
    one.answer = (400, [WAITING.encode()])
    answer = await http.get(LOG, params={"previous": "true"})
    status = await answer.json()
    assert (answer.status, status["reason"]) == (400, "BadRequest")
    assert status["message"] == WAITING
    one.answer = (500, [b"oh"])
    answer = await http.get(LOG)
    assert (answer.status, (await answer.json())["reason"]) == (500, "InternalError")


async def test_a_kubelet_that_is_away_is_an_internal_error(http):
    await put_pod(http, 1, "app")
    answer = await http.get(LOG)
    status = await answer.json()
    assert (answer.status, status["reason"]) == (500, "InternalError")
    assert "https://127.0.0.1:1/containerLogs/default/web/app" in status["message"]


async def test_a_pod_without_a_node_has_an_empty_log(http):
    assert (await http.post(PODS.path("default"), json=pod("app"))).status == 201
    answer = await http.get(LOG)
    assert (answer.status, await answer.read()) == (200, b"")


async def test_a_log_of_nothing_is_not_found(http):
    answer = await http.get(LOG)
    assert (answer.status, (await answer.json())["reason"]) == (404, "NotFound")


async def test_following_ends_with_the_client(http, kubelet):
    one, port = kubelet
    await put_pod(http, port, "app")
    one.follows.set()
    answer = await http.get(LOG, params={"follow": "true"})
    assert await answer.content.readline() == b"one\n"
    answer.close()
    await asyncio.wait_for(one.left.wait(), 10)


@pytest.mark.parametrize(
    ("obj", "wanted", "chosen"), [(pod("a"), "", "a"), (pod("a", "b"), "b", "b")]
)
def test_the_container_is_the_only_one_or_the_named_one(obj, wanted, chosen):
    assert kubelets.chosen_container(obj, wanted) == chosen


@pytest.mark.parametrize(
    ("obj", "wanted", "words"),
    [
        (pod("a", "b"), "", "a container name must be specified for pod web, choose one of: [a b]"),
        (pod("a"), "x", "container x is not valid for pod web"),
    ],
)
def test_a_container_that_must_be_named_or_is_not_there_is_a_bad_request(obj, wanted, words):
    with pytest.raises(ApiError) as info:
        kubelets.chosen_container(obj, wanted)
    assert (info.value.code, str(info.value)) == (400, words)


def test_init_containers_are_offered_too():
    obj = pod("a", "b")
    obj["spec"]["initContainers"] = [{"name": "i"}]
    with pytest.raises(ApiError, match=r"choose one of: \[i a b\]"):
        kubelets.chosen_container(obj, "")
    assert kubelets.chosen_container(obj, "i") == "i"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (LOG, ("default", "web", "log")),
        ("/api/v1/namespaces/default/pods/log", None),
        ("/api/v1/namespaces/default/services/web/log", None),
        ("/api/v1/namespaces/default/pods/web/exec", ("default", "web", "exec")),
    ],
)
def test_only_a_pods_log_is_a_log(path, found):
    assert connect.parse(path) == found


async def test_a_kubelet_that_does_not_answer_is_an_internal_error(http, unused_tcp_port):
    await put_pod(http, unused_tcp_port, "app")
    dial = f"dial tcp 127.0.0.1:{unused_tcp_port}: connect: connection refused"
    answer = await http.get(LOG)
    url = f"https://127.0.0.1:{unused_tcp_port}/containerLogs/default/web/app"
    assert (answer.status, await message(answer)) == (500, f'Get "{url}": {dial}')
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
    answer = await http.get(f"{LOG.removesuffix('log')}exec?stdout=1", headers=upgrade)
    assert (answer.status, await message(answer)) == (500, f"error dialing backend: {dial}")


async def message(answer) -> str:
    return (await answer.json())["message"].removeprefix("Internal error occurred: ")
