from dataclasses import replace

import pytest

from harness.analysis.queueing import ALWAYS, central_waits
from harness.analysis.summary import optimum_of, summarise
from harness.records.setup import FleetEvent, Window
from tests.harness.histories import Arm, Try


def busy_arm(requests: int = 200) -> Arm:
    """Two containers by turns, each with one slot: every fourth request takes 20 times as long."""
    arm, free_s = Arm(containers=2), [0.0, 0.0]
    for number in range(requests):
        due_s, which = number * 0.1, number % 2
        begin_s = max(due_s, free_s[which])
        free_s[which] = begin_s + (1.0 if number % 4 == 0 else 0.05)
        arm.request(
            due_s=due_s, begin_s=due_s, wait_s=begin_s - due_s, end_s=free_s[which], container=which + 1
        )
    return arm


def test_latencies_are_from_the_intended_start() -> None:
    arm = Arm()
    for number in range(100):
        arm.request(due_s=number * 1.0, sent_s=number + 0.05, end_s=number + 0.1 + number / 1000)
    summary = summarise(arm.history())
    assert summary.requests == 100
    assert summary.errors == 0
    assert summary.p50_ms == pytest.approx(149)
    assert summary.p95_ms == pytest.approx(194)
    assert summary.p99_ms == pytest.approx(198)
    assert summary.max_ms == pytest.approx(199)
    assert summary.mean_ms == pytest.approx(149.5)
    assert summary.lateness_p99_ms == pytest.approx(50)


def test_errors_are_counted_and_are_in_no_latency() -> None:
    arm = Arm()
    for number in range(100):
        arm.request(due_s=number * 1.0)
    arm.request(due_s=100.0, end_s=160.0, status=504, error="deadline")
    summary = summarise(arm.history())
    assert (summary.requests, summary.errors) == (101, 1)
    assert summary.max_ms == pytest.approx(100)
    assert summary.throughput_rps == pytest.approx(100 / 160)


def test_an_empty_arm_has_no_figures() -> None:
    summary = summarise(Arm().history())
    assert summary.requests == 0
    assert summary.p99_ms is summary.throughput_rps is summary.optimum_p99_ms is summary.amplification is None
    assert summary.idle_while_waiting_s is summary.herd_share is summary.connections is None
    assert summary.warnings == ()


def test_the_optimum_is_the_central_queue_on_the_service_times_that_were_measured() -> None:
    arm = busy_arm()
    history = arm.history()
    due = [row.due_s for row in arm.rows]
    work = [1.0 if number % 4 == 0 else 0.05 for number in range(200)]
    waits = central_waits(due, work, [ALWAYS] * 2)
    latencies = [wait + worked for wait, worked in zip(waits, work, strict=True)]
    assert optimum_of(history).latencies_s == pytest.approx(latencies, abs=1e-5)


def test_work_after_the_answer_keeps_the_next_request_waiting_in_the_optimum_too() -> None:
    arm = Arm(containers=1)
    arm.request(due_s=0.0, end_s=1.0, after_s=2.0)
    arm.request(due_s=0.5, begin_s=3.0, end_s=3.5)
    assert optimum_of(arm.history()).latencies_s == pytest.approx([1.0, 3.0])


def test_a_damaged_record_of_a_fleet_that_takes_nothing_has_no_optimum() -> None:
    history = busy_arm().history()
    facts = replace(history.facts, concurrency_limit=0)
    assert optimum_of(replace(history, facts=facts)).latencies_s == ()


def test_a_fleet_that_left_before_its_queue_was_empty_has_no_optimum() -> None:
    arm = Arm(containers=1)
    arm.moved(1, left_s=1.0)
    arm.request(due_s=0.0, end_s=1.5)
    arm.request(due_s=0.1, begin_s=0.9, end_s=1.5)
    assert optimum_of(arm.history()).latencies_s == ()


def test_the_optimum_has_the_containers_that_were_there() -> None:
    arm = Arm(containers=2)
    arm.moved(2, joined_s=4.0)
    arm.request(due_s=0.0, end_s=5.0)
    arm.request(due_s=1.0, begin_s=4.0, end_s=5.0, container=2)
    assert optimum_of(arm.history()).latencies_s == pytest.approx([5.0, 4.0])


def saturated(*ends_s: float) -> float | None:
    arm = Arm()
    arm.set(windows=(Window(kind="phase", name="steady", from_s=10.0, to_s=20.0),))
    for end_s in ends_s:
        arm.request(due_s=10.0, end_s=end_s)
    return summarise(arm.history()).saturated_rps


def test_throughput_at_saturation_is_of_what_ended_while_the_load_lasted_once_the_fleet_was_full() -> None:
    assert saturated(11.9, 12.0, 15.0, 19.9, 20.0, 31.0) == pytest.approx(3 / 8)


def test_without_a_steady_phase_nothing_is_saturated() -> None:
    arm = Arm()
    arm.request()
    assert summarise(arm.history()).saturated_rps is None


def test_spans_that_died_with_a_killed_container_are_not_missed() -> None:
    arm = Arm(containers=2)
    for number in range(100):
        arm.request(due_s=float(number), container=2, without=["POST /invocations"] if number < 20 else [])
    assert any("spans were lost" in said for said in summarise(arm.history()).warnings)
    arm.set(events=(FleetEvent(time_s=1.0, action="kill", container="agent-2"),))
    assert not summarise(arm.history()).warnings


def test_blind_turns_are_far_above_the_optimum_and_leave_containers_idle() -> None:
    summary = summarise(busy_arm().history())
    assert summary.p99_ms is not None
    assert summary.optimum_p99_ms is not None
    assert summary.p99_over_optimum == pytest.approx(summary.p99_ms / summary.optimum_p99_ms)
    assert summary.p99_over_optimum > 1.35
    assert summary.idle_while_waiting_s is not None
    assert summary.idle_while_waiting_s > 5


def test_waiting_is_told_apart_from_service_beside_that_of_the_optimum() -> None:
    arm = Arm(containers=1)
    for number in range(99):
        arm.request(due_s=number * 10.0, end_s=number * 10.0 + 5.0)
    arm.request(due_s=990.0, wait_s=3.0, end_s=998.0)  # inside the container, although it was free
    arm.request(due_s=991.0, begin_s=999.0, end_s=999.5)
    arm.request(due_s=991.5, begin_s=999.5, end_s=1000.0)
    arm.request(due_s=992.0, end_s=1052.0, status=504, error="deadline", container=None)
    summary = summarise(arm.history())
    assert summary.wait_p99_ms == pytest.approx(8000)
    assert summary.optimum_wait_p99_ms == pytest.approx(4000)


def test_a_failed_request_takes_its_time_in_the_optimum_too_but_has_no_latency_there() -> None:
    arm = Arm(containers=1)
    arm.request(due_s=0.0, end_s=1.0, status=502, error="the model refused")
    arm.request(due_s=0.0, begin_s=1.0, end_s=1.5)
    assert optimum_of(arm.history()).latencies_s == pytest.approx([1.5])


def test_cold_and_warm_requests_are_told_apart() -> None:
    arm = Arm()
    for number in range(3):
        arm.request(due_s=0.0, end_s=0.5 + number, client="cold")
    for number in range(100):
        arm.request(due_s=5.0 + number, end_s=5.1 + number)
    summary = summarise(arm.history())
    assert summary.cold_p99_ms == pytest.approx(2500)
    assert summary.warm_p99_ms == pytest.approx(100)


def test_it_counts_work_inits_connections_and_attempts() -> None:
    arm = Arm(containers=2)
    arm.request(due_s=0.0, end_s=0.3, container=1, calls=[["overloaded", Try(connection=2)], ["ok"]])
    arm.init("llm", 1)
    arm.request(due_s=0.0, end_s=0.1, container=2, calls=[[Try(connection=3)]])
    arm.init("llm", 2)
    arm.init("mcp", 2)
    summary = summarise(arm.history())
    assert summary.served == {"agent-1": 1, "agent-2": 1}
    assert summary.busy_s == pytest.approx({"agent-1": 0.3, "agent-2": 0.1})
    assert summary.client_inits == {"llm": 2, "mcp": 1}
    assert summary.connections == 3
    assert (summary.model_calls, summary.model_attempts) == (3, 4)
    assert summary.amplification == pytest.approx(4 / 3)


def test_without_a_span_nothing_is_said_of_idleness_or_the_optimum() -> None:
    arm = Arm()
    for number in range(100):
        arm.request(due_s=number * 1.0, without=["agent"])
    summary = summarise(arm.history())
    assert summary.p99_ms is not None
    assert summary.idle_while_waiting_s is summary.optimum_p99_ms is None
    assert summary.warnings == ()


def test_a_harness_in_the_way_is_told() -> None:
    late = Arm()
    for number in range(100):
        late.request(due_s=number * 1.0, sent_s=number + 0.05)
    assert "sent late: 50 ms" in summarise(late.history()).warnings[0]


def test_lateness_that_is_small_beside_the_tail_is_none() -> None:
    slow = Arm()
    for number in range(100):
        slow.request(due_s=number * 10.0, sent_s=number * 10 + 0.05, end_s=number * 10 + 5.0)
    assert summarise(slow.history()).warnings == ()


def test_a_machine_without_a_core_to_spare_is_told() -> None:
    arm = Arm()
    arm.request()
    arm.used(cpu_s=9.0, wall_s=10.0)
    assert summarise(arm.history()).warnings == ()
    arm.used(cpu_s=9.0, wall_s=10.0)
    summary = summarise(arm.history())
    assert summary.cpu_utilisation == pytest.approx(0.9)
    assert "90% of its cores" in summary.warnings[0]


def test_requests_that_were_not_sent_are_told() -> None:
    arm = Arm()
    arm.request()
    arm.set(planned=4, dropped=3)
    assert summarise(arm.history()).warnings[0].startswith("3 of 4 requests were not sent")


def test_requests_that_left_no_row_are_told() -> None:
    arm = Arm()
    arm.request()
    arm.set(planned=4, dropped=0)
    assert summarise(arm.history()).warnings[0].startswith("3 of 4 requests have no row")


def test_lost_spans_are_told() -> None:
    arm = Arm()
    for number in range(50):
        arm.request(due_s=number * 1.0, without=["agent"] if number == 7 else [])
    assert summarise(arm.history()).warnings[0].startswith("1 of 50 successes have no span of an agent")


def test_a_part_of_the_harness_without_time_left_is_named() -> None:
    arm = Arm()
    arm.request()
    arm.used(9.5, 10.0, cores=8, name="simulator")
    arm.used(9.9, 10.0, cores=8, name="agent-1")
    assert [warning.partition(" was ")[0] for warning in summarise(arm.history()).warnings] == ["simulator"]


def test_the_cpu_of_each_process_is_told() -> None:
    arm = Arm()
    arm.request()
    arm.used(2.5, 10.0, name="envoy")
    assert summarise(arm.history()).cpu_s == {"envoy": 2.5}


def test_times_to_the_first_byte_and_the_first_token_are_of_the_successes_that_have_them() -> None:
    arm = Arm()
    for number in range(100):
        arm.request(due_s=float(number), end_s=number + 0.5)
        due_s = arm.rows[-1].due_s
        arm.change(first_byte_s=due_s + 0.1, first_token_s=due_s + (0.4 if number > 97 else 0.2))
    arm.request(due_s=200.0, end_s=200.5)  # a row of an older run
    found = summarise(arm.history())
    assert (found.ttfb_p99_ms, found.ttft_p50_ms, found.ttft_p99_ms) == pytest.approx((100.0, 200.0, 400.0))
    older = Arm()
    older.request(due_s=0.0, end_s=0.5)
    assert summarise(older.history()).ttft_p99_ms is None


def test_a_steady_phase_without_a_length_has_no_rate() -> None:
    arm = Arm()
    arm.request()
    arm.set(windows=(Window(kind="phase", name="steady", from_s=0.0, to_s=0.0),))
    summary = summarise(arm.history())
    assert (summary.saturated_rps, summary.without_slot) == (None, None)
