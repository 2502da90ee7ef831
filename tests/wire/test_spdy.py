"""SPDY: frames to bytes and back, and a session as its server sees it."""

from __future__ import annotations

import asyncio
import zlib

import pytest

from labkit.wire import spdy
from labkit.wire.spdy import Control, Data, Framer, ProtocolError
from labkit.wire.spdy_session import MAX_STREAMS, Session, Stream

HEADERS = {"streamtype": "data", "port": "3001", "requestid": "0"}
FRAMES = [
    Control(spdy.SYN_STREAM, 1, HEADERS),
    Control(spdy.SYN_STREAM, 3, {**HEADERS, "streamtype": "error"}, fin=True),
    Control(spdy.SYN_REPLY, 1),
    Data(1, b"some bytes"),
    Data(1, b"", fin=True),
    Control(spdy.RST_STREAM, 3, status=spdy.CANCEL),
    Control(spdy.PING, 7),
    Control(spdy.GOAWAY, 3, status=spdy.PROTOCOL_ERROR),
]


def test_the_dictionary_is_that_of_the_draft():
    assert (len(spdy.DICTIONARY), zlib.adler32(spdy.DICTIONARY)) == (1423, 0xE3C6A7C2)


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_frames_come_out_as_they_went_in_however_they_are_cut(size: int):
    sender, receiver = Framer(), Framer()
    data = b"".join(map(sender.encode, FRAMES))
    pieces = (data[start : start + size] for start in range(0, len(data), size))
    assert [frame for piece in pieces for frame in receiver.feed(piece)] == FRAMES


def test_what_has_no_meaning_here_is_passed_over():
    settings = bytes.fromhex("8003 0004 00 000004 00000000")
    window = bytes.fromhex("8003 0009 00 000008 00000001 00001000")
    assert list(Framer().feed(settings + window + Framer().encode(FRAMES[3]))) == [FRAMES[3]]


def bomb() -> bytes:
    deflate = zlib.compressobj(zdict=spdy.DICTIONARY)
    block = deflate.compress(bytes(10_000_000)) + deflate.flush(zlib.Z_SYNC_FLUSH)
    return b"\x80\x03\x00\x01\x00" + (len(block) + 10).to_bytes(3, "big") + bytes(10) + block


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(bytes.fromhex("8002 0001 00 000000"), "another version", id="version"),
        pytest.param(bytes.fromhex("00000001 00 ffffff"), "16777215 bytes", id="length"),
        pytest.param(bytes.fromhex("8003 0003 00 000004 00000001"), "too short", id="cut"),
        pytest.param(
            bytes.fromhex("8003 0001 00 00000c") + bytes(10) + b"no", "unpacked", id="headers"
        ),
        pytest.param(bomb(), "too long", id="bomb"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", "bytes", id="http"),
    ],
)
def test_what_is_not_spdy_is_refused(data: bytes, words: str):
    with pytest.raises(ProtocolError, match=words):
        list(Framer().feed(data))


# Sessions


class Peer:
    """The client of a session, and what the server has sent it."""

    def __init__(self) -> None:
        self.framer, self.sent = Framer(), []
        self.incoming: asyncio.Queue[bytes] = asyncio.Queue()
        self.streams: list[Stream] = []
        self.session = Session(self.incoming.get, self.receive, self.streams.append)
        self.running = asyncio.create_task(self.session.run())

    async def receive(self, data: bytes) -> None:
        self.sent += self.framer.feed(data)

    async def send(self, *frames: Data | Control) -> None:
        """Send, and let the server work."""
        for frame in frames:
            self.incoming.put_nowait(self.framer.encode(frame))
        for _ in range(20):
            await asyncio.sleep(0)


@pytest.fixture
async def peer():
    one = Peer()
    yield one
    one.running.cancel()
    await asyncio.gather(one.running, return_exceptions=True)


async def test_each_direction_of_a_stream_ends_by_itself(peer: Peer):
    await peer.send(Control(spdy.SYN_STREAM, 1, HEADERS), Data(1, b"in"), Data(1, b"", fin=True))
    (stream,) = peer.streams
    assert (stream.headers, await stream.read(), await stream.read()) == (HEADERS, b"in", b"")
    await stream.write(b"out")
    await stream.close()
    assert peer.sent == [Control(spdy.SYN_REPLY, 1), Data(1, b"out"), Data(1, b"", fin=True)]
    assert peer.session._streams == {}


async def test_a_ping_is_answered(peer: Peer):
    await peer.send(Control(spdy.PING, 5))
    assert peer.sent == [Control(spdy.PING, 5)]


async def test_a_stream_that_nobody_reads_stops_the_connection(peer: Peer):
    await peer.send(Control(spdy.SYN_STREAM, 1, HEADERS), *[Data(1, bytes(32768))] * 10)
    assert peer.incoming.qsize() == 8
    await peer.streams[0].close()
    await peer.send()
    assert peer.incoming.qsize() == 0


async def test_a_reset_ends_both_directions(peer: Peer):
    await peer.send(
        Control(spdy.SYN_STREAM, 1, HEADERS), Control(spdy.RST_STREAM, 1, status=spdy.CANCEL)
    )
    assert await peer.streams[0].read() == b""
    with pytest.raises(BrokenPipeError):
        await peer.streams[0].write(b"late")


async def test_all_streams_end_with_the_connection(peer: Peer):
    await peer.send(Control(spdy.SYN_STREAM, 1, HEADERS), Control(spdy.SYN_STREAM, 3, HEADERS))
    peer.incoming.put_nowait(b"")
    await peer.running
    assert [await stream.read() for stream in peer.streams] == [b"", b""]


async def test_too_many_streams_are_refused(peer: Peer):
    for number in range(MAX_STREAMS + 1):
        await peer.send(Control(spdy.SYN_STREAM, 2 * number + 1, HEADERS))
    refusal = Control(spdy.RST_STREAM, 2 * MAX_STREAMS + 1, status=spdy.REFUSED_STREAM)
    assert (len(peer.streams), peer.sent[-1]) == (MAX_STREAMS, refusal)


async def test_a_stream_number_that_goes_back_ends_the_connection(peer: Peer):
    await peer.send(Control(spdy.SYN_STREAM, 3, HEADERS), Control(spdy.SYN_STREAM, 1, HEADERS))
    await peer.running
    assert peer.sent[-1] == Control(spdy.GOAWAY, 3, status=spdy.PROTOCOL_ERROR)
