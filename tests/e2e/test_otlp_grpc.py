"""Real senders of OTLP over gRPC: taken in at a port of theirs, and told what to set at that of HTTP."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import grpc  # type: ignore[import-untyped]  # grpcio - has no types
import pytest

from harness.errors import StartError
from harness.fleet.ports import HOST, Ports
from harness.observe.sources.otlp import open_receiver
from harness.observe.sources.otlp_grpc import METHOD, SERVICE, open_grpc_receiver
from harness.observe.sources.source import Source, Time
from tests.e2e.agents import CLOCK
from tests.e2e.waiting import DEADLINE_S
from tests.harness.observe.test_sources import WANTED, protobuf, told

pytestmark = pytest.mark.e2e


def all_of_them() -> Time:
    return Time(from_s=None, to_s=CLOCK.now() + 1.0)


Export = Callable[[bytes], bytes]


@contextmanager
def exporting(port: int) -> Iterator[Export]:
    with grpc.insecure_channel(f"{HOST}:{port}") as channel:
        export = channel.unary_unary(f"/{SERVICE}/{METHOD}")
        yield lambda payload: bytes(export(payload, timeout=DEADLINE_S, wait_for_ready=True))


@pytest.fixture
def port() -> Iterator[int]:
    with Ports() as ports:
        yield ports.reserve()


def test_what_is_sent_over_grpc_is_read(port: int) -> None:
    source: Source = open_grpc_receiver(HOST, port, 600.0, CLOCK)
    with closing(source), exporting(port) as export:
        export(protobuf())
        assert told(list(source.spans(all_of_them()))) == told(list(WANTED))
        (note,) = source.notes  # these spans are of a day long ago
        assert note.startswith("2 spans came in more than")


def test_what_is_none_is_refused_and_told(port: int) -> None:
    source: Source = open_grpc_receiver(HOST, port, 600.0, CLOCK)
    with closing(source), exporting(port) as export:
        with pytest.raises(grpc.RpcError) as refused:
            export(b"\xff\xff")
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert list(source.spans(all_of_them())) == []
        assert "1 requests or spans" in source.notes[0]


def test_a_port_that_is_taken_is_a_sentence(port: int) -> None:
    with (
        closing(open_grpc_receiver(HOST, port, 600.0, CLOCK)),
        pytest.raises(StartError, match="listened at"),
    ):
        open_grpc_receiver(HOST, port, 600.0, CLOCK)


def test_a_sender_of_grpc_at_the_port_of_http_is_told_what_to_set(port: int) -> None:
    said: list[str] = []
    with closing(open_receiver(HOST, port, 600.0, CLOCK, said.append)), exporting(port) as export:
        for _ in range(2):
            with pytest.raises(grpc.RpcError) as refused:
                export(protobuf())
            assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
            assert "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in refused.value.details()
    assert len(said) == 1
    assert "otlphttp" in said[0]
