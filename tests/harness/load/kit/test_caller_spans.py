import logging
from itertools import chain

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from harness.load.kit.caller_spans import BATCH, EVERY_S, MOST_WAITING, CallerSpans
from tests.harness.load.rows import row


class Receiver:
    def __init__(self, error: httpx.HTTPError | None = None) -> None:
        self.batches: list[list[str]] = []
        self._error = error

    def post(self, body: bytes) -> None:
        (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
        self.batches.append([span.span_id.hex() for span in resource.scope_spans[0].spans])
        if self._error:
            raise self._error


def test_every_call_is_sent_once_in_batches_and_in_order() -> None:
    receiver = Receiver()
    caller_spans = CallerSpans(receiver.post)
    rows = [row(number) for number in range(BATCH + 1)]
    for each in rows:
        caller_spans.add(each)
    caller_spans.flush()
    caller_spans.flush()
    assert [len(batch) for batch in receiver.batches] == [BATCH, 1]
    assert list(chain(*receiver.batches)) == [each.span_id for each in rows]


def test_it_sends_once_a_second_and_what_is_left_at_the_end() -> None:
    receiver, waited = Receiver(), []
    caller_spans = CallerSpans(receiver.post)

    def over(seconds: float) -> bool:
        waited.append(seconds)
        caller_spans.add(row(len(waited)))
        return len(waited) == 3

    caller_spans.run(over)
    assert waited == [EVERY_S] * 3
    assert receiver.batches == [[row(1).span_id], [row(2).span_id], [row(3).span_id]]


def test_a_receiver_that_is_gone_holds_nothing_up_and_is_told_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caller_spans = CallerSpans(Receiver(httpx.ConnectError("refused")).post)
    with caplog.at_level(logging.WARNING, "agentrig.load"):
        for number in range(2):
            caller_spans.add(row(number))
            caller_spans.flush()
    assert [record.getMessage() for record in caplog.records] == [
        "the callers' spans are not taken: refused. Traces lack their roots."
    ]


def test_what_waits_is_bounded_and_the_newest_is_kept() -> None:
    receiver = Receiver()
    caller_spans = CallerSpans(receiver.post)
    last = row(1)
    for _ in range(MOST_WAITING):
        caller_spans.add(row(0))
    caller_spans.add(last)
    caller_spans.flush()
    sent = list(chain(*receiver.batches))
    assert len(sent) == MOST_WAITING
    assert sent[-1] == last.span_id
