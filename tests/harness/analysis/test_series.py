from dataclasses import replace

import pytest

from harness.analysis.series import KEPT, WATERFALLS, series
from harness.records.outcome import ArmSeries
from harness.records.seen import JournalRow
from harness.records.setup import FleetEvent
from tests.harness.histories import Arm


def test_an_empty_arm_draws_nothing() -> None:
    history = Arm(containers=0).history()
    drawn = series(history, [])
    assert not any(drawn.samples.values())
    assert not any(drawn.shares_of.values())
    told = {
        "samples": drawn.samples,
        "shares_of": drawn.shares_of,
        "limit": drawn.limit,
        "start_s": history.facts.start_s,
    }
    assert drawn == ArmSeries(**told)


def test_latencies_behind_a_figure_of_some_requests_are_told_apart() -> None:
    arm = Arm()
    arm.request(due_s=0.0, end_s=0.3)
    arm.change(phase="burst")
    arm.request(due_s=1.0, end_s=1.1)
    arm.request(due_s=2.0, end_s=9.0, status=504, error="deadline")
    samples = series(arm.history(), []).samples
    assert samples["steady_p95_ms"] == pytest.approx((0.1,))
    assert samples["warm_p99_ms"] == pytest.approx((0.3, 0.1))
    assert samples["p99_all_ms"] == pytest.approx((0.3, 0.1, 7.0))
    assert samples["cold_p99_ms"] == ()


def test_times_of_what_was_done_to_the_fleet_count_from_the_load_s_begin() -> None:
    arm = Arm(containers=1)
    arm.moved(1, left_s=2.5)
    arm.set(events=(FleetEvent(time_s=arm.facts.start_s + 2.5, action="kill", container="agent-1"),))
    arm.request(due_s=0.0, end_s=4.0)
    drawn = series(arm.history(), [])
    assert drawn.present == {"agent-1": pytest.approx((0.0, 2.5))}
    assert [event.time_s for event in drawn.events] == [pytest.approx(2.5)]


def test_the_quota_s_level_is_that_of_each_attempt_that_was_counted() -> None:
    history = Arm().history()
    row = JournalRow(
        time_s=history.facts.start_s + 4, end_s=0.0, connection=1, protocol="openai", model="m",
        stream=False, call_id="c", attempt=1, quota_level=7.5,
    )  # fmt: skip
    drawn = series(replace(history, journal=(row, replace(row, quota_level=None))), [])
    assert drawn.quota == ((pytest.approx(4.0), 7.5),)


def test_latencies_are_of_successes_in_order_of_arrival() -> None:
    arm = Arm()
    arm.request(due_s=0.0, end_s=0.3)
    arm.request(due_s=1.0, end_s=9.0, status=504, error="deadline")
    arm.request(due_s=2.0, end_s=2.1, container=2)
    drawn = series(arm.history(), [])
    assert drawn.latencies_s == pytest.approx((0.3, 0.1))
    assert drawn.optimum_latencies_s == pytest.approx((0.3, 0.1))


def test_attempts_are_told_with_their_number_and_what_was_served() -> None:
    arm = Arm()
    arm.request(due_s=1.0, calls=[["overloaded", "ok"]])
    attempts = series(arm.history(), []).attempts
    assert [(number, decision) for _, number, decision in attempts] == [(1, "overloaded"), (2, "ok")]
    assert attempts[0][0] == pytest.approx(1.001)


def test_the_slowest_trace_comes_first_then_the_evidence_each_once() -> None:
    arm = Arm()
    traces = [arm.request(due_s=n * 1.0, end_s=n + (0.9 if n == 2 else 0.1)) for n in range(4)]
    drawn = series(arm.history(), [traces[3], traces[2], "unheard of", traces[3]])
    assert [spans[0].trace_id for spans in drawn.traces] == [traces[2], traces[3]]


def test_only_a_few_traces_are_drawn() -> None:
    arm = Arm()
    traces = [arm.request(due_s=n * 1.0) for n in range(20)]
    assert len(series(arm.history(), traces).traces) == WATERFALLS


def test_the_slowest_the_median_and_the_evidence_are_kept_for_jaegers_page_as_far_as_there_is_room() -> None:
    arm = Arm()
    traces = [arm.request(due_s=n * 1.0, end_s=n + (n + 1) / 1000) for n in range(200)]
    drawn = series(arm.history(), [traces[3], "unheard of"])
    kept = [spans[0].trace_id for spans in drawn.kept]
    assert (kept[0], len(kept), len(set(kept)), drawn.traced) == (traces[199], KEPT, KEPT, 200)
    assert {traces[100], traces[3], traces[198]} <= set(kept)


def test_shares_are_of_the_calls_that_they_count() -> None:
    arm = Arm()
    arm.set(quota_rps=1.0, quota_burst=100.0)
    for n in range(3):
        arm.request(due_s=n * 1.0, calls=[["overloaded", "ok"]])
    arm.request(due_s=4.0, calls=[["auth"]], status=502, error="auth")
    history = arm.history()
    assert series(history, []).shares_of == {
        "herd_share": history.herd.first_retries,
        "goodput_share": 3,
    }
    arm.set(quota_burst=1.0, quota_rps=0.0)
    assert series(arm.history(), []).shares_of["goodput_share"] == 1


def test_first_tokens_are_drawn_where_answers_come_in_pieces() -> None:
    arm = Arm()
    for number in range(3):
        arm.request(due_s=float(number), end_s=number + 0.5)
        arm.change(first_byte_s=arm.rows[-1].due_s + 0.1, first_token_s=arm.rows[-1].due_s + 0.2)
    drawn = series(arm.history(), [])
    assert drawn.first_tokens_s == pytest.approx((0.2,) * 3)
    assert drawn.samples["ttfb_p99_ms"] == pytest.approx((0.1,) * 3)
    whole = Arm()
    whole.request(due_s=0.0, end_s=0.5)
    whole.change(first_token_s=whole.rows[-1].end_s)
    assert series(whole.history(), []).first_tokens_s == ()
