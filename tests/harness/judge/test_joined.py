"""Checks rest on what could be joined: on less they are not made, or unknown, and say how much there was."""

from dataclasses import replace

import pytest

from harness.analysis.summary import summarise
from harness.judge.invariants import REGISTRY
from harness.judge.verdict import judge
from harness.records.outcome import CheckResult, Outcome
from harness.records.spec import ArmSpec, CheckSpec, ExperimentSpec
from tests.harness.analysis.test_attribution import OTHERS, told, untraced, word
from tests.harness.analysis.test_clocks import skewed
from tests.harness.histories import Arm, Try
from tests.harness.judge.cases import find

RETRIES = (
    "attempts-bounded",
    "permanent-once",
    "retry-after-respected",
    "transient-survived",
    "answers-whole",
    "amplification",
)


def checks(arm: Arm, *ids: str, own: bool = True) -> dict[str, CheckResult]:
    spec = ExperimentSpec(
        name="small",
        title="Small",
        claim="it is so",
        min_requests=1,
        arms={
            "mine": ArmSpec(title="mine", agent="yours" if own else "reference"),
            "broken": ArmSpec(title="broken", control=True),
        },
        checks=(
            *(CheckSpec(id=each, holds_in=("mine",)) for each in ids),
            CheckSpec(id="recovery", caught_in=("broken",)),
        ),
    )
    history = arm.history()
    result = judge(spec, {"mine": history}, {"mine": summarise(history)})
    return {check.id: check for check in result.checks if check.arm == "mine"}


def retrying(requests: int = 30) -> Arm:
    """Requests that meet one transient fault each, then a permanent one."""
    arm = Arm(containers=4, limit=16)
    for number in range(requests):
        due_s = 1.0 * number
        tries = [Try(decision="eof_clean", at_s=due_s + 0.02), Try(at_s=due_s + 0.2)]
        arm.request(due_s=due_s, end_s=due_s + 0.5, container=1 + number % 4, calls=[tries])
        limited = [
            Try(decision="rate_limit_requests", at_s=due_s + 0.02, retry_after_s=0.1),
            Try(decision="auth", at_s=due_s + 0.3),
        ]
        arm.request(due_s=due_s, end_s=due_s + 0.5, calls=[limited], status=502, error="refused")
        arm.request(due_s=due_s, end_s=due_s + 0.5, calls=[["overloaded"] * 3], status=502, error="no")
    told(arm)
    return arm


def test_retries_are_judged_by_the_word_as_by_the_trace() -> None:
    by_trace = checks(retrying(), *RETRIES)
    alone = retrying()
    untraced(alone, None)
    by_word = checks(alone, *RETRIES)
    assert {id_: (check.verdict, check.observed) for id_, check in by_word.items()} == {
        id_: (check.verdict, check.observed) for id_, check in by_trace.items()
    }
    assert by_word["permanent-once"].verdict is Outcome.PASS


@pytest.mark.parametrize("traces", [None, OTHERS])
def test_a_permanent_fault_that_is_sent_five_times_is_found_whatever_its_traces(
    traces: list[str] | None,
) -> None:
    arm = Arm()
    for number in range(8):
        arm.request(due_s=1.0 * number, calls=[["auth"] * 5], status=502, error="refused")
    told(arm)
    untraced(arm, traces)
    check = checks(arm, "permanent-once")["permanent-once"]
    assert (check.verdict, check.observed) == (Outcome.FAIL, 5.0)


@pytest.mark.parametrize("check_id", RETRIES)
def test_calls_of_nobody_make_no_check_of_retries_and_the_share_is_said(check_id: str) -> None:
    arm = retrying()
    untraced(arm, None)
    arm.journal = [
        replace(row, canary=None) if number % 10 else row for number, row in enumerate(arm.journal)
    ]
    mine = checks(arm, check_id)[check_id]
    assert mine.verdict is Outcome.NOT_MADE
    assert "21 of 210 (10.0%) could be given to their request" in mine.message
    assert "traceparent" in mine.message
    ours = checks(arm, check_id, own=False)[check_id]
    assert ours.verdict is Outcome.UNKNOWN
    assert "21 of 210 (10.0%)" in ours.message


def saying_the_same() -> Arm:
    """An agent that was never told its session: all who are in work say what was told last."""
    arm = Arm(containers=2, limit=16)
    for number in range(60):
        batch, place = divmod(number, 6)
        at_s = 2.0 * batch + 0.1 * place
        tries = [Try(decision="eof_clean" if place < 2 else "ok", at_s=at_s + 0.6, lasted_s=0.05)]
        arm.request(due_s=at_s, end_s=2.0 * batch + 1.5, container=1 + number % 2, calls=[tries])
    told(arm)
    untraced(arm)
    last = {row.index: row.index // 6 * 6 + 5 for row in arm.rows}
    arm.journal = [
        replace(row, canary=word(last[number]), call_id=f"body-{last[number]}")
        for number, row in enumerate(arm.journal)
    ]
    return arm


@pytest.mark.parametrize("check_id", RETRIES)
def test_requests_that_say_the_same_are_no_retries(check_id: str) -> None:
    check = checks(saying_the_same(), check_id)[check_id]
    assert check.verdict is Outcome.UNKNOWN
    assert "10 model calls can't be told apart: several requests said the same, maybe" in check.message


def test_what_is_found_in_calls_that_can_be_told_apart_stands() -> None:
    arm = saying_the_same()
    for number in range(8):
        arm.request(due_s=100.0 + number, calls=[["auth", "auth"]], status=502, error="refused")
    check = checks(arm, "permanent-once")["permanent-once"]
    assert (check.verdict, check.observed) == (Outcome.FAIL, 2.0)


def test_a_few_calls_of_nobody_are_told_and_no_attempts_of_a_call() -> None:
    arm = retrying()
    for number in range(8):
        arm.stray()
        at_s = arm.journal[-1].time_s + 3.0 * number
        arm.journal[-1] = replace(arm.journal[-1], time_s=at_s, end_s=at_s)
    check = checks(arm, "attempts-bounded")["attempts-bounded"]
    assert (check.verdict, check.observed) == (Outcome.PASS, 3.0)
    assert summarise(arm.history()).join_warnings == ("8 of 218 model calls are of no request that is known",)


def test_attempts_that_may_be_anybodys_agree_with_nothing() -> None:
    assert checks(saying_the_same(), "attempts-agree", own=False)["attempts-agree"].verdict is Outcome.UNKNOWN


COMPARING = ("idle-while-waiting", "no-503-while-idle", "inflight-limit", "ping-truthful", "joined-share")


def pressed() -> Arm:
    """Two containers of which the first is sent everything, so that the second idles while requests wait."""
    arm = Arm(containers=2, limit=1)
    for number in range(100):
        begin_s = 0.2 * number + 0.002
        arm.request(due_s=0.1 * number, begin_s=begin_s, end_s=begin_s + 0.198, calls=[[Try(at_s=begin_s)]])
    return arm


@pytest.mark.parametrize("check_id", COMPARING)
@pytest.mark.parametrize("by_s", [0.4, -0.4])
def test_clocks_that_differ_make_unknown_what_compares_them(check_id: str, by_s: float) -> None:
    check = checks(skewed(pressed(), by_s, "agent-1"), check_id)[check_id]
    assert check.verdict is Outcome.UNKNOWN
    assert "agent-1 is at least 0.3" in check.message or "agent-1 is at least 0.4" in check.message


def test_a_clock_that_is_ahead_does_not_hide_who_waits() -> None:
    assert find("idle-while-waiting", pressed()).holds is False


def test_clocks_that_differ_touch_no_other_check_and_are_told() -> None:
    untouched = ("no-errors", "fresh-agent", "attempts-bounded", "p99", "spans-complete")
    sound = checks(pressed(), *untouched, own=False)
    arm = skewed(pressed(), 0.4, "agent-1")
    assert checks(arm, *untouched, own=False) == sound
    (said,) = summarise(arm.history()).join_warnings
    assert said.startswith("clocks differ: agent-1 is at least 0.400 s ahead of the caller")


def test_a_refusal_is_explained_by_what_callers_saw_where_clocks_differ() -> None:
    arm = Arm(containers=1, limit=1)
    for number in range(20):
        arm.request(due_s=1.0 * number, end_s=1.0 * number + 0.3)
        arm.request(
            due_s=1.0 * number + 0.1, end_s=1.0 * number + 0.11, refused_by=[1], container=None,
            status=503, error="busy",
        )  # fmt: skip
    skewed(arm, 0.5, "agent-1")
    assert checks(arm, "errors-explained", own=False)["errors-explained"].verdict is Outcome.PASS


def test_which_checks_compare_clocks_is_known() -> None:
    assert {id_ for id_, each in REGISTRY.items() if each.clocks} >= set(COMPARING)
    assert not any(REGISTRY[id_].clocks for id_ in (*RETRIES, "no-leak", "turns-kept", "p99", "recovery"))


def test_whole_traces_of_an_agent_with_other_conventions_are_not_made() -> None:
    arm = Arm()
    for _ in range(30):
        arm.request(without=["invoke_agent", "chat", "POST"])
    arm.spans = [span for span in arm.spans if span.trace_id != "f" * 32]
    server = Arm()
    for _ in range(30):
        server.request()
    arm.spans += [span for span in server.spans if span.of_agent and span.kind == "server"]
    check = checks(arm, "spans-complete")["spans-complete"]
    assert check.verdict is Outcome.NOT_MADE
    assert "invoke_agent" in check.message
