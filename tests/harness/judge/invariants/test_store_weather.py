"""The session store in the weather: what is kept, who waits, what is paid, and when all is well again."""

from dataclasses import replace

import pytest

from harness import contract
from harness.judge.causes import unexplained
from harness.records.setup import FleetEvent, Window
from harness.records.weather import Connection
from tests.harness.histories import BEGIN_S, Arm
from tests.harness.judge.cases import judged

EVERY = (
    *("success-kept", "store-wait-bounded", "unpaid-when-down", "store-recovery", "store-herd"),
    "ready-truthful",
)
DOWN = ("session_store", 503)


def weather(
    name: str, from_s: float, to_s: float, *, blocks: bool = True, container: str | None = None
) -> Window:
    return Window(kind="weather", name=name, from_s=from_s, to_s=to_s, blocks=blocks, container=container)


def arm_in(*windows: Window, containers: int = 2) -> Arm:
    arm = Arm(containers=containers, limit=8)
    arm.set(windows=windows)
    return arm


def asked(
    arm: Arm,
    due_s: float,
    *,
    fails: bool = False,
    container: int | None = 1,
    took_s: float = 0.1,
    paid: bool = True,
) -> str:
    return arm.request(
        due_s=due_s,
        end_s=due_s + took_s,
        container=container,
        status=503 if fails else 200,
        error="session_store" if fails else None,
        calls=[["ok"]] if paid else [],
    )


@pytest.mark.parametrize("check", EVERY)
def test_without_weather_nothing_is_known(check: str) -> None:
    arm = Arm()
    for number in range(40):
        asked(arm, float(number))
    assert judged(check, arm).holds is None


# --- no success without its turn ---------------------------------------------------------
def conversations(count: int, *, forgotten: int | None = None) -> Arm:
    """So many conversations of two turns; in one of them the second knows nothing of the first."""
    arm = Arm()
    for number in range(count):
        asked(arm, 10.0 * number)
        arm.change(session_id=f"s{number}", canary=f"a{number}", recalled=(f"a{number}",))
        asked(arm, 10.0 * number + 5)
        knows = () if number == forgotten else (f"a{number}",)
        arm.change(session_id=f"s{number}", canary=f"b{number}", recalled=(*knows, f"b{number}"))
    return arm


def test_turns_that_later_answers_know_are_kept() -> None:
    finding = judged("success-kept", conversations(30))
    assert finding.holds
    assert finding.cases == 30


def test_a_turn_that_the_next_answer_does_not_know_is_found() -> None:
    arm = conversations(30, forgotten=7)
    finding = judged("success-kept", arm)
    assert finding.holds is False
    assert finding.traces == (arm.rows[14].trace_id,)


def test_of_a_last_turn_its_save_tells() -> None:
    arm = conversations(30)
    arm.span(contract.SPAN_SESSION_SAVE, 295.05, 295.06, failed=True)
    finding = judged("success-kept", arm)
    assert finding.holds is False
    assert finding.traces == (arm.rows[-1].trace_id,)
    arm.span(contract.SPAN_SESSION_SAVE, 295.07, 295.08)  # tried again, and it went well
    assert judged("success-kept", arm).holds


def test_few_answers_tell_nothing_of_what_is_kept() -> None:
    assert judged("success-kept", conversations(5)).holds is None


# --- nobody waits beyond their deadline -----------------------------------------------------
def waiting(longest_s: float, *, many: int = 12) -> Arm:
    arm = arm_in(weather("stall", 0.0, 30.0))
    for number in range(many):
        asked(arm, float(number), took_s=longest_s if number == 3 else 0.5)
    return arm


def test_waits_within_the_deadline_hold_and_a_longer_one_is_found() -> None:
    assert judged("store-wait-bounded", waiting(8.5), limit=9).holds
    arm = waiting(12.0)
    finding = judged("store-wait-bounded", arm, limit=9)
    assert finding.holds is False
    assert finding.traces == (arm.rows[3].trace_id,)
    assert judged("store-wait-bounded", waiting(8.5, many=5), limit=9).holds is None


def test_who_waits_over_a_connection_that_went_mute_before_is_found() -> None:
    """It is sent when that is over: half-open connections stay so."""
    arm = arm_in(weather("half_open", 1.0, 1.2, blocks=False))
    for number in range(12):
        asked(arm, 1.3 + number / 10, took_s=12.0 if number == 7 else 0.5)
    assert judged("store-wait-bounded", arm, limit=9).holds is False


def test_a_wait_for_a_slot_in_the_balancer_is_none_for_the_store() -> None:
    arm = waiting(0.5)
    arm.request(due_s=5.0, begin_s=13.0, end_s=20.0)  # seven seconds of it in a container
    assert judged("store-wait-bounded", arm, limit=9).holds
    arm.request(due_s=5.0, begin_s=6.0, end_s=20.0)
    assert judged("store-wait-bounded", arm, limit=9).holds is False
    arm = waiting(0.5)
    arm.request(due_s=5.0, end_s=20.0, status=504, error="upstream request timeout", container=None, calls=[])
    assert judged("store-wait-bounded", arm, limit=9).holds is False, "no container tells of it"


def test_who_waited_in_a_container_that_another_answered_for_waited_there() -> None:
    """The caller had its answer after twelve seconds; the container that gave it took half a second."""
    arm = waiting(0.5)
    arm.request(due_s=5.0, begin_s=17.0, end_s=17.5, container=2)
    arm.given_to(1, 5.0, 17.0)
    assert judged("store-wait-bounded", arm, limit=9).holds is False
    arm = waiting(0.5)
    arm.request(due_s=5.0, begin_s=17.0, end_s=17.5, container=2)
    arm.given_to(2, 16.9, 17.5)  # it waited for a slot
    assert judged("store-wait-bounded", arm, limit=9).holds
    arm.request(due_s=5.0, begin_s=5.1, end_s=20.0)
    arm.given_to(1, 5.1, 6.0)  # and what the container did after its answer is no wait, either
    assert judged("store-wait-bounded", arm, limit=9).holds


def test_weather_of_a_container_that_refused_in_the_end_is_met() -> None:
    arm = arm_in(weather("partition", 1.0, 30.0, container="agent-1"))
    for number in range(12):
        arm.request(due_s=2.0 + number, begin_s=13.5 + number, end_s=14.0 + number, container=2)
        arm.given_to(1, 2.0 + number, 13.5 + number)
    assert judged("store-wait-bounded", arm, limit=9).holds is False


def test_whom_a_caller_gave_up_on_would_have_waited_on() -> None:
    """With the patience of a minute, nobody waits for longer than a minute."""
    arm = waiting(0.5)
    arm.request(due_s=2.0, end_s=62.0, status=0, error="no answer within 60 s")
    arm.change(error_type="timeout")
    assert judged("store-wait-bounded", arm, limit=61).holds is False
    arm = waiting(0.5)
    arm.request(due_s=2.0, end_s=62.0, status=0, error="no answer within 60 s", container=None, calls=[])
    arm.change(error_type="timeout")
    assert judged("store-wait-bounded", arm, limit=61).holds, "it was in the balancer's queue"


@pytest.mark.parametrize(("closed_s", "holds"), [(None, False), (60.0, False), (2.0, True)])
def test_a_connection_that_went_mute_is_used_as_long_as_it_is_open(
    closed_s: float | None, *, holds: bool
) -> None:
    arm = arm_in(weather("half_open", 1.0, 1.2, blocks=False))
    for number in range(12):
        asked(arm, 1.3 + number / 10, took_s=0.5)
    asked(arm, 30.0, took_s=20.0)
    there = Connection(
        container="agent-1",
        target="store",
        opened_s=BEGIN_S,
        closed_s=None if closed_s is None else BEGIN_S + closed_s,
    )
    arm.set(connections=(there,))
    assert judged("store-wait-bounded", arm, limit=9).holds is holds
    for other in (replace(there, target="model"), replace(there, opened_s=BEGIN_S + 2.0)):
        arm.set(connections=(other,))
        assert judged("store-wait-bounded", arm, limit=9).holds


def test_who_waits_long_without_any_weather_is_not_looked_at() -> None:
    arm = waiting(0.5)
    asked(arm, 40.0, took_s=20.0)
    assert judged("store-wait-bounded", arm, limit=9).holds


# --- the model is not paid -----------------------------------------------------------------
def paying(paid: int, *, unpaid: int = 10, container: str | None = None) -> Arm:
    arm = arm_in(weather("read_only", 10.0, 20.0, container=container))
    asked(arm, 5.0)
    for number in range(unpaid):
        asked(arm, 11.0 + number / 10, fails=True, paid=False)
    for number in range(paid):
        asked(arm, 13.0 + number / 10, fails=True)
    return arm


def test_requests_that_fail_before_the_model_is_asked_hold() -> None:
    finding = judged("unpaid-when-down", paying(0))
    assert finding.holds
    assert finding.cases == 10


def test_a_model_that_was_paid_in_vain_is_found() -> None:
    arm = paying(2)
    finding = judged("unpaid-when-down", arm)
    assert finding.observed == 2
    assert finding.holds is False
    assert set(finding.traces) == {row.trace_id for row in arm.rows[-2:]}


def test_without_any_model_call_nobody_knows_what_was_paid() -> None:
    arm = paying(0)
    arm.journal.clear()
    arm.spans = [span for span in arm.spans if span.service != contract.SERVICE_SIMULATOR]
    assert judged("unpaid-when-down", arm).holds is None


def test_weather_of_another_container_and_the_moment_before_it_count_for_nobody() -> None:
    assert judged("unpaid-when-down", paying(2, container="agent-2")).holds is None
    arm = paying(0)
    asked(arm, 9.95, fails=True, took_s=3.0)
    assert judged("unpaid-when-down", arm).holds


def test_a_model_that_was_paid_by_nobody_that_is_known_is_found_where_all_had_the_weather() -> None:
    """A caller that gives up is told by nobody which container it was."""
    for container, holds in ((None, False), ("agent-1", True)):
        arm = paying(0, container=container)
        asked(arm, 13.0, fails=True)
        trace = arm.rows[-1].trace_id
        arm.spans = [span for span in arm.spans if span.trace_id != trace]
        arm.change(upstream=None, status=0)
        assert judged("unpaid-when-down", arm).holds is holds
    arm.given_to(1, 13.0, 13.1)
    assert judged("unpaid-when-down", arm).holds is False, "the balancer knows who it was"


def test_what_came_to_nobody_is_no_case_of_the_store() -> None:
    arm = paying(0, unpaid=0)
    for number in range(10):
        asked(arm, 11.0 + number / 10, fails=True, paid=False, container=None)
    assert judged("unpaid-when-down", arm).holds is None


def test_an_answer_that_was_lost_and_whose_turn_was_saved_is_not_paid_in_vain() -> None:
    arm = paying(1)
    arm.span(contract.SPAN_SESSION_SAVE, 20.1, 20.2)
    assert judged("unpaid-when-down", arm).holds


# --- all is well again ------------------------------------------------------------------------
def clearing(last_failure_s: float, *, after: int = 30) -> Arm:
    arm = arm_in(weather("reset", 5.0, 6.0, blocks=False), weather("read_only", 10.0, 12.0))
    asked(arm, 11.0, fails=True)
    asked(arm, last_failure_s, fails=True)
    for number in range(after):
        asked(arm, 12.5 + number / 2)
    return arm


@pytest.mark.parametrize(("took_s", "holds"), [(0.1, False), (1.0, True)])
def test_who_is_in_work_when_other_weather_begins_fails_for_that(took_s: float, *, holds: bool) -> None:
    arm = arm_in(weather("stall", 10.0, 12.0), weather("reset", 20.0, 20.2))
    asked(arm, 19.5, fails=True, took_s=took_s)
    for number in range(30):
        asked(arm, 21.0 + number)
    assert judged("store-recovery", arm).holds is holds


def test_failures_that_end_soon_after_the_weather_hold() -> None:
    finding = judged("store-recovery", clearing(14.0))
    assert finding.holds
    assert finding.observed == pytest.approx(2.0)
    assert judged("store-recovery", clearing(14.0, after=18)).holds
    finding = judged("store-recovery", clearing(14.0, after=17))
    assert (finding.holds, finding.cases) == (None, 7), "what came at once after it could not have been late"


def test_a_failure_long_after_the_weather_is_found() -> None:
    arm = clearing(20.0)
    finding = judged("store-recovery", arm)
    assert finding.holds is False
    assert finding.traces[0] == arm.rows[1].trace_id


def test_a_failure_long_after_the_weather_that_has_another_cause_is_not_the_weathers() -> None:
    arm = clearing(14.0)
    arm.request(due_s=25.0, end_s=25.1, status=502, error="bad_request", calls=[["bad_request"]])
    arm.request(due_s=27.0, end_s=27.5, status=503, error="reset", calls=[])
    arm.set(events=(FleetEvent(time_s=BEGIN_S + 27.4, action="kill", container="agent-1"),))
    finding = judged("store-recovery", arm)
    assert finding.holds
    assert finding.observed == pytest.approx(2.0)


def test_containers_that_are_full_of_what_hangs_since_have_not_recovered() -> None:
    arm = clearing(14.0)
    for number in range(16):
        arm.request(due_s=12.0, end_s=60.0, container=number % 2 + 1)
    arm.request(due_s=40.0, end_s=40.1, status=503, error="busy", container=None, calls=[])
    assert judged("store-recovery", arm).holds is False


@pytest.mark.parametrize(("refusals", "answers", "holds"), [(3, 0, False), (2, 0, True), (3, 1, True)])
def test_a_container_that_refuses_all_that_comes_has_not_recovered_though_another_answers(
    refusals: int, answers: int, *, holds: bool
) -> None:
    arm = clearing(14.0)
    for number in range(refusals):
        arm.request(due_s=18.0 + number, container=1, refused_by=[2])
    for number in range(answers):
        asked(arm, 25.0 + number, container=2)
    finding = judged("store-recovery", arm)
    assert finding.holds is holds
    assert ("agent-2 refused all that came later" in finding.message) is not holds


def test_a_container_that_stands_still_or_is_gone_need_not_recover() -> None:
    arm = clearing(14.0)
    for number in range(5):
        arm.request(due_s=18.0 + number, container=1, refused_by=[2])
    assert judged("store-recovery", arm).holds is False
    arm.set(events=(FleetEvent(time_s=BEGIN_S + 17.0, action="freeze", container="agent-2"),))
    assert judged("store-recovery", arm).holds
    arm.set(events=())
    arm.moved(2, left_s=17.0)
    assert judged("store-recovery", arm).holds


def test_a_failure_before_any_weather_is_nobodys_recovery() -> None:
    assert judged("store-recovery", clearing(2.0)).observed == 0


def test_weather_explains_what_failed_in_it_and_seconds_after_and_no_more() -> None:
    for at_s, is_explained in ((11.0, True), (16.0, True), (18.0, False), (4.0, False)):
        arm = arm_in(weather("read_only", 10.0, 12.0))
        asked(arm, at_s, fails=True)
        assert bool(unexplained(arm.history())) is not is_explained, at_s
    arm = arm_in(weather("partition", 10.0, 12.0, container="agent-2"))
    asked(arm, 11.0, fails=True, container=1)
    assert unexplained(arm.history())


# --- no herd -------------------------------------------------------------------------------------
def coming_back(*, spread_s: float, many: int = 20, name: str = "restart") -> Arm:
    at_s = 5.0 if name == "restart" else 3.0
    arm = arm_in(weather(name, 3.0, 5.0))
    asked(arm, 0.0)
    arm.set(
        connections=tuple(
            Connection(
                container="agent-1", target="store", opened_s=BEGIN_S + at_s + 0.05 + spread_s * n / many
            )
            for n in range(many)
        )
    )
    return arm


@pytest.mark.parametrize("name", ["restart", "reset"])
def test_connections_that_come_back_together_are_a_herd(name: str) -> None:
    assert judged("store-herd", coming_back(spread_s=0.1, name=name)).holds
    assert judged("store-herd", coming_back(spread_s=0.005, name=name)).holds is False
    assert judged("store-herd", coming_back(spread_s=0.005, many=8, name=name)).holds is None


def connections(*opened_s: float, container: int = 1) -> tuple[Connection, ...]:
    return tuple(
        Connection(container=f"agent-{container}", target="store", opened_s=BEGIN_S + at_s)
        for at_s in opened_s
    )


@pytest.mark.parametrize("pause_s", [1.2, 2.0, 3.9])
def test_a_herd_that_comes_back_after_a_pause_is_found_beside_what_came_before_it(pause_s: float) -> None:
    """What is sent meanwhile opens connections as well, one after the other."""
    arm = coming_back(spread_s=0.9)
    assert judged("store-herd", arm).holds
    herd = connections(*(5.0 + pause_s + n * 1e-4 for n in range(20)))
    arm.set(connections=(*arm.facts.connections, *herd))
    assert judged("store-herd", arm).holds is False
    arm.set(windows=(*arm.facts.windows, weather("failover", 5.5, 7.0)))  # it may be the doing of that
    assert judged("store-herd", arm).holds


def test_looks_at_readyz_that_open_a_connection_each_are_no_herd() -> None:
    arm = coming_back(spread_s=0.9)
    for number in range(20):
        arm.sample(contract.READY, 1.0, 7.2, f"agent-{number}")
        arm.samples[-1] = replace(arm.samples[-1], took_s=0.01)
        arm.set(connections=(*arm.facts.connections, *connections(7.205, container=number)))
    assert judged("store-herd", arm).holds


def test_connections_to_the_model_are_no_herd_at_the_store() -> None:
    arm = coming_back(spread_s=0.005)
    others = tuple(replace(each, target="model") for each in arm.facts.connections)
    arm.set(connections=others)
    assert judged("store-herd", arm).holds is None


# --- ready ---------------------------------------------------------------------------------------
def looked_at(*says: tuple[float, bool], container: str | None = None) -> Arm:
    arm = arm_in(weather("read_only", 10.0, 20.0, container=container))
    asked(arm, 0.0)
    for at_s, ready in says:
        arm.sample(contract.READY, float(ready), at_s, "agent-1")
    return arm


def test_a_container_that_says_it_is_not_ready_tells_the_truth() -> None:
    finding = judged("ready-truthful", looked_at(*((11.5 + n / 2, False) for n in range(10)), (21.0, True)))
    assert finding.holds
    assert finding.cases == 10


@pytest.mark.parametrize("more", [(), ((9.0, True),), ((21.0, False),)])
def test_one_that_nobody_saw_ready_after_it_may_say_no_whatever_there_is(
    more: tuple[tuple[float, bool], ...],
) -> None:
    """The load ended with the weather."""
    finding = judged("ready-truthful", looked_at(*((11.5 + n / 2, False) for n in range(10)), *more))
    assert finding.holds is None
    assert "nobody saw agent-1 ready again" in finding.message


def test_one_that_says_it_is_ready_lies() -> None:
    finding = judged("ready-truthful", looked_at(*((11.5 + n / 2, n > 5) for n in range(10))))
    assert finding.holds is False
    assert finding.observed == pytest.approx(0.4)


def test_what_it_says_before_it_can_know_and_of_weather_elsewhere_is_no_lie() -> None:
    truths = [(11.5 + n / 2, False) for n in range(10)]
    assert judged("ready-truthful", looked_at((10.5, True), (25.0, True), *truths)).holds
    assert judged("ready-truthful", looked_at((12.0, True), container="agent-2")).holds is None


@pytest.mark.parametrize("ready_again", [False, True])
def test_one_that_says_no_to_the_end_lies_as_well(*, ready_again: bool) -> None:
    arm = looked_at(
        *((11.5 + n / 2, False) for n in range(10)), *((26.0 + n, ready_again and n == 3) for n in range(4))
    )
    arm.set(end_s=40.0)
    finding = judged("ready-truthful", arm)
    assert finding.holds is ready_again
    assert ("agent-1 said no to the end" in finding.message) is not ready_again


def test_one_that_was_killed_need_not_say_yes_again() -> None:
    arm = looked_at(*((11.5 + n / 2, False) for n in range(10)), *((26.0 + n, False) for n in range(4)))
    first, *others = arm.facts.containers
    arm.set(end_s=40.0, containers=(replace(first, left_s=BEGIN_S + 21.0), *others))
    assert judged("ready-truthful", arm).holds


def test_few_looks_tell_nothing() -> None:
    assert judged("ready-truthful", looked_at((12.0, False), (13.0, False))).holds is None
