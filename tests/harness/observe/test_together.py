"""More requests than are held at once: stretch by stretch, with one verdict that is the same."""

from dataclasses import replace
from itertools import pairwise

import pytest

from harness.observe import known_bad
from harness.observe.gathering import OBSERVED, Gathering, Known
from harness.observe.limits import Limits
from harness.observe.together import Part, add, pictures_of
from harness.observe.traces import by_trace
from harness.observe.verdict import KNOWN_BAD, Judging, checks_of
from harness.records.outcome import Outcome
from harness.records.seen import Span
from tests.harness.observe.seen import as_recorded, history, judged, limits_of, observed, spans_of

PLACES = [
    ("clients", "sound"),
    ("clients", "per-request"),
    ("retry", "sound"),
    ("retry", "no-retry"),
    ("routing", "blind"),
    ("sessions", "shared-agent"),
]


@pytest.mark.parametrize("place", PLACES, ids="-".join)
def test_in_stretches_the_verdict_is_that_of_the_whole_or_unknown(place: tuple[str, str]) -> None:
    whole = observed(as_recorded(*place))
    result = judged(spans_of(*place), limits_of(place[0]), most_requests=30)
    assert result.arms[OBSERVED].requests == as_recorded(*place).arms[OBSERVED].requests
    assert result.arms[OBSERVED].p99_ms == as_recorded(*place).arms[OBSERVED].p99_ms
    for name, check in observed(result, Outcome.PASS, Outcome.FAIL).items():
        assert whole[name].verdict in {check.verdict, Outcome.UNKNOWN, Outcome.NOT_MADE}, name
    assert any("stretches of time" in text for text in result.arms[OBSERVED].join_warnings)


def test_an_agent_that_retries_nothing_is_named_in_stretches_as_well() -> None:
    red = observed(judged(spans_of("retry", "no-retry"), limits_of("retry"), most_requests=30), Outcome.FAIL)
    assert {"transient-survived", "no-errors"} <= set(red)
    whole = observed(as_recorded("retry", "no-retry"))["transient-survived"]
    assert red["transient-survived"].observed == pytest.approx(whole.observed)


def test_a_fault_of_a_single_stretch_is_found() -> None:
    result = judged(spans_of("clients", "per-request"), limits_of("clients"), most_requests=30)
    check = observed(result)["init-once"]
    assert check.verdict is Outcome.FAIL
    assert "stretches of time, such as this" in check.message


def test_first_builds_count_over_all_stretches() -> None:
    """One in each is one too many: each client is built once in all, by a process that was always at work.

    Of stretches that were looked at before only the builds are known, so it may be another process by then.
    """
    spans = [span for span in spans_of("clients", "sound") if not span.name.startswith("client.init")]
    servers = sorted(
        (span for span in spans if span.kind == "server" and span.instance == "agent-1"),
        key=lambda span: span.start_ns,
    )
    spans += [
        replace(
            server,
            span_id=f"{number + 2**60:016x}",
            parent_span_id=server.span_id,
            name="client.init llm",
            kind="internal",
            attributes={"agentrig.client.name": "llm", "agentrig.client.init.state": "cold"},
        )
        for number, server in enumerate((servers[0], servers[-1]))
    ]
    spans = [replace(span, end_ns=servers[-1].end_ns) if span is servers[0] else span for span in spans]
    for most, verdict in ((30, Outcome.UNKNOWN), (10_000, Outcome.FAIL)):
        check = observed(judged(spans, limits_of("clients"), most_requests=most))["init-once"]
        assert check.verdict is verdict, most
        assert check.observed == 2


def test_what_is_rare_in_each_stretch_counts_over_all() -> None:
    limits = limits_of("retry", "min-requests=10")
    whole = observed(judged(spans_of("retry", "sound"), limits))["permanent-once"]
    parts = observed(judged(spans_of("retry", "sound"), limits, most_requests=20))["permanent-once"]
    assert whole.verdict is parts.verdict is Outcome.PASS
    assert whole.cases == parts.cases
    assert whole.cases_needed == parts.cases_needed


def test_everything_that_is_wrong_is_caught_in_each_stretch() -> None:
    result = judged(spans_of("clients", "sound"), limits_of("clients"), most_requests=30)
    bad = [check for check in result.checks if check.arm == KNOWN_BAD]
    assert bad
    assert {check.verdict for check in bad} == {Outcome.PASS}


def test_no_more_requests_are_held_than_twice_a_stretch() -> None:
    gathering = Gathering((known_bad.SERVICE,), most_requests=100)
    sizes = [
        len(history.requests)
        for _, history, _ in gathering.windows(
            known_bad.spans(Limits(), 1_000, 4), Known(concurrency_limit=4)
        )
    ]
    assert sum(sizes) == 1_000 or sum(sizes) > 1_000
    assert max(sizes) <= 200


def test_what_is_put_aside_comes_back_trace_by_trace_and_in_order_of_time() -> None:
    spans: list[Span] = list(known_bad.spans(Limits(), 1_000, 4))
    traces = list(by_trace(spans[::-1], most=500))
    assert sum(map(len, traces)) == len(spans)
    assert len(traces) == len({span.trace_id for span in spans})
    begins = [min(span.start_ns for span in trace) // 2_000_000_000 for trace in traces]
    assert sum(later < earlier for earlier, later in pairwise(begins)) < len(begins) // 100


def test_of_all_pictures_those_of_the_first_stretch_that_fell_short_stay_else_of_the_last() -> None:
    limits = limits_of("clients")
    judging = Judging(limits=limits, checks=checks_of(limits))
    sound, broken = (
        judging.part(history(spans_of("clients", arm), limits), of_several=True)
        for arm in ("sound", "per-request")
    )
    parts = list[Part]()
    for each, drawn in ((sound, 0), (sound, 1), (broken, 2), (sound, 2), (broken, 2)):
        add(parts, each)
        assert [part.pictures is not None for part in parts] == [at == drawn for at in range(len(parts))]
        assert pictures_of(parts) is parts[drawn].pictures
