"""Forwarding over real sockets, on both event loops that labkit runs on."""

import asyncio
import random
import socket
import struct
from types import SimpleNamespace

import pytest

from labkit.clock import Clock
from labkit.proxy import forward
from labkit.proxy.affinity import Affinity
from labkit.proxy.forward import Forwarder, Listener
from tests.proxy.loopback import ask, eventually, free_port, fresh_ip


@pytest.fixture
async def forwarder():
    made = Forwarder(random.Random(7))
    yield made
    made.stop()


@pytest.fixture
async def listen(forwarder):
    """`await listen(endpoint, ...)` opens a listener for these endpoints."""
    opened = []

    async def start(*endpoints):
        ip = fresh_ip()
        listener = Listener(
            (ip, free_port(ip)), tuple(each.address for each in endpoints), forwarder
        )
        opened.append(listener)
        await listener.open()
        return listener

    yield start
    for listener in opened:
        listener.close()


def receiver(collected: bytearray, ended: asyncio.Event, answer: bytes = b""):
    """A handler that reads all, then sends `answer`."""

    async def handle(reader, writer):
        while data := await reader.read(1 << 16):
            collected.extend(data)
        ended.set()
        writer.write(answer)
        await writer.drain()
        writer.close()

    return handle


async def test_bytes_go_to_the_endpoint_and_back(listen, endpoint, forwarder):
    listener = await listen(await endpoint("a"))
    assert await ask(listener.address) == b"a:hello"
    await eventually(lambda: forwarder.active == 0)


async def test_connections_spread_over_all_endpoints(listen, endpoint):
    listener = await listen(await endpoint("a"), await endpoint("b"), await endpoint("c"))
    answers = await asyncio.gather(*(ask(listener.address) for _ in range(90)))
    counts = [answers.count(name + b":hello") for name in (b"a", b"b", b"c")]
    assert sum(counts) == 90
    assert min(counts) >= 15


async def test_the_same_seed_picks_the_same_endpoints():
    endpoints = tuple((f"127.1.1.{number}", 80) for number in range(5))
    listener = SimpleNamespace(endpoints=endpoints, by_node=None, affinity=None)
    client = SimpleNamespace(listener=listener, address="127.0.0.1")
    first, second = Forwarder(random.Random(3)), Forwarder(random.Random(3))
    picks = [[each._choose(client, set()) for _ in range(20)] for each in (first, second)]
    assert picks[0] == picks[1]


async def test_the_endpoint_sees_the_address_of_the_client(listen, endpoint):
    seen = []

    async def look(reader, writer):
        seen.append(writer.get_extra_info("peername")[0])
        await reader.read()
        writer.close()

    listener, client = await listen(await endpoint("a", handler=look)), fresh_ip()
    await ask(listener.address, source=client)
    await ask(listener.address)
    assert seen == [client, "127.0.0.1"]


async def test_a_client_with_affinity_keeps_its_endpoint_until_it_is_gone(listen, endpoint):
    pods = [await endpoint(name) for name in "abcdef"]
    listener, client = await listen(*pods), fresh_ip()
    listener.affinity = Affinity(Clock(), seconds=60)
    first = await ask(listener.address, source=client)
    assert {await ask(listener.address, source=client) for _ in range(10)} == {first}
    kept = next(pod for pod in pods if first.startswith(pod.name.encode()))
    kept.stop_listening()
    second = await ask(listener.address, source=client)
    assert second != first
    assert {await ask(listener.address, source=client) for _ in range(10)} == {second}


async def test_a_client_on_a_node_gets_that_nodes_endpoints_alone(endpoint):
    near, far, client, guest = await endpoint("near"), await endpoint("far"), fresh_ip(), fresh_ip()
    nodes = {client: "one", guest: "two"}
    forwarder, ip = Forwarder(random.Random(7), nodes.get), fresh_ip()
    listener = Listener((ip, free_port(ip)), (near.address, far.address), forwarder)
    listener.by_node = {"one": (near.address,)}
    await listener.open()
    assert {await ask(listener.address, source=client) for _ in range(10)} == {b"near:hello"}
    assert len({await ask(listener.address) for _ in range(40)}) == 2
    with pytest.raises(ConnectionResetError):
        await ask(listener.address, source=guest)
    listener.close()


async def test_the_end_of_one_direction_leaves_the_other_open(listen, endpoint):
    collected, ended = bytearray(), asyncio.Event()
    listener = await listen(await endpoint("a", handler=receiver(collected, ended, b"got it all")))
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(b"question")
        writer.write_eof()
        await ended.wait()
        assert await reader.read() == b"got it all"
        writer.close()
    assert collected == b"question"


async def test_the_endpoint_may_end_first_and_still_receive(listen, endpoint):
    collected, done = bytearray(), asyncio.Event()

    async def banner(reader, writer):
        writer.write(b"220 ready")
        writer.write_eof()
        collected.extend(await reader.read())
        done.set()
        writer.close()

    listener = await listen(await endpoint("a", handler=banner))
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(*listener.address)
        assert await reader.read() == b"220 ready"
        writer.write(b"afterwards")
        writer.write_eof()
        await done.wait()
        writer.close()
    assert collected == b"afterwards"


async def test_big_bodies_arrive_whole_in_both_directions(listen, endpoint):
    body = random.Random(1).randbytes(16 << 20)
    collected, ended = bytearray(), asyncio.Event()
    listener = await listen(await endpoint("a", handler=receiver(collected, ended, body)))
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(body)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
    assert collected == body
    assert answer == body
    tally = next(iter(listener.tallies.values()))
    assert (tally.connections, tally.sent, tally.received) == (1, len(body), len(body))


async def test_a_slow_reader_slows_the_sender_down_and_loses_nothing(listen, endpoint):
    total = 64 << 20

    async def flood(reader, writer):
        for _ in range(total >> 16):
            writer.write(bytes(1 << 16))
            await writer.drain()
        writer.close()

    listener = await listen(await endpoint("a", handler=flood))
    loop = asyncio.get_running_loop()
    with socket.create_connection(listener.address) as client:
        client.setblocking(False)
        tally = listener.tally(listener.endpoints[0])
        await eventually(lambda: tally.received > 0)
        before = -1
        while tally.received != before:  # until nothing moves any more
            before = tally.received
            await asyncio.sleep(0.2)
        assert before < total // 2
        got = 0
        async with asyncio.timeout(60):
            while data := await loop.sock_recv(client, 1 << 20):
                got += len(data)
    assert got == total


async def test_a_fast_sender_waits_for_a_slow_endpoint(listen, endpoint):
    go, collected = asyncio.Event(), bytearray()

    async def slow(reader, writer):
        await go.wait()
        collected.extend(await reader.read())
        writer.write(b"done")
        writer.close()

    listener = await listen(await endpoint("a", handler=slow))
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(bytes(48 << 20))
        writer.write_eof()
        tally = listener.tally(listener.endpoints[0])
        await eventually(lambda: tally.sent > 0)
        before = -1
        while tally.sent != before:
            before = tally.sent
            await asyncio.sleep(0.2)
        assert before < 24 << 20
        go.set()
        assert await reader.read() == b"done"
        writer.close()
    assert len(collected) == 48 << 20


async def test_an_endpoint_that_refuses_is_passed_over(listen, endpoint):
    dead, alive = await endpoint("dead"), await endpoint("alive")
    listener = await listen(dead, alive)
    dead.stop_listening()
    answers = await asyncio.gather(*(ask(listener.address) for _ in range(40)))
    assert answers == [b"alive:hello"] * 40
    assert listener.tally(dead.address).failures > 0


async def test_an_endpoint_that_does_not_answer_is_passed_over(listen, endpoint, monkeypatch):
    monkeypatch.setattr(forward, "DIAL_TIMEOUTS", (0.05, 1.0))
    # A listener with a full queue lets the kernel drop further handshakes.
    ip = fresh_ip()
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind((ip, 0))
        full.listen(0)
        for sock in (first, second):
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        listener = await listen(await endpoint("alive"))
        listener.endpoints = (full.getsockname(), *listener.endpoints)
        answers = await asyncio.gather(*(ask(listener.address) for _ in range(10)))
    assert answers == [b"alive:hello"] * 10


async def test_a_client_is_reset_when_no_endpoint_takes_it(listen, endpoint):
    dead = await endpoint("dead")
    listener = await listen(dead)
    dead.stop_listening()
    with pytest.raises(ConnectionResetError):
        await ask(listener.address)


async def test_a_reset_of_the_endpoint_resets_the_client(listen, endpoint):
    async def abort(reader, writer):
        writer.write(b"half an ans")
        await reader.read(5)
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    listener = await listen(await endpoint("a", handler=abort))
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(b"hello")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_a_reset_of_the_client_resets_the_endpoint(listen, endpoint, forwarder):
    seen = asyncio.Event()

    async def watch(reader, writer):
        try:
            while await reader.read(100):
                pass
        except ConnectionResetError:
            seen.set()
        writer.close()

    listener = await listen(await endpoint("a", handler=watch))
    with socket.create_connection(listener.address) as client:
        client.sendall(b"hello")
        await eventually(lambda: any(each.active for each in listener.tallies.values()))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    async with asyncio.timeout(10):
        await seen.wait()
    await eventually(lambda: forwarder.active == 0)


async def test_a_client_that_leaves_at_once_leaves_nothing_behind(listen, endpoint, forwarder):
    listener = await listen(await endpoint("a"))
    for _ in range(50):
        socket.create_connection(listener.address).close()
    await eventually(lambda: forwarder.active == 0)
    await eventually(lambda: all(each.active == 0 for each in listener.tallies.values()))


async def test_endpoints_replaced_under_load_lose_no_request(listen, endpoint):
    old, new = await endpoint("old"), await endpoint("new")
    listener = await listen(old)
    answers, stop = [], asyncio.Event()

    async def load():
        while not stop.is_set():
            answers.append(await ask(listener.address))

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(load())
        for _ in range(10):
            for endpoints in ((old, new), (new,), (new, old), (old,)):
                listener.endpoints = tuple(each.address for each in endpoints)
                count = len(answers)
                await eventually(lambda count=count: len(answers) > count + 10)
        stop.set()
    assert set(answers) == {b"old:hello", b"new:hello"}


async def test_an_established_connection_survives_its_endpoint_and_its_listener(listen, endpoint):
    listener = await listen(await endpoint("old"))
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(b"1")
        assert await reader.read(100) == b"old:1"
        listener.endpoints = ()
        listener.close()
        writer.write(b"2")
        assert await reader.read(100) == b"old:2"
        writer.close()


async def test_a_closed_listener_refuses_and_its_address_is_free_at_once(listen, endpoint):
    listener = await listen(await endpoint("a"))
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        await ask(listener.address)
    await listener.open()
    assert await ask(listener.address) == b"a:hello"


async def test_stopping_ends_all_connections(listen, endpoint, forwarder):
    listener = await listen(await endpoint("a"))
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(b"1")
        await reader.read(100)
        forwarder.stop()
        with pytest.raises(ConnectionResetError):
            await reader.read(100)
        writer.close()
    await eventually(lambda: forwarder.active == 0)


async def test_both_sockets_send_small_writes_at_once(listen, endpoint, forwarder):
    listener = await listen(await endpoint("a"))
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(b"1")
        await reader.read(100)
        client = next(iter(forwarder._clients))
        for side in (client, client.peer):
            sock = side.transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        writer.close()
