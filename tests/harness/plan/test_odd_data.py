"""What nobody thought of when it is calibrated on, or planned with: told, and no more certain than it is."""

import tomllib
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from harness.clock import FakeClock
from harness.errors import InputError
from harness.observe.gathering import Gathering, Known, ObservedHistory
from harness.plan import words
from harness.plan.asked import Answer, Asked, Promise
from harness.plan.calibrate import DAY_S, STEP_S, Calibrated, calibrate
from harness.plan.estimate import Draws
from harness.plan.fits import fit
from harness.plan.records import Fleet
from harness.plan.sampling import work_of
from harness.plan.search import answer
from harness.plan.seen import of_traces
from harness.plan.simulate import simulate
from harness.records.seen import JournalRow, Span
from harness.records.workload import Arrivals, RateStep, Workload, to_toml
from harness.simulator_config import Quota
from tests.harness.observe.seen import InMemory
from tests.harness.plan.workloads import plain, sessions, spans, workload


def sent(told: Workload, containers: int = 20, seconds: float = 60.0) -> list[Span]:
    work = work_of(told, duration_s=seconds, seed=3)
    return list(spans(work, simulate(work, Fleet(containers=containers)), containers))


def gathered(of: Iterable[Span]) -> ObservedHistory:
    gathering = Gathering()
    gathering.take(of)
    (found,) = gathering.histories(Known()).values()
    return found


def found(history: ObservedHistory, **more: object) -> Calibrated:
    return calibrate(history, name="a", source="s", **more)  # type: ignore[arg-type] # words of a test


def at(history: ObservedHistory, due_s: Iterable[float]) -> ObservedHistory:
    """Return a history whose requests came at some other instants."""
    moved = tuple(
        replace(each, row=replace(each.row, due_s=instant))
        for each, instant in zip(history.requests, due_s, strict=False)
    )
    return replace(history, requests=moved)


@pytest.fixture(scope="module")
def history() -> ObservedHistory:
    return gathered(sent(workload(arrivals=Arrivals(rate_rps=12))))


# --- plans -----------------------------------------------------------------------------
def planned(told: Workload, p99_s: float = 2.6, rate_rps: float = 10.0) -> Answer:
    asked = Asked(workload=told, promise=Promise(p99_s=p99_s), rate_rps=rate_rps, fleet=Fleet(containers=1))
    return answer(asked, requests=1500)


def test_a_plan_is_no_more_certain_than_the_requests_that_it_rests_on() -> None:
    few, many, by_hand = (planned(plain(requests=number)) for number in (40, 4_000_000, 0))
    assert few.unsure
    assert few.known_to > 0.1
    assert any("rests on 40 requests" in each for each in words.sentences(few))
    assert not many.unsure
    assert many.known_to < 0.002
    assert by_hand.if_off is None
    assert not by_hand.unsure


def test_the_rate_that_is_written_is_simulated_whatever_the_steps_of_the_day_were() -> None:
    """Who writes another `rate_rps` by hand leaves the steps as they are."""
    steps = (RateStep(from_s=0, rate_rps=5), RateStep(from_s=1_800, rate_rps=15))
    told = workload(arrivals=Arrivals(rate_rps=40, steps=steps, period_s=3_600))
    came = work_of(told, duration_s=3_600, seed=1).due_s
    assert len(came) == pytest.approx(40 * 3_600, rel=0.02)
    assert (came < 1_800).mean() == pytest.approx(0.25, abs=0.01)


def test_more_than_can_be_simulated_is_a_sentence() -> None:
    day = (RateStep(from_s=0, rate_rps=1), RateStep(from_s=DAY_S / 2, rate_rps=3))
    for told, rate_rps in (
        (Arrivals(rate_rps=2, steps=day), 1e5),
        (Arrivals(rate_rps=1, dispersion=9, window_s=1e-5), 1.0),
    ):
        with pytest.raises(InputError, match="more than can be simulated"):
            Draws(workload(arrivals=told)).work(rate_rps, 1)


def test_a_zone_that_takes_all_containers_leaves_none() -> None:
    asked = Asked(
        workload=plain(),
        promise=Promise(p99_s=4.0),
        rate_rps=1.0,
        fleet=Fleet(containers=1),
        zones=3,
        containers=1,
    )
    with pytest.raises(InputError, match="there is none left"):
        answer(asked, requests=1500)


def test_a_quota_that_is_far_too_small_is_told_what_it_would_have_to_be() -> None:
    found = planned(plain(rate_rps=1, quota=Quota(rpm=1e-6)), rate_rps=1.0)
    assert found.best is None
    assert found.quota_needed_rpm is not None
    assert 60 <= found.quota_needed_rpm < 300


def test_a_period_or_a_window_of_no_length_is_refused() -> None:
    for changed in ({"period_s": 1e-9}, {"window_s": 1e-9}, {"rate_rps": float("nan")}):
        with pytest.raises(ValueError, match=r"greater|finite"):
            Arrivals.model_validate({"rate_rps": 1.0} | changed)


@pytest.mark.parametrize("name", ["tab\there", "\U000e0001 tag", 'say "it"', "back\\slash"])
def test_any_name_is_read_again_as_it_was(name: str) -> None:
    told = workload(name=name)
    assert tomllib.loads(to_toml(told))["name"] == name


# --- calibrations ----------------------------------------------------------------------
def test_half_hours_that_were_not_seen_are_told_and_not_taken_for_empty(history: ObservedHistory) -> None:
    """From 01:00 to 23:00: midnight may be as busy as any other hour."""
    count = len(history.requests)
    come = 1_700_006_400 + 3_600 + np.linspace(0, 22 * 3_600, count)
    calibrated = found(at(history, come.tolist())).workload
    rates = [step.rate_rps for step in calibrated.arrivals.steps]
    assert len(rates) == DAY_S / STEP_S
    assert min(rates) > 0.5 * max(rates)
    assert any("4 of the 48 half hours" in each for each in calibrated.unknown)
    assert calibrated.arrivals.rate_rps == pytest.approx(count / (22 * 3_600), rel=0.05)


def test_half_hours_that_were_seen_twice_count_twice(history: ObservedHistory) -> None:
    count = len(history.requests)
    come = 1_700_006_400 + np.linspace(0, 1.5 * DAY_S, count)
    rates = [step.rate_rps for step in found(at(history, come.tolist())).workload.arrivals.steps]
    assert np.mean(rates[:24]) == pytest.approx(np.mean(rates[24:]), rel=0.05)


def test_of_sampled_traces_the_rate_is_made_whole_and_the_rest_is_not_known() -> None:
    whole = sent(workload(arrivals=Arrivals(rate_rps=12), sessions=sessions(3, 5.0)), 30, 120)
    state = f"ot=th:{round(0.75 * 16**14):014x}"
    kept = [replace(each, trace_state=state) for each in whole if int(each.trace_id, 16) % 4 == 0]
    seen = of_traces(InMemory(kept), (), None, FakeClock(), "spans.jsonl")
    assert seen.sampled == pytest.approx(0.25)
    told = found(gathered(kept), lossy=seen.lossy, sampled=seen.sampled)
    assert told.workload.arrivals.rate_rps == pytest.approx(12, rel=0.2)
    assert told.workload.sessions.turns == 1
    assert told.workload.quota is None
    assert any("0.25 of the traces" in doubt for doubt in told.doubts)
    assert any("sessions: of sampled ones" in each for each in told.workload.unknown)


def test_clocks_that_differ_are_no_path() -> None:
    """A container ten minutes ahead is no ten minutes away."""
    right = sent(workload())
    ahead = [
        replace(each, start_ns=each.start_ns + 600 * 10**9, end_ns=each.end_ns + 600 * 10**9)
        if each.service == "my-agent"
        else each
        for each in right
    ]
    assert found(gathered(ahead)).workload.container.path_s == pytest.approx(
        found(gathered(right)).workload.container.path_s, abs=0.05
    )


def test_a_session_that_goes_on_days_later_begins_anew(history: ObservedHistory) -> None:
    each = history.requests[0]
    later = replace(each, row=replace(each.row, due_s=each.row.due_s + 3 * DAY_S))
    told = found(replace(history, requests=(*history.requests, later))).workload
    assert told.sessions.turns == pytest.approx(1.0, abs=0.01)


def test_where_nothing_was_let_through_no_quota_is_made_up(history: ObservedHistory) -> None:
    row = JournalRow(
        time_s=history.facts.start_s,
        end_s=history.facts.start_s,
        connection=0,
        protocol="openai",
        model="m",
        stream=False,
        call_id="c",
        attempt=1,
        trace_id="t",
        parent_span_id=None,
        decision="429",
        source="quota",
        fault_class="transient",
        status=429,
    )
    refused = tuple(replace(row, call_id=f"c{n}", time_s=row.time_s + n / 9) for n in range(50))
    told = found(replace(history, journal=refused)).workload
    assert told.quota is None
    assert any("0 were let through" in each for each in told.unknown)


def test_what_no_workload_may_say_is_cut_to_what_it_may() -> None:
    long_name = calibrate(gathered(sent(workload())), name="n" * 999, source="s").workload.name
    assert long_name == "n" * 200
    wide = np.random.default_rng(1).lognormal(0, 6, 2000)
    assert fit("rest", np.minimum(wide, 80_000).tolist()).family == "empirical"
