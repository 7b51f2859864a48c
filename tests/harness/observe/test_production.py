"""Traces as production sends them, not only one HTTP request to one agent: no verdict that is wrong."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from harness.analysis.summary import summarise
from harness.judge.case import Case
from harness.judge.invariants import delays_differ
from harness.observe.invariants import load_spread
from harness.observe.limits import read
from harness.records.outcome import Outcome
from harness.records.seen import Attribute, Span, SpanKind
from tests.harness.judge.test_linear import LINEAR, steps
from tests.harness.observe.seen import history, judged, observed
from tests.harness.observe.test_outsiders import MODEL, WEB, S, Writer, checks

LIMITS = read(("min-requests=20", "clocks=synchronised"))
OK = WEB | {"http.response.status_code": 200}
AGENT: dict[str, Attribute] = {"gen_ai.operation.name": "invoke_agent"}
CHAT: dict[str, Attribute] = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
MANY = 120
LAMBDA: dict[str, Attribute] = {"faas.invocation_id": "i"}
GRPC: dict[str, Attribute] = {"rpc.system": "grpc", "rpc.service": "shop.Agent"}
QUEUE: dict[str, Attribute] = {"messaging.system": "kafka", "messaging.operation.type": "process"}


def asked(kind: SpanKind, told: dict[str, Attribute], *, fails: bool, works: bool = True) -> Iterator[Span]:
    """Yield requests of which one in four fails before an Agent begins, or after it, if they fail."""
    write = Writer()
    for number in range(MANY):
        at_s, bad = 3.0 * number, fails and number % 4 == 0
        trace, name = write.trace(), f"c{number % 2}"
        top = write.span((trace, None, name), ("handle", kind), (at_s, at_s + 2), told, error=bad)
        yield top
        if works or not bad:
            at = (at_s + 0.1, at_s + 1.5)
            yield write.span((trace, top.span_id, name), ("invoke_agent", "internal"), at, AGENT)
            yield from write.call(trace, top.span_id, name, at_s + 0.2, [200])


@pytest.mark.parametrize(("kind", "told"), [("server", LAMBDA), ("server", GRPC), ("consumer", QUEUE)])
@pytest.mark.parametrize("works", [True, False])
def test_what_fails_before_or_after_its_agent_is_an_error_whatever_way_it_came(
    kind: SpanKind, told: dict[str, Attribute], *, works: bool
) -> None:
    assert checks(asked(kind, told, fails=True, works=works))["no-errors"].verdict is Outcome.FAIL
    assert checks(asked(kind, told, fails=False))["no-errors"].verdict is Outcome.PASS


def test_a_job_that_says_that_it_failed_did() -> None:
    assert checks(asked("internal", {}, fails=True))["no-errors"].verdict is Outcome.FAIL


def test_an_agent_that_fails_after_the_answer_is_no_error_of_it() -> None:
    write, spans = Writer(2), list(asked("server", OK, fails=False))
    later = [
        write.span(
            (span.trace_id, span.span_id, span.instance or ""),
            ("invoke_agent", "internal"),
            (3.0 * number + 2.1, 3.0 * number + 2.5),
            AGENT,
            error=True,
        )
        for number, span in enumerate(span for span in spans if span.kind == "server")
    ]
    assert checks([*spans, *later])["no-errors"].verdict is Outcome.PASS


@pytest.mark.parametrize(
    "told",
    [
        {"url.path": "/actuator/health/liveness"},
        {"url.path": "/api/healthcheck"},
        {"url.path": "/", "user_agent.original": "kube-probe/1.31"},
        {"url.path": "/up", "http.user_agent": "ELB-HealthChecker/2.0"},
    ],
)
def test_probes_hide_no_errors(told: dict[str, Attribute]) -> None:
    write, spans = Writer(2), list(asked("server", OK, fails=True))
    probes = [
        write.span((write.trace(), None, "c0"), ("GET", "server"), (at_s, at_s + 0.001), OK | told)
        for at_s in (0.1 * number for number in range(100 * MANY // 4))
    ]
    assert checks([*spans, *probes])["no-errors"].verdict is Outcome.FAIL


def call_of(tries: list[tuple[dict[str, Attribute], bool]], requests: int = MANY) -> Iterator[Span]:
    """Yield requests with one model call each, below which a client sends some HTTP requests."""
    write = Writer()
    for number in range(requests):
        at_s, trace, name = 3.0 * number, write.trace(), f"c{number % 2}"
        top = write.span((trace, None, name), ("POST", "server"), (at_s, at_s + 2), OK)
        call = write.span((trace, top.span_id, name), ("chat m", "client"), (at_s + 0.1, at_s + 1.9), CHAT)
        yield from (top, call)
        for order, (told, bad) in enumerate(tries):
            at = (at_s + 0.2 + 0.2 * order, at_s + 0.3 + 0.2 * order)
            yield write.span((trace, call.span_id, name), ("POST", "client"), at, told, error=bad)


def at(host: str, status: int, **more: Attribute) -> tuple[dict[str, Attribute], bool]:
    told: dict[str, Attribute] = {"server.address": host, "http.response.status_code": status}
    return MODEL | told | more, status >= 400


def test_a_client_that_asks_for_its_token_tries_nothing_again() -> None:
    token: dict[str, Attribute] = {"url.path": "/computeMetadata/v1/token", "http.response.status_code": 200}
    found = observed(judged(call_of([*[(WEB | token, False)] * 3, at("api", 200)]), LIMITS))
    assert found["attempts-bounded"].verdict is not Outcome.FAIL
    tried = observed(judged(call_of([(WEB | token, False), *[at("api", 429)] * 4]), LIMITS))
    assert tried["attempts-bounded"].verdict is Outcome.FAIL


def test_whoever_is_asked_in_anothers_place_is_not_asked_again() -> None:
    later: dict[str, Attribute] = {"http.response.header.retry-after": ("5",)}
    told, bad = at("east.azure", 429)
    found = observed(judged(call_of([(told | later, bad), at("west.azure", 200)]), LIMITS))
    assert found["retry-after-respected"].verdict is not Outcome.FAIL
    same = observed(judged(call_of([(told | later, bad), at("east.azure", 200)]), LIMITS))
    assert same["retry-after-respected"].verdict is Outcome.FAIL
    found = observed(judged(call_of([at("api.one", 400), at("api.two", 200)]), LIMITS))
    assert found["permanent-once"].verdict is Outcome.PASS
    same = observed(judged(call_of([at("api.one", 400), at("api.two", 400), at("api.one", 200)]), LIMITS))
    assert same["permanent-once"].verdict is Outcome.FAIL


@pytest.mark.parametrize(
    "told", [{"SampleRate": 100}, {"sampler.type": "probabilistic", "sampler.param": 0.01}]
)
def test_who_keeps_all_errors_and_a_share_of_the_rest_shows_no_share(told: dict[str, Attribute]) -> None:
    all_of_them = list(asked("server", OK, fails=True))
    bad = {span.trace_id for span in all_of_them if span.error}
    spans = [
        span if span.trace_id in bad else replace(span, attributes={**span.attributes, **told})
        for span in all_of_them
    ]
    found = checks(spans)["no-errors"]
    assert found.verdict is Outcome.UNKNOWN
    assert "1.0%" in found.message
    assert "100.0%" in found.message


def test_a_page_is_no_request_that_lacks_its_agent() -> None:
    write, spans = Writer(2), list(asked("server", OK, fails=False))
    pages = [
        write.span((write.trace(), None, "c0"), ("GET /threads", "server"), (at_s, at_s + 0.01), OK)
        for at_s in map(float, range(MANY // 12))
    ]
    result = judged([*spans, *pages], LIMITS)
    assert observed(result)["traces-whole"].verdict is Outcome.PASS
    said = f"{MANY // 12} of {len(pages) + MANY} requests are of 1 kinds that no Agent works on, such as GET"
    assert any(told.startswith(said) for told in result.arms["observed"].join_warnings)
    assert not any("no Agent works" in told for told in judged(spans, LIMITS).arms["observed"].join_warnings)
    bare = [replace(page, name="handle") for page in pages]
    assert checks([*spans, *bare])["traces-whole"].verdict is Outcome.FAIL


def test_pages_hide_no_agent_that_fails_or_is_slow_and_count_where_they_fail() -> None:
    write, limits = Writer(2), ("p50=1000", "min-requests=20", "clocks=synchronised")

    def pages(*, fail: bool) -> list[Span]:
        told = WEB | {"http.response.status_code": 500 if fail else 200}
        return [
            write.span((write.trace(), None, "c0"), ("GET /x", "server"), (at_s, at_s + 0.01), told)
            for at_s in map(float, range(60 * MANY))
        ]

    for fails in (True, False):
        found = observed(judged([*asked("server", OK, fails=fails), *pages(fail=False)], read(limits)))
        assert found["no-errors"].verdict is (Outcome.FAIL if fails else Outcome.PASS)
        assert found["p50"].verdict is Outcome.FAIL
    broken = observed(judged([*asked("server", OK, fails=False), *pages(fail=True)], read(limits)))
    assert broken["no-errors"].verdict is Outcome.FAIL


@pytest.mark.parametrize(
    ("some", "others", "verdict"),
    [
        ({}, {"k8s.pod.name": "p"}, Outcome.PASS),  # a Collector did not know yet
        ({"k8s.pod.name": "p", "process.pid": 7}, {"k8s.pod.name": "p", "process.pid": 8}, Outcome.PASS),
        ({"k8s.pod.name": "p"}, {"k8s.pod.name": "q"}, Outcome.FAIL),
        ({"host.name": "h"}, {"host.name": "i"}, Outcome.FAIL),
    ],
)
def test_of_one_instance_are_two_containers_only_where_they_say_so(
    some: dict[str, Attribute], others: dict[str, Attribute], verdict: Outcome
) -> None:
    spans = [
        replace(span, instance="one", resource=some if int(span.trace_id, 16) % 2 else others)
        for span in asked("server", OK, fails=False)
    ]
    assert len({span.resource == some for span in spans}) == 2
    more = [replace(span, instance="two", resource={}) for span in asked("server", OK, fails=False)]
    again = [
        replace(span, trace_id=span.trace_id[::-1], span_id=span.span_id[::-1], parent_span_id=None)
        for span in more
    ]
    assert checks([*spans, *again])["ids-unique"].verdict is verdict


def zipkin() -> Iterator[Span]:
    """Yield requests whose caller's span and whose server's have one id, as Zipkin's tracers send them."""
    write = Writer()
    for number in range(MANY):
        at_s, trace, name = 3.0 * number, write.trace(), f"c{number % 2}"
        top = write.span((trace, None, name), ("POST", "server"), (at_s, at_s + 2), OK)
        caller = write.span((trace, None, "caller"), ("POST", "client"), (at_s - 0.001, at_s + 2.001), OK)
        yield from (top, replace(caller, span_id=top.span_id), top)
        yield write.span((trace, top.span_id, name), ("invoke_agent", "internal"), (at_s, at_s + 1), AGENT)
        yield from write.call(trace, top.span_id, name, at_s + 0.2, [200])


def test_a_caller_and_a_server_of_one_id_are_the_two_sides_of_a_call() -> None:
    found = checks(zipkin())
    assert found["ids-unique"].verdict is Outcome.PASS
    assert found["traces-whole"].verdict is Outcome.PASS
    result = judged(zipkin(), LIMITS)
    assert (result.arms["observed"].requests, result.arms["observed"].model_calls) == (MANY, MANY)


def test_an_id_that_another_service_has_twice_is_none_of_this_one() -> None:
    write, spans = Writer(2), list(asked("server", OK, fails=False))
    alien = write.span((write.trace(), None, "caller"), ("x", "internal"), (0.0, 1.0))
    both = [alien, replace(alien, name="y", start_ns=alien.start_ns + S)]
    assert checks([*spans, *both])["ids-unique"].verdict is Outcome.PASS


def back_and_forth() -> Iterator[Span]:
    """Yield requests to an agent that asks the caller's service, which asks the agent again: that fails."""
    write = Writer()
    for number in range(MANY):
        at_s, trace = 3.0 * number, write.trace()
        told = OK | {"session.id": f"s{number % 10}"}
        top = write.span((trace, None, "c0"), ("POST", "server"), (at_s, at_s + 2), told)
        yield top
        yield from write.call(trace, top.span_id, "c0", at_s + 0.01, [200])
        asks = write.span((trace, top.span_id, "c0"), ("POST", "client"), (at_s + 0.2, at_s + 1.9), OK)
        there = write.span((trace, asks.span_id, "caller"), ("POST", "server"), (at_s + 0.3, at_s + 1.8), OK)
        back = write.span((trace, there.span_id, "caller"), ("POST", "client"), (at_s + 0.4, at_s + 1.7), OK)
        again = write.span(
            (trace, back.span_id, f"c{number % 2}"), ("POST", "server"), (at_s + 0.5, at_s + 1.6), told
        )
        yield from (asks, there, back, again)
        yield from write.call(trace, again.span_id, f"c{number % 2}", at_s + 0.6, [401] * 5)


def test_who_is_asked_again_in_the_midst_of_a_request_works_on_it_as_well() -> None:
    found = checks(back_and_forth())
    assert found["permanent-once"].verdict is Outcome.FAIL
    assert judged(back_and_forth(), LIMITS).arms["observed"].requests == 2 * MANY


def test_a_turn_that_asks_its_own_service_is_one_turn() -> None:
    assert checks(back_and_forth())["session-apart"].verdict is not Outcome.FAIL


def fleet(way_s: float, *, starts: bool, sticks: bool = False) -> Iterator[Span]:
    """Yield requests that go to the containers which are free, of two, and of a third one after 60 s.

    Args:
        way_s: from the caller to a container.
        starts: whether the third one does something before it is there.
        sticks: whether each third request goes to one that is not free.
    """
    write, until_s = Writer(), {"a": 0.0, "b": 0.0}
    if starts:
        yield write.span((write.trace(), None, "c"), ("GET", "client"), (1.0, 2.0), {})
    for number in range(4 * MANY):
        at_s = (0.18 if starts else 0.25) * number  # for two it is too much
        if at_s > 60:
            until_s.setdefault("c", 0.0)
        busy = max(until_s, key=lambda name: until_s[name])
        name = busy if sticks and number % 3 == 0 else min(until_s, key=lambda name: until_s[name])
        begin_s = max(at_s, until_s[name])
        until_s[name] = begin_s + 0.4
        trace = write.trace()
        ends = (at_s - way_s, until_s[name] + way_s)
        asks = write.span((trace, None, "caller"), ("POST", "client"), ends, OK)
        at = (begin_s, until_s[name])
        yield asks
        top = write.span((trace, asks.span_id, name), ("POST", "server"), at, OK)
        yield top
        yield write.span((trace, top.span_id, name), ("invoke_agent", "internal"), at, AGENT)


def test_a_container_that_starts_is_not_idle() -> None:
    found = checks(fleet(0.002, starts=True))
    assert found["load-spread"].verdict is not Outcome.FAIL
    assert found["idle-while-waiting"].verdict is not Outcome.FAIL


@pytest.mark.parametrize(("way_s", "sound"), [(0.002, Outcome.PASS), (0.08, Outcome.UNKNOWN)])
def test_a_long_way_is_no_wait(way_s: float, sound: Outcome) -> None:
    spans = list(fleet(way_s, starts=False))
    assert checks(spans)["idle-while-waiting"].verdict is sound
    some_tell = [span for number, span in enumerate(spans) if number % 12 or span.instance != "caller"]
    assert checks(some_tell)["idle-while-waiting"].verdict is not Outcome.FAIL
    stuck = checks(fleet(0.002, starts=False, sticks=True))["idle-while-waiting"]
    assert stuck.verdict is Outcome.FAIL


def test_a_job_that_is_a_container_of_its_own_each_time_is_judged_in_linear_time() -> None:
    def taken(jobs: int) -> int:
        spans = [
            replace(span, instance=span.trace_id, resource={})
            for span in call_of([at("api", 429), at("api", 200)], jobs)
        ]
        seen = history(spans, LIMITS)
        case = Case(history=seen, summary=summarise(seen), versus=None, limit=0.2)
        return steps(
            lambda: [each.examine(case) for each in (delays_differ.INVARIANT, load_spread.INVARIANT)]
        )

    assert taken(4 * MANY) < LINEAR * 4 * taken(MANY)


def test_who_left_before_an_answer_was_begun_had_none() -> None:
    spans = [
        replace(span, attributes=WEB) if span.error else span for span in asked("server", OK, fails=True)
    ]
    unset = [replace(span, error=False) for span in spans]
    seen = history(unset, LIMITS)
    assert sum(each.row.left for each in seen.requests) == MANY / 4
    assert sum(each.row.ok for each in seen.requests) == MANY * 3 / 4
    result = judged(unset, LIMITS)
    assert any(
        f"{MANY // 4} of {MANY} requests are neither" in told
        for told in result.arms["observed"].join_warnings
    )
    nobody_tells = [replace(span, attributes=WEB) if span.kind == "server" else span for span in unset]
    assert all(each.row.ok for each in history(nobody_tells, LIMITS).requests)


def through_envoy(leave: int) -> Iterator[Span]:
    """Yield requests of which some are left by who asked, as a balancer tells."""
    write = Writer()
    for number in range(MANY):
        at_s, left = 3.0 * number, number < leave
        trace, name = write.trace(), f"c{number % 2}"
        told = WEB | ({"response_flags": "DC"} if left else {"http.status_code": 200, "response_flags": "-"})
        top = replace(write.span((trace, None, "envoy"), ("ingress", "client"), (at_s, at_s + 2), told))
        yield replace(top, service="envoy")
        status = {} if left else {"http.response.status_code": 200}
        at = (at_s + 0.01, at_s + 1.9)
        mine = write.span((trace, top.span_id, name), ("POST /ask", "server"), at, WEB | status)
        yield mine
        yield write.span((trace, mine.span_id, name), ("invoke_agent", "internal"), at, AGENT)


@pytest.mark.parametrize(
    ("leave", "verdict"),
    [(0, Outcome.PASS), (MANY // 12, Outcome.PASS), (MANY // 4, Outcome.UNKNOWN), (MANY, Outcome.UNKNOWN)],
)
def test_a_reader_who_leaves_is_no_error_and_many_may_have_waited_in_vain(
    leave: int, verdict: Outcome
) -> None:
    found = checks(through_envoy(leave))["no-errors"]
    assert found.verdict is verdict
    assert (verdict is Outcome.UNKNOWN) == ("may have waited in vain" in found.message)


SOCKET: dict[str, Attribute] = {"url.scheme": "ws", "url.path": "/ws"}
OLD_SOCKET: dict[str, Attribute] = {"http.scheme": "ws", "http.url": "ws://shop/ws"}
UPGRADED: dict[str, Attribute] = WEB | {"http.response.status_code": 101}
BATCH = QUEUE | {"messaging.batch.message_count": 6}


def conversations(kind: SpanKind, told: dict[str, Attribute], *, fails: bool) -> Iterator[Span]:
    """Yield connections of six turns each, of which the second one fails, if they fail."""
    write = Writer()
    for number in range(MANY):
        at_s, trace, name = 20.0 * number, write.trace(), f"c{number % 2}"
        top = write.span((trace, None, name), ("/ws", kind), (at_s, at_s + 18), told)
        yield top
        for turn in range(6):
            begin_s = at_s + 3 * turn
            at = (begin_s, begin_s + 2)
            yield write.span(
                (trace, top.span_id, name), ("invoke_agent", "internal"), at, AGENT, error=fails and turn == 1
            )


@pytest.mark.parametrize(
    ("kind", "told"),
    [("server", SOCKET), ("server", OLD_SOCKET), ("server", UPGRADED), ("consumer", BATCH)],
)
def test_each_turn_of_a_connection_and_each_message_of_a_batch_is_a_request(
    kind: SpanKind, told: dict[str, Attribute]
) -> None:
    sound, bad = (judged(conversations(kind, told, fails=fails), LIMITS) for fails in (False, True))
    assert (sound.arms["observed"].requests, sound.arms["observed"].p50_ms) == (6 * MANY, pytest.approx(2000))
    assert observed(sound)["no-errors"].verdict is Outcome.PASS
    assert observed(bad)["no-errors"].verdict is Outcome.FAIL


def test_who_is_sent_elsewhere_was_not_failed() -> None:
    write, spans = Writer(2), list(asked("server", OK, fails=False))
    told = WEB | {"http.response.status_code": 307}
    sent = [
        write.span((write.trace(), None, "c0"), ("POST", "server"), (at_s, at_s + 0.01), told)
        for at_s in map(float, range(MANY))
    ]
    result = judged([*spans, *sent], LIMITS)
    assert observed(result)["no-errors"].verdict is Outcome.PASS
    assert result.arms["observed"].errors == 0


@pytest.mark.parametrize("behind_s", [-0.3, 0.0, 0.3])
def test_a_clock_that_is_behind_changes_no_latency(behind_s: float) -> None:
    spans = list[Span]()
    for span in fleet(0.002, starts=False):
        moved_ns = 0 if span.instance == "caller" else int(behind_s * S)
        told = {**AGENT, "gen_ai.operation.name": "chat", "gen_ai.response.time_to_first_chunk": 0.2}
        is_agents = span.name == "invoke_agent"
        spans.append(
            replace(
                span,
                attributes=told if is_agents else span.attributes,
                start_ns=span.start_ns - moved_ns,
                end_ns=span.end_ns - moved_ns,
            )
        )
    promised = read(("min-requests=20", "p50=500", "p95=900", "p99=900", "ttft=700"))
    found = observed(judged(spans, promised))
    assert {name: found[name].verdict for name in ("p50", "p95", "p99")} == dict.fromkeys(
        ("p50", "p95", "p99"), Outcome.PASS
    )
    assert found["ttft"].verdict is (Outcome.UNKNOWN if behind_s else Outcome.PASS)


def test_a_caller_whose_span_ends_with_the_head_of_a_stream_shows_no_latency() -> None:
    spans = [
        replace(span, end_ns=span.start_ns + S // 20) if span.instance == "caller" else span
        for span in fleet(0.002, starts=False)
    ]
    strict, loose = (
        observed(judged(spans, read(("min-requests=20", *(f"p{q}={ms}" for q in (50, 95, 99))))))
        for ms in (200, 2000)
    )
    assert [strict[f"p{q}"].verdict for q in (50, 95, 99)] == [Outcome.UNKNOWN] * 3
    assert [loose[f"p{q}"].verdict for q in (50, 95, 99)] == [Outcome.PASS] * 3
