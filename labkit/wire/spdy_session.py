"""A SPDY connection as its server sees it: streams that the client opens.

Mechanism: `run` reads frames and gives each to its stream, waiting while that has too much that
nobody has read; so a stream that is not read holds up the others of its connection, as it does with
moby/spdystream.  Each stream is closed in each direction by itself.

Invariant: when `run` has returned, every stream has ended.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from labkit.wire import spdy
from labkit.wire.bytequeue import ByteQueue
from labkit.wire.spdy import Control, Data, Framer

MAX_STREAMS = 1024
_CHUNK = 32 << 10

Receive = Callable[[], Awaitable[bytes]]
Send = Callable[[bytes], Awaitable[None]]


class Stream:
    """One stream: its headers, and bytes in both directions."""

    def __init__(self, session: Session, number: int, headers: Mapping[str, str]) -> None:
        self.number, self.headers = number, headers
        self._session = session
        self._inbox = ByteQueue()
        self._closed = False  # from this side
        self.ended = False  # from the other

    async def read(self) -> bytes:
        """The next bytes; b"" at the end."""
        return await self._inbox.get()

    async def write(self, data: bytes) -> None:
        """Raises ConnectionError where nobody listens any more."""
        for start in range(0, len(data), _CHUNK):
            if self._closed:
                raise BrokenPipeError("the stream is closed")
            await self._session.send(Data(self.number, data[start : start + _CHUNK]))

    async def close(self) -> None:
        """Nothing more is written, nor read.  Safe to repeat."""
        self._inbox.abandon()
        if not self._closed:
            self._closed = True
            await self._session.send(Data(self.number, b"", fin=True))
            self._session.forget(self)

    async def take(self, frame: Data) -> None:
        """What the client has sent."""
        await self._inbox.put(frame.data)
        if frame.fin:
            self.end()

    def end(self) -> None:
        """The client sends no more."""
        self.ended = True
        self._inbox.end()
        self._session.forget(self)

    def reset(self) -> None:
        """The client wants nothing more, either."""
        self._closed = True
        self._inbox.abandon()
        self.end()

    @property
    def over(self) -> bool:
        """Whether both sides have closed it."""
        return self._closed and self.ended


class Session:
    """`receive` gives bytes of the connection (b"" at its end), `write` sends some; `accept` is
    told of each new stream."""

    def __init__(self, receive: Receive, write: Send, accept: Callable[[Stream], None]) -> None:
        self._receive, self._write, self._accept = receive, write, accept
        self._framer = Framer()
        self._streams: dict[int, Stream] = {}
        self._last = 0

    async def run(self) -> None:
        """Serve until the client ends the connection, or breaks the protocol."""
        try:
            while data := await self._receive():
                for frame in self._framer.feed(data):
                    if isinstance(frame, Control) and frame.type == spdy.GOAWAY:
                        return
                    await self._take(frame)
        except spdy.ProtocolError:
            await self.send(Control(spdy.GOAWAY, self._last, status=spdy.PROTOCOL_ERROR))
        finally:
            for stream in list(self._streams.values()):
                stream.reset()

    async def send(self, frame: Data | Control) -> None:
        """Raises ConnectionError."""
        await self._write(self._framer.encode(frame))

    def forget(self, stream: Stream) -> None:
        """A stream that is over is no longer looked for."""
        if stream.over:
            self._streams.pop(stream.number, None)

    async def _take(self, frame: Data | Control) -> None:
        if isinstance(frame, Data):
            if stream := self._streams.get(frame.stream):
                await stream.take(frame)
        elif frame.type == spdy.SYN_STREAM:
            await self._open(frame)
        elif frame.type == spdy.RST_STREAM:
            if stream := self._streams.get(frame.number):
                stream.reset()
        elif frame.type == spdy.PING:
            await self.send(frame)

    async def _open(self, frame: Control) -> None:
        if frame.number <= self._last or not frame.number % 2:
            raise spdy.ProtocolError(f"a stream of number {frame.number}")
        self._last = frame.number
        if len(self._streams) >= MAX_STREAMS:
            status = spdy.REFUSED_STREAM
            await self.send(Control(spdy.RST_STREAM, frame.number, status=status))
            return
        stream = self._streams[frame.number] = Stream(self, frame.number, frame.headers)
        await self.send(Control(spdy.SYN_REPLY, frame.number))
        if frame.fin:
            stream.end()
        self._accept(stream)
