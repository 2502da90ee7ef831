"""The DNS server, asked over the network by dnspython, with a real API server behind it."""

import asyncio
import socket

import dns.asyncquery
import dns.asyncresolver
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.reversename
import pytest

from labkit.apiserver.core import APIServer
from labkit.apiserver.request import User
from labkit.apiserver.store import MemoryStore
from labkit.client import Client
from labkit.clock import Clock
from labkit.errors import ClusterError
from labkit.kube.resources import ENDPOINT_SLICES, SERVICES
from labkit.proxy import (
    ClusterDNS,
    dns_upstream,
    kube_dns_endpoint_slice,
    kube_dns_service,
    rules,
)
from labkit.proxy.dns_upstream import Upstream, nameservers
from tests.proxy.loopback import free_port, fresh_ip, service_cidr, service_ip

IP, DNS_IP = service_ip(77), service_ip(10)
WEB = "web.default.svc.cluster.local."


@pytest.fixture
async def client():
    server = APIServer(MemoryStore(), Clock(), service_cidr=service_cidr())
    await server.start()
    yield Client(server.transport(User("system:coredns", ("system:masters",))))
    await server.stop()


@pytest.fixture
async def server(client):
    made = ClusterDNS(client, Clock(), address=fresh_ip(), port=0, fallback_port=0)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def resolver(server):
    made = dns.asyncresolver.Resolver(configure=False)
    made.nameservers, made.port, made.lifetime = [server.address], server.port, 10
    return made


async def create(client, name, ip, **spec):
    spec = {"clusterIP": ip, "ports": [{"name": "http", "port": 80}], **spec}
    service = {"metadata": {"name": name, "namespace": "default"}, "spec": spec}
    return await client.create(SERVICES, service)


async def create_headless(client, name, count):
    await create(client, name, "None")
    slice_ = {
        "metadata": {
            "name": f"{name}-1",
            "namespace": "default",
            "labels": {rules.SERVICE_NAME: name},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 80}],
        "endpoints": [
            {"addresses": [f"127.244.1.{number}"], "conditions": {"ready": True}}
            for number in range(1, count + 1)
        ],
    }
    await client.create(ENDPOINT_SLICES, slice_)


async def resolves(resolver, name, kind="A"):
    """Wait until there is an answer; its texts, sorted."""
    async with asyncio.timeout(10):
        while True:
            try:
                return sorted(each.to_text() for each in await resolver.resolve(name, kind))
            except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
                await asyncio.sleep(0.01)


async def ask(server, name, kind="A", **options):
    query = dns.message.make_query(name, kind, **options)
    return await dns.asyncquery.udp(query, server.address, port=server.port, timeout=10)


async def test_a_service_has_a_name_as_soon_as_it_exists(client, server, resolver):
    with pytest.raises(dns.resolver.NXDOMAIN):
        await resolver.resolve(WEB, "A")
    await create(client, "web", IP)
    assert await resolves(resolver, WEB) == [IP]
    assert await resolves(resolver, f"_http._tcp.{WEB}", "SRV") == [f"0 100 80 {WEB}"]
    assert await resolves(resolver, dns.reversename.from_address(IP), "PTR") == [WEB]
    await client.delete(SERVICES, "web", "default")

    async def gone():
        return (await ask(server, WEB)).rcode() == dns.rcode.NXDOMAIN

    async with asyncio.timeout(10):
        while not await gone():  # noqa: ASYNC110 - asked over the network
            await asyncio.sleep(0.01)


async def test_a_headless_service_answers_with_its_pods(client, server, resolver):
    await create_headless(client, "db", 3)
    name = "db.default.svc.cluster.local."
    assert await resolves(resolver, name) == ["127.244.1.1", "127.244.1.2", "127.244.1.3"]
    firsts = {(await ask(server, name)).answer[0][0].to_text() for _ in range(60)}
    assert len(firsts) == 3


async def test_answers_live_for_five_seconds_and_are_authoritative(client, server, resolver):
    await create(client, "web", IP)
    await resolves(resolver, WEB)
    answer = await ask(server, WEB)
    assert answer.answer[0].ttl == 5
    assert answer.flags & dns.flags.AA
    missing = await ask(server, WEB, "AAAA")
    assert (missing.rcode(), missing.answer) == (dns.rcode.NOERROR, [])
    assert missing.authority[0][0].minimum == 5


def at_once(server, wire):
    """The response to a query that need not wait; None if there is none."""
    sent = []
    server.respond(wire, sent.append)
    return sent[0] if sent else None


@pytest.fixture
async def elsewhere(client, server, monkeypatch):
    """A DNS server of another cluster, which asks the first one for what it does not know."""
    monkeypatch.setattr(dns_upstream, "_TIMEOUT", 0.1)
    upstream = Upstream(["127.0.0.253", server.address], server.port)  # nobody listens at the first
    made = ClusterDNS(
        client,
        Clock(),
        address=fresh_ip(),
        port=0,
        fallback_port=0,
        domain="other",
        upstream=upstream,
    )
    await made.start()
    yield made
    await made.stop()


async def test_names_outside_of_the_cluster_are_asked_for_elsewhere(
    client, server, elsewhere, resolver
):
    await create(client, "web", IP)
    await create_headless(client, "many", 100)
    await resolves(resolver, WEB)
    await resolves(resolver, "many.default.svc.cluster.local.")
    answer = await ask(elsewhere, WEB)
    assert answer.answer[0].to_text() == f"{WEB} 5 IN A {IP}"
    assert answer.flags & dns.flags.RA
    missing = await ask(elsewhere, "nobody.default.svc.cluster.local.")
    assert missing.rcode() == dns.rcode.NXDOMAIN
    assert missing.authority[0].rdtype == dns.rdatatype.SOA
    query = dns.message.make_query("many.default.svc.cluster.local.", "A")
    whole = await dns.asyncquery.tcp(query, elsewhere.address, port=elsewhere.port, timeout=10)
    assert len(whole.answer[0]) == 100


async def test_an_external_name_is_followed_out_of_the_cluster(client, server, elsewhere, resolver):
    await create(client, "web", IP)
    spec = {"type": "ExternalName", "externalName": WEB.rstrip(".")}
    meta = {"name": "docs", "namespace": "default"}
    await client.create(SERVICES, {"metadata": meta, "spec": spec})
    await resolves(resolver, "docs.default.svc.cluster.local.")
    answer = await ask(elsewhere, "docs.default.svc.other.")
    assert [found.to_text() for found in answer.answer] == [
        f"docs.default.svc.other. 5 IN CNAME {WEB}",
        f"{WEB} 5 IN A {IP}",
    ]


async def test_when_no_other_server_answers_the_client_is_told(client, monkeypatch):
    monkeypatch.setattr(dns_upstream, "_TIMEOUT", 0.1)
    upstream = Upstream(["127.0.0.253"], free_port("127.0.0.253"))
    made = ClusterDNS(
        client, Clock(), address=fresh_ip(), port=0, fallback_port=0, upstream=upstream
    )
    await made.start()
    assert (await ask(made, "example.org.")).rcode() == dns.rcode.SERVFAIL
    await made.stop()


def test_name_servers_are_read_from_a_resolv_conf(tmp_path):
    path = tmp_path / "resolv.conf"
    path.write_text("# nameserver 1.1.1.1\nnameserver 192.0.2.1\nnameserver fd00::1\nsearch x\n")
    assert nameservers(path) == ("192.0.2.1",)
    assert nameservers(tmp_path / "none") == ()


async def test_other_names_are_refused_at_once_where_there_is_nobody_to_ask(server):
    answer = await ask(server, "example.org.")
    assert answer.rcode() == dns.rcode.REFUSED
    assert not answer.flags & dns.flags.AA


async def test_a_long_answer_is_cut_over_udp_and_whole_over_tcp(client, server, resolver):
    await create_headless(client, "many", 100)
    name = "many.default.svc.cluster.local."
    await resolves(resolver, name)
    plain = await ask(server, name, use_edns=False)
    assert plain.flags & dns.flags.TC
    extended = await ask(server, name, use_edns=True, payload=4096)
    assert len(extended.answer[0]) == 100
    query = dns.message.make_query(name, "A")
    whole = await dns.asyncquery.tcp(query, server.address, port=server.port, timeout=10)
    assert len(whole.answer[0]) == 100


async def test_one_tcp_connection_carries_many_queries_in_pieces(client, server, resolver):
    await create(client, "web", IP)
    await resolves(resolver, WEB)
    wire = dns.message.make_query(WEB, "A").to_wire()
    framed = (len(wire).to_bytes(2) + wire) * 3
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(server.address, server.port)
        for start in range(0, len(framed), 7):
            writer.write(framed[start : start + 7])
            await writer.drain()
        for _ in range(3):
            size = int.from_bytes(await reader.readexactly(2))
            answer = dns.message.from_wire(await reader.readexactly(size))
            assert answer.answer[0][0].to_text() == IP
        writer.close()


async def test_the_longest_silent_connection_makes_room_for_new_ones(server):
    async with asyncio.timeout(20):
        opened = [await asyncio.open_connection(server.address, server.port) for _ in range(140)]
        assert await opened[0][0].read() == b""
        wire = dns.message.make_query("cluster.local.", "NS").to_wire()
        opened[-1][1].write(len(wire).to_bytes(2) + wire)
        assert len(await opened[-1][0].readexactly(2)) == 2
        for _, writer in opened:
            writer.close()


async def test_what_is_no_question_gets_the_code_for_it(server):
    query = dns.message.make_query("cluster.local.", "SOA")
    answer = dns.message.from_wire(at_once(server, query.to_wire()))
    assert answer.answer[0].to_text().startswith("cluster.local. 5 IN SOA ns.dns.cluster.local.")
    chaos = dns.message.make_query("version.bind.", "TXT", rdclass="CH")
    assert _code(server, chaos) == dns.rcode.REFUSED
    status = dns.message.make_query("cluster.local.", "A")
    status.set_opcode(dns.opcode.STATUS)
    assert _code(server, status) == dns.rcode.NOTIMP
    future = dns.message.make_query("cluster.local.", "A", use_edns=1)
    assert _code(server, future) == dns.rcode.BADVERS
    assert _code(server, dns.message.Message()) == dns.rcode.FORMERR
    broken = query.to_wire()[:-3]
    assert dns.message.from_wire(at_once(server, broken)).rcode() == dns.rcode.FORMERR
    assert at_once(server, answer.to_wire()) is None
    assert at_once(server, b"hello") is None


def _code(server, query):
    return dns.message.from_wire(at_once(server, query.to_wire())).rcode()


async def test_a_refused_port_falls_back_to_the_other(client):
    ip = fresh_ip()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((ip, 0))
        fallback = free_port(ip)
        port = taken.getsockname()[1]
        made = ClusterDNS(client, Clock(), address=ip, port=port, fallback_port=fallback)
        await made.start()
        assert made.port == fallback
        assert (await ask(made, "cluster.local.", "NS")).rcode() == dns.rcode.NOERROR
        await made.stop()


async def test_no_port_at_all_is_a_clear_error(client):
    ip = fresh_ip()
    with socket.socket() as taken:
        taken.bind((ip, 0))
        taken.listen()
        port = taken.getsockname()[1]
        made = ClusterDNS(client, Clock(), address=ip, port=port, fallback_port=port)
        with pytest.raises(ClusterError) as caught:
            await made.start()
        await made.stop()
    assert str(caught.value) == (
        f"The cluster's DNS cannot listen at {ip}, port {port} or {port}: Address already in use. "
        "Another program, perhaps another cluster, is there already. "
        f"See who listens: ss -lntup 'src {ip}'"
    )


async def test_stop_gives_the_port_back_and_may_be_repeated(client):
    before = asyncio.all_tasks()
    ip = fresh_ip()
    made = ClusterDNS(client, Clock(), address=ip, port=0, fallback_port=0)
    await made.start()
    await made.stop()
    await made.stop()
    again = ClusterDNS(client, Clock(), address=ip, port=made.port, fallback_port=0)
    await again.start()
    assert again.port == made.port
    await again.stop()
    names = [task.get_name() for task in asyncio.all_tasks() - before]
    assert not [name for name in names if "informer" in name]


async def test_the_service_kube_dns_points_to_the_server(client, server, resolver):
    await client.create(SERVICES, kube_dns_service(DNS_IP, server.port))
    await client.create(ENDPOINT_SLICES, kube_dns_endpoint_slice(DNS_IP, server.port))
    name = "kube-dns.kube-system.svc.cluster.local."
    assert await resolves(resolver, name) == [DNS_IP]
    assert await resolves(resolver, f"_dns._udp.{name}", "SRV") == [f"0 100 {server.port} {name}"]
    service = await client.get(SERVICES, "kube-dns", "kube-system")
    slices = (await client.list(ENDPOINT_SLICES, "kube-system"))["items"]
    # The proxy has nothing to do for it.
    assert rules.listeners(service, slices, ()) == {}
    assert rules.unsupported(service, slices) == []
