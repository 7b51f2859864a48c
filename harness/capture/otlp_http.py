"""OTLP over HTTP/1.1, and a sentence for senders that speak gRPC to the same port.

Those begin with HTTP/2's preface, and understand nothing of an answer in HTTP/1.1: they would say that they
can't connect, for ever. So they get what gRPC calls a trailers-only answer, which their logs show.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from harness.outside.bounded_http import BoundedHttp

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD: Final = struct.Struct(">HBBBI")
"""Of a frame: its length (2 + 1 bytes), type, flags and stream."""
MOST_BYTES: Final = 256 * 1024
HEADERS, SETTINGS, PING, GOAWAY = 0x1, 0x4, 0x6, 0x7
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4
STATUS_200: Final = b"\x88"
"""`:status: 200`, as HPACK has it in its table."""
UNIMPLEMENTED: Final = "12"
SAID: Final = (
    "this port speaks OTLP over HTTP, not gRPC. In a Collector use the exporter `otlphttp` (`otlp_http`) "
    "with endpoint http://HOST:PORT, in an SDK OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf; `agentrig observe` "
    "takes gRPC at otlp-grpc://HOST:PORT"
)


class OtlpHttp(BoundedHttp):
    """A connection of a sender."""

    _begin = b""
    _grpc: Grpc | None = None
    _is_http = False
    _tell: Callable[[str], None] | None = None

    @classmethod
    def telling(cls, tell: Callable[[str], None]) -> type[OtlpHttp]:
        """Return it with somebody who is told once that a sender speaks gRPC."""
        told: list[bool] = []

        def once(sentence: str) -> None:
            if not told:
                told.append(True)
                tell(sentence)

        return type("OtlpHttp", (cls,), {"_tell": staticmethod(once)})

    def data_received(self, data: bytes) -> None:
        """Look at how the connection begins, and go on accordingly."""
        if self._grpc is not None:
            answer = self._grpc.receive(data)
        elif self._is_http:
            super().data_received(data)
            return
        else:
            self._begin += data
            if self._begin[: len(PREFACE)] != PREFACE[: len(self._begin)]:
                self._is_http = True
                super().data_received(self._begin)
                return
            if len(self._begin) < len(PREFACE):
                return
            self._grpc = Grpc()
            self.head_is_whole()
            if self._tell is not None:
                self._tell(f"a sender is refused: {SAID}")
            answer = frame(SETTINGS, 0, 0) + self._grpc.receive(self._begin[len(PREFACE) :])
        self.transport.write(answer)
        if self._grpc.over:
            self.transport.close()


class Grpc:
    """The server's side of a connection over which each call is refused."""

    def __init__(self) -> None:
        self._left = b""
        self._bytes = 0
        self.over = False

    def receive(self, data: bytes) -> bytes:
        """Take what came in, and return what to send back."""
        self._left += data
        self._bytes += len(data)
        out = b""
        while len(self._left) >= HEAD.size:
            high, low, kind, flags, stream = HEAD.unpack(self._left[: HEAD.size])
            length = (high << 8) + low
            if len(self._left) < HEAD.size + length:
                break
            content = self._left[HEAD.size : HEAD.size + length]
            self._left = self._left[HEAD.size + length :]
            if kind == SETTINGS and not flags & ACK:
                out += frame(SETTINGS, ACK, 0)
            elif kind == PING and not flags & ACK:
                out += frame(PING, ACK, 0, content)
            elif kind == HEADERS:
                out += frame(HEADERS, END_HEADERS | END_STREAM, stream, refusal())
            elif kind == GOAWAY:
                self.over = True
        self.over = self.over or self._bytes > MOST_BYTES
        return out


def refusal() -> bytes:
    """Return the headers that say why a call is refused."""
    told = {"content-type": "application/grpc", "grpc-status": UNIMPLEMENTED, "grpc-message": SAID}
    return STATUS_200 + b"".join(b"\x00" + _text(name) + _text(value) for name, value in told.items())


def frame(kind: int, flags: int, stream: int, content: bytes = b"") -> bytes:
    """Return a frame of HTTP/2."""
    length = len(content)
    return HEAD.pack(length >> 8, length & 0xFF, kind, flags, stream) + content


def _text(text: str) -> bytes:
    """Return a text as HPACK writes it without Huffman's code: its length, 7 bits at first, and its bytes."""
    most = 0x7F
    content = text.encode()
    if len(content) < most:
        return bytes([len(content)]) + content
    length, rest = b"\x7f", len(content) - most
    while rest > most:
        length, rest = length + bytes([rest & most | 0x80]), rest >> 7
    return length + bytes([rest]) + content
