"""A tampered run is never taken for a sound one: each mutation is named by its check, and by no other.

The run is a real one, small and packed (`python -m tests.mutations.record` makes it anew); what is asked of
it stands in `experiments/`. A mutation is one thing that a broken agent, a lossy exporter or a skewed clock
would have left in the files of its folder.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.join import join
from harness.analysis.summary import summarise
from harness.experiment.coverage import CAUGHT_NOWHERE
from harness.experiment.load import OWN, catalogue, load
from harness.judge.verdict import judge
from harness.records.history import ArmData, ArmHistory
from harness.records.outcome import ArmSummary, CheckResult, Outcome
from harness.records.spec import ExperimentSpec
from harness.run import pipeline
from tests.mutations import ways, weather_ways
from tests.mutations.hand import Hand
from tests.mutations.saved import EXPERIMENTS, MOST_BYTES, PARTS, packed, recorded

FAIL, PASS, UNKNOWN = Outcome.FAIL, Outcome.PASS, Outcome.UNKNOWN
UNCHANGED, NOT_GREEN, NOT_RED = "unchanged", "not green", "not red"
EVERY, NOBODY = "every check", "nobody"
JUDGING = {"checks": (), "min_requests": 1}
"""What of an experiment may change without another recording."""
ENOUGH = 30
LOOSE = ("attempts-agree", "attempts-bounded", "spans-complete")
"""What an attempt breaks that no span tells of, beside what it was tried for."""


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """One thing that is done to an arm of the recorded run.

    Attributes:
        of: the experiment, `arm` its arm.
        do: does it.
        by: the check that must name it; `EVERY` check of the arm, or `NOBODY`, for what is no fault.
        to: what the verdict of that check becomes.
        also: checks that the same fault breaks by its nature: they change with it.
        others: what is asked of the arm's other checks. Those of other arms stay as they are in any case.
    """

    of: str
    do: Callable[[Hand], None]
    by: str
    arm: str = "sound"
    to: Outcome = FAIL
    also: tuple[str, ...] = ()
    others: str = UNCHANGED

    @property
    def name(self) -> str:
        done = self.do if not isinstance(self.do, partial) else self.do.func
        more = "" if not isinstance(self.do, partial) else "-".join(map(str, self.do.keywords.values()))
        return f"{self.of}: {self.arm}: {done.__name__} {more}".strip()


def of(experiment: str, do: Callable[..., None], by: str, **more: Any) -> Mutation:
    asked = {name: more.pop(name) for name in ("arm", "to", "also", "others") if name in more}
    return Mutation(of=experiment, do=partial(do, **more) if more else do, by=by, **asked)


MUTATIONS = (
    # rows that are lost, or that failed for no reason: nothing of the arm is green
    of("routing", ways.every_fourth_row_deleted, EVERY, to=UNKNOWN),
    of("sessions", ways.one_row_deleted, EVERY, to=UNKNOWN),
    of("clients", ways.arrivals_dropped, EVERY, to=UNKNOWN),
    of("retry", ways.one_row_twice, EVERY, to=UNKNOWN),
    of("clients", ways.all_answered_500, "no-errors", others=NOT_GREEN),
    of("retry", ways.all_answered_500, "errors-explained", others=NOT_GREEN),
    of("sessions", ways.three_answered_500, "no-errors", others=NOT_GREEN),
    of("limit", ways.one_of_five_answered_500, "errors-explained", others=NOT_GREEN),
    of(
        "routing",
        ways.one_of_five_answered_500,
        "idle-while-waiting",
        arm="blind",
        to=UNKNOWN,
        others=NOT_GREEN,
    ),
    # records that can't be: nothing of the arm is red or green
    of("sessions", ways.half_end_before_they_are_due, EVERY, to=UNKNOWN),
    of("clients", ways.half_answered_at_no_time, EVERY, to=UNKNOWN),
    of("clients", ways.first_words_before_they_were_asked_for, EVERY, to=UNKNOWN),
    of("clients", ways.due_when_they_were_answered, EVERY, to=UNKNOWN),
    of("clients", ways.all_answered_within_ten_ms, EVERY, to=UNKNOWN),
    of("clients", ways.half_of_another_phase, EVERY, to=UNKNOWN),
    of("routing", ways.half_with_the_trace_of_another, EVERY, to=UNKNOWN),
    of("sessions", ways.the_same_request_id_for_half, EVERY, to=UNKNOWN),
    of("retry", ways.the_load_began_later, EVERY, to=UNKNOWN),
    of("clients", ways.half_of_the_journal_lost, EVERY, to=UNKNOWN),
    of("retry", ways.the_end_of_the_journal_lost, EVERY, to=UNKNOWN),
    of("clients", ways.calls_that_end_before_they_begin, EVERY, to=UNKNOWN),
    of("routing", ways.spans_that_end_before_they_begin, EVERY, to=UNKNOWN),
    of("clients", ways.calls_that_were_planned_to_take_less_than_nothing, EVERY, to=UNKNOWN),
    of("routing", ways.waited_for_a_slot, EVERY, to=UNKNOWN, s=-5.0),
    of("routing", ways.waited_for_a_slot, EVERY, to=UNKNOWN, s=500.0),
    of("limit", ways.containers_that_may_work_on_nothing, EVERY, to=UNKNOWN),
    # what is there twice counts once
    of("clients", ways.every_span_is_exported_twice, NOBODY),
    of("retry", ways.the_journal_is_written_twice, NOBODY),
    of("limit", ways.each_look_is_kept_twice, NOBODY),
    # times
    of("clients", ways.slowest_hundredth_slower, "p99"),
    of("routing", ways.slowest_hundredth_slower, "p99-over-optimum", phase="steady", by_s=1.0),
    of("clients", ways.first_words_of_the_slowest_later, "ttft", also=("p99",)),
    of("clients", ways.one_of_ten_steady_slower, "steady-p95-ratio", also=("p99",)),
    of("scaling", ways.one_of_three_ends_much_later, "scaling-share", arm="n2"),
    of("ramp", ways.the_highest_step_slowed, "sustained-ratio", arm="two"),
    of("retry", ways.slow_after_the_fault, "recovery"),
    of("clients", ways.first_words_of_some_not_noted, "ttft", to=UNKNOWN),
    # who works on what
    of("routing", ways.every_second_waits_beside_an_idle_one, "idle-while-waiting"),
    of("routing", ways.three_slots_more_than_there_were, "inflight-limit", to=UNKNOWN, others=NOT_RED),
    of("scaling", ways.ten_containers_more_that_idled, "scaling-share", arm="n2", to=UNKNOWN),
    of("routing", ways.refused_while_idle, "no-503-while-idle", also=("no-errors",), others=NOT_GREEN),
    of(
        "leave",
        ways.refused_with_a_slot_to_spare,
        "served-after-leave",
        also=("errors-explained",),
        others=NOT_GREEN,
    ),
    of("routing", ways.second_request_in_a_full_container, "inflight-limit"),
    of("limit", ways.slot_taken_after_the_model_was_asked, "calls-within-limit"),
    of("scaling", ways.one_that_joined_is_left_out, "joined-share", arm="moving"),
    of("leave", ways.busy_by_its_ping_once_a_reader_has_left, "ping-free-after-leave"),
    of("leave", ways.nobody_looks_once_a_reader_has_left, "ping-free-after-leave", to=UNKNOWN),
    of("routing", ways.ping_always, "ping-truthful", says=0.0),
    of("routing", ways.ping_always, "ping-truthful", says=1.0),
    of("limit", ways.ping_always, "ping-busy-when-full", says=0.0, also=("ping-truthful",)),
    of(
        "limit",
        ways.ping_waits_for_a_slot,
        "ping-busy-when-full",
        also=("ping-truthful", "ping-stamp"),  # nor is the stamp told then
    ),
    of(
        "routing",
        ways.one_container_is_never_looked_at,
        "ping-truthful",
        to=UNKNOWN,
        also=("gauge-agrees",),
    ),
    of(
        "limit",
        ways.nobody_looks_any_more,
        "ping-truthful",
        to=UNKNOWN,
        also=("ping-busy-when-full", "ping-stamp"),
    ),
    # clients
    of("clients", ways.client_built_twice, "init-once"),
    of("clients", ways.clients_built_by_a_process_that_says_nothing_of_itself, "init-once"),
    of("clients", ways.clients_built_under_a_name_of_their_own_each, "init-once", to=UNKNOWN),
    of("clients", ways.a_connection_for_each_call, "connections-bounded"),
    of("clients", ways.a_connection_for_each_container, "connections-bounded", arm="per-request", to=UNKNOWN),
    of("clients", ways.half_over_one_connection, "connections-bounded", to=UNKNOWN),
    of("clients", ways.handshakes_that_are_no_number, "handshakes-agree", to=UNKNOWN),
    of("clients", ways.an_agent_used_twice, "fresh-agent"),
    of("clients", ways.one_agent_alone_tells, "fresh-agent", to=UNKNOWN),
    # retries
    of("retry", ways.permanent_tried_twice, "permanent-once"),
    of("retry", ways.who_was_refused_for_good_is_told_a_second_later, "permanent-once"),
    of("retry", ways.permanent_tried_again_in_other_words, "permanent-once", to=UNKNOWN),
    of("retry", ways.tried_four_times, "attempts-bounded"),
    of("retry", ways.tried_on_after_the_answer, "attempts-bounded"),
    of("retry", ways.tried_on_after_the_load, "attempts-bounded"),
    of("retry", ways.strays_of_a_loop_that_never_ends, "attempts-agree", also=("spans-complete",)),
    of("routing", ways.strays_of_a_loop_that_never_ends, "spans-complete"),
    of(  # what a container that dies has not sent is missing, but nobody was told to wait and did not
        "retry",
        ways.sent_again_to_another_container_while_it_waited,
        NOBODY,
        also=("attempts-agree", "spans-complete"),
    ),
    of("retry", ways.more_succeeded_than_the_quota_gives, "goodput-share", to=UNKNOWN),
    of("retry", ways.tried_behind_the_agents_back, "attempts-agree"),
    of("retry", ways.retried_before_it_was_told_to, "retry-after-respected"),
    of("retry", ways.first_retries_at_one_instant, "herd-share", also=("delays-differ",)),
    of("retry", ways.transient_faults_not_survived, "transient-survived"),
    of("retry", ways.calls_given_up_in_the_middle, "goodput-share"),
    of("retry", ways.every_call_tried_thrice, "amplification"),
    of("retry", ways.a_cut_answer_taken_for_whole, "answers-whole"),
    of("retry", ways.nothing_was_ever_cut, "answers-whole", to=UNKNOWN),
    of(
        "retry",
        ways.every_second_answer_is_from_a_cache,
        "answers-whole",
        to=UNKNOWN,
        also=("spans-complete",),
    ),
    of(
        "retry",
        ways.every_second_answer_is_out_before_its_model_is_asked,
        "answers-whole",
        to=UNKNOWN,
    ),
    of("retry", ways.another_model_answers_in_place_of_one_that_was_given_up, NOBODY),
    # spans
    of("routing", ways.invoke_agent_lost, "spans-complete"),
    of("sessions", ways.spans_named_lost, "saved-before-answer", to=UNKNOWN, name="session.save"),
    of("ramp", ways.spans_named_lost, "session-load-tail", arm="two", to=UNKNOWN, name="session.save"),
    of("sessions", ways.spans_named_lost, "fresh-agent", to=UNKNOWN, name="invoke_agent agentrig"),
    of("sessions", ways.balancers_spans_lost, NOBODY, each=2),
    of(
        "sessions",
        ways.the_balancers_clock_is_behind,
        "saved-before-answer",
        to=UNKNOWN,
        also=("kills-done",),
    ),
    of(
        "sessions",
        ways.every_second_trace_is_not_sampled,
        "saved-before-answer",
        to=UNKNOWN,
        also=("fresh-agent",),
    ),
    of(
        "routing",
        ways.every_second_trace_is_not_sampled,
        "ping-truthful",
        to=UNKNOWN,
        also=(
            "gauge-agrees",
            "idle-while-waiting",
            "inflight-limit",
            "no-503-while-idle",
            "p99-over-optimum",
            "spans-complete",
        ),
    ),
    of("clients", ways.callers_spans_lost, "spans-complete"),
    of("clients", ways.balancers_spans_lost, "spans-complete"),
    of("retry", ways.whole_traces_lost_by_the_model, "spans-complete"),
    # sessions
    of("sessions", ways.a_word_of_another_conversation, "no-leak"),
    of("sessions", ways.a_turn_lost, "turns-kept"),
    of("sessions", ways.a_turn_twice, "turns-kept"),
    of("sessions", ways.turns_in_another_order, "turns-kept"),
    of("sessions", ways.own_turn_before_the_others, "turns-kept"),
    of(
        "sessions",
        ways.a_turn_forgotten_that_failed_and_was_known,
        "turns-kept",
        also=("no-errors",),
        others=NOT_GREEN,
    ),
    of("sessions", ways.two_sessions_mixed, "no-leak", also=("turns-kept",)),
    of("sessions", ways.nothing_recalled, "no-leak", to=UNKNOWN, also=("turns-kept",)),
    of(
        "sessions",
        ways.no_container_was_killed,
        "kills-done",
        to=UNKNOWN,
        also=("fresh-agent", "saved-before-answer"),  # whose spans were lost with it, is no longer known
    ),
    # what joins, clocks and the sharper checks see
    of("limit", ways.ping_stamped_at_each_poll, "ping-stamp"),
    of("routing", ways.count_falls_to_minus_fifty, "gauge-agrees"),
    of("clients", ways.model_client_rebuilt_untold, "connections-bounded"),
    of(
        "clients",
        ways.another_model_client_at_times_that_hands_no_trace_on,
        "connections-bounded",
        to=UNKNOWN,
        also=("spans-complete",),
        others=NOT_RED,
    ),
    of("clients", ways.tool_client_rebuilt, "reinits-explained", told=True),
    of("clients", ways.tool_client_rebuilt, "handshakes-agree", told=False),
    of("clients", ways.agents_numbered_in_each_container, NOBODY),
    of("clients", ways.one_container_alone_needed_a_client, NOBODY),
    of("retry", ways.permanent_tried_five_times_each_with_a_trace_of_its_own, "permanent-once", also=LOOSE),
    of(
        "retry",
        ways.calls_that_cannot_be_told_apart,
        "attempts-bounded",
        to=UNKNOWN,
        also=("spans-complete",),
        others=NOT_RED,
    ),
    of("retry", ways.each_attempt_in_other_words, "attempts-bounded", to=UNKNOWN, others=NOT_RED),
    of("retry", ways.second_retries_within_ten_ms, "herd-share"),
    of("retry", ways.the_same_jitter_in_each_container, "delays-differ"),
    of("retry", ways.the_same_jitter_in_two_containers, "delays-differ"),
    of("retry", ways.the_models_span_of_one_attempt_lost, "spans-complete"),
    of("routing", ways.named_by_their_image, NOBODY),
    of("routing", ways.of_the_conventions_before, NOBODY),
    of("routing", ways.a_containers_clock_is_behind, "idle-while-waiting", to=UNKNOWN, others=NOT_RED),
    of("sessions", ways.the_clocks_of_all_containers_are_a_little_ahead, NOBODY),
    of("routing", ways.the_clocks_of_all_containers_are_a_little_ahead, NOBODY),
    of("sessions", ways.turns_saved_after_the_answer, "saved-before-answer"),
    of("sessions", ways.the_save_of_some_turns_failed, "saved-before-answer"),
    of("ramp", ways.session_loads_of_three_percent_slower, "session-load-tail", arm="two"),
    # restored from a snapshot
    of("restored", weather_ways.the_first_answer_of_one_is_an_error, "first-after-restore"),
    of("restored", weather_ways.one_of_those_that_came_with_the_first_failed, "first-after-restore"),
    of("restored", weather_ways.one_used_a_dead_connection, "first-after-restore"),
    of("restored", weather_ways.a_model_call_with_the_key_of_before, "first-after-restore"),
    of("restored", weather_ways.nobody_saw_the_connections_of_one, "first-after-restore", to=UNKNOWN),
    of("restored", weather_ways.two_began_the_same_trace, "ids-differ"),
    of("restored", weather_ways.two_drew_the_same_span_id, "ids-differ"),
    of("restored", weather_ways.two_drew_the_same_agent_id, "ids-differ"),
    of("restored", ways.agents_numbered_in_each_container, NOBODY),
    of("restored", weather_ways.two_named_requests_alike, "ids-differ"),
    of("restored", weather_ways.two_gave_one_session, "sessions-minted-once"),
    of("restored", weather_ways.a_client_renewed_twice, "renewed-once"),
    of("restored", weather_ways.the_stamp_of_another_life, "stamp-of-this-life"),
    of(
        "restored",
        weather_ways.the_hook_was_not_there,
        "ids-differ",
        to=UNKNOWN,
        also=("sessions-minted-once", "stamp-of-this-life"),
    ),
    of("restored", weather_ways.nothing_was_restored, EVERY, to=UNKNOWN),
    # weather on the way to the store
    of("weather", weather_ways.the_next_answer_knows_nothing_of_a_turn, "success-kept"),
    of("weather", weather_ways.the_save_of_a_last_turn_failed, "success-kept"),
    of("weather", weather_ways.one_waits_for_half_a_minute, "store-wait-bounded"),
    of("weather", weather_ways.the_model_was_paid_for_what_was_lost, "unpaid-when-down"),
    of("weather", weather_ways.one_fails_long_after_the_weather, "store-recovery", others=NOT_GREEN),
    of("weather", weather_ways.all_came_back_to_the_store_at_once, "store-herd"),
    of("weather", weather_ways.ready_whatever_the_store_says, "ready-truthful"),
    of("weather", weather_ways.one_says_no_from_the_weather_on, "ready-truthful"),
    of("outside", weather_ways.a_last_answer_has_no_tool, "tools-come-back"),
    of("outside", weather_ways.the_tool_of_a_last_answer_failed, "tools-come-back"),
    of("outside", weather_ways.nearly_all_fail_while_one_has_weather, "harm-stays-local", others=NOT_GREEN),
    of("outside", weather_ways.all_had_weather_at_that_time, "harm-stays-local", to=UNKNOWN),
    of("outside", weather_ways.the_tool_server_tells_of_no_call, "tools-come-back", to=UNKNOWN),
    of("weather", weather_ways.nobody_asked_whether_it_was_ready, "ready-truthful", to=UNKNOWN),
    # a frozen container
    of("frozen", weather_ways.three_more_hung_in_the_frozen_one, "held-by-frozen", arm="counting"),
    of("frozen", weather_ways.frozen_for_a_moment, "held-by-frozen", arm="counting", to=UNKNOWN),
    of("frozen", weather_ways.nothing_was_frozen, "held-by-frozen", arm="counting", to=UNKNOWN),
    # an autoscaler
    of("scaling", ways.those_that_joined_came_late, "capacity-follows", arm="moving", also=("joined-share",)),
    of(
        "scaling",
        ways.those_that_joined_were_taken_away_again,
        "capacity-follows",
        arm="moving",
        others=NOT_RED,
    ),
    of("scaling", ways.no_more_came_than_before, "capacity-follows", arm="moving", to=UNKNOWN),
    of("autoscale", ways.those_taken_away_had_nothing_to_do, "removals-done", to=UNKNOWN),
    of("autoscale", ways.all_answered_500, "no-errors", others=NOT_GREEN),
    of(
        "zero",
        ways.the_first_after_the_pause_is_refused,
        "first-after-none",
        also=("no-errors",),
        others=NOT_GREEN,
    ),
    of("zero", ways.a_container_was_there_all_the_time, "first-after-none", to=UNKNOWN),
    # a soak
    of("soak", weather_ways.memory_grows_by_a_hundred_kilobytes_a_request, "growth-bounded"),
    of("soak", weather_ways.only_ten_looks_were_kept, "growth-bounded", to=UNKNOWN),
)


@dataclass(frozen=True)
class Recorded:
    """The recorded run, joined and judged once: only what a mutation changes is looked at again."""

    spec: ExperimentSpec
    arms: Mapping[str, ArmData]
    histories: Mapping[str, ArmHistory]
    summaries: Mapping[str, ArmSummary]
    checks: tuple[CheckResult, ...]


@cache
def run_of(experiment: str) -> Recorded:
    """Judge the recorded arms by what the experiment asks today: its checks may have changed since."""
    spec = load(str(EXPERIMENTS / f"{experiment}.toml"), pipeline.known())
    as_recorded, arms = recorded()[experiment]
    assert spec.model_copy(update=JUDGING) == as_recorded.model_copy(update=JUDGING), (
        "the experiment has changed: python -m tests.mutations.record"
    )
    histories = {arm: join(data) for arm, data in arms.items()}
    summaries = {arm: summarise(history) for arm, history in histories.items()}
    return Recorded(spec, arms, histories, summaries, judge(spec, histories, summaries).checks)


def mutated(mutation: Mutation) -> tuple[CheckResult, ...]:
    run = run_of(mutation.of)
    hand = Hand(run.arms[mutation.arm])
    mutation.do(hand)
    if hand.data() == run.arms[mutation.arm]:
        return run.checks  # nothing was there to be changed: nobody names it
    history = join(hand.data())
    histories = {**run.histories, mutation.arm: history}
    return judge(run.spec, histories, {**run.summaries, mutation.arm: summarise(history)}).checks


def wrong(mutation: Mutation) -> list[str]:
    """Say what of a mutation's verdicts is not as it must be."""
    before, found = run_of(mutation.of).checks, mutated(mutation)
    named = [check for check in found if check.arm == mutation.arm and mutation.by in {check.id, EVERY}]
    said = [
        f"{check.id}: {check.verdict}, {mutation.to} is asked: {check.message}"
        for check in named
        if check.verdict is not mutation.to
    ]
    if not named and mutation.by != NOBODY:
        said.append(f"no check {mutation.by} looks at {mutation.arm}")
    changing = {mutation.by, *mutation.also}
    for was, check in zip(before, found, strict=True):
        if check in named or (check.id in changing and check.verdict is not PASS):
            continue
        here = check.arm == mutation.arm
        allowed = {
            UNCHANGED: check.verdict is was.verdict,
            NOT_GREEN: check.verdict is not PASS,
            NOT_RED: check.verdict is not FAIL,
        }[mutation.others if here else UNCHANGED]
        if not allowed:
            said.append(f"{check.id} in {check.arm}: {was.verdict} became {check.verdict}: {check.message}")
    return said


@pytest.mark.parametrize("experiment", sorted(file.stem for file in EXPERIMENTS.glob("*.toml")))
def test_of_the_recorded_run_everything_holds_and_each_control_is_caught(experiment: str) -> None:
    open_checks = {
        (check.id, check.arm): check.message
        for check in run_of(experiment).checks
        if check.verdict is not PASS
    }
    assert open_checks == {}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_is_named_by_its_check_and_by_no_other(mutation: Mutation) -> None:
    assert wrong(mutation) == []


def test_there_are_enough_mutations_and_each_is_another_one() -> None:
    names = [mutation.name for mutation in MUTATIONS]
    assert len(MUTATIONS) >= ENOUGH
    assert len(set(names)) == len(names)


def test_each_check_of_the_catalogue_names_a_mutation() -> None:
    made = {check.id for name in (*catalogue(), *OWN) for check in load(name, pipeline.known()).checks}
    assert made - {mutation.by for mutation in MUTATIONS} == set()
    assert set(CAUGHT_NOWHERE) <= {mutation.by for mutation in MUTATIONS}


def test_the_packed_run_is_small() -> None:
    for part in PARTS:
        assert packed(part).stat().st_size <= MOST_BYTES
        assert Path(__file__).parent == packed(part).parent


def test_every_recorded_experiment_is_of_one_part() -> None:
    assert sorted(file.stem for file in EXPERIMENTS.glob("*.toml")) == sorted(
        name for names in PARTS.values() for name in names
    )
