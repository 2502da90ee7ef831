"""Asks a gRPC server for its health: one call of grpc.health.v1.Health/Check.

gRPC is HTTP/2 with messages of five bytes and a Protocol Buffer.  For one call that is a handful of
frames, and so it is written out here: the request's headers need no compression, and of the answer
only its data matters.

Source: RFC 9113 (frames), RFC 7541 (headers), gRPC over HTTP/2, the GRPC health checking protocol.
Left out: the answer's headers.  A server that refuses the call is unhealthy, whatever its reason.
"""

from __future__ import annotations

import asyncio
import struct

STATES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
SERVING = "SERVING"

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEAD = struct.Struct(">BHBBL")  # length (1 + 2 bytes), type, flags, stream
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY = 0, 1, 3, 4, 6, 7
_ACK = _END_STREAM = 0x1
_END_HEADERS = 0x4
_STREAM = 1
_PATH = b"/grpc.health.v1.Health/Check"
_LARGEST = 1 << 14  # bytes of a frame, before anything else is agreed on


class GrpcError(Exception):
    """The call has failed."""


async def check(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, service: str, authority: str,
    agent: str,
) -> str:  # fmt: skip
    """One of STATES, for a `service` ("" for the server).  Raises GrpcError, OSError."""
    writer.write(_PREFACE + _frame(_SETTINGS, 0, 0, b""))
    writer.write(_frame(_HEADERS, _END_HEADERS, _STREAM, _headers(authority, agent)))
    writer.write(_frame(_DATA, _END_STREAM, _STREAM, _message(service)))
    try:
        return _state(await _answer(reader, writer))
    except asyncio.IncompleteReadError:
        raise GrpcError("the connection was closed") from None


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The data of the answer."""
    data = b""
    while True:
        kind, flags, stream, payload = await _read(reader)
        if kind in (_SETTINGS, _PING) and not flags & _ACK:
            writer.write(_frame(kind, _ACK, 0, payload if kind == _PING else b""))
        elif kind == _GOAWAY or (kind == _RST_STREAM and stream == _STREAM):
            raise GrpcError("the server has ended the call")
        elif stream == _STREAM and kind in (_DATA, _HEADERS):
            data += payload if kind == _DATA else b""
            if flags & _END_STREAM:
                return data


async def _read(reader: asyncio.StreamReader) -> tuple[int, int, int, bytes]:
    high, low, kind, flags, stream = _HEAD.unpack(await reader.readexactly(_HEAD.size))
    length = high << 16 | low
    if length > _LARGEST:
        raise GrpcError("this is no gRPC server")  # an HTTP/1 server's words read as a frame
    return kind, flags, stream & 0x7FFFFFFF, await reader.readexactly(length)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return _HEAD.pack(len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream) + payload


def _headers(authority: str, agent: str) -> bytes:
    """A header block with nothing in it that a decoder would have to remember."""
    return b"".join(
        (
            b"\x83\x86",  # :method POST, :scheme http
            b"\x04" + _text(_PATH),  # :path
            b"\x01" + _text(authority.encode()),  # :authority
            b"\x0f\x10" + _text(b"application/grpc"),  # content-type
            b"\x0f\x2b" + _text(agent.encode()),  # user-agent
            b"\x00" + _text(b"te") + _text(b"trailers"),
        )
    )


def _text(value: bytes) -> bytes:
    return bytes([len(value)]) + value  # all are shorter than 127 bytes


def _message(service: str) -> bytes:
    """HealthCheckRequest { service = 1 }."""
    name = service.encode()
    body = b"\x0a" + _varint(len(name)) + name if name else b""
    return b"\0" + struct.pack(">L", len(body)) + body


def _varint(number: int) -> bytes:
    if number < 0x80:
        return bytes([number])
    return bytes([number & 0x7F | 0x80]) + _varint(number >> 7)


def _state(data: bytes) -> str:
    """HealthCheckResponse { status = 1 }, an enumeration; left out where it is zero."""
    if len(data) < 5:
        raise GrpcError("the server has refused the call")
    body = data[5:]
    number = body[1] if body[:1] == b"\x08" and len(body) > 1 else 0
    return STATES[number] if number < len(STATES) else STATES[0]
