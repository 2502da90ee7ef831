"""SPDY/3.1, as far as Kubernetes uses it: frames to bytes and back, without I/O.

kubectl forwards ports over SPDY (since 1.31 inside a WebSocket), and older ones run commands over
it.  Headers are compressed with one zlib stream for each direction, which both sides begin with a
dictionary of the draft's.

Source: draft-mbelshe-httpbis-spdy-00 (SPDY/3), 2.2, 2.6, 2.6.10.1; what moby/spdystream sends.
Left out: flow control by windows and settings, which spdystream ignores too; push; priorities.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

VERSION = 3
SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY = 1, 2, 3, 6, 7
FIN = 0x01
PROTOCOL_ERROR, REFUSED_STREAM, CANCEL = 1, 3, 5
MAX_FRAME = 1 << 20  # bytes; spdystream's are of 32 KiB
MAX_HEADERS = 64 << 10  # bytes, unpacked

_HEADER = struct.Struct(">IBBH")  # stream or type; flags; length, in 8 and 16 bits
_CONTROL = 0x8000_0000
_NUMBER = 0x7FFF_FFFF
_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language "
    "accept-ranges age allow authorization cache-control connection content-base content-encoding "
    "content-language content-length content-location content-md5 content-range content-type date "
    "etag expect expires from host if-match if-modified-since if-none-match if-range "
    "if-unmodified-since last-modified location max-forwards pragma proxy-authenticate "
    "proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status"
)
_VALUES = ("200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin")
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203"
    " Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 "
    "Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 "
    "Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, "
    "Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,"
    "application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdch"
    "charset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)


def _text(text: str) -> bytes:
    data = text.encode("latin-1")
    return len(data).to_bytes(4, "big") + data


DICTIONARY = b"".join(map(_text, (*_WORDS.split(), *_VALUES))) + _TAIL.encode()


class ProtocolError(Exception):
    """What came is not SPDY/3."""


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes of a stream; `fin`: its last ones from this side."""

    stream: int
    data: bytes
    fin: bool = False


@dataclass(frozen=True, slots=True)
class Control:
    """A control frame.  `number` is a stream, or of a PING; `status` of a RST_STREAM or GOAWAY."""

    type: int
    number: int
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 0
    fin: bool = False


class Framer:
    """Both directions of one connection."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def feed(self, data: bytes) -> Iterator[Data | Control]:
        """The frames that `data` completes.  Raises ProtocolError."""
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            first, flags, high, low = _HEADER.unpack_from(self._buffer)
            length = (high << 16) | low
            if length > MAX_FRAME:
                raise ProtocolError(f"a frame of {length} bytes")
            end = _HEADER.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_HEADER.size : end])
            del self._buffer[:end]
            if not first & _CONTROL:
                yield Data(first, body, bool(flags & FIN))
            elif (frame := self._control(first, flags, body)) is not None:
                yield frame

    def _control(self, first: int, flags: int, body: bytes) -> Control | None:
        kind = first & 0xFFFF
        if (first & _NUMBER) >> 16 != VERSION:
            raise ProtocolError("another version of SPDY")
        if kind not in (SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY):
            return None  # SETTINGS, HEADERS, WINDOW_UPDATE: nothing to do
        fixed = {SYN_STREAM: 10, SYN_REPLY: 4, PING: 4}.get(kind, 8)
        if len(body) < fixed:
            raise ProtocolError("a control frame that is too short")
        number, fin = int.from_bytes(body[:4], "big") & _NUMBER, bool(flags & FIN)
        if kind in (SYN_STREAM, SYN_REPLY):
            return Control(kind, number, self._headers(body[fixed:]), fin=fin)
        return Control(kind, number, status=int.from_bytes(body[4:8], "big"))

    def _headers(self, block: bytes) -> dict[str, str]:
        try:
            plain = self._inflate.decompress(block, MAX_HEADERS)
        except zlib.error as error:
            raise ProtocolError(f"headers that cannot be unpacked: {error}") from None
        if self._inflate.unconsumed_tail:
            raise ProtocolError("headers that are too long")
        texts, at = [], 4
        for _ in range(2 * int.from_bytes(plain[:4], "big")):
            length = int.from_bytes(plain[at : at + 4], "big")
            at += 4 + length
            if at > len(plain):
                raise ProtocolError("headers that are cut off")
            texts.append(plain[at - length : at].decode("latin-1"))
        return dict(zip(texts[::2], texts[1::2], strict=True))

    def encode(self, frame: Data | Control) -> bytes:
        """A frame's bytes; they must be sent in the order of these calls."""
        if isinstance(frame, Data):
            return _frame(frame.stream, frame.fin, frame.data)
        body = frame.number.to_bytes(4, "big")
        if frame.type == SYN_STREAM:
            body += bytes(6)  # of no other stream, without priority
        if frame.type in (SYN_STREAM, SYN_REPLY):
            body += self._packed(frame.headers)
        elif frame.type != PING:
            body += frame.status.to_bytes(4, "big")
        return _frame(_CONTROL | VERSION << 16 | frame.type, frame.fin, body)

    def _packed(self, headers: Mapping[str, str]) -> bytes:
        pairs = (_text(name.lower()) + _text(value) for name, value in headers.items())
        plain = len(headers).to_bytes(4, "big") + b"".join(pairs)
        return self._deflate.compress(plain) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


def _frame(first: int, fin: bool, body: bytes) -> bytes:
    length = len(body)
    return _HEADER.pack(first, FIN if fin else 0, length >> 16, length & 0xFFFF) + body
