"""Tempo and CloudWatch as they run: paged, throttled, in part, cut off, and not there."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import boto3
import httpx
import pytest
from botocore import UNSIGNED
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import IncompleteReadError, ReadTimeoutError

from harness.clock import FakeClock
from harness.errors import InputError, StartError
from harness.observe.sources.api import client_of
from harness.observe.sources.log_group import LogGroup
from harness.observe.sources.patience import TRIES
from harness.observe.sources.source import Time
from harness.observe.sources.tempo import TempoApi
from harness.records.seen import Span
from tests.harness.observe.test_sources import (
    DOCUMENT,
    NOW,
    SPANS,
    TRACE,
    WANTED,
    api,
    batch,
    of_cloudwatch,
    told,
)

Answer = Callable[[httpx.Request], httpx.Response]
HOUR = Time(from_s=1_700_000_000.0, to_s=1_700_003_600.0)


def tempo(answer: Answer, clock: FakeClock | None = None, services: tuple[str, ...] = ("shop",)) -> TempoApi:
    client = httpx.Client(base_url="http://tempo", transport=httpx.MockTransport(answer))
    return TempoApi(client, services, (clock or FakeClock()).sleep, at_once=2)


def one_trace(request: httpx.Request) -> httpx.Response:
    if request.url.path == "/api/search":
        return httpx.Response(200, json={"traces": [{"traceID": TRACE}], "metrics": {}})
    return httpx.Response(200, json={"trace": DOCUMENT, "status": "COMPLETE"})


def test_tempo_is_searched_and_each_trace_fetched() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return one_trace(request)

    source = tempo(answer, services=('sh"op',))
    assert told(list(source.spans(HOUR))) == told(list(WANTED))
    assert asked[0].url.params["q"] == '{ resource.service.name = "sh\\"op" }'
    assert (asked[0].url.params["start"], asked[0].url.params["end"]) == ("1700000000", "1700003601")
    # and what is dated later than now, by a clock that is ahead
    assert (asked[1].url.params["start"], asked[1].url.params["end"]) == ("1700003601", "1700090001")
    assert [each.url.path for each in asked[2:]] == [f"/api/v2/traces/{TRACE}"]
    assert source.notes == []


def test_a_search_that_is_full_is_made_again_for_each_half() -> None:
    windows: list[tuple[int, int]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/api/search":
            return one_trace(request)
        windows.append((int(request.url.params["start"]), int(request.url.params["end"])))
        full = windows[-1][1] - windows[-1][0] > 1_000
        return httpx.Response(200, json={"traces": [{"traceID": TRACE}] * (2 if full else 1)})

    source = tempo(answer)
    list(source.spans(HOUR))
    leaves = sorted(window for window in windows if window[1] - window[0] <= 1_000)
    assert leaves[0][0] == 1_700_000_000
    assert leaves[-1][1] == 1_700_003_601 + 86_400
    assert all(one[1] == other[0] for one, other in pairwise(leaves))
    assert source.notes == []


def test_more_in_a_second_than_a_search_tells_is_told() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/api/search":
            return one_trace(request)
        is_later = request.url.params["start"] >= "1700000003"
        return httpx.Response(
            200, json={"traces": [] if is_later else [{"traceID": TRACE}, {"rootName": "x"}]}
        )

    source = tempo(answer)
    list(source.spans(Time(from_s=1_700_000_000.0, to_s=1_700_000_002.0)))
    assert "1 traces that Tempo found have no id" in source.notes[0]
    assert any("more are not told" in note for note in source.notes)


def test_a_part_of_a_trace_and_one_that_is_gone_are_told() -> None:
    for reply, said in (
        (
            httpx.Response(200, json={"trace": DOCUMENT, "status": "PARTIAL", "message": "too large"}),
            "too large",
        ),
        (httpx.Response(404, text="trace not found"), "1 of 1 traces"),
        (httpx.Response(200, json={"trace": {"resourceSpans": [batch({"traceId": "x"})]}}), "no whole spans"),
    ):
        source = tempo(
            lambda request, reply=reply: one_trace(request) if "search" in request.url.path else reply
        )
        list(source.spans(HOUR))
        assert said in source.notes[0]


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_tempo_that_throttles_is_asked_again_later_and_later(status: int) -> None:
    tries, clock = 0, FakeClock()

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal tries
        tries += 1
        return httpx.Response(status, text="too busy") if tries < 4 else one_trace(request)

    assert list(tempo(answer, clock).spans(HOUR))
    assert clock.slept == [0.5, 1.0, 2.0]
    with pytest.raises(StartError, match=f"HTTP {status}"):
        list(tempo(lambda _: httpx.Response(status), clock).spans(HOUR))


def test_a_tempo_that_breaks_off_or_says_no_is_a_sentence() -> None:
    def cut(request: httpx.Request) -> httpx.Response:
        raise httpx.RemoteProtocolError("peer closed connection", request=request)

    for answer, said in (
        (cut, "peer closed"),
        (lambda _: httpx.Response(400, text="range exceeds 168h"), "range exceeds"),
        (lambda _: httpx.Response(200, text='{"traces": ['), "no JSON"),
        (lambda _: httpx.Response(404, text="page not found"), "HTTP 404"),
    ):
        with pytest.raises(StartError, match=said):
            list(tempo(answer).spans(HOUR))


def test_an_answer_of_jaeger_that_is_cut_off_is_told() -> None:
    body = json.dumps({"result": DOCUMENT})
    for text in (
        body + body[:-20],
        body + '{"result": {"resourceSpans": [{"scopeSpans": [{"spans": [{}]}]}]}}',
    ):
        source = api(lambda _, text=text: httpx.Response(200, text=text))
        assert told(list(source.spans(NOW))) == told(list(WANTED))
        assert len(source.notes) == 1


@pytest.mark.parametrize("address", ["", "nowhere", "http://a:b", "https://tempo.example"])
def test_what_is_no_address_of_http_is_a_sentence(address: str) -> None:
    with pytest.raises(InputError, match="tempo:http://localhost:3200"):
        client_of("tempo:", address, "http://localhost:3200")


# --- CloudWatch: boto3's own client, whose answers are made here ------------------------
Reply = dict[str, Any] | tuple[int, str] | Exception


def events(*lines: bytes) -> list[dict[str, Any]]:
    return [{"eventId": "1", "timestamp": 1, "message": line.decode()} for line in lines]


def log_group(clock: FakeClock, *replies: Reply) -> tuple[LogGroup, list[dict[str, Any]]]:
    asked: list[dict[str, Any]] = []
    client = boto3.client(
        "logs",
        region_name="eu-west-1",
        config=Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}),
    )

    def answer(request: Any, **_: Any) -> AWSResponse:
        asked.append(json.loads(request.body))
        reply = replies[min(len(asked), len(replies)) - 1]
        if isinstance(reply, Exception):
            raise reply
        status, body = (
            (200, reply) if isinstance(reply, dict) else (reply[0], {"__type": reply[1], "message": "no"})
        )

        class Raw:
            def stream(self, **_: Any) -> list[bytes]:
                return [json.dumps(body).encode()]

        return AWSResponse(request.url, status, {"content-type": "application/x-amz-json-1.1"}, Raw())

    client.meta.events.register("before-send.cloudwatch-logs.FilterLogEvents", answer)
    return LogGroup(client, "aws/spans", clock.sleep), asked


LINES = of_cloudwatch().splitlines()


def read(source: LogGroup) -> list[Span]:
    return list(source.spans(HOUR))


def test_a_log_group_is_read_page_by_page_also_past_an_empty_one() -> None:
    source, asked = log_group(
        FakeClock(),
        {"events": events(LINES[0]), "nextToken": "a"},
        {"events": [], "nextToken": "b"},
        {"events": events(LINES[1])},
    )
    assert told(read(source)) == told(list(WANTED))
    assert [each.get("nextToken") for each in asked] == [None, "a", "b"]
    assert asked[0]["startTime"] == 1_700_000_000_000 - 600_000
    assert asked[0]["endTime"] == 1_700_003_600_000 + 86_400_000
    assert source.notes == []


def test_a_log_group_that_throttles_or_breaks_off_is_asked_again_for_that_page() -> None:
    for trouble in (
        (400, "ThrottlingException"),
        (503, "ServiceUnavailableException"),
        ReadTimeoutError(endpoint_url="x"),
    ):
        clock = FakeClock()
        source, asked = log_group(
            clock, {"events": events(LINES[0]), "nextToken": "a"}, trouble, {"events": events(LINES[1])}
        )
        assert len(read(source)) == len(SPANS)
        assert [each.get("nextToken") for each in asked] == [None, "a", "a"]
        assert clock.slept == [0.5]


def test_a_log_group_that_goes_on_throttling_or_refuses_is_a_sentence() -> None:
    clock = FakeClock()
    source, asked = log_group(clock, (400, "ThrottlingException"))
    with pytest.raises(StartError, match="ThrottlingException"):
        read(source)
    assert len(asked) == TRIES
    for trouble in ((400, "ResourceNotFoundException"), (400, "AccessDeniedException")):
        source, asked = log_group(clock, trouble)
        with pytest.raises(StartError, match=trouble[1]):
            read(source)
        assert len(asked) == 1
    source, _ = log_group(clock, IncompleteReadError(actual_bytes=1, expected_bytes=2))
    with pytest.raises(StartError):
        read(source)


def test_events_that_are_no_spans_are_told() -> None:
    source, _ = log_group(FakeClock(), {"events": events(*LINES, LINES[0][:-9])})
    assert len(read(source)) == len(SPANS)
    assert "1 events" in source.notes[0]
