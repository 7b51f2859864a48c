"""Traces that are not judged for their time: counted, told, and never the reason why a check is green.

A fault is in one container alone, whose clock is ahead or behind by seconds or by hours.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.clock import FakeClock
from harness.contract import CLIENT_INIT_REASON, CLIENT_INIT_STATE, CLIENT_NAME
from harness.errors import InputError
from harness.observe.look import SETTLED_S, Seen
from harness.observe.look import judged as look
from harness.observe.processes import Processes
from harness.observe.requests import gather
from harness.observe.store import Kind
from harness.observe.tree import tree
from harness.records.outcome import Outcome
from harness.records.seen import Span
from tests.harness.observe.seen import InMemory, limits_of, look_at, observed, spans_of
from tests.harness.observe.seen import judged as as_judged
from tests.harness.observe.test_losses import DRAWN
from tests.harness.observe.test_store import renamed
from tests.mutations.hand import shifted

FAULTS = {
    ("clients", "per-request"): "init-once",
    ("limit", "limit-ignored"): "inflight-limit",
    ("sessions", "shared-agent"): "fresh-agent",
}
FAULTY = "faulty"
HOURS_S = 6 * 3_600.0
NO_AGENT = "no span tells of an agent"


def moved(spans: Iterable[Span], by_s: float, of: str | None = None) -> list[Span]:
    by_ns = round(by_s * 1e9)
    return [shifted(span, by_ns) if of in {None, span.instance} else span for span in spans]


@cache
def one_is_faulty(experiment: str, arm: str) -> tuple[Span, ...]:
    """Return the spans of a sound arm, and beside them those of a container of an arm that is not."""
    sound, broken = renamed(spans_of(experiment, "sound"), 7), renamed(spans_of(experiment, arm), 8)
    name = min(span.instance for span in broken if span.service == "agent" and span.instance)
    others = {span.trace_id for span in broken if span.service == "agent" and span.instance != name}
    resource = next(span.resource for span in sound if span.service == "agent")
    mine = [
        replace(
            span,
            span_id=f"f{span.span_id[1:]}",
            parent_span_id=span.parent_span_id and f"f{span.parent_span_id[1:]}",
            instance=FAULTY if span.instance == name else span.instance,
            resource={**span.resource, **resource},
        )
        for span in broken
        if span.trace_id not in others
    ]
    by_s = (min(s.start_ns for s in sound) - min(s.start_ns for s in mine)) / 1e9
    return (*sound, *moved(mine, by_s))


def seen(spans: Iterable[Span], place: str, of: Iterable[Span], services: tuple[str, ...] = ()) -> Seen:
    """Look at a store right after all of some spans have settled, back to before the first of them."""
    begin_s, end_s = min(s.start_ns for s in of) / 1e9, max(s.end_ns for s in of) / 1e9
    now_s = end_s + 2 * SETTLED_S
    asked = look_at(InMemory(spans, live=True), limits_of(place))
    asked = replace(asked, since_s=now_s - begin_s + 1.0, services=services)
    return look(asked, FakeClock(now_s))


def verdicts(seen: Seen) -> dict[str, Outcome]:
    (result,) = seen.result.experiments
    return {name: check.verdict for name, check in observed(result).items()}


def kinds(seen: Seen) -> set[Kind]:
    return {doubt.kind for each in seen.doubts.values() for doubt in each}


@cache
def fleet(place: tuple[str, str], *, callers: bool) -> tuple[Span, ...]:
    return tuple(span for span in one_is_faulty(*place) if callers or span.service == "agent")


@cache
def with_right_clocks(place: tuple[str, str], *, callers: bool = True) -> dict[str, Outcome]:
    spans = fleet(place, callers=callers)
    return verdicts(seen(spans, place[0], spans))


def wrong_by_hours(place: tuple[str, str], by_s: float, *, callers: bool = True) -> set[str]:
    """Return the checks whose verdict is turned round where the clock of the faulty container is off."""
    spans = fleet(place, callers=callers)
    found = seen(moved(spans, by_s, FAULTY), place[0], spans)
    kept, before = {Outcome.UNKNOWN, Outcome.NOT_MADE}, with_right_clocks(place, callers=callers)
    turned = {
        name
        for name, verdict in verdicts(found).items()
        if verdict not in {before[name], *kept} and before[name] not in kept
    }
    return turned | ({"the verdict"} if found.result.verdict is Outcome.PASS else set())


@pytest.mark.parametrize("place", FAULTS, ids="-".join)
def test_with_right_clocks_the_fault_is_found(place: tuple[str, str]) -> None:
    assert with_right_clocks(place)[FAULTS[place]] is Outcome.FAIL


OFFSETS_S = st.floats(0.05, 5.0) | st.floats(60.0, HOURS_S)
"""Of those between, a part is of the last seconds, which the next look has."""


@given(place=st.sampled_from(sorted(FAULTS)), by_s=OFFSETS_S, sign=st.sampled_from((-1, 1)))
@DRAWN
def test_the_clock_of_one_container_makes_no_wrong_verdict(
    place: tuple[str, str], by_s: float, sign: int
) -> None:
    assert not wrong_by_hours(place, sign * by_s)


@given(place=st.sampled_from(sorted(FAULTS)), by_s=OFFSETS_S)
@DRAWN
def test_nor_does_one_that_is_ahead_where_no_caller_is_seen(place: tuple[str, str], by_s: float) -> None:
    """Behind, it is older than what is looked at: nothing tells it from what was judged long ago."""
    assert not wrong_by_hours(place, by_s, callers=False)


@pytest.mark.parametrize("by_s", [HOURS_S, -HOURS_S])
def test_what_is_left_out_is_counted_and_told(by_s: float) -> None:
    spans = one_is_faulty("clients", "per-request")
    found = seen(moved(spans, by_s, FAULTY), "clients", spans)
    assert "untimely" in kinds(found)
    assert Outcome.PASS not in verdicts(found).values()
    ((_, told),) = found.doubts.items()
    said = next(doubt.said for doubt in told if doubt.kind == "untimely")
    assert f"of {FAULTY} nothing is judged" in said
    assert found.result.verdict is Outcome.UNKNOWN


def test_right_clocks_leave_nothing_out_that_is_told() -> None:
    spans = one_is_faulty("clients", "per-request")
    assert "untimely" not in kinds(seen(spans, "clients", spans))


def test_a_service_that_is_all_in_the_future_is_unknown_and_not_missing() -> None:
    spans = spans_of("clients", "sound")
    ahead = [replace(span, service="ahead") if span.service == "agent" else span for span in spans]
    ahead = moved([replace(s, trace_id=f"f{s.trace_id[1:]}") for s in ahead], HOURS_S)
    found = seen([*spans, *ahead], "clients", spans)
    by_name = {each.name: each.verdict for each in found.result.experiments}
    assert by_name["ahead (clients/sound)"] is Outcome.UNKNOWN


@pytest.mark.parametrize("unit", [10**3, 10**6, 10**9])
def test_times_in_another_unit_are_told_and_nothing_rests_on_them(unit: int) -> None:
    """A second that is taken for a nanosecond would make each answer the quickest of all."""
    other = [
        replace(span, start_ns=span.start_ns // unit, end_ns=span.end_ns // unit)
        for span in spans_of("clients", "sound")
    ]
    result = look(look_at(InMemory(other), limits_of("clients", "p99=3000")), FakeClock()).result
    assert result.verdict is Outcome.UNKNOWN
    assert all("another unit" in check.message for check in observed(result.experiments[0]).values())


def test_of_traces_as_long_as_the_time_that_is_looked_at_nobody_says_that_they_were_quick() -> None:
    spans = renamed(spans_of("clients", "sound"), 1)
    slow = {trace for number, trace in enumerate(dict.fromkeys(s.trace_id for s in spans)) if number % 9 == 0}
    stretched = [
        replace(span, start_ns=span.start_ns - 60 * 10**9)
        if span.trace_id in slow and span.parent_span_id is None
        else span
        for span in spans
    ]
    found = seen(stretched, "clients", spans)
    assert "untimely" in kinds(found)
    assert Outcome.PASS not in verdicts(found).values()


def test_a_service_that_was_named_and_is_not_there_is_unknown() -> None:
    spans = spans_of("clients", "sound")
    found = seen(spans, "clients", spans, ("agent", "other"))
    by_name = {each.name: each.verdict for each in found.result.experiments}
    assert by_name["other"] is Outcome.UNKNOWN
    with pytest.raises(InputError, match=NO_AGENT):
        seen(spans, "clients", spans, ("other",))


def test_who_is_not_judged_is_told(tmp_path: Path) -> None:
    spans = spans_of("clients", "sound")
    shop = [replace(s, service="shop", trace_id=f"e{s.trace_id[1:]}") for s in spans if s.kind == "server"]
    arms = seen([*spans, *shop], "clients", spans).result.experiments[0].arms
    assert "not judged: " in str(arms)
    assert "shop" in str(arms)


def test_more_services_than_are_judged_at_once_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.observe.gathering.MOST_SERVICES", 2)
    spans = spans_of("clients", "sound")
    many = [
        replace(s, service=f"{s.service}-{number}", trace_id=f"{number}{s.trace_id[1:]}")
        for s in spans
        for number in range(3)
    ]
    with pytest.raises(InputError, match="3 services work as agents do"):
        look(look_at(InMemory(many), limits_of("clients")), FakeClock())


def test_a_client_whose_cause_may_lie_before_the_time_that_is_looked_at_is_built_again_for_no_fault() -> None:
    spans = spans_of("clients", "sound")
    server = next(s for s in spans if s.service == "agent" and s.kind == "server")
    again = replace(
        server,
        span_id="feed" + server.span_id[4:],
        parent_span_id=server.span_id,
        name="client.init llm",
        kind="internal",
        attributes={CLIENT_NAME: "llm", CLIENT_INIT_STATE: "reinit", CLIENT_INIT_REASON: "broken"},
    )
    of_all = as_judged([*spans, again], limits_of("clients"))
    assert observed(of_all)["reinits-explained"].verdict is Outcome.FAIL
    assert verdicts(seen([*spans, again], "clients", spans))["reinits-explained"] is not Outcome.FAIL


def test_spans_one_below_the_other_and_below_none_are_put_in_their_places_however_many() -> None:
    """Each of them would look at all that are above it: minutes for a trace that a batch job sends."""
    one = next(s for s in spans_of("clients", "sound") if s.kind == "server" and s.service == "agent")
    count = 20_000
    chain = [
        replace(
            one, span_id=f"{n + 1:016x}", parent_span_id=f"{n:016x}" if n else None, start_ns=one.start_ns
        )
        for n in range(count)
    ]
    lost = [replace(s, span_id=f"a{s.span_id[1:]}", kind="internal", attributes={}) for s in chain[1:]]
    ring = [replace(chain[0], span_id="b" * 16, parent_span_id="c" * 16)]
    ring.append(replace(ring[0], span_id="c" * 16, parent_span_id="b" * 16))
    found = tree([*reversed(chain), *(replace(s, parent_span_id="d" * 16) for s in lost), *ring])
    assert len(found.nodes) == 2 * count + 1
    assert sum(node.parent is None for node in found.nodes) == 2
    deepest = next(node for node in found.nodes if node.span.span_id == f"{count:016x}")
    assert sum(1 for _ in deepest.above()) == count - 1


def test_calls_one_within_the_other_are_one_call_however_many() -> None:
    spans = spans_of("clients", "sound")
    server = next(s for s in spans if s.service == "agent" and s.kind == "server")
    mine = (s for s in spans if s.trace_id == server.trace_id and s.service == "agent")
    call = next(s for s in mine if s.name.startswith("chat"))
    count = 3_000
    layers = [
        replace(call, span_id=f"{n + 2:016x}", parent_span_id=f"{n + 1:016x}", attributes={**call.attributes})
        for n in range(count)
    ]
    (found,) = gather(tree([replace(server, span_id=f"{1:016x}", parent_span_id=None), *layers]), Processes())
    assert len(found.joined.journal) == 1


def test_a_file_that_is_cut_within_a_trace_is_no_span_that_an_agent_lost() -> None:
    spans = [
        span
        for number, span in enumerate(spans_of("clients", "sound"))
        if number < 1_000 or not span.name.startswith("invoke_agent")
    ]
    source = InMemory(spans)
    source.notes.append("spans.gz is damaged or cut off")
    (result,) = look(look_at(source, limits_of("clients", "traces-whole=0")), FakeClock()).result.experiments
    assert observed(result)["traces-whole"].verdict is Outcome.UNKNOWN
    (result,) = look(
        look_at(InMemory(spans), limits_of("clients", "traces-whole=0")), FakeClock()
    ).result.experiments
    assert observed(result)["traces-whole"].verdict is Outcome.FAIL
