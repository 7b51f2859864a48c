"""A store that has not all, or has it by clocks that differ: unknown, and never a wrong verdict."""

import random
from dataclasses import replace

import pytest

from harness.observe.gathering import OBSERVED, Gathering
from harness.observe.store import evenly, told_ratio
from harness.records.outcome import Outcome
from harness.records.seen import Span
from tests.harness.observe.seen import as_recorded, doubts_of, history, judged, limits_of, observed, spans_of
from tests.mutations.hand import shifted

SOME = (("clients", "sound"), ("clients", "per-request"), ("retry", "sound"), ("routing", "blind"))
DECIDED = (Outcome.PASS, Outcome.FAIL)


def lost(spans: tuple[Span, ...], share: float, seed: int) -> list[Span]:
    draw = random.Random(seed)
    return [span for span in spans if draw.random() >= share]


def renamed(spans: tuple[Span, ...], seed: int) -> list[Span]:
    """Return spans with trace ids that are drawn, as SDKs do it: those of the record are numbered."""
    draw = random.Random(seed)
    ids = {span.trace_id: f"{draw.getrandbits(128):032x}" for span in spans}
    return [replace(span, trace_id=ids[span.trace_id]) for span in spans]


def test_a_ratio_is_read_from_the_state_of_a_trace() -> None:
    assert told_ratio("ot=th:e6666666666666") == pytest.approx(0.1)
    assert told_ratio("other=1,ot=rv:12;th:8") == 0.5
    assert told_ratio("ot=th:0") is None
    assert told_ratio("ot=th:zz") is None
    assert told_ratio("") is None


def test_ids_are_looked_at_as_samplers_do() -> None:
    assert evenly("0" * 16 + "8" + "0" * 15)["low 64"] == 0.5
    assert all(0 <= drawn <= 1 for drawn in evenly("f" * 32).values())


def test_ids_that_begin_with_a_time_are_of_no_sampler() -> None:
    """As X-Ray draws them: seconds, and what is drawn for the rest."""
    draw = random.Random(3)
    spans = spans_of("clients", "sound")
    ids = {span.trace_id: f"{1_733_000_000:08x}{draw.getrandbits(96):024x}" for span in spans}
    timed = [replace(span, trace_id=ids[span.trace_id]) for span in spans]
    assert not [doubt for doubt in doubts_of(timed, limits_of("clients")) if doubt.kind == "sampled"]


@pytest.mark.parametrize("keeps", ["below", "above"])
def test_of_few_traces_a_strict_sampler_is_seen_as_well(keeps: str) -> None:
    spans = renamed(spans_of("clients", "sound"), 2)
    kept = [
        span
        for span in spans
        if ((drawn := int(span.trace_id[16:], 16) / 2**64) < 0.25 and keeps == "below")
        or (drawn > 0.75 and keeps == "above")
    ]
    assert 20 <= len({span.trace_id for span in kept}) < 60
    (said,) = [doubt.said for doubt in doubts_of(kept, limits_of("clients")) if doubt.kind == "sampled"]
    assert "only 2" in said


def test_a_service_that_is_whole_covers_no_other_one() -> None:
    """A neighbour of a hundred times as many spans has all of them, and keeps all traces."""
    spans = renamed(spans_of("clients", "sound"), 2)
    mine = [span for span in spans if int(span.trace_id[16:], 16) < 0.5 * 2**64]
    others = [
        replace(span, service="neighbour", trace_id=f"{number:04x}{span.trace_id[4:]}")
        for number in range(20)
        for span in renamed(spans_of("clients", "sound"), number)
        if span.service == "agent"
    ]
    gathering = Gathering(("agent",))
    gathering.take([*mine, *others])
    limits = limits_of("clients")
    (group,) = gathering.histories(limits.known)
    assert "sampled" in {doubt.kind for doubt in gathering.doubts(group, limits.known)}


def test_spans_that_end_before_they_begin_are_told() -> None:
    spans = spans_of("clients", "sound")
    turned = [
        replace(span, start_ns=span.end_ns, end_ns=span.start_ns) if number % 50 == 0 else span
        for number, span in enumerate(spans)
    ]
    assert any("end before they begin" in doubt.said for doubt in doubts_of(turned, limits_of("clients")))


def test_an_answer_that_nobody_gave_is_a_lost_span() -> None:
    """The balancer tells of all requests, the agent of two in three: its exporter gives batches up."""
    spans = renamed(spans_of("clients", "per-request"), 4)
    kept = [span for span in spans if span.service != "agent" or int(span.trace_id, 16) % 3]
    doubts = doubts_of(kept, limits_of("clients"))
    assert any("no span of who did is there" in doubt.said for doubt in doubts if doubt.kind == "lost")
    assert "init-once" not in observed(judged(kept, limits_of("clients")), Outcome.PASS)
    assert not [doubt for doubt in doubts_of(spans, limits_of("clients")) if doubt.kind == "lost"]


def test_callers_some_of_which_send_no_spans_are_no_loss() -> None:
    """What the balancer did with their requests is all there, its refusals too."""
    spans = renamed(spans_of("limit", "sound"), 7)
    half = sorted({span.trace_id for span in spans})[::2]
    seen = tuple(span for span in spans if span.service != "locust" or span.trace_id not in half)
    assert not [doubt.said for doubt in doubts_of(seen, limits_of("limit")) if doubt.kind == "lost"]


@pytest.mark.parametrize("place", SOME, ids="-".join)
def test_one_percent_of_the_spans_lost_makes_no_wrong_verdict(place: tuple[str, str]) -> None:
    before = observed(as_recorded(*place))
    result = judged(lost(spans_of(*place), 0.01, 1), limits_of(place[0]))
    assert observed(result)["traces-whole"].verdict is Outcome.FAIL
    for name, check in observed(result, *DECIDED).items():
        assert name == "traces-whole" or before[name].verdict in {check.verdict, Outcome.UNKNOWN}, name
    assert "init-once" not in observed(result, Outcome.PASS)
    assert "lost" in {doubt.kind for doubt in doubts_of(lost(spans_of(*place), 0.01, 1), limits_of(place[0]))}


@pytest.mark.parametrize("place", SOME[:2], ids="-".join)
def test_head_sampling_is_seen_by_the_ids_that_are_left(place: tuple[str, str]) -> None:
    spans = renamed(spans_of(*place), 2)
    kept = [span for span in spans if int(span.trace_id[16:], 16) < 0.6 * 2**64]
    said = [doubt for doubt in doubts_of(kept, limits_of(place[0])) if doubt.kind == "sampled"]
    assert len(said) == 1
    assert not [d for d in doubts_of(spans, limits_of(place[0])) if d.kind == "sampled"]


def test_a_sampler_that_is_told_of_keeps_what_counts_all_from_being_green() -> None:
    result = judged(spans_of("clients", "sound"), limits_of("clients", "sampled=0.1", "no-errors=0.1"))
    green = observed(result, Outcome.PASS)
    assert "no-errors" in green
    assert not {"init-once", "fresh-agent", "reinits-explained", "ids-unique"} & set(green)
    assert "10.0%" in observed(result)["init-once"].message


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ((), Outcome.PASS),
        (("sampled=0.5",), Outcome.UNKNOWN),  # of twice as many two may have failed, and none be in a sample
        (("sampled=0.99",), Outcome.PASS),
    ],
)
def test_what_a_sample_shows_counts_where_it_is_no_chance(said: tuple[str, ...], verdict: Outcome) -> None:
    result = judged(spans_of("clients", "sound"), limits_of("clients", "p99=100000", *said))
    assert observed(result)["no-errors"].verdict is verdict
    assert observed(result)["p99"].verdict is verdict
    assert (verdict is Outcome.UNKNOWN) == ("chance" in observed(result)["no-errors"].message)


def test_a_quantile_just_beyond_its_limit_is_no_fault_of_all_that_a_sampler_left_out() -> None:
    limits = limits_of("clients", "sampled=0.5")
    times_ms = sorted(
        each.row.latency_s * 1e3 for each in history(spans_of("clients", "sound"), limits).requests
    )
    of_all, just_below = f"p50={times_ms[0] / 2}", f"p50={times_ms[len(times_ms) // 2 - 1] - 1e-6}"
    for asked, verdict in ((of_all, Outcome.FAIL), (just_below, Outcome.UNKNOWN)):
        result = judged(spans_of("clients", "sound"), limits_of("clients", "sampled=0.5", asked))
        assert observed(result)["p50"].verdict is verdict


def test_clocks_that_differ_are_told_and_nothing_rests_on_them() -> None:
    spans = [
        shifted(span, -300_000_000) if span.instance == "agent-1" else span
        for span in spans_of("routing", "sound")
    ]
    result = judged(spans, limits_of("routing"))
    across = {"idle-while-waiting", "no-503-while-idle", "load-spread", "saved-before-answer"}
    assert not across & set(observed(result, *DECIDED))
    (told,) = [d.said for d in doubts_of(spans, limits_of("routing")) if d.kind == "skewed"]
    assert "agent-1" in told
    assert "-0.3" in told


def test_without_a_caller_or_balancer_nothing_tells_whether_clocks_agree() -> None:
    spans = [span for span in spans_of("retry", "sound") if span.service in {"agent", "model-api"}]
    result = judged(spans, limits_of("retry"))
    assert "herd-share" not in observed(result, Outcome.PASS)
    said = judged(spans, limits_of("retry", "clocks=synchronised"))
    assert "herd-share" in observed(said, Outcome.PASS)
    assert observed(said)["idle-while-waiting"].verdict is Outcome.NOT_MADE


def test_what_was_learnt_is_told_as_learnt() -> None:
    summary = as_recorded("clients", "sound").arms[OBSERVED]
    assert any("learnt" in warning for warning in summary.join_warnings)
    assert observed(as_recorded("clients", "sound"))["inflight-limit"].verdict is Outcome.NOT_MADE
