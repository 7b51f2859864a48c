"""From the spans of real runs alone, without rows or journal: each arm's fault, and no other."""

import pytest

from harness.analysis.join import join
from harness.observe.gathering import Gathering
from harness.observe.verdict import KNOWN_BAD
from harness.records.outcome import Outcome
from tests.harness.observe.seen import as_recorded, history, judged, limits_of, observed, spans_of
from tests.mutations.saved import recorded

FAULTS = {
    ("clients", "per-request"): {"init-once"},
    ("leave", "keeps-slots"): {"no-errors"},
    ("limit", "limit-ignored"): {"inflight-limit"},
    ("retry", "no-retry"): {"transient-survived", "no-errors"},
    ("routing", "blind"): {"idle-while-waiting"},
    ("scaling", "blind"): {"no-503-while-idle", "no-errors"},
    ("sessions", "shared-agent"): {"fresh-agent"},
}
MORE_THAN_SPANS = {
    "autoscale",  # loses one request of some sixty, which a sampler that nobody tells of may leave out
    "restored",  # was warmed as copies that draw the same ids, and its clock jumped
    "soak",  # has no spans of its agents, to be held for hours
    "weather",  # fails as its weather wants, of which no span tells
}
SOUND = [
    (experiment, arm)
    for experiment, (_, arms) in recorded().items()
    for arm in arms
    if (experiment, arm) not in FAULTS and experiment not in MORE_THAN_SPANS
]
LOST = {("sessions", "sound"), ("scaling", "moving"), ("zero", "refused")}
"""Arms whose containers were killed, with spans that they had not sent, or that had none for a while."""
SPANS_ALONE = {("outside", "sound"), ("outside", "keeping")}
"""Arms with more spans than rows: of attempts that came to no model, and of a container that refused what
another one answered."""


@pytest.mark.parametrize("place", FAULTS, ids="-".join)
def test_the_fault_of_each_control_arm_is_named(place: tuple[str, str]) -> None:
    failed = set(observed(as_recorded(*place), Outcome.FAIL))
    assert FAULTS[place] <= failed
    # a container that queues inside has its requests in work at once, as its server spans tell
    assert failed - FAULTS[place] <= ({"inflight-limit"} if place[0] == "routing" else set())


@pytest.mark.parametrize("place", SOUND, ids="-".join)
def test_a_sound_arm_is_clean_and_green_where_enough_was_seen(place: tuple[str, str]) -> None:
    result = as_recorded(*place)
    assert not observed(result, Outcome.FAIL)
    assert bool(observed(result, Outcome.PASS)) or place in {("limit", "sound"), *LOST}


@pytest.mark.parametrize("place", [*FAULTS, *SOUND], ids="-".join)
def test_before_each_verdict_every_check_falls_short_where_everything_is_wrong(
    place: tuple[str, str],
) -> None:
    bad = [check for check in as_recorded(*place).checks if check.arm == KNOWN_BAD]
    assert bad
    assert [check.id for check in bad if check.verdict is not Outcome.PASS] == []


@pytest.mark.parametrize("place", [*FAULTS, *SOUND], ids="-".join)
def test_spans_alone_tell_what_rows_and_journal_do(place: tuple[str, str]) -> None:
    experiment, arm = place
    seen, joined = history(spans_of(*place), limits_of(experiment)), join(recorded()[experiment][1][arm])
    if place in LOST | SPANS_ALONE:
        return
    assert len(seen.requests) == len(joined.requests)
    both = list(zip(seen.requests, joined.requests, strict=True))
    assert all(s.row.ok == j.row.ok for s, j in both if not j.row.left)
    assert all(s.container == j.container for s, j in both if j.server)
    assert len(seen.journal) == len(joined.journal)
    assert sorted(r.attempt for r in seen.journal) == sorted(r.attempt for r in joined.journal)
    assert len(seen.inits) == len(joined.inits)


def test_checks_that_need_a_limit_fall_short_there_as_well() -> None:
    asked = ("p50=50", "p95=3000", "p99=3000", "ttft=3000", "first-requests=9", "concurrency-limit=32")
    result = judged(spans_of("clients", "sound"), limits_of("clients", *asked))
    bad = {check.id: check.verdict for check in result.checks if check.arm == KNOWN_BAD}
    assert {"p50", "p95", "p99", "ttft", "first-requests", "inflight-limit"} <= set(bad)
    assert set(bad.values()) == {Outcome.PASS}
    assert observed(result)["p50"].verdict is Outcome.FAIL
    assert observed(result)["p99"].verdict is Outcome.PASS


def test_more_spans_than_memory_may_hold_make_the_same_history() -> None:
    spans = spans_of("retry", "sound")
    whole, parts = Gathering(), Gathering(most_in_memory=100)
    whole.take(spans)
    parts.take(spans)
    known = limits_of("retry").known
    assert parts.histories(known) == whole.histories(known)
