"""A block, boiled down."""

from dataclasses import replace

import pytest

from harness.gate.blocks import (
    ANSWER,
    ANSWERS_AT_LIMIT,
    AT_LIMIT,
    ATTEMPTS,
    CALLS,
    COLD_ANSWER,
    CPU,
    ERRORS,
    MEASURES,
    P50,
    P99,
    PER_REQUEST_AT_LIMIT,
    RSS,
    SHORT_ANSWER,
    TOKENS,
    TTFT_P50,
    TTFT_P99,
    Block,
    ResourceUse,
    Side,
    calls_of_block,
    order_of,
    summarise_block,
)
from harness.records.seen import JournalRow
from harness.records.sent import RequestRow
from tests.harness.histories import Arm

SPENT = ResourceUse(wall_s=10.0, cores=2, all_cpu_s=10.0, agents_cpu_s=4.0, agents_rss_mb=200.0)


def block_of(arm: Arm) -> Block:
    return summarise_block(
        arm.rows, arm.journal, SPENT, scenario="steady", pair=1, side=Side.HEAD, first=True, start_s=0.0
    )


def arm_of(requests: int) -> Arm:
    arm = Arm()
    for number in range(requests):
        arm.request(due_s=number * 1.0, end_s=number + 0.001 * (number + 1))
    return arm


def replace_rows(arm: Arm, rows: list[RequestRow]) -> Arm:
    arm.rows = rows
    return arm


def test_its_figures_are_those_of_the_successes() -> None:
    block = block_of(arm_of(400))
    assert block.figures[P50.name] == pytest.approx(200.0, abs=0.01)
    assert block.figures[P99.name] == pytest.approx(396.0, abs=0.01)
    assert block.figures[CPU.name] == pytest.approx(10.0)
    assert block.figures[RSS.name] == 200.0
    assert block.figures[ATTEMPTS.name] == 1.0
    assert block.cpu_utilisation == 0.5
    assert block.slowest[0] == arm_of(400).rows[-1].trace_id


def test_too_few_successes_give_no_p99() -> None:
    assert P99.name not in block_of(arm_of(298)).figures
    assert P99.name in block_of(arm_of(299)).figures


def test_a_fast_failure_is_an_error_and_no_latency() -> None:
    arm = arm_of(300)
    for _ in range(100):
        arm.request(due_s=400.0, end_s=400.0001, status=500, error="broken")
    block = block_of(arm)
    assert (block.requests, block.errors, block.successes) == (400, 100, 300)
    assert block.figures[P99.name] > 290


def test_what_the_model_refused_for_good_is_nobodys_error() -> None:
    arm = arm_of(300)
    arm.request(calls=[["auth"]], status=502, error="auth")
    block = block_of(arm)
    assert (block.errors, block.refused, block.failed) == (0, 1, 1)
    assert block.figures[ERRORS.name] == 301 / 300


@pytest.mark.parametrize("source", ["auth", "request"])
def test_what_the_model_refused_for_the_agents_own_fault_is_an_error(source: str) -> None:
    arm = arm_of(300)
    arm.request(calls=[["auth"]], status=502, error="auth")
    arm.journal[-1] = replace(arm.journal[-1], source=source)
    block = block_of(arm)
    assert (block.errors, block.refused) == (1, 0)


def test_retries_show() -> None:
    arm = Arm()
    arm.request(calls=[["overloaded", "ok"]])
    arm.request()
    assert block_of(arm).figures[ATTEMPTS.name] == 1.5


def test_a_request_that_was_planned_and_never_ended_is_an_error() -> None:
    arm = arm_of(300)
    block = summarise_block(
        arm.rows,
        arm.journal,
        SPENT,
        scenario="steady",
        pair=1,
        side=Side.HEAD,
        first=True,
        start_s=0.0,
        planned=400,
    )
    assert (block.requests, block.errors, block.successes, block.lost) == (400, 100, 300, 100)
    assert block.figures[ERRORS.name] == pytest.approx(4 / 3)


def test_a_head_that_fails_its_first_requests_fails_them_though_their_times_do_not_count() -> None:
    arm = arm_of(340)
    for number in range(10):
        arm.rows[number] = replace(arm.rows[number], status=500, error="not ready")
    first, rows = arm.rows[:40], arm.rows[40:]
    block = summarise_block(
        rows,
        arm.journal,
        SPENT,
        scenario="steady",
        pair=1,
        side=Side.HEAD,
        first=True,
        start_s=0.0,
        warm_up=first,
        planned=345,
    )
    assert (block.requests, block.errors, block.lost, block.successes) == (345, 15, 5, 300)
    assert block.figures[ERRORS.name] == 345 / 330
    assert block.figures[P50.name] == block_of(replace_rows(arm, rows)).figures[P50.name]


def test_errors_are_a_figure_that_stays_finite() -> None:
    assert block_of(arm_of(300)).figures[ERRORS.name] == 1.0
    arm = Arm()
    arm.request(status=500, error="broken")
    for _ in range(9):
        arm.request(status=500, error="broken")
    assert block_of(arm).figures[ERRORS.name] == 10.0


def test_an_empty_block_has_no_figures_of_requests() -> None:
    block = block_of(Arm())
    assert set(block.figures) == {RSS.name}
    assert block.requests == 0


def at_limit(took_s: list[float], **request: object) -> Arm:
    """Make 300 steady requests, and then some that are due at once."""
    arm = arm_of(300)
    for each_s in took_s:
        arm.request(due_s=1000.0, end_s=1000.0 + each_s, **request)
    arm.rows[300:] = [replace(row, phase=AT_LIMIT) for row in arm.rows[300:]]
    return arm


def test_requests_that_come_all_at_once_tell_the_throughput_and_no_latency() -> None:
    block = block_of(at_limit([1.0, 2.0, 3.0, 4.0]))
    assert block.figures[PER_REQUEST_AT_LIMIT.name] == pytest.approx(1000.0)
    assert block.figures[P99.name] == block_of(arm_of(300)).figures[P99.name]
    assert (block.requests, block.successes) == (304, 300)


def test_what_fails_at_the_limit_is_an_error_and_no_throughput() -> None:
    block = block_of(at_limit([1.0, 4.0], status=500, error="broken"))
    assert block.errors == 2
    assert PER_REQUEST_AT_LIMIT.name not in block.figures
    assert block.figures[ANSWERS_AT_LIMIT.name] == 0.0


def test_who_answers_only_what_it_has_room_for_is_as_fast_and_its_answers_are_counted() -> None:
    """Four at a time, a second each: all eight of them in two seconds, or four in one and no other."""
    waits, refuses = at_limit([1.0] * 4 + [2.0] * 4), at_limit([1.0] * 4)
    for _ in range(4):
        refuses.request(due_s=1000.0, end_s=1000.01, status=503, error="busy")
        refuses.rows[-1] = replace(refuses.rows[-1], phase=AT_LIMIT)
    figures = [block_of(each).figures for each in (waits, refuses)]
    assert figures[0][PER_REQUEST_AT_LIMIT.name] == pytest.approx(figures[1][PER_REQUEST_AT_LIMIT.name])
    assert [each[ANSWERS_AT_LIMIT.name] for each in figures] == [8.0, 4.0]


@pytest.mark.parametrize("status", [429, 503])
def test_who_is_turned_away_at_the_limit_is_no_error_and_lowers_the_throughput(status: int) -> None:
    arm = at_limit([1.0, 4.0])
    arm.request(due_s=1000.0, end_s=1000.01, status=status, error="busy")
    arm.rows[-1] = replace(arm.rows[-1], phase=AT_LIMIT)
    arm.journal = [row for row in arm.journal if row.trace_id != arm.rows[-1].trace_id]
    block = block_of(arm)
    assert (block.errors, block.figures[ERRORS.name]) == (0, 1.0)
    assert block.figures[PER_REQUEST_AT_LIMIT.name] == pytest.approx(2000.0)
    assert block.figures[CALLS.name] == pytest.approx(1.0)
    assert block.figures[ANSWERS_AT_LIMIT.name] == 2.0
    assert block.figures[CPU.name] == pytest.approx(4000 / 302)  # of those that were worked on
    turned = arm_of(300)
    turned.request(due_s=400.0, end_s=400.01, status=status, error="busy")
    assert block_of(turned).errors == 1  # below the limit, nobody is


def test_a_new_containers_first_answer_is_a_figure_where_one_was_asked() -> None:
    arm = arm_of(300)
    block = summarise_block(
        arm.rows,
        arm.journal,
        SPENT,
        scenario="steady",
        pair=1,
        side=Side.BASE,
        first=True,
        start_s=0.0,
        cold_answer_s=0.25,
    )
    assert block.figures[COLD_ANSWER.name] == 250.0
    assert COLD_ANSWER.name not in block_of(arm).figures


@pytest.mark.parametrize(
    ("others", "physical", "utilisation"),
    [(0.0, None, 0.5), (0.0, 8.0, 0.5), (0.9, 2.0, 0.95), (1.0, 8.0, 0.5), (6.0, 8.0, 0.875)],
)
def test_a_machine_that_others_fill_is_full(
    others: float, physical: float | None, utilisation: float
) -> None:
    spent = replace(SPENT, others_cores=others, physical=physical)
    assert spent.utilisation == pytest.approx(utilisation)
    assert replace(spent, wall_s=0.0).utilisation == 0.0


def test_the_time_to_the_first_token_is_a_figure_where_a_stream_is_asked_for() -> None:
    arm = arm_of(400)
    arm.rows = [replace(row, first_token_s=row.due_s + 0.05) for row in arm.rows]

    def figures(*, streams: bool) -> dict[str, float]:
        block = summarise_block(
            *(arm.rows, arm.journal, SPENT),
            scenario="steady",
            pair=1,
            side=Side.HEAD,
            first=True,
            start_s=0.0,
            streams=streams,
        )
        return {name: figure for name, figure in block.figures.items() if "ttft" in name}

    assert figures(streams=True) == pytest.approx({TTFT_P50.name: 50.0, TTFT_P99.name: 50.0}, abs=0.01)
    assert figures(streams=False) == {}
    assert {TTFT_P50, TTFT_P99} <= set(MEASURES)


# --- what the simulator received --------------------------------------------------------
def calls(requests: int, *, attempts: int = 1, traced: bool, trace_of: str | None = None) -> list[JournalRow]:
    """One call a request, each of so many attempts; without a trace the simulator makes one up for each."""
    return [
        JournalRow(
            time_s=float(number),
            end_s=number + 0.1,
            connection=1,
            protocol="openai",
            model="m",
            stream=False,
            call_id=f"call-{number}",
            attempt=attempt,
            trace_id=(trace_of or f"{number:032x}") if traced else f"{number:030x}{attempt:02x}",
            parent_span_id="1" * 16 if traced else None,
            input_tokens=40 if attempt == attempts else 0,
            output_tokens=10 if attempt == attempts else 0,
        )
        for number in range(requests)
        for attempt in range(1, attempts + 1)
    ]


@pytest.mark.parametrize("attempts", [1, 2])
def test_attempts_calls_and_tokens_need_no_trace_of_the_agent(attempts: int) -> None:
    sent = arm_of(440).rows
    journal, called_by = calls_of_block(calls(440, attempts=attempts, traced=False), sent[40:], sent)
    assert (len(journal), called_by) == (440 * attempts, 440)
    block = summarise_block(
        sent[40:],
        journal,
        SPENT,
        scenario="steady",
        pair=1,
        side=Side.HEAD,
        first=True,
        start_s=0.0,
        called_by=called_by,
    )
    assert block.figures[ATTEMPTS.name] == attempts
    assert block.figures[CALLS.name] == 1.0
    assert block.figures[TOKENS.name] == 50.0


def test_where_traces_tell_the_warm_up_does_not_count() -> None:
    arm = Arm()
    for _ in range(50):
        arm.request()
    sent = arm.rows
    journal = [replace(row, trace_id=sent[n].trace_id) for n, row in enumerate(calls(50, traced=True))]
    kept, called_by = calls_of_block(journal, sent[40:], sent)
    assert (len(kept), called_by) == (10, 10)
    some_lost = [*journal[:-5], *calls(5, traced=False)]
    assert calls_of_block(some_lost, sent[40:], sent) == (some_lost, 50)


def test_a_block_without_a_call_has_no_figure_of_calls() -> None:
    assert calls_of_block([], [], []) == ([], 0)
    figures = block_of(Arm()).figures
    assert not {ATTEMPTS.name, CALLS.name, TOKENS.name} & figures.keys()


def test_of_two_pairs_in_a_row_each_side_is_first_in_one() -> None:
    for seed in range(20):
        order = [order_of(pair, "steady", seed) for pair in range(1, 25)]
        assert all(one == other[::-1] for one, other in zip(order[::2], order[1::2], strict=True))
    drawn = {tuple(order_of(pair, name, 1)) for pair in range(1, 25, 2) for name in ("steady", "tools")}
    assert len(drawn) == 2


def test_answers_have_their_mean_length_and_that_of_the_shortest() -> None:
    arm = arm_of(200)
    short = [replace(row, answer_chars=3 if row.index < 2 else 103) for row in arm.rows]
    arm.rows[:] = [*short, replace(short[-1], status=500, error="broken", answer_chars=None)]
    figures = block_of(arm).figures
    assert figures[ANSWER.name] == 102.0
    assert figures[SHORT_ANSWER.name] == 3.0


def test_where_nobody_looked_answers_have_no_length() -> None:
    assert ANSWER.name not in block_of(arm_of(10)).figures
