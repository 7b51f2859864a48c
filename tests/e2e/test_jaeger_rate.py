"""At the rate of a large fleet, every span comes through the capture and on to a real Jaeger."""

import time
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from harness.fleet.ports import Ports
from tests.e2e.jaeger_server import jaeger, own_host, require_jaeger
from tests.e2e.test_capture import PROTOBUF, Capture
from tests.e2e.this_machine import speed, watched
from tests.e2e.waiting import until
from tests.harness.capture.otlp import request

pytestmark = [pytest.mark.e2e, pytest.mark.alone]

REQUESTS_A_SECOND, FOR_S, SPANS_A_REQUEST = 200, 3, 20
"""On a fast machine; on a slower one it is as much less."""
EXPORTS_A_SECOND = 20
NOWHERE = "http://127.0.0.1:9"
SENT_ON = ("forwarded", "forward_failed")


def export(number: int) -> bytes:
    """Return what one export holds: some whole traces, of `SPANS_A_REQUEST` spans each."""
    message: ExportTraceServiceRequest = request()
    spans = message.resource_spans[0].scope_spans[0].spans
    pattern = spans.pop()
    del pattern.attributes[:]  # one is infinite, which Jaeger takes and then cannot show
    for of_export in range(REQUESTS_A_SECOND // EXPORTS_A_SECOND):
        trace_id = (number * 1000 + of_export + 1).to_bytes(16, "big")
        for of_trace in range(SPANS_A_REQUEST):
            span = spans.add()
            span.CopyFrom(pattern)
            span.trace_id, span.span_id = trace_id, (of_trace + 1).to_bytes(8, "big")
    return message.SerializeToString()


def test_no_span_of_200_requests_a_second_is_lost_on_the_way_to_jaeger(tmp_path: Path) -> None:
    require_jaeger()
    exports = [export(number) for number in range(FOR_S * EXPORTS_A_SECOND)]
    host = own_host()
    with jaeger(tmp_path, NOWHERE, host) as server, Ports() as ports:
        rig = Capture(tmp_path, ports.reserve(), "--forward", f"http://{host}:4318")
        try:
            every_s = 1 / (EXPORTS_A_SECOND * speed())
            with watched() as machine:
                begin_s = time.monotonic()
                for number, body in enumerate(exports):
                    time.sleep(max(0.0, begin_s + number * every_s - time.monotonic()))
                    assert rig.http.post("/v1/traces", content=body, headers=PROTOBUF).status_code == 200
                took_s = time.monotonic() - begin_s

            def stats() -> dict[str, int]:
                return dict(rig.http.get("/stats").json())

            until("all sent on", lambda: sum(stats()[name] for name in SENT_ON) == len(exports))
            assert stats()["forward_failed"] == 0

            def kept() -> list[int]:
                return [len(trace["spans"]) for trace in server.search("agent", start=0)]

            whole = [SPANS_A_REQUEST] * (REQUESTS_A_SECOND * FOR_S)
            until("every span in Jaeger", lambda: kept() == whole)
        finally:
            rig.close()
    planned_s = len(exports) * every_s
    if took_s >= planned_s * 1.1:
        machine.skip_if_the_cause()
    assert took_s < planned_s * 1.1, "the rate was not kept up"
