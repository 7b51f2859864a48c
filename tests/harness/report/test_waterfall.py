from dataclasses import replace

from harness.report.waterfall import MOST_LETTERS, MOST_SPANS, waterfall
from tests.harness.report import sample

TRACE = sample.trace("7", (0.0, 0.1, 1.1, 2), retried=True)


def test_children_follow_their_parent_one_step_deeper() -> None:
    rows = waterfall(TRACE).rows
    assert [(row.name, row.depth) for row in rows[:5]] == [
        ("POST /invocations", 0),
        ("POST /invocations", 1),
        ("invoke_agent", 2),
        ("chat gpt-sim", 3),
        ("POST /v1/chat/completions", 4),
    ]
    assert len(rows) == len(TRACE)


def test_the_order_in_which_spans_arrive_does_not_matter() -> None:
    assert waterfall(tuple(reversed(TRACE))) == replace(waterfall(TRACE), trace_id=TRACE[0].trace_id)


def test_bars_lie_where_their_span_was() -> None:
    root, server = waterfall(TRACE).rows[:2]
    assert (root.left, root.width) == (0, 100)
    assert (server.left, server.width) == (9.09, 90)
    assert all(row.left + row.width <= 100.02 for row in waterfall(TRACE).rows)


def test_failures_events_and_attributes_are_told() -> None:
    rows = waterfall(TRACE).rows
    assert [row.name for row in rows if row.error] == ["POST /v1/chat/completions"] * 2
    failed = next(row for row in rows if row.error)
    assert ("status", "429 rate_limit_exceeded") in failed.details
    assert ("http.response.status_code", "429") in failed.details
    call = rows[3]
    assert call.events == (21.82,)
    assert (
        "agentrig.retry at 240 ms",
        "agentrig.retry.delay = 1.3, agentrig.retry.delay_source = retry_after",
    ) in call.details


def test_spans_whose_parent_is_missing_or_that_go_round_in_a_circle_are_still_shown() -> None:
    orphan = replace(TRACE[2], parent_span_id="not there")
    first = replace(TRACE[3], parent_span_id=TRACE[4].span_id)
    second = replace(TRACE[4], parent_span_id=TRACE[3].span_id)
    rows = waterfall((orphan, first, second)).rows
    assert len(rows) == 3
    assert rows[0].depth == 0


def test_a_trace_without_length_can_be_drawn() -> None:
    (row,) = waterfall((replace(TRACE[0], end_ns=TRACE[0].start_ns),)).rows
    assert (row.left, row.width) == (0, 0)


def test_a_huge_trace_says_how_much_is_left_out() -> None:
    many = tuple(replace(TRACE[0], span_id=f"{n:016x}") for n in range(MOST_SPANS + 7))
    drawn = waterfall(many)
    assert (len(drawn.rows), drawn.left_out, drawn.spans) == (MOST_SPANS, 7, MOST_SPANS + 7)


def test_a_long_attribute_is_cut_and_shows_that_it_is() -> None:
    (row,) = waterfall((replace(TRACE[0], attributes={"long": "x" * 5000}),)).rows
    assert dict(row.details)["long"] == "x" * MOST_LETTERS + " ..."
