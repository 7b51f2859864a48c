"""A sender that speaks gRPC to the port of HTTP: each call is answered with what to set."""

import struct

from harness.capture.otlp_http import HEADERS, PING, PREFACE, SETTINGS, Grpc, OtlpHttp, frame, refusal


def frames(data: bytes) -> list[tuple[int, int, int, bytes]]:
    found = []
    while data:
        high, low, kind, flags, stream = struct.unpack(">HBBBI", data[:9])
        length = high << 8 | low
        found.append((kind, flags, stream, data[9 : 9 + length]))
        data = data[9 + length :]
    return found


def test_settings_and_pings_are_answered_and_each_call_is_refused() -> None:
    grpc = Grpc()
    out = grpc.receive(frame(SETTINGS, 0, 0) + frame(PING, 0, 0, b"12345678"))
    assert frames(out) == [(SETTINGS, 1, 0, b""), (PING, 1, 0, b"12345678")]
    assert frames(grpc.receive(frame(HEADERS, 4, 1, b"x"))) == [(HEADERS, 5, 1, refusal())]
    assert frames(grpc.receive(frame(0, 1, 1, b"body") + frame(HEADERS, 4, 3, b"x"))) == [
        (HEADERS, 5, 3, refusal())
    ]


def test_what_comes_in_parts_is_put_together() -> None:
    grpc, whole = Grpc(), frame(HEADERS, 4, 1, b"head")
    assert grpc.receive(whole[:5]) == b""
    assert frames(grpc.receive(whole[5:]))[0][0] == HEADERS


def test_a_refusal_says_what_to_set() -> None:
    assert refusal().startswith(b"\x88\x00\x0ccontent-type\x10application/grpc\x00\x0bgrpc-status\x0212")
    assert b"http/protobuf" in refusal()


def test_a_sender_that_goes_on_and_on_is_hung_up_on() -> None:
    grpc = Grpc()
    for _ in range(20):
        grpc.receive(frame(0, 0, 1, b"x" * 16_000))
    assert grpc.over


class Transport:
    def __init__(self) -> None:
        self.sent = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        self.closed = True


def test_it_is_told_once_to_whoever_runs_the_receiver() -> None:
    told: list[str] = []
    kind = OtlpHttp.telling(told.append)
    for _ in range(2):
        connection = kind.__new__(kind)
        connection.transport = Transport()  # type: ignore[assignment]
        connection.data_received(PREFACE[:10])
        assert connection.transport.sent == b""  # type: ignore[attr-defined]
        connection.data_received(PREFACE[10:] + frame(SETTINGS, 0, 0) + frame(HEADERS, 4, 1, b"x"))
        assert [kind for kind, *_ in frames(connection.transport.sent)] == [SETTINGS, SETTINGS, HEADERS]  # type: ignore[attr-defined]
    assert len(told) == 1
    assert "otlphttp" in told[0]
