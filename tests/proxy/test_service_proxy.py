"""The service proxy with a real API server in memory: from Service objects to open sockets."""

import asyncio
import errno
import itertools
import json
import socket

import pytest

from labkit.apiserver.core import APIServer
from labkit.apiserver.request import User
from labkit.apiserver.store import MemoryStore
from labkit.client import Client
from labkit.clock import Clock
from labkit.kube.resources import ENDPOINT_SLICES, EVENTS, NODES, SERVICES
from labkit.proxy import ServiceProxy, proxy, rules
from tests.proxy.loopback import ask, eventually, free_port, fresh_ip, service_cidr, service_ip

PORT, NODE_PORT = 8080, 30080  # at addresses of this process alone
CLUSTER_IPS = (service_ip(number) for number in itertools.cycle(range(10, 250)))


@pytest.fixture
async def client():
    server = APIServer(MemoryStore(), Clock(), service_cidr=service_cidr())
    await server.start()
    yield Client(server.transport(User("system:kube-proxy", ("system:masters",))))
    await server.stop()


@pytest.fixture
def node_ip():
    return fresh_ip()


@pytest.fixture
async def service_proxy(client, node_ip):
    made = ServiceProxy(client, Clock(), node_port_addresses=(node_ip,), seed=1)
    await made.start()
    yield made
    await made.stop()


async def create_service(client, name="web", **spec):
    spec = {
        "clusterIP": next(CLUSTER_IPS),
        "selector": {"app": name},
        "ports": [{"name": "http", "port": PORT, "targetPort": 80}],
        **spec,
    }
    service = {"metadata": {"name": name, "namespace": "default"}, "spec": spec}
    return await client.create(SERVICES, service)


def slice_of(name, endpoints, port_name="http", protocol="TCP"):
    port = endpoints[0].address[1] if endpoints else 80
    return {
        "metadata": {
            "name": f"{name}-1",
            "namespace": "default",
            "labels": {rules.SERVICE_NAME: name},
        },
        "addressType": "IPv4",
        "ports": [{"name": port_name, "port": port, "protocol": protocol}],
        "endpoints": [
            {"addresses": [each.address[0]], "conditions": {"ready": True}} for each in endpoints
        ],
    }


async def set_endpoints(client, name, endpoints, **options):
    slice_ = slice_of(name, endpoints, **options)
    try:
        return await client.create(ENDPOINT_SLICES, slice_)
    except Exception:
        return await client.update(ENDPOINT_SLICES, slice_)


async def answers(address, expected, seconds=10.0):
    """Wait until `address` answers `expected`."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                if await ask(address) == expected:
                    return
            except OSError:
                pass
            await asyncio.sleep(0.01)


async def refuses(address, seconds=10.0):
    """Wait until `address` refuses connections."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                await ask(address)
            except ConnectionRefusedError:
                return
            except OSError:
                pass
            await asyncio.sleep(0.01)


async def events(client, reason):
    """Wait for an Event of this reason; its message."""
    async with asyncio.timeout(10):
        while True:
            for event in (await client.list(EVENTS))["items"]:
                if event["reason"] == reason:
                    return event
            await asyncio.sleep(0.01)


async def test_a_service_is_reachable_at_its_cluster_ip(client, service_proxy, endpoint):
    service = await create_service(client)
    await set_endpoints(client, "web", [await endpoint("a")])
    await answers((service["spec"]["clusterIP"], PORT), b"a:hello")


async def test_a_service_that_is_there_already_is_served_from_the_start(client, endpoint):
    service = await create_service(client)
    await set_endpoints(client, "web", [await endpoint("a")])
    made = ServiceProxy(client, Clock(), node_port_addresses=())
    await made.start()
    await answers((service["spec"]["clusterIP"], PORT), b"a:hello")
    await made.stop()


async def test_a_node_port_is_served_at_every_node_address(
    client, service_proxy, endpoint, node_ip
):
    port = {"name": "http", "port": PORT, "nodePort": NODE_PORT}
    await create_service(client, type="NodePort", ports=[port])
    await set_endpoints(client, "web", [await endpoint("a")])
    await answers((node_ip, NODE_PORT), b"a:hello")
    late = fresh_ip()
    node = {
        "metadata": {"name": "lab-worker"},
        "status": {"addresses": [{"type": "InternalIP", "address": late}]},
    }
    await client.create(NODES, node)
    await client.patch(NODES, "lab-worker", {"status": node["status"]}, subresource="status")
    await answers((late, NODE_PORT), b"a:hello")
    await client.delete(NODES, "lab-worker")
    await refuses((late, NODE_PORT))
    assert await ask((node_ip, NODE_PORT)) == b"a:hello"


async def test_without_endpoints_a_connection_is_refused(client, service_proxy, endpoint):
    service = await create_service(client)
    address = (service["spec"]["clusterIP"], PORT)
    with pytest.raises(ConnectionRefusedError):
        await ask(address)
    await set_endpoints(client, "web", [await endpoint("a")])
    await answers(address, b"a:hello")
    await set_endpoints(client, "web", [])
    await refuses(address)


async def test_a_deleted_service_is_served_no_more_but_its_connections_go_on(
    client, service_proxy, endpoint
):
    service = await create_service(client)
    address = (service["spec"]["clusterIP"], PORT)
    await set_endpoints(client, "web", [await endpoint("a")])
    await answers(address, b"a:hello")
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"1")
        assert await reader.read(100) == b"a:1"
        await client.delete(SERVICES, "web", "default")
        await refuses(address)
        writer.write(b"2")
        assert await reader.read(100) == b"a:2"
        writer.close()
    assert service_proxy.counts() == []


async def test_a_changed_port_moves_the_listener(client, service_proxy, endpoint):
    service = await create_service(client)
    ip = service["spec"]["clusterIP"]
    await set_endpoints(client, "web", [await endpoint("a")])
    await answers((ip, PORT), b"a:hello")
    patch = [{"op": "replace", "path": "/spec/ports/0/port", "value": PORT + 1}]
    await client.patch(SERVICES, "web", patch, "default", kind="json")
    await answers((ip, PORT + 1), b"a:hello")
    await refuses((ip, PORT))


async def test_pods_replaced_under_load_lose_no_request(client, service_proxy, endpoint):
    port = free_port("127.0.0.1")
    pods = [await endpoint(name, port=port) for name in "abcd"]
    service = await create_service(client)
    address = (service["spec"]["clusterIP"], PORT)
    await set_endpoints(client, "web", pods[:2])
    await answers_any(address)
    seen, stop = [], asyncio.Event()

    async def load():
        while not stop.is_set():
            seen.append(await ask(address))

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(load())
        for ready in (pods[1:3], pods[2:], pods[3:] + pods[:1], pods[:2], pods[2:]):
            await set_endpoints(client, "web", ready)
            count = len(seen)
            await eventually(lambda count=count: len(seen) > count + 40)
        # The first two leave: their sockets close only after they are out of the EndpointSlice.
        for pod in pods[:2]:
            pod.stop_listening()
        count = len(seen)
        await eventually(lambda: len(seen) > count + 40)
        stop.set()
    assert {answer.partition(b":")[0] for answer in seen} == {b"a", b"b", b"c", b"d"}
    assert all(answer.endswith(b":hello") for answer in seen)


async def answers_any(address):
    async with asyncio.timeout(10):
        while True:
            try:
                return await ask(address)
            except OSError:
                await asyncio.sleep(0.01)


async def test_a_taken_port_is_told_in_an_event_and_served_once_it_is_free(
    client, service_proxy, endpoint, node_ip, monkeypatch
):
    monkeypatch.setattr(proxy, "_RETRY", 0.05)
    with socket.socket() as taken:
        taken.bind((node_ip, NODE_PORT))
        taken.listen()
        port = {"name": "http", "port": PORT, "nodePort": NODE_PORT}
        service = await create_service(client, type="NodePort", ports=[port])
        await set_endpoints(client, "web", [await endpoint("a")])
        await answers((service["spec"]["clusterIP"], PORT), b"a:hello")
        event = await events(client, "PortNotAvailable")
        assert event["type"] == "Warning"
        assert event["involvedObject"]["name"] == "web"
        assert event["message"] == (
            f"Cannot listen at {node_ip}:{NODE_PORT}: Address already in use. "
            "Another program on this machine uses the port already. "
            f"See which one: ss -ltnp 'sport = :{NODE_PORT}'"
        )
    await answers((node_ip, NODE_PORT), b"a:hello")
    assert (await events(client, "PortAvailable"))["type"] == "Normal"


async def test_a_service_takes_over_the_port_that_another_gives_up(client, service_proxy, endpoint):
    service = await create_service(client)
    ip = service["spec"]["clusterIP"]
    await set_endpoints(client, "web", [await endpoint("old")])
    await set_endpoints(client, "web2", [await endpoint("new")])
    await answers((ip, PORT), b"old:hello")
    await client.delete(SERVICES, "web", "default")
    await create_service(client, "web2", clusterIP=ip)
    await answers((ip, PORT), b"new:hello")
    assert not [
        event
        for event in (await client.list(EVENTS))["items"]
        if event["reason"] == "PortNotAvailable"
    ]


async def test_a_udp_port_is_told_in_an_event(client, service_proxy, endpoint):
    await create_service(client, ports=[{"name": "game", "port": 5000, "protocol": "UDP"}])
    pod = await endpoint("a")
    await set_endpoints(client, "web", [pod], port_name="game", protocol="UDP")
    event = await events(client, "ProtocolNotSupported")
    assert event["message"] == (
        "Port 5000/UDP is not served at the cluster IP. This proxy forwards TCP only. "
        "Use the Pods' own addresses: "
        "kubectl -n default get endpointslices -l kubernetes.io/service-name=web"
    )


async def test_the_counts_tell_what_each_endpoint_carried(client, service_proxy, endpoint):
    service = await create_service(client)
    pod = await endpoint("a")
    await set_endpoints(client, "web", [pod])
    address = (service["spec"]["clusterIP"], PORT)
    await answers(address, b"a:hello")
    await ask(address)
    await eventually(lambda: service_proxy.counts()[0]["active"] == 0)
    assert service_proxy.counts() == [
        {
            "service": "default/web",
            "address": "{}:{}".format(*address),
            "endpoint": "{}:{}".format(*pod.address),
            "connections": 2,
            "active": 0,
            "failures": 0,
            "sent_bytes": 10,
            "received_bytes": 14,
        }
    ]


async def test_stop_leaves_no_listener_connection_or_task(client, endpoint):
    before = asyncio.all_tasks()
    service = await create_service(client)
    address = (service["spec"]["clusterIP"], PORT)
    await set_endpoints(client, "web", [await endpoint("a")])
    made = ServiceProxy(client, Clock(), node_port_addresses=())
    await made.start()
    await answers(address, b"a:hello")
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"1")
        await reader.read(100)
        await made.stop()
        await made.stop()
        with pytest.raises(ConnectionResetError):
            await reader.read(100)
        writer.close()
    await refuses(address)
    await eventually(
        lambda: {t for t in asyncio.all_tasks() - before if "proxy" in t.get_name()} == set()
    )


SERVICE = {
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"ports": [{"name": "alt", "port": 8080}, {"name": "http", "port": 80}]},
}


def test_a_port_below_1024_gets_a_line_that_chooses_a_higher_one():
    target = rules.Target("http", 1, ())
    message = proxy.not_available(SERVICE, ("127.96.0.7", 80), target, errno.EACCES)
    what, why, line = message.split(". ")
    assert what == "Cannot listen at 127.96.0.7:80: Permission denied"
    assert why == "This machine keeps ports under 1024 from ordinary users"
    command, patch = line.removeprefix("Choose a higher port: ").split(" -p ")
    assert command == "kubectl -n shop patch service web --type=json"
    assert json.loads(patch.strip("'")) == [
        {"op": "replace", "path": "/spec/ports/1/port", "value": 8081}
    ]


def test_a_machine_with_one_loopback_address_gets_the_line_that_adds_another():
    target = rules.Target("http", 0, ())
    message = proxy.not_available(SERVICE, ("127.96.0.7", 80), target, errno.EADDRNOTAVAIL)
    assert message.endswith("sudo ifconfig lo0 alias 127.96.0.7")
