"""What a tampering hand does to an arm of the recorded run: one way a function."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from harness import contract
from harness.ramp import rate_of
from harness.records.seen import Span
from harness.records.sent import RequestRow
from harness.records.setup import FleetEvent
from tests.mutations.hand import Call, Hand, shifted

OK = 200


# --- rows ------------------------------------------------------------------------------
def every_fourth_row_deleted(hand: Hand) -> None:
    hand.rows = [row for row in hand.rows if row.index % 4]


def one_row_deleted(hand: Hand) -> None:
    hand.drop(hand.rows[len(hand.rows) // 2])


def one_row_twice(hand: Hand) -> None:
    hand.rows.append(hand.rows[3])


def half_end_before_they_are_due(hand: Hand) -> None:
    for row in hand.ok()[::2]:
        hand.change(row, end_s=row.due_s - 1.0)


def half_answered_at_no_time(hand: Hand) -> None:
    for row in hand.ok()[::2]:
        hand.change(row, end_s=math.nan)


def first_words_before_they_were_asked_for(hand: Hand) -> None:
    for row in hand.ok()[::2]:
        hand.change(row, first_token_s=row.due_s - 1.0)


def due_when_they_were_answered(hand: Hand) -> None:
    """What waited to be sent is taken for sent in time: the waits are gone."""
    for row in hand.ok():
        hand.change(row, due_s=row.end_s - 0.01, sent_s=row.end_s - 0.01)


def all_answered_within_ten_ms(hand: Hand) -> None:
    for row in hand.ok():
        hand.change(row, end_s=row.sent_s + 0.01, first_token_s=None)


def half_of_another_phase(hand: Hand) -> None:
    for row in [row for row in hand.ok() if row.phase == "steady"][::2]:
        hand.change(row, phase="burst")


def half_with_the_trace_of_another(hand: Hand) -> None:
    for row, other in zip(hand.ok()[::2], hand.ok()[1::2], strict=False):
        hand.change(row, trace_id=other.trace_id)


def the_same_request_id_for_half(hand: Hand) -> None:
    for row in hand.ok()[::2]:
        hand.change(row, request_id="the same")


def the_load_began_later(hand: Hand) -> None:
    hand.facts = replace(hand.facts, start_s=hand.facts.start_s + 5.0)


def first_words_of_some_not_noted(hand: Hand) -> None:
    for row in hand.ok()[::10]:
        hand.change(row, first_token_s=None)


def arrivals_dropped(hand: Hand) -> None:
    hand.rows = hand.rows[:-9]
    hand.facts = replace(hand.facts, dropped=9)


def all_answered_500(hand: Hand) -> None:
    for row in hand.ok():
        hand.fails(row)


def three_answered_500(hand: Hand) -> None:
    for row in hand.ok()[40:100:20]:
        hand.fails(row)


def one_of_five_answered_500(hand: Hand) -> None:
    for row in hand.ok()[::5]:
        hand.fails(row)


def slowest_hundredth_slower(hand: Hand, by_s: float = 5.0, phase: str = "burst") -> None:
    slow = sorted((row for row in hand.ok() if row.phase == phase), key=lambda row: -row.latency_s)
    for row in slow[: 2 + len(hand.rows) // 100]:
        hand.ends_later(row, by_s)


def first_words_of_the_slowest_later(hand: Hand, by_s: float = 5.0) -> None:
    slowest_hundredth_slower(hand, by_s)
    for row in [row for row in hand.ok() if row.latency_s > by_s and row.first_token_s is not None]:
        hand.change(row, first_token_s=row.end_s)


def one_of_ten_steady_slower(hand: Hand) -> None:
    for row in [row for row in hand.ok() if row.phase == "steady"][::10]:
        hand.ends_later(row, 8.0)


def one_of_three_ends_much_later(hand: Hand) -> None:
    for row in hand.ok()[::3]:
        hand.ends_later(row, 30.0)


def the_highest_step_slowed(hand: Hand) -> None:
    highest = max((row.phase for row in hand.rows), key=lambda phase: rate_of(phase) or 0.0)
    for row in hand.ok():
        if row.phase == highest:
            hand.ends_later(row, 3.0)


def slow_after_the_fault(hand: Hand) -> None:
    clear_s = hand.facts.start_s + max(each.to_s for each in hand.facts.windows if each.kind == "fault")
    for row in hand.ok():
        if row.due_s > clear_s:
            hand.ends_later(row, 4.0)


# --- routing ---------------------------------------------------------------------------
def refused_while_idle(hand: Hand) -> None:
    for row in _alone(hand, least_s=0.0)[:3]:
        kept = {span.span_id for span in _in_container(hand, row)}
        hand.each_span(lambda span, kept=kept: None if span.span_id in kept else span)
        hand.journal = [each for each in hand.journal if each.trace_id != row.trace_id]
        hand.change(row, status=503, error="HTTP 503: busy", upstream=None)


def refused_with_a_slot_to_spare(hand: Hand) -> None:
    """The last one that was alone in its container, where readers had left before."""
    row = _alone(hand, least_s=0.0)[-1]
    kept = {span.span_id for span in _in_container(hand, row)}
    hand.each_span(lambda span: None if span.span_id in kept else span)
    hand.journal = [each for each in hand.journal if each.trace_id != row.trace_id]
    hand.change(row, status=503, error="HTTP 503: busy", recalled=())


def second_request_in_a_full_container(hand: Hand) -> None:
    for row in hand.ok():
        mine = hand.server(row)
        full = [
            each
            for each in hand.ok()
            if each.upstream != row.upstream and _overlap_s(hand.server(each), mine) > 0.02
        ]
        if full and not _looked_at(hand, row):
            _work_elsewhere(hand, row, hand.server(full[0]), full[0].upstream)
            return


def every_second_waits_beside_an_idle_one(hand: Hand) -> None:
    late = [row for row in hand.ok() if row.latency_s < 0.4 and row.due_s - 0.3 >= hand.facts.start_s]
    for row in late[::2]:
        hand.came_earlier(row, 0.3)


def slot_taken_after_the_model_was_asked(hand: Hand) -> None:
    """A request that waits for a slot has its model call open already."""
    waited = max(hand.ok(), key=lambda row: hand.server(row).start_ns / 1e9 - row.sent_s)
    call = next(each for each in hand.journal if each.trace_id == waited.trace_id)
    hand.move_attempt(call, waited.sent_s + 0.3 - call.time_s)


def one_that_joined_is_left_out(hand: Hand) -> None:
    joined = [each for each in hand.facts.containers if each.joined_s is not None and each.left_s is None]
    other = next(each for each in hand.facts.containers if each.joined_s is None)
    for row in hand.ok():
        if row.upstream == joined[0].address:
            like = replace(hand.server(row), instance=other.name)
            _work_elsewhere(hand, row, like, other.address)


def three_slots_more_than_there_were(hand: Hand) -> None:
    """As many as came never filled a container."""
    hand.facts = replace(hand.facts, concurrency_limit=hand.facts.concurrency_limit + 3)


def ten_containers_more_that_idled(hand: Hand) -> None:
    like = hand.facts.containers[0]
    idle = (replace(like, name=f"idle-{n}", address=f"127.0.0.1:{n}") for n in range(10))
    hand.facts = replace(hand.facts, containers=(*hand.facts.containers, *idle))


def those_that_joined_came_late(hand: Hand) -> None:
    """After nine tenths of the load; whom they worked for before is not looked at."""
    late_s = hand.facts.start_s + 0.9 * (hand.facts.end_s - hand.facts.start_s)
    hand.facts = replace(
        hand.facts,
        containers=tuple(
            each if each.joined_s is None else replace(each, joined_s=max(each.joined_s, late_s))
            for each in hand.facts.containers
        ),
    )


def those_that_joined_were_taken_away_again(hand: Hand) -> None:
    """After a tenth of a second; whom they worked for later is not looked at."""
    hand.facts = replace(
        hand.facts,
        containers=tuple(
            each if each.joined_s is None else replace(each, left_s=each.joined_s + 0.1)
            for each in hand.facts.containers
        ),
    )


def no_more_came_than_before(hand: Hand) -> None:
    """There were slots for all from the start."""
    hand.facts = replace(hand.facts, concurrency_limit=100 * hand.facts.concurrency_limit)


def those_taken_away_had_nothing_to_do(hand: Hand) -> None:
    """They left before the first request came, by what was noted."""
    hand.facts = replace(
        hand.facts,
        containers=tuple(
            replace(each, told_s=hand.facts.start_s) if each.told_s is not None else each
            for each in hand.facts.containers
        ),
    )


def the_first_after_the_pause_is_refused(hand: Hand) -> None:
    hand.fails(min((row for row in hand.ok() if row.phase == "again"), key=lambda row: row.sent_s), 503)


def a_container_was_there_all_the_time(hand: Hand) -> None:
    hand.facts = replace(
        hand.facts,
        containers=tuple(replace(each, joined_s=None, left_s=None) for each in hand.facts.containers),
    )


# --- /ping and the count ---------------------------------------------------------------
def ping_always(hand: Hand, says: float) -> None:
    hand.metrics = [
        replace(each, value=says) if each.name == contract.PING_BUSY else each for each in hand.metrics
    ]


def busy_by_its_ping_once_a_reader_has_left(hand: Hand) -> None:
    first = min((row for row in hand.rows if row.left), key=lambda row: row.end_s)
    name = next(each.name for each in hand.facts.containers if each.address == first.upstream)
    for each in hand.metrics.copy():
        if each.name == contract.PING_BUSY and each.source == name and each.time_s > first.end_s:
            hand.change(each, value=1.0)


def nobody_looks_once_a_reader_has_left(hand: Hand) -> None:
    first_s = min(row.end_s for row in hand.rows if row.left)
    hand.metrics = [each for each in hand.metrics if each.time_s < first_s]


def ping_waits_for_a_slot(hand: Hand) -> None:
    """It is not answered while its container says that it is busy."""
    busy = {(p.source, p.time_s) for p in hand.metrics if p.name == contract.PING_BUSY and p.value > 0}
    for point in hand.metrics.copy():
        if (point.source, point.time_s) in busy and point.name == contract.PING_BUSY:
            hand.change(point, name=contract.PING_MUTE, value=1.0, took_s=0.3)
        elif (point.source, point.time_s) in busy and point.name == contract.PING_CHANGED:
            hand.drop(point)


def one_container_is_never_looked_at(hand: Hand) -> None:
    hidden = hand.facts.containers[0].name
    hand.metrics = [each for each in hand.metrics if each.source != hidden]


def nobody_looks_any_more(hand: Hand) -> None:
    """From the middle of the load on."""
    middle_s = (hand.facts.start_s + hand.facts.end_s) / 2
    hand.metrics = [each for each in hand.metrics if each.time_s < middle_s]


def each_look_is_kept_twice(hand: Hand) -> None:
    hand.metrics += list(hand.metrics)


def handshakes_that_are_no_number(hand: Hand) -> None:
    hand.metrics = [
        replace(each, value=math.nan) if each.name == contract.HANDSHAKES else each for each in hand.metrics
    ]


def ping_stamped_at_each_poll(hand: Hand) -> None:
    hand.metrics = [
        replace(each, value=float(int(each.time_s))) if each.name == "agentrig.ping.changed_at" else each
        for each in hand.metrics
    ]


def count_falls_to_minus_fifty(hand: Hand) -> None:
    seen = [each for each in hand.metrics if each.name == "agentrig_inflight"]
    for number, each in enumerate(seen):
        hand.change(each, value=each.value - 50 * number / len(seen))


# --- clients ---------------------------------------------------------------------------
def client_built_twice(hand: Hand) -> None:
    init = _inits(hand)[0]
    later = hand.server(hand.ok()[60])
    added = {"span_id": "b" * 16, "trace_id": later.trace_id, "parent_span_id": later.span_id}
    lasts = {"start_ns": later.start_ns, "end_ns": later.start_ns + 1_000_000, "instance": init.instance}
    hand.spans.append(replace(init, **added, **lasts))


def clients_built_by_a_process_that_says_nothing_of_itself(hand: Hand) -> None:
    """A background thread builds one for every tenth request, in traces of its own."""
    init = next(each for each in _inits(hand) if each.attributes[contract.CLIENT_NAME] == "llm")
    for number, row in enumerate(hand.ok()[9::10]):
        at_ns = hand.server(row).start_ns
        of = {"trace_id": f"{number + 1:031x}e", "span_id": f"{number + 1:015x}e", "parent_span_id": None}
        hand.spans.append(
            replace(init, **of, instance=None, resource={}, start_ns=at_ns, end_ns=at_ns + 1_000_000)
        )


def clients_built_under_a_name_of_their_own_each(hand: Hand) -> None:
    """One for every fifth request, as `client.init llm-REQUEST`."""
    init = next(each for each in _inits(hand) if each.attributes[contract.CLIENT_NAME] == "llm")
    for number, row in enumerate(hand.ok()[4::5]):
        at, named = hand.server(row), {**init.attributes, contract.CLIENT_NAME: f"llm-{number}"}
        of = {"trace_id": row.trace_id, "span_id": f"{number + 1:015x}d", "parent_span_id": at.span_id}
        lasted = {"start_ns": at.start_ns, "end_ns": at.start_ns + 1_000_000, "instance": at.instance}
        hand.spans.append(replace(init, **of, **lasted, name=f"client.init llm-{number}", attributes=named))


def a_connection_for_each_call(hand: Hand) -> None:
    hand.journal = [replace(each, connection=1000 + n) for n, each in enumerate(hand.journal)]


def half_over_one_connection(hand: Hand) -> None:
    """As through a proxy that containers share."""
    for row in hand.journal[::2]:
        hand.change(row, connection=1)


def a_connection_for_each_container(hand: Hand) -> None:
    """The control arm's fault is mended."""
    hand.journal = [
        replace(each, connection=int(hand.attempt(each).instance[-1]))
        for each in hand.journal
        if hand.attempt(each).instance is not None
    ]


def model_client_rebuilt_untold(hand: Hand) -> None:
    """A new model client for every tenth request of a container, and no span of it."""
    built: dict[str, int] = {}
    for row in hand.rows:
        container = row.upstream or ""
        built[container] = built.get(container, 0) + 1
        for each in [each for each in hand.journal if each.trace_id == row.trace_id]:
            fresh = 1000 * (1 + list(built).index(container)) + built[container] // 10
            hand.change(each, connection=fresh)


def another_model_client_at_times_that_hands_no_trace_on(hand: Hand) -> None:
    """One call in fifteen; the agent tells of none, and its words are not handed on, either."""
    for number, row in enumerate(hand.journal[10::15]):
        attempt = hand.attempt(row)
        for span in [attempt, *hand.below(attempt)]:
            hand.drop(span)
        of = {"trace_id": f"{number + 1:031x}e", "parent_span_id": None, "canary": None}
        hand.change(row, connection=5000 + number, call_id=f"stray-{number}", **of)


def tool_client_rebuilt(hand: Hand, *, told: bool) -> None:
    """A new tool client for every fiftieth request, told as one in place of another, or not at all."""
    for row in hand.ok()[49::50]:
        server = hand.server(row)
        init = next(
            each
            for each in _inits(hand)
            if (each.instance, each.attributes[contract.CLIENT_NAME]) == (server.instance, "mcp")
        )
        if told:
            again = {
                **init.attributes,
                contract.CLIENT_INIT_STATE: "reinit",
                "agentrig.client.init.reason": "expired",
            }
            hand.spans.append(
                replace(
                    init,
                    span_id=f"{len(hand.spans):016x}",
                    trace_id=row.trace_id,
                    parent_span_id=server.span_id,
                    start_ns=server.start_ns,
                    end_ns=server.start_ns + 1_000_000,
                    attributes=again,
                )
            )
        for each in [each for each in hand.metrics if each.name == "agentrig.mcp.handshakes"]:
            hand.change(each, value=each.value + 1)


def one_container_alone_needed_a_client(hand: Hand) -> None:
    init = _inits(hand)[0]
    other = {**init.attributes, contract.CLIENT_NAME: "search"}
    hand.spans.append(replace(init, span_id="c" * 16, attributes=other))


def one_agent_alone_tells(hand: Hand) -> None:
    told = {span.span_id for span in [_invoke_agent(hand, row) for row in hand.ok()[1:]]}
    hand.each_span(
        lambda span: (
            replace(
                span,
                attributes={name: at for name, at in span.attributes.items() if name != contract.AGENT_ID},
            )
            if span.span_id in told or span.name.startswith("execute_tool")
            else span
        )
    )


def an_agent_used_twice(hand: Hand) -> None:
    first = hand.ok()[50]
    again = next(row for row in hand.ok()[60:] if row.upstream == first.upstream)
    one, other = _invoke_agent(hand, first), _invoke_agent(hand, again)
    told = {**other.attributes, contract.AGENT_ID: one.attributes[contract.AGENT_ID]}
    hand.change(other, attributes=told)


def agents_numbered_in_each_container(hand: Hand) -> None:
    """Each process counts its Agent objects from 1, and so two have the same number."""
    made: dict[str | None, int] = {}

    def numbered(span: Span) -> Span:
        if not span.name.startswith(contract.SPAN_INVOKE_AGENT):
            return span
        made[span.instance] = made.get(span.instance, 0) + 1
        return replace(span, attributes={**span.attributes, contract.AGENT_ID: str(made[span.instance])})

    hand.each_span(numbered)


# --- retries ---------------------------------------------------------------------------
def permanent_tried_twice(hand: Hand) -> None:
    call = hand.calls("bad_request")[0]
    hand.tried(call, call[0].end_s + 0.0005)


def permanent_tried_five_times_each_with_a_trace_of_its_own(hand: Hand) -> None:
    call = hand.calls("bad_request")[0]
    for number in range(1, 5):
        trace, span = f"{number:032x}", f"{number:016x}"
        again = {"trace_id": trace, "parent_span_id": span, "attempt": 1 + number}
        at_s = call[0].end_s + 0.0005 * number
        hand.journal.append(replace(call[0], **again, time_s=at_s, end_s=at_s + 0.0001))


def calls_that_cannot_be_told_apart(hand: Hand) -> None:
    """Neither a trace nor a word says whose call it is, and all say the same."""
    hand.journal = [
        replace(row, trace_id=None, parent_span_id=None, canary=None, call_id="same", attempt=number)
        for number, row in enumerate(hand.journal, start=1)
    ]


def each_attempt_in_other_words(hand: Hand) -> None:
    """Such as the time of day in the prompt: no two bodies are the same."""
    hand.journal = [
        replace(row, call_id=f"{row.call_id}-{number}", attempt=1) for number, row in enumerate(hand.journal)
    ]


def permanent_tried_again_in_other_words(hand: Hand) -> None:
    """With another body each, as with the time of day in it."""
    for call in hand.calls("bad_request"):
        for number in range(3):
            again = hand.tried(call, call[0].end_s + 0.05 * (number + 1))
            hand.change(again, call_id=f"{call[0].call_id}-{number}", attempt=1)
        late_s = call[0].end_s + 0.3 - hand.row_of(call).end_s
        if late_s > 0:
            hand.lasts_longer(hand.row_of(call), late_s)


def who_was_refused_for_good_is_told_a_second_later(hand: Hand) -> None:
    """As by a loop that sleeps before it looks whether it may try again; nobody notes that."""
    for call in hand.calls("bad_request"):
        hand.lasts_longer(hand.row_of(call), 1.0)


def tried_four_times(hand: Hand) -> None:
    call = next(call for call in _given_up(hand) if call[-1].retry_after_s is None or len(call) == 3)
    hand.tried(call, call[-1].end_s + (call[-1].retry_after_s or 0.0) + 0.001)


def tried_behind_the_agents_back(hand: Hand) -> None:
    call = hand.calls("body_truncated", "ok")[0]
    hand.tried(call, call[0].end_s + 0.001, call[0], known=False)


def tried_on_after_the_answer(hand: Hand) -> None:
    """Once, well within the bound: but the answer is out, and the caller gone."""
    call = next(call for call in hand.calls("rate_limit_requests", "ok"))
    hand.tried(call, hand.row_of(call).end_s + 0.5)


def tried_on_after_the_load(hand: Hand) -> None:
    call = hand.calls("ok")[-1]
    for number in range(2):
        hand.tried(call, hand.facts.end_s + 2.0 + number)


def strays_of_a_loop_that_never_ends(hand: Hand) -> None:
    """Its attempts have traces of their own, and words that nobody planned."""
    last = hand.journal[-1]
    served = {"decision": "overloaded", "source": "fault", "fault_class": "transient", "status": 503}
    for number in range(30):
        at_s = hand.facts.end_s - 3.0 + 0.2 * number
        of = {"trace_id": f"{number + 1:031x}e", "parent_span_id": None, "canary": None, "call_id": "stray"}
        again = replace(last, **of, **served, attempt=number + 1, time_s=at_s, end_s=at_s + 0.001)
        hand.journal.append(again)


def sent_again_to_another_container_while_it_waited(hand: Hand) -> None:
    """A container dies while it waits for Retry-After: the next one that gets it knows of no wait."""
    call = next(
        call for call in hand.calls("rate_limit_requests", "ok") if call[1].time_s - call[0].end_s > 0.3
    )
    row, told = hand.row_of(call), hand.attempt(call[0]).instance or ""
    other = next(each for each in hand.facts.containers if each.name != told)
    died_s = call[0].end_s + 0.05
    hand.facts = replace(
        hand.facts, events=(FleetEvent(time_s=died_s, action="kill", container=told), *hand.facts.events)
    )
    died_with_it = [hand.attempt(call[0]), *hand.below(hand.attempt(call[0]))]
    hand.move_attempt(call[1], died_s + 0.1 - call[1].time_s)
    _work_elsewhere(hand, row, replace(hand.server(row), instance=other.name), other.address)
    gone = {span.span_id for span in died_with_it}
    hand.each_span(lambda span: None if span.span_id in gone else span)


def more_succeeded_than_the_quota_gives(hand: Hand) -> None:
    hand.facts = replace(hand.facts, quota_rps=0.1, quota_burst=1.0)


def half_of_the_journal_lost(hand: Hand) -> None:
    hand.journal = hand.journal[::2]


def the_end_of_the_journal_lost(hand: Hand) -> None:
    hand.journal = hand.journal[: -len(hand.journal) // 10]


def calls_that_end_before_they_begin(hand: Hand) -> None:
    for row in hand.journal[::20]:
        hand.change(row, end_s=row.time_s - 1.0)


def calls_that_were_planned_to_take_less_than_nothing(hand: Hand) -> None:
    for row in hand.journal[::20]:
        hand.change(row, service_s=-row.service_s - 0.1)


def the_journal_is_written_twice(hand: Hand) -> None:
    hand.journal += list(hand.journal)


def retried_before_it_was_told_to(hand: Hand) -> None:
    call = hand.calls("rate_limit_requests", "ok")[0]
    hand.move_attempt(call[1], call[0].end_s + 0.1 - call[1].time_s)


def first_retries_at_one_instant(hand: Hand) -> None:
    """Those whom the outage turned away come back together, when all have been told to."""
    clear_s = max(_after_the_outage(call[:2]) for call in _turned_away(hand))
    for number, call in enumerate(_turned_away(hand)):
        if len(call) > 1:
            hand.move_attempt(call[1], clear_s + 0.0005 * number - call[1].time_s)


def second_retries_within_ten_ms(hand: Hand) -> None:
    again = [call for call in _turned_away(hand) if len(call) > 2]
    clear_s = max(call[1].end_s + (call[1].retry_after_s or 0.0) for call in again)
    for number, call in enumerate(again):
        hand.move_attempt(call[2], clear_s + 0.0001 * number - call[2].time_s)


def the_same_jitter_in_each_container(hand: Hand, of: Sequence[str] | None = None) -> None:
    """The waits before first retries are the same sequence in all containers, or some, as from one seed."""
    drawn: list[float] = []
    came: dict[str | None, int] = {}
    for call in sorted((call for call in hand.groups() if len(call) > 1), key=lambda call: call[0].end_s):
        container = hand.attempt(call[0]).instance
        if of is not None and container not in of:
            continue
        number = came[container] = came.get(container, -1) + 1
        wait_s = hand.told_wait_s(call[1]) - (call[0].retry_after_s or 0.0)
        if number == len(drawn):
            drawn.append(wait_s)
        by_s = drawn[number] - wait_s
        for row in call[1:]:
            hand.move_attempt(row, by_s)


def the_same_jitter_in_two_containers(hand: Hand) -> None:
    """Seeded by the second in which a process was started: of three, two were in the same one."""
    of_two = [each.name for each in hand.facts.containers][:2]
    the_same_jitter_in_each_container(hand, of_two)


def transient_faults_not_survived(hand: Hand) -> None:
    """Every fourth of those that outlived the outage is turned away at its last attempt as well."""
    for call in [call for call in _turned_away(hand) if call[-1].decision == "ok"][::4]:
        hand.served(call[-1], "overloaded", "transient", 503)
        hand.fails(hand.row_of(call), 503)


def calls_given_up_in_the_middle(hand: Hand) -> None:
    """Answers from before the outage come slowly and are hung up on: their calls are for nothing."""
    begin_s = hand.facts.start_s + min(each.from_s for each in hand.facts.windows if each.kind == "fault")
    for call in [call for call in hand.calls("ok") if call[0].time_s < begin_s]:
        hand.served(call[0], "slow_stream", "slow", 200)
        hand.change(
            next(each for each in hand.journal if each.trace_id == call[0].trace_id), client_gone=True
        )
        hand.fails(hand.row_of(call), 504)


def every_call_tried_thrice(hand: Hand) -> None:
    """What was answered at once took three attempts, as if each fault had been waited for."""
    for number, call in enumerate(hand.calls("ok")):
        first_s, second_s = 0.1 + 0.9 * _spread(number), 0.1 + 1.9 * _spread(number + 7)
        hand.lasts_longer(hand.row_of(call), first_s + second_s)
        added = hand.tried(call, call[0].end_s + first_s)
        hand.tried(call, call[0].end_s + first_s + second_s)
        for row in (call[0], added):
            same = next(each for each in hand.journal if each.parent_span_id == row.parent_span_id)
            hand.served(same, "overloaded", "transient", 503)


def a_cut_answer_taken_for_whole(hand: Hand) -> None:
    hand.forgotten(hand.calls("body_truncated", "ok")[0][1])


def every_second_answer_is_from_a_cache(hand: Hand) -> None:
    """Its model is not asked."""
    for call in hand.calls("ok")[::2]:
        attempt = hand.attempt(call[0])
        for span in [hand.parent(attempt), attempt, *hand.below(attempt)]:
            hand.drop(span)
        hand.drop(call[0])


def every_second_answer_is_out_before_its_model_is_asked(hand: Hand) -> None:
    for call in hand.calls("ok")[::2]:
        by_s = hand.row_of(call).end_s - call[0].time_s + 0.3
        attempt = hand.attempt(call[0])
        for span in [attempt, *hand.below(attempt)]:
            hand.move(span, by_s)
        hand.change(call[0], time_s=call[0].time_s + by_s, end_s=call[0].end_s + by_s)


def another_model_answers_in_place_of_one_that_was_given_up(hand: Hand) -> None:
    """As it may: whoever was given up on did not answer, and said so."""
    for call in [call for call in _given_up(hand) if call[-1].status != OK]:
        hand.lasts_longer(hand.row_of(call), 0.2)
        asked = hand.tried(call, call[-1].end_s + 0.1)
        served = {"decision": "ok", "source": None, "fault_class": None, "status": OK}
        hand.change(asked, model="another", call_id=f"{asked.call_id}-another", attempt=1, **served)
        row = hand.row_of(call)
        server = hand.server(row)
        hand.change(server, attributes={**server.attributes, contract.STATUS_CODE: OK})
        hand.change(row, status=OK, error=None, error_type=None)


def nothing_was_ever_cut(hand: Hand) -> None:
    for call in [call for call in hand.groups() if call[-1].decision == "ok"]:
        for row in call:
            if row.decision == "body_truncated":
                hand.change(row, decision="ok", source=None, fault_class=None)


# --- spans -----------------------------------------------------------------------------
def spans_lost(hand: Hand, lost: Callable[[Span], bool], each: int = 20) -> None:
    gone = {span.span_id for span in [span for span in hand.spans if lost(span)][::each]}
    hand.each_span(lambda span: None if span.span_id in gone else span)


def spans_named_lost(hand: Hand, name: str) -> None:
    spans_lost(hand, lambda span: span.name == name, each=2)


def every_span_is_exported_twice(hand: Hand) -> None:
    """As by an exporter that tried again what had arrived."""
    hand.spans += list(hand.spans)


def spans_that_end_before_they_begin(hand: Hand) -> None:
    for row in hand.ok()[::3]:
        server = hand.server(row)
        hand.change(server, end_ns=server.start_ns - 1_000_000_000)


def waited_for_a_slot(hand: Hand, s: float) -> None:
    for row in hand.ok()[::3]:
        server = hand.server(row)
        hand.change(server, attributes={**server.attributes, contract.QUEUE_WAIT_S: s})


def containers_that_may_work_on_nothing(hand: Hand) -> None:
    hand.facts = replace(hand.facts, concurrency_limit=0)


def the_balancers_clock_is_behind(hand: Hand) -> None:
    hand.each_span(
        lambda span: shifted(span, -300_000_000) if span.service == contract.SERVICE_ENVOY else span
    )


def invoke_agent_lost(hand: Hand) -> None:
    spans_lost(hand, lambda span: span.name.startswith(contract.SPAN_INVOKE_AGENT))


def every_second_trace_is_not_sampled(hand: Hand) -> None:
    """By the agent: what it calls, and who calls it, keep theirs."""
    unsampled = {row.trace_id for row in hand.rows[::2]}
    hand.each_span(lambda span: None if span.of_agent and span.trace_id in unsampled else span)


def callers_spans_lost(hand: Hand) -> None:
    spans_lost(hand, lambda span: span.service == contract.SERVICE_LOAD)


def balancers_spans_lost(hand: Hand, each: int = 20) -> None:
    spans_lost(hand, lambda span: span.service == contract.SERVICE_ENVOY, each)


def whole_traces_lost_by_the_model(hand: Hand) -> None:
    answered = {row.trace_id for row in hand.ok()[::10]}
    hand.each_span(
        lambda span: (
            None if span.trace_id in answered and span.service == contract.SERVICE_SIMULATOR else span
        )
    )


def the_models_span_of_one_attempt_lost(hand: Hand) -> None:
    """A trace that has the spans of another attempt: only the journal knows that there was one more."""
    for call in hand.calls("rate_limit_requests", "ok")[:5]:
        for span in list(hand.below(hand.attempt(call[0]))):
            hand.drop(span)


def named_by_their_image(hand: Hand) -> None:
    """Instances are named as an image names them, by an id that the fleet does not know."""
    image = {each.name: f"{number:012x}" for number, each in enumerate(hand.facts.containers, start=0xABCDEF)}
    hand.each_span(lambda span: replace(span, instance=image.get(span.instance or "", span.instance)))


def of_the_conventions_before(hand: Hand) -> None:
    """The agent's spans have the attributes of the HTTP conventions before the stable ones."""
    old = {contract.STATUS_CODE: "http.status_code", contract.METHOD: "http.method"}
    hand.each_span(
        lambda span: (
            replace(span, attributes={old.get(name, name): value for name, value in span.attributes.items()})
            if span.service == contract.SERVICE_AGENT
            else span
        )
    )


def a_containers_clock_is_behind(hand: Hand, by_s: float = 0.4) -> None:
    name = hand.facts.containers[0].name
    by_ns = round(by_s * 1e9)
    hand.each_span(lambda span: shifted(span, -by_ns) if span.instance == name else span)


def the_clocks_of_all_containers_are_a_little_ahead(hand: Hand) -> None:
    """By less than a request may take on its way: so little is not told."""
    by_ns = 8_000_000
    hand.each_span(lambda span: shifted(span, by_ns) if span.of_agent else span)


# --- sessions --------------------------------------------------------------------------
def a_word_of_another_conversation(hand: Hand) -> None:
    teller = hand.ok()[5]
    answer = next(row for row in hand.ok()[50:] if row.session_id != teller.session_id)
    hand.change(answer, recalled=(*answer.recalled, teller.canary or ""))


def a_turn_lost(hand: Hand) -> None:
    answer = _long(hand)
    hand.change(answer, recalled=answer.recalled[1:])


def a_turn_twice(hand: Hand) -> None:
    answer = _long(hand)
    hand.change(answer, recalled=(answer.recalled[0], *answer.recalled))


def turns_in_another_order(hand: Hand) -> None:
    answer = _long(hand)
    first, second, *more = answer.recalled
    hand.change(answer, recalled=(second, first, *more))


def own_turn_before_the_others(hand: Hand) -> None:
    answer = _long(hand)
    hand.change(answer, recalled=(answer.recalled[-1], *answer.recalled[:-1]))


def a_turn_forgotten_that_failed_and_was_known(hand: Hand) -> None:
    """It failed at its own caller, the next answer knows it, and the one after that does not."""
    last = next(
        row
        for row in reversed(hand.ok())
        if sum(each.session_id == row.session_id and each.sent_s < row.sent_s for each in hand.ok()) > 1
    )
    first = min((row for row in hand.rows if row.session_id == last.session_id), key=lambda row: row.sent_s)
    hand.change(first, status=0, error="reset", recalled=())
    hand.change(last, recalled=tuple(word for word in last.recalled if word != first.canary))


def two_sessions_mixed(hand: Hand) -> None:
    """Two conversations that go on at once get each other's answers."""
    one = _long(hand)
    other = next(row for row in hand.ok() if row.session_id != one.session_id and len(row.recalled) > 1)
    hand.change(one, recalled=other.recalled)
    hand.change(other, recalled=one.recalled)


def nothing_recalled(hand: Hand) -> None:
    for row in hand.ok()[1:]:
        hand.change(row, recalled=())


def no_container_was_killed(hand: Hand) -> None:
    hand.facts = replace(hand.facts, events=())


def turns_saved_after_the_answer(hand: Hand) -> None:
    for row in hand.ok()[::8]:
        saved = next((span for span in hand.trace(row) if span.name == "session.save"), None)
        if saved is not None:
            hand.move(saved, row.end_s + 0.015 - saved.start_ns / 1e9)


def the_save_of_some_turns_failed(hand: Hand) -> None:
    """Of last turns, which no later answer misses; their callers are told of a success."""
    last: dict[str, RequestRow] = {
        row.session_id: row for row in sorted(hand.ok(), key=lambda row: row.sent_s)
    }
    for row in list(last.values())[::3]:
        for span in hand.trace(row):
            if span.name == contract.SPAN_SESSION_SAVE:
                hand.change(span, error=True)


def session_loads_of_three_percent_slower(hand: Hand) -> None:
    loads = [span for span in hand.spans if span.name == "session.load"]
    for span in loads[5::33]:
        hand.change(span, end_ns=span.end_ns + 12_000_000)


# --- what they look for ----------------------------------------------------------------
def _spread(number: int) -> float:
    """Return a number from 0 to 1: of many in a row, no two are near each other."""
    return number * 0.6180339887 % 1.0


def _in_container(hand: Hand, row: RequestRow) -> Iterator[Span]:
    """Yield the agent's spans of a request, and those of what it called."""
    at = [hand.server(row)]
    while at:
        span = at.pop()
        yield span
        at += hand.below(span)


def _alone(hand: Hand, least_s: float) -> list[RequestRow]:
    """Return the requests during which no other was in work."""
    work = {row.index: hand.server(row) for row in hand.ok()}
    return [
        row
        for row in hand.ok()
        if all(
            other == row.index or _overlap_s(span, work[row.index]) <= least_s for other, span in work.items()
        )
    ]


def _overlap_s(one: Span, other: Span) -> float:
    return (min(one.end_ns, other.end_ns) - max(one.start_ns, other.start_ns)) / 1e9


def _looked_at(hand: Hand, row: RequestRow) -> bool:
    """Whether any container was looked at while a request lasted, or just before or after."""
    return any(row.sent_s - 0.1 < each.time_s < row.end_s + 0.1 for each in hand.metrics)


def _work_elsewhere(hand: Hand, row: RequestRow, like: Span, upstream: str | None) -> None:
    """Let a request be worked on in another container."""
    moved = {span.span_id for span in _in_container(hand, row) if span.service == contract.SERVICE_AGENT}
    hand.each_span(lambda span: replace(span, instance=like.instance) if span.span_id in moved else span)
    hand.change(row, upstream=upstream)


def _inits(hand: Hand) -> list[Span]:
    return [span for span in hand.spans if span.name.startswith(contract.SPAN_CLIENT_INIT)]


def _invoke_agent(hand: Hand, row: RequestRow) -> Span:
    return next(span for span in hand.trace(row) if span.name.startswith(contract.SPAN_INVOKE_AGENT))


def _given_up(hand: Hand) -> list[Call]:
    return [call for call in hand.groups() if len(call) == 3 and all(not row.answered for row in call)]


def _turned_away(hand: Hand) -> list[Call]:
    """Return the calls whose first attempt met the outage."""
    return [call for call in hand.groups() if call[0].decision == "overloaded"]


def _after_the_outage(call: Call) -> float:
    return max(row.end_s + (row.retry_after_s or 0.0) for row in call[:1])


def _long(hand: Hand) -> RequestRow:
    """Return an answer late in its conversation, which recalls what was said before."""
    return next(row for row in reversed(hand.ok()) if len(row.recalled) > 2)
