"""Records that can't be are told, and nothing is judged by them."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from harness import contract
from harness.analysis.join import join
from harness.analysis.summary import summarise
from harness.records.setup import FleetEvent, ProcessUsage, Window
from tests.harness.histories import BEGIN_S, Arm


def sound() -> Arm:
    """Ten requests in a burst and after it, each with all that a caller may note of its answer."""
    arm = Arm()
    for number in range(10):
        due_s = 0.0 if number < 2 else 2.0 + number
        arm.request(due_s=due_s, sent_s=due_s + 0.01, begin_s=due_s + 0.02, end_s=due_s + 0.2)
        row = arm.rows[-1]
        arm.change(
            phase="burst" if number < 2 else "steady",
            first_byte_s=row.sent_s + 0.05,
            first_token_s=row.sent_s + 0.06,
        )
    arm.set(windows=(Window(kind="phase", name="steady", from_s=2.0, to_s=12.0),))
    return arm


def test_what_can_be_is_not_told() -> None:
    assert sound().history().impossible is None
    assert Arm().history().impossible is None


def before_it_was_due(arm: Arm) -> None:
    arm.change(sent_s=arm.rows[-1].due_s - 0.1)


def before_it_was_sent(arm: Arm) -> None:
    arm.change(end_s=arm.rows[-1].sent_s - 0.1, first_byte_s=None, first_token_s=None)


def words_before_the_first_byte(arm: Arm) -> None:
    arm.change(first_token_s=arm.rows[-1].sent_s + 0.01)


def at_no_time(arm: Arm) -> None:
    arm.change(end_s=math.nan)


def with_the_trace_of_another(arm: Arm) -> None:
    arm.change(trace_id=arm.rows[0].trace_id)


def with_the_id_of_another(arm: Arm) -> None:
    arm.change(request_id=arm.rows[0].request_id)


def of_another_phase(arm: Arm) -> None:
    arm.change(phase="burst")


def before_its_phase(arm: Arm) -> None:
    arm.rows[0] = replace(arm.rows[0], phase="steady")


def before_the_load(arm: Arm) -> None:
    arm.facts = replace(arm.facts, start_s=BEGIN_S + 1.0)


def faster_than_the_balancer(arm: Arm) -> None:
    arm.change(end_s=arm.rows[-1].sent_s + 0.07)


def a_call_that_ends_first(arm: Arm) -> None:
    arm.journal[-1] = replace(arm.journal[-1], end_s=arm.journal[-1].time_s - 1.0)


def a_call_that_took_no_time_that_is_known(arm: Arm) -> None:
    arm.journal[-1] = replace(arm.journal[-1], service_s=math.nan)


def a_wait_that_is_no_number(arm: Arm) -> None:
    arm.journal[-1] = replace(arm.journal[-1], retry_after_s=math.inf)


def a_span_that_ends_first(arm: Arm) -> None:
    arm.spans[-1] = replace(arm.spans[-1], end_ns=arm.spans[-1].start_ns - 1_000_000_000)


def a_call_that_was_planned_to_take_less_than_nothing(arm: Arm) -> None:
    arm.journal[-1] = replace(arm.journal[-1], service_s=-0.1)


def a_call_with_fewer_tokens_than_none(arm: Arm) -> None:
    arm.journal[-1] = replace(arm.journal[-1], output_tokens=-5)


def a_queue_wait(waited: object) -> Callable[[Arm], None]:
    def spoil(arm: Arm) -> None:
        number = next(n for n, span in enumerate(arm.spans) if span.kind == "server" and span.of_agent)
        told = {**arm.spans[number].attributes, contract.QUEUE_WAIT_S: waited}
        arm.spans[number] = replace(arm.spans[number], attributes=told)

    return spoil


def set_up(**facts: object) -> Callable[[Arm], None]:
    return lambda arm: arm.set(**facts)


def a_call_that_is_not_in_the_journal(arm: Arm) -> None:
    arm.journal.pop()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (before_it_was_due, "1 of 10 requests have times that are out of order"),
        (before_it_was_sent, "1 of 10 requests have times that are out of order"),
        (words_before_the_first_byte, "1 of 10 requests have times that are out of order"),
        (at_no_time, "1 of 10 requests have times that are out of order"),
        (with_the_trace_of_another, "1 of 10 requests have the trace of another"),
        (with_the_id_of_another, "1 of 10 requests have the id of another"),
        (of_another_phase, "1 of 10 requests were due when their phase of the load did not last"),
        (before_its_phase, "1 of 10 requests were due when their phase of the load did not last"),
        (before_the_load, "requests were due when their phase of the load did not last"),
        (faster_than_the_balancer, "took less time than the balancer was at work on them"),
        (a_call_that_ends_first, "1 of 10 model calls end before they begin"),
        (a_call_that_took_no_time_that_is_known, "1 of 10 model calls have times that are no numbers"),
        (a_wait_that_is_no_number, "1 of 10 model calls have times that are no numbers"),
        (a_span_that_ends_first, "spans end before they begin"),
        (a_call_that_was_planned_to_take_less_than_nothing, "1 of 10 model calls have figures below zero"),
        (a_call_with_fewer_tokens_than_none, "1 of 10 model calls have figures below zero"),
        *(
            (a_queue_wait(waited), "1 of 10 server spans have an agentrig.queue.wait that can't be")
            for waited in (-0.2, 60.0, math.nan, "0.1", True)
        ),
        (set_up(concurrency_limit=0), "its concurrency_limit is 0"),
        (set_up(dropped=-1), "its dropped is -1"),
        (set_up(quota_rps=0.0), "its quota_rps is 0.0"),
        (set_up(backoff_slowed=math.nan), "its backoff_slowed is nan"),
        (a_call_that_is_not_in_the_journal, "1 of 10 model calls are not in the journal"),
    ],
)
def test_what_can_t_be_is_told(spoil: Callable[[Arm], None], said: str) -> None:
    arm = sound()
    spoil(arm)
    assert said in (arm.history().impossible or "")


def test_a_wait_for_a_slot_that_can_be_is_not_told() -> None:
    arm = sound()
    a_queue_wait(0.05)(arm)
    assert arm.history().impossible is None


def test_a_load_that_ended_before_it_began_is_told() -> None:
    data = Arm().data()
    turned = replace(data.facts, end_s=data.facts.start_s - 1.0)
    assert join(replace(data, facts=turned)).impossible == "its load ended before it began"


def test_a_request_that_ends_after_the_load_is_told() -> None:
    arm = sound()
    data = arm.data()
    cut = replace(data.facts, end_s=data.facts.end_s - 1.0)
    assert "1 of 10 requests end after the load had" in (join(replace(data, facts=cut)).impossible or "")


def test_a_burst_phase_without_a_length_is_due_at_an_instant() -> None:
    arm = sound()
    arm.request(due_s=12.0)
    arm.change(phase="crowd")
    assert arm.history().impossible is None


def test_who_left_before_the_balancer_had_done_is_no_contradiction() -> None:
    arm = sound()
    arm.change(end_s=arm.rows[-1].sent_s + 0.07, status=0, error="timeout")
    assert arm.history().impossible is None


def test_what_is_there_twice_counts_once() -> None:
    arm = sound()
    arm.init()
    arm.gauge(1.0, 1)
    once = arm.history()
    arm.spans *= 2
    arm.journal *= 2
    arm.samples *= 2
    assert arm.history() == once


def test_a_figure_that_is_no_number_was_not_seen() -> None:
    arm = sound()
    arm.sample(contract.HANDSHAKES, math.nan, 0.0, contract.SERVICE_MCP)
    arm.gauge(1.0, 1)
    arm.sample(contract.INFLIGHT, math.inf, 2.0, "agent-1")
    history = arm.history()
    assert (history.handshakes, len(history.gauges)) == (None, 1)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"cores": 0}, "its cores is 0"),
        ({"cores": math.nan}, "its cores is nan"),
        ({"others_cores": -1.0}, "its others_cores is -1.0"),
        ({"others_cores": math.nan}, "its others_cores is nan"),
        ({"start_s": -math.inf}, "its start_s is -inf"),
        ({"ramp_p99_ms": math.inf}, "its ramp_p99_ms is inf"),
        (
            {"usage": (ProcessUsage(name="locust", cpu_s=math.nan, wall_s=9.0, rss_mb=1.0),)},
            "its cpu_s is nan",
        ),
        ({"events": (FleetEvent(time_s=math.nan, action="kill", container="agent-1"),)}, "its time_s is nan"),
        ({"windows": (Window(kind="fault", name="auth", from_s=math.nan, to_s=9.0),)}, "its from_s is nan"),
        ({"windows": (Window(kind="fault", name="auth", from_s=1.0, to_s=math.nan),)}, "its to_s is nan"),
        (
            {"windows": (Window(kind="fault", name="auth", from_s=9.0, to_s=1.0),)},
            "its auth ended before it began",
        ),
    ],
)
def test_a_set_up_with_figures_that_are_none_is_told_and_summed_up_all_the_same(
    facts: dict[str, object], said: str
) -> None:
    data = sound().data()
    history = join(replace(data, facts=replace(data.facts, **facts)))
    assert said in (history.impossible or "")
    assert any(said in warning for warning in summarise(history).warnings)


def test_weather_that_had_not_ended_is_no_contradiction() -> None:
    arm = sound()
    storm = Window(kind="weather", name="stall", from_s=3.0, to_s=math.inf)
    arm.set(windows=(*arm.facts.windows, storm))
    assert arm.history().impossible is None


@pytest.mark.parametrize("wrong", [{"time_s": math.nan}, {"took_s": math.inf}, {"took_s": -1.0}])
def test_a_look_at_no_time_that_is_known_was_none(wrong: dict[str, float]) -> None:
    arm = sound()
    arm.gauge(1.0, 1)
    arm.samples[-1] = replace(arm.samples[-1], **wrong)
    arm.sample(contract.HELD[0], 1.0, 1.0, "agent-1")
    arm.samples[-1] = replace(arm.samples[-1], **wrong)
    history = arm.history()
    assert (history.gauges, history.growth) == ((), ())
