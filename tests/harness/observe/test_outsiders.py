"""What stores, balancers and restarts do to spans, and nobody planned for: no verdict that is wrong."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from uuid import UUID

import pytest

from harness.observe.gathering import Gathering, Known
from harness.observe.limits import read
from harness.observe.store import Doubt
from harness.observe.traces import MOST_CHARS, by_trace
from harness.records.outcome import CheckResult, Outcome
from harness.records.seen import Attribute, Span, SpanKind
from tests.harness.observe.seen import doubts_of, judged, limits_of, observed, spans_of
from tests.harness.observe.test_store import renamed

LIMITS = read(("min-requests=20", "clocks=synchronised", "concurrency-limit=1"))
S = 1_000_000_000
BEGIN = 1_700_000_000 * S
WEB: dict[str, Attribute] = {"http.request.method": "POST", "url.path": "/ask"}
MODEL: dict[str, Attribute] = {"http.request.method": "POST", "url.path": "/v1/chat/completions"}


class Writer:
    """Writes spans with ids of their own."""

    def __init__(self, seed: int = 1) -> None:
        self._draw = random.Random(seed)

    def trace(self) -> str:
        return f"{self._draw.getrandbits(128):032x}"

    def span(
        self,
        place: tuple[str, str | None, str],
        what: tuple[str, SpanKind],
        at_s: tuple[float, float],
        told: dict[str, Attribute] | None = None,
        *,
        error: bool = False,
        resource: dict[str, Attribute] | None = None,
    ) -> Span:
        trace, parent, instance = place
        return Span(
            trace_id=trace,
            span_id=f"{self._draw.getrandbits(64) | 1:016x}",
            parent_span_id=parent,
            name=what[0],
            kind=what[1],
            start_ns=BEGIN + int(at_s[0] * S),
            end_ns=BEGIN + int(at_s[1] * S),
            service="caller" if instance == "caller" else "shop",
            instance=instance or None,
            error=error,
            attributes=told or {},
            resource={"host.name": f"host-{instance}"} if resource is None else resource,
        )

    def call(
        self, trace: str, parent: str, instance: str, at_s: float, statuses: Iterable[int]
    ) -> Iterator[Span]:
        """Yield a model call and its attempts, a tenth of a second each."""
        tried = list(statuses)
        asked: dict[str, Attribute] = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
        call = self.span(
            (trace, parent, instance), ("chat m", "client"), (at_s, at_s + 0.1 * len(tried)), asked
        )
        yield call
        for number, status in enumerate(tried):
            of_http = MODEL | {"http.response.status_code": status}
            begin_s = at_s + 0.1 * number
            yield self.span(
                (trace, call.span_id, instance), ("POST", "client"), (begin_s, begin_s + 0.09), of_http
            )


def checks(spans: Iterable[Span]) -> dict[str, CheckResult]:
    return observed(judged(spans, LIMITS))


def sent_twice(given_up: tuple[int, ...] = (400, 400, 400)) -> Iterator[Span]:
    """Yield requests whose balancer gave up a container at work on them, and asked another one meanwhile."""
    write = Writer()
    for number in range(40):
        trace, at_s = write.trace(), 3.0 * number
        ok = WEB | {"http.response.status_code": 200, "session.id": f"s{number // 2}"}
        asked = write.span((trace, None, "caller"), ("POST", "client"), (at_s, at_s + 2.5), ok)
        yield asked
        for instance, begin_s, end_s, statuses in (
            ("one", 0.1, 4.0, given_up),  # until after the next request has come
            ("two", 1.0, 2.4, (200,)),
        ):
            at = (at_s + begin_s, at_s + end_s)
            served = write.span((trace, asked.span_id, instance), ("POST /ask", "server"), at, ok)
            yield served
            yield from write.call(trace, served.span_id, instance, at_s + begin_s, statuses)


def test_work_that_a_balancer_gave_up_is_work_all_the_same() -> None:
    found = checks(sent_twice())
    assert found["permanent-once"].verdict is Outcome.FAIL
    assert found["session-apart"].verdict is Outcome.FAIL
    assert found["inflight-limit"].verdict is Outcome.FAIL
    assert found["no-errors"].verdict is Outcome.PASS  # who asked had an answer each time
    result = judged(sent_twice(), LIMITS)
    assert result.arms["observed"].errors == 0


def test_what_a_balancer_gave_up_was_not_lost_by_a_fault_of_the_model() -> None:
    assert checks(sent_twice((429, 429)))["transient-survived"].verdict is not Outcome.FAIL


@pytest.mark.parametrize(("later", "verdict"), [((), Outcome.FAIL), ((200,), Outcome.PASS)])
def test_a_stream_that_broke_under_a_status_of_200_is_an_error(
    later: tuple[int, ...], verdict: Outcome
) -> None:
    write, spans = Writer(), list[Span]()
    for number in range(40):
        trace, at_s = write.trace(), 3.0 * number
        ok = WEB | {"http.response.status_code": 200}
        served = write.span((trace, None, "one"), ("POST /ask", "server"), (at_s, at_s + 2), ok)
        told: dict[str, Attribute] = {"gen_ai.operation.name": "invoke_agent", "error.type": "ReadTimeout"}
        place = (trace, served.span_id, "one")
        spans += [
            served,
            write.span(place, ("invoke_agent a", "internal"), (at_s, at_s + 1), told, error=True),
        ]
        if later:  # another model answered, say
            spans += write.call(trace, served.span_id, "one", at_s + 1.1, later)
    assert checks(spans)["no-errors"].verdict is verdict


def served(
    write: Writer, instance: str, at_s: float, resource: dict[str, Attribute] | None = None
) -> list[Span]:
    """Return a request that an agent served in half a second."""
    trace = write.trace()
    ok = WEB | {"http.response.status_code": 200}
    span = write.span(
        (trace, None, instance), ("POST /ask", "server"), (at_s, at_s + 0.5), ok, resource=resource
    )
    invoked: dict[str, Attribute] = {"gen_ai.operation.name": "invoke_agent"}
    place = (trace, span.span_id, instance)
    return [
        span,
        write.span(place, ("invoke_agent a", "internal"), (at_s, at_s + 0.4), invoked, resource=resource),
    ]


def built(write: Writer, request: list[Span], at_s: float) -> Span:
    told: dict[str, Attribute] = {"agentrig.client.name": "llm", "agentrig.client.init.state": "cold"}
    place = (request[0].trace_id, request[0].span_id, str(request[0].instance))
    return write.span(
        place, ("client.init llm", "internal"), (at_s, at_s + 0.1), told, resource=dict(request[0].resource)
    )


@pytest.mark.parametrize(
    ("every", "verdict"), [(200, Outcome.PASS), (100, Outcome.UNKNOWN), (10, Outcome.FAIL)], ids=str
)
def test_a_container_that_was_restarted_by_its_name_builds_its_clients_for_no_fault(
    every: int, verdict: Outcome
) -> None:
    write, spans = Writer(), list[Span]()
    for number in range(200):
        spans += (request := served(write, "one", 1.0 * number))
        if number % every == 0:
            spans.append(built(write, request, 1.0 * number))
    check = checks(spans)["init-once"]
    assert check.verdict is verdict
    assert ("new at each start" in check.message) is (verdict is Outcome.UNKNOWN)


def test_what_is_built_again_while_others_are_in_work_is_no_restart() -> None:
    write, spans = Writer(), list[Span]()
    for number in range(200):
        spans += (request := served(write, "one", 0.3 * number))
        if number in {0, 100}:
            spans.append(built(write, request, 0.3 * number))
    assert checks(spans)["init-once"].verdict is Outcome.FAIL


@pytest.mark.parametrize(
    "key", ["cloud.region", "service.namespace", "k8s.cluster.name", "k8s.namespace.name"]
)
def test_fleets_of_one_name_are_judged_apart(key: str) -> None:
    write, spans = Writer(), list[Span]()
    for number in range(60):
        place: dict[str, Attribute] = {key: "east" if number % 2 else "west"}
        spans += served(write, "agent-0", 0.2 * number, place)
    gathering = Gathering()
    gathering.take(spans)
    found = gathering.histories(Known())
    assert sorted(found) == [("shop", "east"), ("shop", "west")]
    for history in found.values():  # stateful sets call their pods alike
        assert len(history.requests) == 30
        assert history.facts.concurrency_limit == 2
        assert len(history.facts.containers) == 1


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost.localdomain"])
def test_a_host_that_all_are_on_is_no_container(host: str) -> None:
    write = Writer()
    place: dict[str, Attribute] = {"host.name": host, "process.pid": 1}
    spans = [span for number in range(60) for span in served(write, "", 0.2 * number, place)]
    assert checks(spans)["inflight-limit"].verdict is Outcome.NOT_MADE


def kinds(doubts: Iterable[Doubt]) -> set[str]:
    return {doubt.kind for doubt in doubts}


@pytest.mark.parametrize("kept", [0.1, 0.3])
def test_a_sampler_that_keeps_all_of_some_senders_and_a_share_of_others_is_seen(kept: float) -> None:
    write, draw = Writer(), random.Random(4)
    spans = [span for number in range(3000) for span in served(write, "one", 0.6 * number)]
    always = {trace for trace in sorted({span.trace_id for span in spans}) if draw.random() < 0.2}
    stored = [s for s in spans if s.trace_id in always or int(s.trace_id[16:], 16) < kept * 2**64]
    assert "uneven" in kinds(doubts_of(stored, LIMITS))
    assert "uneven" not in kinds(doubts_of(spans, LIMITS))
    for check in observed(judged(stored, LIMITS)).values():
        assert check.verdict not in {Outcome.PASS, Outcome.FAIL} or check.id == "traces-whole", check


def test_ids_that_are_uuids_are_of_no_sampler() -> None:
    draw = random.Random(6)
    spans = spans_of("clients", "sound")
    ids = {span.trace_id: UUID(int=draw.getrandbits(128), version=4).hex for span in spans}
    drawn = [replace(span, trace_id=ids[span.trace_id]) for span in spans]
    assert not kinds(doubts_of(drawn, limits_of("clients"))) & {"sampled", "uneven"}


@pytest.mark.parametrize(
    "told", [{"sampler.type": "probabilistic", "sampler.param": 0.1}, {"SampleRate": 10}], ids=str
)
def test_what_a_sampler_tells_in_attributes_is_told(told: dict[str, Attribute]) -> None:
    spans = [
        replace(span, attributes={**span.attributes, **told}) if span.parent_span_id is None else span
        for span in renamed(spans_of("clients", "sound"), 5)
    ]
    (said,) = [doubt.said for doubt in doubts_of(spans, limits_of("clients")) if doubt.kind == "sampled"]
    assert "10.0%" in said


def test_a_span_that_came_by_two_ways_is_one_also_where_a_store_keeps_microseconds() -> None:
    spans = spans_of("clients", "sound")
    again = [
        replace(span, start_ns=span.start_ns // 1000 * 1000, end_ns=span.end_ns // 1000 * 1000)
        for span in spans
    ]
    assert observed(judged([*spans, *again], limits_of("clients")))["ids-unique"].verdict is not Outcome.FAIL


def test_prompts_that_are_kept_on_spans_fill_no_memory() -> None:
    write, text = Writer(), "word " * 200_000
    long: dict[str, Attribute] = {
        "gen_ai.input.messages": text,
        "list": (text, text),
        "gen_ai.request.model": "m",
    }
    spans = (
        replace(span, attributes={**span.attributes, **long}, status_message=text)
        for number in range(300)
        for span in served(write, "one", 1.0 * number)
    )
    seen = 0
    for trace in by_trace(spans, most=200):
        for span in trace:
            seen += 1
            assert sum(len(str(value)) for value in span.attributes.values()) < MOST_CHARS + 200
            assert len(span.status_message) <= MOST_CHARS
            assert span.attributes["gen_ai.request.model"] == "m"
    assert seen == 600
