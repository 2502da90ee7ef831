"""The page that tells what the Service proxy has carried."""

import aiohttp

from labkit.clock import Clock
from labkit.metrics.exposition import parse, types
from labkit.proxy import ServiceProxy
from labkit.proxy.metrics import text
from tests.proxy.loopback import ask, eventually, free_port, fresh_ip
from tests.proxy.test_service_proxy import PORT, answers, client, create_service, set_endpoints  # noqa: F401


async def test_the_page_counts_by_endpoint_and_by_client(client, endpoint):  # noqa: F811
    ip = fresh_ip()
    page, asking = (ip, free_port(ip)), fresh_ip()
    made = ServiceProxy(client, Clock(), node_port_addresses=(), metrics_address=page)
    await made.start()
    try:
        service = await create_service(client)
        address = (service["spec"]["clusterIP"], PORT)
        pod = await endpoint("a")
        await set_endpoints(client, "web", [pod])
        await answers(address, b"a:hello")
        for _ in range(2):
            await ask(address, source=asking)
        await eventually(lambda: made.counts()[0]["active"] == 0)
        async with aiohttp.ClientSession() as session:
            async with session.get("http://{}:{}/metrics".format(*page)) as answer:
                assert answer.status == 200
                found = await answer.text()
            async with session.get("http://{}:{}/".format(*page)) as answer:
                assert answer.status == 404
    finally:
        await made.stop()
    samples = {(one.name, *sorted(one.labels.items())): one.value for one in parse(found)}
    where = [("address", "{}:{}".format(*address)), ("namespace", "default"), ("service", "web")]
    of_pod = sorted([*where, ("endpoint", "{}:{}".format(*pod.address))])
    of_client = sorted([*where, ("client", asking)])
    assert samples["labkit_proxy_endpoint_connections_total", *of_pod] == 3
    assert samples["labkit_proxy_client_connections_total", *of_client] == 2
    assert types(found)["labkit_proxy_endpoint_connections_total"] == "counter"


async def test_the_page_is_not_there_under_a_foreign_name(client):  # noqa: F811
    ip = fresh_ip()
    page = (ip, free_port(ip))
    made = ServiceProxy(client, Clock(), node_port_addresses=(), metrics_address=page)
    await made.start()
    url, foreign = "http://{}:{}/metrics".format(*page), {"Host": "example.com"}
    async with aiohttp.ClientSession() as session, session.get(url, headers=foreign) as answer:
        assert answer.status == 403
        assert await answer.text() == f"ask for http://{ip}\n"
    await made.stop()


async def test_an_address_that_is_taken_costs_only_the_page(client):  # noqa: F811
    ip = fresh_ip()
    page = (ip, free_port(ip))
    first = ServiceProxy(client, Clock(), node_port_addresses=(), metrics_address=page)
    second = ServiceProxy(client, Clock(), node_port_addresses=(), metrics_address=page)
    await first.start()
    await second.start()
    await second.stop()
    url = "http://{}:{}/metrics".format(*page)
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
    await first.stop()


def test_without_services_the_page_still_says_what_is_counted():
    assert "# TYPE labkit_proxy_endpoint_connections_total counter" in text([], [])
