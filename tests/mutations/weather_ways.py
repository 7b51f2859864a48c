"""What a tampering hand does to an arm that was restored, had weather, or was soaked."""

from dataclasses import replace
from itertools import count
from typing import Any

from harness import contract
from harness.records.seen import Span
from harness.records.sent import RequestRow
from harness.records.setup import Window
from tests.mutations.hand import Hand


# --- restored ----------------------------------------------------------------------------
def copies(hand: Hand, **of_first: Any) -> None:
    first, *others = hand.facts.restored
    hand.facts = replace(hand.facts, restored=(replace(first, **of_first), *others))


def the_first_answer_of_one_is_an_error(hand: Hand) -> None:
    copies(hand, status=502, error="auth")


def one_of_those_that_came_with_the_first_failed(hand: Hand) -> None:
    copies(hand, failed=("HTTP 500: the client is closed",))


def one_used_a_dead_connection(hand: Hand) -> None:
    first, *others = hand.facts.connections
    hand.facts = replace(hand.facts, connections=(replace(first, dead_used=True), *others))


def a_model_call_with_the_key_of_before(hand: Hand) -> None:
    row = max(hand.journal, key=lambda each: each.time_s)
    hand.change(row, source="auth", decision="auth", status=401, fault_class="permanent")


def nobody_saw_the_connections_of_one(hand: Hand) -> None:
    kept = [each for each in hand.facts.connections if each.container != hand.facts.restored[0].container]
    hand.facts = replace(hand.facts, connections=tuple(kept))


def two_began_the_same_trace(hand: Hand) -> None:
    """Of the requests that came without one."""
    mine, yours = _roots(hand)
    hand.change(yours, trace_id=mine.trace_id)


def two_drew_the_same_span_id(hand: Hand) -> None:
    mine, yours = _roots(hand)
    hand.change(yours, span_id=mine.span_id)


def two_drew_the_same_agent_id(hand: Hand) -> None:
    since_ns = min(copy.restored_s for copy in hand.facts.restored) * 1e9
    told = [s for s in hand.spans if contract.AGENT_ID in s.attributes and s.start_ns > since_ns]
    other = next(span for span in told if span.instance != told[0].instance)
    same = {contract.AGENT_ID: told[0].attributes[contract.AGENT_ID]}
    hand.change(other, attributes={**other.attributes, **same})


def _roots(hand: Hand) -> tuple[Span, Span]:
    """Return the first span of two containers that began a trace themselves after the restore."""
    since_ns = min(copy.restored_s for copy in hand.facts.restored) * 1e9
    roots = [
        span
        for span in hand.spans
        if span.of_agent
        and span.kind == "server"
        and span.parent_span_id is None
        and span.start_ns > since_ns
    ]
    mine = roots[0]
    return mine, next(span for span in roots if span.instance != mine.instance)


def two_named_requests_alike(hand: Hand) -> None:
    copies(hand, requests=hand.facts.restored[1].requests)


def two_gave_one_session(hand: Hand) -> None:
    copies(hand, sessions=hand.facts.restored[1].sessions)


def a_client_renewed_twice(hand: Hand) -> None:
    since_ns = min(copy.restored_s for copy in hand.facts.restored) * 1e9
    built = next(
        span
        for span in hand.spans
        if span.name.startswith(contract.SPAN_CLIENT_INIT) and span.start_ns > since_ns
    )
    hand.spans.append(replace(built, span_id="f" * 16))


def the_stamp_of_another_life(hand: Hand) -> None:
    copies(hand, stamp=hand.facts.restored[0].restored_s - 6 * 3600)


def the_hook_was_not_there(hand: Hand) -> None:
    copies(hand, hooked=False)


def nothing_was_restored(hand: Hand) -> None:
    hand.facts = replace(hand.facts, restored=())


# --- weather -----------------------------------------------------------------------------
def the_next_answer_knows_nothing_of_a_turn(hand: Hand) -> None:
    earlier, later = _two_turns(hand)
    hand.change(later, recalled=tuple(word for word in later.recalled if word != earlier.canary))


def _two_turns(hand: Hand) -> tuple[RequestRow, RequestRow]:
    """Return an answered turn, and the one that is the next of its conversation."""
    rows = sorted(hand.ok(), key=lambda row: row.sent_s)
    for row in rows:
        after = [each for each in rows if each.session_id == row.session_id and each.sent_s >= row.end_s]
        if after:
            return row, after[0]
    raise AssertionError("no conversation has two turns")


def the_save_of_a_last_turn_failed(hand: Hand) -> None:
    last = max(hand.ok(), key=lambda row: row.sent_s)
    for span in hand.trace(last):
        if span.name == contract.SPAN_SESSION_SAVE:
            hand.change(span, error=True)


def one_waits_for_half_a_minute(hand: Hand) -> None:
    window = weathers(hand)[0]
    row = next(row for row in hand.ok() if row.sent_s > hand.facts.start_s + window.from_s)
    for span in [hand.server(row), *(s for s in hand.trace(row) if s.service == contract.SERVICE_ENVOY)]:
        hand.change(span, end_ns=span.start_ns + 30_000_000_000)
    hand.change(row, end_s=row.sent_s + 31.0)
    hand.facts = replace(hand.facts, end_s=max(hand.facts.end_s, row.sent_s + 31.0))


def weathers(hand: Hand) -> list[Window]:
    return [window for window in hand.facts.windows if window.kind == "weather"]


def the_model_was_paid_for_what_was_lost(hand: Hand) -> None:
    window = next(window for window in weathers(hand) if window.name == "read_only")
    from_s, to_s = (hand.facts.start_s + at_s for at_s in (window.from_s + 0.5, window.to_s))
    row = next(row for row in hand.rows if not row.ok and from_s < row.sent_s and row.end_s < to_s)
    call = next(row for row in hand.journal if row.answered)
    hand.journal.append(
        replace(
            call,
            time_s=row.sent_s + 0.01,
            end_s=row.end_s,
            trace_id=row.trace_id,
            parent_span_id="e" * 16,
            call_id="paid",
            canary=row.canary,
        )
    )


def one_fails_long_after_the_weather(hand: Hand) -> None:
    last = max(hand.ok(), key=lambda row: row.sent_s)
    hand.change(last, status=503, error="session_store", recalled=())


def all_came_back_to_the_store_at_once(hand: Hand) -> None:
    broken_s = hand.facts.start_s + next(w for w in weathers(hand) if w.name == "restart").to_s
    steps = count()
    hand.facts = replace(
        hand.facts,
        connections=tuple(
            replace(each, opened_s=broken_s + 0.05 + next(steps) * 1e-4)
            if each.target == "store" and broken_s < each.opened_s < broken_s + 1.0
            else each
            for each in hand.facts.connections
        ),
    )


def ready_whatever_the_store_says(hand: Hand) -> None:
    for point in [point for point in hand.metrics if point.name == contract.READY]:
        hand.change(point, value=1.0)


def one_says_no_from_the_weather_on(hand: Hand) -> None:
    ended_s = hand.facts.start_s + max(window.to_s for window in weathers(hand))
    name = hand.facts.containers[0].name
    for point in [point for point in hand.metrics if point.name == contract.READY]:
        if point.source == name and point.time_s > ended_s:
            hand.change(point, value=0.0)


def nobody_asked_whether_it_was_ready(hand: Hand) -> None:
    hand.metrics = [point for point in hand.metrics if point.name != contract.READY]


# --- weather of the tool server ------------------------------------------------------------
def tool_results(hand: Hand, *of: RequestRow) -> list[Span]:
    """Return what the tool server tells of calls, of all or of some requests."""
    traces = {row.trace_id for row in of}
    return [
        span
        for span in hand.spans
        if span.service == contract.SERVICE_MCP
        and span.name.startswith("tools/call")
        and (not of or span.trace_id in traces)
    ]


def a_last_answer_has_no_tool(hand: Hand) -> None:
    for span in tool_results(hand, max(hand.ok(), key=lambda row: row.sent_s)):
        hand.drop(span)


def the_tool_of_a_last_answer_failed(hand: Hand) -> None:
    for span in tool_results(hand, max(hand.ok(), key=lambda row: row.sent_s)):
        hand.change(span, error=True)


def nearly_all_fail_while_one_has_weather(hand: Hand) -> None:
    window = next(window for window in weathers(hand) if window.container is not None)
    from_s, to_s = (hand.facts.start_s + at_s for at_s in (window.from_s, window.to_s))
    for number, row in enumerate([row for row in hand.ok() if from_s <= row.sent_s < to_s]):
        if number % 10:
            hand.change(row, status=503, error="APIConnectionError", recalled=())


def all_had_weather_at_that_time(hand: Hand) -> None:
    hand.facts = replace(
        hand.facts, windows=tuple(replace(window, container=None) for window in hand.facts.windows)
    )


def the_tool_server_tells_of_no_call(hand: Hand) -> None:
    for span in tool_results(hand):
        hand.drop(span)


# --- frozen ------------------------------------------------------------------------------
def three_more_hung_in_the_frozen_one(hand: Hand) -> None:
    freeze, thaw = hand.facts.events[:2]
    address = next(each.address for each in hand.facts.containers if each.name == freeze.container)
    sent = [
        row for row in hand.ok() if freeze.time_s < row.sent_s < thaw.time_s - 1.0 and row.upstream != address
    ]
    for row in sent[:3]:
        for span in hand.trace(row):
            if span.of_agent:
                hand.change(span, instance=freeze.container)
            if span.attributes.get(contract.UPSTREAM_ADDRESS) == row.upstream:
                told = {**span.attributes, contract.UPSTREAM_ADDRESS: address}
                hand.change(span, attributes=told, end_ns=int((thaw.time_s + 0.2) * 1e9))
        hand.change(row, upstream=address, end_s=thaw.time_s + 0.2)


def frozen_for_a_moment(hand: Hand) -> None:
    """In which nobody could have hung."""
    freeze, thaw, *others = hand.facts.events
    hand.facts = replace(hand.facts, events=(freeze, replace(thaw, time_s=freeze.time_s + 0.6), *others))


def nothing_was_frozen(hand: Hand) -> None:
    hand.facts = replace(hand.facts, events=())


# --- soaked ------------------------------------------------------------------------------
def memory_grows_by_a_hundred_kilobytes_a_request(hand: Hand) -> None:
    done_s = sorted(row.end_s for row in hand.rows)
    for point in [point for point in hand.metrics if point.name == contract.HELD[0]]:
        served = sum(end_s <= point.time_s for end_s in done_s)
        hand.change(point, value=point.value + served * 100_000)


def only_ten_looks_were_kept(hand: Hand) -> None:
    held = [point for point in hand.metrics if point.name in contract.HELD]
    kept = [point for name in contract.HELD for point in [p for p in held if p.name == name][:10]]
    hand.metrics = [point for point in hand.metrics if point not in held] + kept
