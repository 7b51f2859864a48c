from dataclasses import replace

import pytest

from harness import contract
from harness.analysis.summary import summarise
from harness.errors import InputError
from harness.experiment.load import OWN, Known, load
from harness.judge.evidence import MODEL_CALLS, WHOSE_CALLS
from harness.judge.invariants import REGISTRY
from harness.judge.verdict import combine, judge, known_checks
from harness.records.outcome import ExperimentResult, Outcome
from harness.records.setup import Container, FleetEvent, Window
from harness.records.spec import ArmSpec, CheckSpec, ExperimentSpec
from harness.report.words import sentence
from harness.simulator.installed import known_faults
from harness.weather.kinds import known_weather
from tests.harness.histories import Arm, Try

HOLDS = CheckSpec(id="fresh-agent", holds_in=("good",))
CAUGHT = CheckSpec(id="fresh-agent", caught_in=("broken",))


def spec_of(*checks: CheckSpec, min_requests: int = 10) -> ExperimentSpec:
    return ExperimentSpec(
        name="small",
        title="Small",
        claim="every request has an Agent of its own",
        min_requests=min_requests,
        arms={"good": ArmSpec(title="good"), "broken": ArmSpec(title="broken", control=True)},
        checks=(*checks, CAUGHT),
    )


def arm_of(requests: int = 40, *, agent_id: str | None = None, status: int = 200) -> Arm:
    arm = Arm(containers=1)
    for number in range(requests):
        error = None if status == 200 else "failed"
        arm.request(due_s=number * 1.0, agent_id=agent_id, status=status, error=error)
    return arm


def verdict_on(spec: ExperimentSpec, **arms: Arm) -> ExperimentResult:
    histories = {name: arm.history() for name, arm in arms.items()}
    return judge(spec, histories, {name: summarise(history) for name, history in histories.items()})


def test_it_passes_when_the_good_arm_holds_and_the_control_is_caught() -> None:
    result = verdict_on(spec_of(HOLDS), good=arm_of(), broken=arm_of(agent_id="one"))
    assert result.verdict is Outcome.PASS
    assert [(check.arm, check.control, check.verdict) for check in result.checks] == [
        ("good", False, Outcome.PASS),
        ("broken", True, Outcome.PASS),
    ]
    assert result.checks[1].message.startswith("caught, as it must be: ")
    assert result.checks[1].traces
    assert (result.checks[0].observed, result.checks[0].limit, result.checks[0].unit) == (1, 1, "{request}")
    assert set(result.arms) == {"good", "broken"}


def test_a_report_has_the_limit_that_a_figure_was_held_against() -> None:
    arm = Arm()
    for number in range(300):
        met = 50 <= number < 80
        arm.request(
            due_s=number / 10,
            calls=[["overloaded" if met else "ok"]],
            status=503 if met else 200,
            error="throttled" if met else None,
        )
    outage = Window(kind="fault", name="overloaded", from_s=5.0, to_s=8.0)
    arm.set(windows=(outage,), end_s=30.0, backoff_slowed=2.4)
    recovery = CheckSpec(id="recovery", holds_in=("good",))
    (check, _) = verdict_on(spec_of(recovery), good=arm, broken=arm_of(agent_id="one")).checks
    assert check.limit == 12.0
    assert "5 s at full speed, 12 s in slow motion" in check.message


def test_a_good_arm_that_falls_short_fails_and_says_what_to_do() -> None:
    result = verdict_on(spec_of(HOLDS), good=arm_of(agent_id="one"), broken=arm_of(agent_id="one"))
    assert result.verdict is Outcome.FAIL
    assert REGISTRY["fresh-agent"].remedy in result.checks[0].message


def test_a_control_arm_in_which_nothing_is_found_fails() -> None:
    result = verdict_on(spec_of(HOLDS), good=arm_of(), broken=arm_of())
    assert result.verdict is Outcome.FAIL
    assert "was not found" in result.checks[1].message


@pytest.mark.parametrize(("failed", "verdict"), [(3, Outcome.FAIL), (9, Outcome.UNKNOWN)])
def test_a_control_arm_that_narrowly_misses_its_limit_is_unknown(failed: int, verdict: Outcome) -> None:
    caught = CheckSpec(id="no-errors", caught_in=("broken",), limit=0.1)
    spec = spec_of(HOLDS).model_copy(update={"checks": (HOLDS, caught)})
    broken = arm_of(100 - failed)
    for number in range(failed):
        broken.request(due_s=200.0 + number, status=500, error="failed")
    result = verdict_on(spec, good=arm_of(), broken=broken)
    assert result.checks[1].verdict is verdict
    assert result.verdict is verdict
    assert ("so near its limit" in result.checks[1].message) == (verdict is Outcome.UNKNOWN)


def test_a_check_may_hold_in_a_control_arm_as_well() -> None:
    both = CheckSpec(id="no-errors", holds_in=("good", "broken"))
    result = verdict_on(spec_of(both), good=arm_of(), broken=arm_of(agent_id="one"))
    assert [(check.id, check.arm) for check in result.checks] == [
        ("no-errors", "good"),
        ("no-errors", "broken"),
        ("fresh-agent", "broken"),
    ]
    assert result.verdict is Outcome.PASS
    assert not result.checks[1].message.startswith("caught")


def test_the_experiment_s_limit_goes_before_the_invariant_s() -> None:
    lenient = CheckSpec(id="fresh-agent", holds_in=("good",), limit=40)
    result = verdict_on(spec_of(lenient), good=arm_of(agent_id="one"), broken=arm_of(agent_id="one"))
    assert result.checks[0].verdict is Outcome.PASS
    assert result.checks[0].limit == 40


def test_no_data_is_unknown_in_either_sort_of_arm() -> None:
    spec = spec_of(HOLDS, min_requests=1)
    blank = Arm()
    blank.request(without=["agent"])
    result = verdict_on(spec, good=blank, broken=blank)
    assert [check.verdict for check in result.checks] == [Outcome.UNKNOWN, Outcome.UNKNOWN]
    assert result.verdict is Outcome.UNKNOWN


def test_too_few_requests_are_unknown_whatever_they_show() -> None:
    result = verdict_on(spec_of(HOLDS), good=arm_of(9), broken=arm_of(9, agent_id="one"))
    assert [check.verdict for check in result.checks] == [Outcome.UNKNOWN, Outcome.UNKNOWN]
    assert "good has 9 requests, min_requests asks for 10" in result.checks[0].message


def test_failed_requests_are_samples_of_behaviour() -> None:
    failing = CheckSpec(id="no-errors", holds_in=("good",))
    result = verdict_on(spec_of(failing), good=arm_of(status=500), broken=arm_of(agent_id="one"))
    assert result.checks[0].verdict is Outcome.FAIL


def test_failed_requests_are_no_samples_of_timing() -> None:
    timed = CheckSpec(id="idle-while-waiting", holds_in=("good",))
    result = verdict_on(spec_of(timed), good=arm_of(status=500), broken=arm_of(agent_id="one"))
    assert result.checks[0].verdict is Outcome.UNKNOWN
    assert "0 successes" in result.checks[0].message


def test_an_arm_that_did_not_run_is_unknown() -> None:
    result = verdict_on(spec_of(HOLDS), broken=arm_of(agent_id="one"))
    assert result.checks[0].verdict is Outcome.UNKNOWN
    assert "good did not run to its end" in result.checks[0].message
    assert set(result.arms) == {"broken"}


def bottlenecked(arm: Arm) -> Arm:
    arm.used(1.9, wall_s=1.0)
    return arm


def test_a_harness_in_the_way_makes_timing_unknown_and_nothing_else() -> None:
    timed = CheckSpec(id="idle-while-waiting", holds_in=("good",))
    result = verdict_on(spec_of(timed, HOLDS), good=bottlenecked(arm_of()), broken=arm_of(agent_id="one"))
    assert [check.verdict for check in result.checks] == [Outcome.UNKNOWN, Outcome.PASS, Outcome.PASS]
    assert "not judged: in good the machine was the bottleneck" in result.checks[0].message


@pytest.mark.parametrize(("in_the_way", "verdict"), [(False, Outcome.FAIL), (True, Outcome.UNKNOWN)])
def test_moments_that_a_slow_machine_blurs_are_not_held_against_an_arm(
    in_the_way: bool,  # noqa: FBT001 - a case
    verdict: Outcome,
) -> None:
    at_once = Arm()
    for number in range(10):
        at_once.request(due_s=number * 0.001)
    at_once.set(concurrency_limit=1)
    check = CheckSpec(id="inflight-limit", holds_in=("good",))
    good = bottlenecked(at_once) if in_the_way else at_once
    result = verdict_on(spec_of(check), good=good, broken=arm_of(agent_id="one"))
    assert result.checks[0].verdict is verdict
    assert "requests in work at once" in result.checks[0].message


def test_a_comparison_is_unknown_when_the_other_arm_is_in_doubt() -> None:
    ratio = CheckSpec(id="p99-ratio", holds_in=("good",), versus="broken", limit=1.5)
    broken = arm_of(100, agent_id="one")
    sure = verdict_on(spec_of(ratio), good=arm_of(100), broken=broken)
    assert sure.checks[0].verdict is Outcome.PASS
    in_doubt = verdict_on(spec_of(ratio), good=arm_of(100), broken=bottlenecked(broken))
    assert in_doubt.checks[0].verdict is Outcome.UNKNOWN
    missing = verdict_on(spec_of(ratio), good=arm_of(100))
    assert missing.checks[0].verdict is Outcome.UNKNOWN


def beside_others(arm: Arm, others_cores: float) -> Arm:
    arm.set(cores=2.0, others_cores=others_cores)
    return arm


@pytest.mark.parametrize(
    ("others_cores", "limit", "verdict"),
    [
        (0.0, 0.5, Outcome.FAIL),
        (0.4, 0.5, Outcome.FAIL),
        (0.6, 0.5, Outcome.UNKNOWN),  # what falls short beside busy neighbours may be their doing
        (2.0, 1.5, Outcome.PASS),  # what holds beside them holds all the more without
    ],
)
def test_what_falls_short_beside_busy_neighbours_is_unknown(
    others_cores: float, limit: float, verdict: Outcome
) -> None:
    ratio = CheckSpec(id="p99-ratio", holds_in=("good",), versus="broken", limit=limit)
    good, broken = beside_others(arm_of(100), others_cores), arm_of(100, agent_id="one")
    result = verdict_on(spec_of(ratio, HOLDS), good=good, broken=broken)
    assert [check.verdict for check in result.checks] == [verdict, Outcome.PASS, Outcome.PASS]
    assert ("others kept" in result.checks[0].message) == (verdict is Outcome.UNKNOWN)


def test_a_control_that_is_missed_beside_busy_neighbours_is_unknown_too() -> None:
    ratio = CheckSpec(id="p99-ratio", caught_in=("broken",), versus="good", limit=1.5)
    good, broken = arm_of(100), beside_others(arm_of(100, agent_id="one"), 2.0)
    assert verdict_on(spec_of(ratio), good=good, broken=broken).checks[0].verdict is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("slowed", "verdict"), [("good", Outcome.PASS), ("broken", Outcome.UNKNOWN), ("neither", Outcome.PASS)]
)
def test_what_is_better_than_an_arm_that_neighbours_slowed_proves_nothing(
    slowed: str, verdict: Outcome
) -> None:
    ratio = CheckSpec(id="p99-ratio", holds_in=("good",), versus="broken", limit=1.5)
    arms = {"good": arm_of(100), "broken": arm_of(100, agent_id="one")}
    for name, arm in arms.items():
        beside_others(arm, 2.0 if name == slowed else 0.0)
    assert verdict_on(spec_of(ratio), **arms).checks[0].verdict is verdict


def test_a_control_that_is_caught_beside_busy_neighbours_may_be_their_doing() -> None:
    ratio = CheckSpec(id="p99-ratio", caught_in=("broken",), versus="good", limit=0.5)
    good, broken = arm_of(100), beside_others(arm_of(100, agent_id="one"), 2.0)
    assert verdict_on(spec_of(ratio), good=good, broken=broken).checks[0].verdict is Outcome.UNKNOWN


@pytest.mark.parametrize(("others_cores", "verdict"), [(0.0, Outcome.FAIL), (1.7, Outcome.UNKNOWN)])
def test_a_connection_that_a_starved_container_gives_back_late_is_not_held_against_it(
    others_cores: float, verdict: Outcome
) -> None:
    good = Arm()
    for number in range(100):
        good.request(due_s=number * 0.5, calls=[[Try(connection=number)]])
    check = CheckSpec(id="connections-bounded", holds_in=("good",))
    result = verdict_on(spec_of(check), good=beside_others(good, others_cores), broken=arm_of(agent_id="one"))
    assert result.checks[0].verdict is verdict
    assert "opened another" in result.checks[0].message


def test_neighbours_excuse_nothing_but_times() -> None:
    shared = beside_others(arm_of(agent_id="one"), 2.0)
    result = verdict_on(spec_of(HOLDS), good=shared, broken=arm_of(agent_id="one"))
    assert result.checks[0].verdict is Outcome.FAIL


@pytest.mark.parametrize(
    ("status", "lasted_s", "others_cores", "verdict"),
    [
        (504, 8.0, 0.0, Outcome.FAIL),
        (504, 8.0, 2.0, Outcome.UNKNOWN),  # its time was over, on a machine that others used
        (504, 0.1, 2.0, Outcome.FAIL),  # nobody waited
        (500, 8.0, 2.0, Outcome.FAIL),
    ],
)
@pytest.mark.parametrize("check", ["errors-explained", "no-errors"])
def test_requests_whose_time_was_over_beside_busy_neighbours_may_be_their_doing(
    check: str, status: int, lasted_s: float, others_cores: float, verdict: Outcome
) -> None:
    good = beside_others(arm_of(100), others_cores)
    good.request(due_s=60.0, end_s=60.0 + lasted_s, status=status, error="deadline")
    spec = spec_of(CheckSpec(id=check, holds_in=("good",)), HOLDS)
    assert verdict_on(spec, good=good, broken=arm_of(agent_id="one")).checks[0].verdict is verdict


@pytest.mark.parametrize(
    ("from_s", "lasted_s", "verdict"),
    [
        (5.0, 2.0, Outcome.PASS),
        (5.0, 0.9, Outcome.UNKNOWN),
        (5.0, 0.0, Outcome.UNKNOWN),
        (99.0, 1.0, Outcome.PASS),
    ],
)
def test_an_arm_whose_weather_was_too_short_proves_nothing(
    from_s: float, lasted_s: float, verdict: Outcome
) -> None:
    good = arm_of(100)
    stall = Window(kind="weather", name="stall", from_s=from_s, to_s=from_s + lasted_s, planned_s=2.0)
    good.set(windows=(stall,), end_s=good.facts.start_s + 100.0)
    result = verdict_on(spec_of(HOLDS), good=good, broken=arm_of(agent_id="one"))
    assert result.checks[0].verdict is verdict
    assert ("stall was to last 2.0 s" in result.checks[0].message) == (verdict is Outcome.UNKNOWN)


def test_fail_outweighs_unknown() -> None:
    result = verdict_on(spec_of(HOLDS), good=arm_of(agent_id="one"), broken=arm_of(3))
    assert result.verdict is Outcome.FAIL


def test_an_unknown_id_is_named_with_those_there_are() -> None:
    spec = spec_of(CheckSpec(id="fresh-agnet", holds_in=("good",)))
    with pytest.raises(InputError, match=r"no 'fresh-agnet'.*Known: .*fresh-agent") as caught:
        verdict_on(spec, good=arm_of())
    assert all(name in str(caught.value) for name in known_checks())


def test_a_comparison_with_nothing_is_refused() -> None:
    spec = spec_of(CheckSpec(id="p99-ratio", holds_in=("good",)))
    with pytest.raises(InputError, match="add versus"):
        verdict_on(spec, good=arm_of())


def result_of(verdict: Outcome) -> ExperimentResult:
    return ExperimentResult(name="n", title="t", claim="c", verdict=verdict, arms={}, checks=())


@pytest.mark.parametrize(
    ("verdicts", "combined"),
    [
        ([], Outcome.UNKNOWN),
        ([Outcome.PASS, Outcome.PASS], Outcome.PASS),
        ([Outcome.PASS, Outcome.UNKNOWN], Outcome.UNKNOWN),
        ([Outcome.UNKNOWN, Outcome.FAIL, Outcome.PASS], Outcome.FAIL),
    ],
)
def test_a_run_is_as_good_as_its_worst_experiment(verdicts: list[Outcome], combined: Outcome) -> None:
    assert combine(result_of(verdict) for verdict in verdicts) is combined


# --- an agent that is not ours ---------------------------------------------------------
YOURS = ArmSpec(title="yours", agent="yours")


def own_spec(*checks: CheckSpec) -> ExperimentSpec:
    spec = spec_of(*checks)
    return spec.model_copy(update={"arms": {**spec.arms, "good": YOURS}})


def silent_arm() -> Arm:
    """Make an arm whose agent emits no span at all."""
    arm = arm_of()
    arm.spans = [span for span in arm.spans if span.service != contract.SERVICE_AGENT]
    return arm


def test_a_check_whose_evidence_the_users_agent_does_not_emit_is_not_made() -> None:
    result = verdict_on(
        own_spec(HOLDS, CheckSpec(id="no-errors", holds_in=("good",))),
        good=silent_arm(),
        broken=arm_of(agent_id="one"),
    )
    not_made, made, _ = result.checks
    assert not_made.verdict is Outcome.NOT_MADE
    assert contract.AGENT_ID in not_made.message
    assert "(docs/telemetry.md)" in not_made.message
    assert made.verdict is Outcome.PASS
    assert result.verdict is Outcome.UNKNOWN, "that requests are answered makes no claim"


def test_nothing_that_could_be_made_is_unknown_and_never_green() -> None:
    spec = own_spec(HOLDS).model_copy(update={"checks": (HOLDS,)})
    assert verdict_on(spec, good=silent_arm(), broken=arm_of()).verdict is Outcome.UNKNOWN


def test_the_reference_agent_has_no_such_excuse() -> None:
    result = verdict_on(spec_of(HOLDS), good=silent_arm(), broken=arm_of(agent_id="one"))
    assert result.checks[0].verdict is Outcome.UNKNOWN


def test_a_container_of_the_users_agent_that_was_never_at_work_makes_nothing_green() -> None:
    good, broken = arm_of(), arm_of(agent_id="one")
    errors = CheckSpec(id="no-errors", holds_in=("good",))
    good.set(containers=(*good.facts.containers, Container(name="agent-2", address="127.0.0.1:9002")))
    result = verdict_on(own_spec(HOLDS, errors), good=good, broken=broken)
    assert [check.verdict for check in result.checks[:2]] == [Outcome.UNKNOWN] * 2
    assert "agent-2 worked on none of 40 requests in 39 s" in result.checks[0].message
    killed = FleetEvent(time_s=good.facts.start_s, container="agent-2", action="kill")
    good.set(events=(killed,))
    assert verdict_on(own_spec(HOLDS), good=good, broken=broken).verdict is Outcome.PASS
    good.set(events=())
    good.moved(2, joined_s=38.0)  # a second before the load ended
    assert verdict_on(own_spec(HOLDS), good=good, broken=broken).verdict is Outcome.PASS


def test_what_falls_short_does_so_whichever_containers_were_at_work() -> None:
    good = arm_of(agent_id="one")
    good.set(containers=(*good.facts.containers, Container(name="agent-2", address="127.0.0.1:9002")))
    result = verdict_on(own_spec(HOLDS), good=good, broken=arm_of(agent_id="one"))
    assert result.checks[0].verdict is Outcome.FAIL


def test_with_its_evidence_the_check_is_made_on_the_users_agent() -> None:
    good, broken = arm_of(), arm_of(agent_id="one")
    assert verdict_on(own_spec(HOLDS), good=good, broken=broken).checks[0].verdict is Outcome.PASS
    assert verdict_on(own_spec(HOLDS), good=broken, broken=broken).checks[0].verdict is Outcome.FAIL


def test_every_check_of_a_users_agent_says_what_to_add_when_it_cannot_be_made() -> None:
    for invariant in REGISTRY.values():
        for evidence in invariant.needs:
            assert evidence.what
            assert len(evidence.add) > 20


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, "the model API simulator received no call;"),
        (
            {"unserved": {"POST /v1/responses for gpt-4.1": 41}},
            "received 41 calls to POST /v1/responses for gpt-4.1, which it does not serve;",
        ),
        (
            {"outside": {"api.openai.com:443": 1}},
            "received no call; refused was 1 call to api.openai.com:443: other machines are fenced off;",
        ),
    ],
)
def test_calls_that_went_elsewhere_are_told_in_place_of_none_at_all(
    facts: dict[str, dict[str, int]], said: str
) -> None:
    arm = Arm()
    arm.request(due_s=0.0, calls=[])
    history = arm.history()
    seen = replace(history, facts=replace(history.facts, **facts))  # type: ignore[arg-type]  # counts alone
    for evidence in (MODEL_CALLS, WHOSE_CALLS):
        assert evidence.lacking(seen).endswith(evidence.add)
    assert said in MODEL_CALLS.lacking(seen)


def test_the_likely_cause_is_named_for_the_api_that_is_spoken() -> None:
    arm = Arm()
    for number in range(20):
        arm.request(due_s=float(number), status=502, error="quota", calls=[["auth", "auth", "auth"]])
    check = CheckSpec(id="permanent-once", holds_in=("good",))
    spec = own_spec(HOLDS).model_copy(update={"checks": (check,)})
    message = verdict_on(spec, good=arm, broken=arm_of()).checks[0].message
    assert "Likely: `max_retries` of the OpenAI client is 2 by default" in message
    ours = spec_of(HOLDS).model_copy(update={"checks": (check,)})
    assert "Likely" not in verdict_on(ours, good=arm, broken=arm_of()).checks[0].message


def test_an_agent_without_spans_says_where_its_log_is_and_how_it_ends() -> None:
    arm = Arm(containers=1)
    for number in range(200):
        arm.request(due_s=float(number), calls=[["ok"]])
    for number in range(200, 240):
        arm.request(due_s=float(number), status=500, error="HTTP 500", calls=[])
    arm.spans.clear()
    arm.facts = replace(arm.facts, log_ends={"agent-1": ("Traceback", "KeyError: 'message'")})
    check = CheckSpec(id="connections-bounded", holds_in=("good",))
    spec = own_spec(HOLDS).model_copy(update={"checks": (check,)})
    (result,) = verdict_on(spec, good=arm, broken=arm_of()).checks
    assert result.verdict is Outcome.UNKNOWN
    assert "/good/agent-1.log ends: Traceback / KeyError: 'message'" in result.message


# --- what a claim rests on -------------------------------------------------------------
def failing(requests: int = 40) -> Arm:
    """Make an arm whose agent answers 500 to everything, and never asks the model."""
    arm = Arm()
    for number in range(requests):
        arm.request(due_s=float(number), status=500, error="HTTP 500", calls=[])
    return arm


def test_controls_alone_make_no_claim() -> None:
    result = verdict_on(spec_of(), good=arm_of(), broken=arm_of(agent_id="one"))
    assert [check.verdict for check in result.checks] == [Outcome.PASS]
    assert result.verdict is Outcome.UNKNOWN


def test_each_arm_under_test_needs_a_check_that_held_in_it() -> None:
    spec = own_spec(HOLDS).model_copy(
        update={
            "arms": {**spec_of().arms, "good": YOURS, "also-good": ArmSpec(title="also good")},
            "checks": (CheckSpec(id="fresh-agent", holds_in=("good", "also-good")), CAUGHT),
        }
    )
    broken = arm_of(agent_id="one")
    arms = {"good": silent_arm(), "also-good": arm_of(), "broken": broken}
    result = verdict_on(spec, **arms)
    assert [check.verdict for check in result.checks] == [Outcome.NOT_MADE, Outcome.PASS, Outcome.PASS]
    assert result.verdict is Outcome.UNKNOWN
    assert verdict_on(spec, **(arms | {"good": arm_of()})).verdict is Outcome.PASS


def test_that_requests_are_answered_makes_no_claim_where_more_was_asked() -> None:
    answered = CheckSpec(id="no-errors", holds_in=("good",))
    spec = own_spec(HOLDS).model_copy(update={"checks": (answered, HOLDS)})
    result = verdict_on(spec, good=silent_arm(), broken=arm_of())
    assert [check.verdict for check in result.checks] == [Outcome.PASS, Outcome.NOT_MADE]
    assert result.verdict is Outcome.UNKNOWN
    assert sentence(result).startswith("nothing could be looked at but whether requests are answered")
    alone = spec.model_copy(update={"checks": (answered,)})
    assert verdict_on(alone, good=silent_arm(), broken=arm_of()).verdict is Outcome.PASS


def test_what_holds_in_an_arm_that_fails_without_cause_is_unknown() -> None:
    good = arm_of()
    good.request(due_s=100.0, status=500, error="HTTP 500", calls=[])
    result = verdict_on(spec_of(HOLDS), good=good, broken=arm_of(agent_id="one"))
    assert result.checks[0].verdict is Outcome.UNKNOWN
    assert (
        "1 of 41 requests failed, and nothing that was done to them explains it" in result.checks[0].message
    )


def test_as_many_may_fail_without_cause_as_its_own_check_of_that_allows() -> None:
    good = arm_of()
    good.request(due_s=100.0, status=500, error="HTTP 500", calls=[])
    errors = CheckSpec(id="no-errors", holds_in=("good",), limit=0.05)
    result = verdict_on(spec_of(HOLDS, errors), good=good, broken=arm_of(agent_id="one"))
    assert {check.verdict for check in result.checks} == {Outcome.PASS}


def test_what_falls_short_in_an_arm_that_fails_without_cause_stays_so() -> None:
    good = arm_of(agent_id="one")
    good.request(due_s=100.0, status=500, error="HTTP 500", calls=[])
    result = verdict_on(spec_of(HOLDS), good=good, broken=arm_of(agent_id="one"))
    assert result.checks[0].verdict is Outcome.FAIL


@pytest.mark.parametrize("name", OWN)
def test_an_agent_that_answers_500_to_everything_falls_short_in_every_own_experiment(name: str) -> None:
    spec = load(name, Known(checks=known_checks(), faults=known_faults(), weather=known_weather()))
    result = verdict_on(spec, yours=failing(200))
    assert result.verdict is Outcome.FAIL
    assert not any(check.verdict is Outcome.PASS for check in result.checks)


@pytest.mark.parametrize("name", OWN)
def test_its_own_retries_that_were_exhausted_are_no_failure_without_cause(name: str) -> None:
    spec = load(name, Known(checks=known_checks(), faults=known_faults(), weather=known_weather()))
    arm = arm_of(200)
    arm.request(due_s=300.0, status=502, error="overloaded", calls=[["overloaded"] * 3])
    errors = [
        check
        for check in verdict_on(spec, yours=arm).checks
        if REGISTRY[check.id].of_errors and check.arm == "yours"
    ]
    assert [check.verdict for check in errors] == [Outcome.FAIL if name == "own-clients" else Outcome.PASS]


# --- rows that are lost ----------------------------------------------------------------
def without_rows(arm: Arm, lost: int) -> Arm:
    arm.set(planned=len(arm.rows))
    del arm.rows[:lost]
    return arm


@pytest.mark.parametrize("lost", [1, 20])
def test_a_planned_request_without_a_row_makes_every_check_unknown(lost: int) -> None:
    errors = CheckSpec(id="no-errors", holds_in=("good", "broken"))
    arms = {"good": without_rows(arm_of(60), lost), "broken": arm_of(agent_id="one")}
    result = verdict_on(spec_of(HOLDS, errors), **arms)
    assert [check.verdict for check in result.checks] == [
        *(Outcome.UNKNOWN, Outcome.UNKNOWN),
        *(Outcome.PASS, Outcome.PASS),
    ]
    assert f"{lost} of 60 requests have no row" in result.checks[0].message
    assert result.checks[0].cases is None


def test_a_request_that_was_not_sent_makes_every_check_unknown() -> None:
    good = arm_of()
    good.set(planned=41, dropped=1)
    result = verdict_on(spec_of(HOLDS), good=good, broken=arm_of(agent_id="one"))
    assert result.checks[0].verdict is Outcome.UNKNOWN
    assert "1 of 41 requests were not sent" in result.checks[0].message
    assert "have no row" not in result.checks[0].message


def test_a_row_that_is_there_twice_stands_for_no_other() -> None:
    good = without_rows(arm_of(), 1)
    good.rows.append(good.rows[-1])
    result = verdict_on(spec_of(HOLDS), good=good, broken=arm_of(agent_id="one"))
    assert result.checks[0].verdict is Outcome.UNKNOWN


def test_a_comparison_with_an_arm_that_lost_a_row_is_unknown() -> None:
    ratio = CheckSpec(id="p99-ratio", holds_in=("good",), versus="broken", limit=1.5)
    broken = without_rows(arm_of(101, agent_id="one"), 1)
    assert verdict_on(spec_of(ratio), good=arm_of(100), broken=broken).checks[0].verdict is Outcome.UNKNOWN


# --- what a control arm is caught by ---------------------------------------------------
def test_a_control_arm_that_fails_for_another_reason_is_not_caught() -> None:
    broken = arm_of(agent_id="one")
    for number in range(10):
        broken.request(due_s=100.0 + number, status=500, error="HTTP 500", calls=[])
    result = verdict_on(spec_of(HOLDS), good=arm_of(), broken=broken)
    assert result.checks[1].verdict is Outcome.UNKNOWN
    assert "not taken for the fault of this control arm: in broken 10 of 50" in result.checks[1].message


def test_a_control_arm_in_which_another_check_falls_short_is_not_caught() -> None:
    spans = CheckSpec(id="spans-complete", holds_in=("good", "broken"))
    lossy = arm_of(agent_id="one")
    for _ in range(3):
        lossy.request(due_s=100.0, agent_id="one", without=["invoke_agent"])
    found = verdict_on(spec_of(HOLDS, spans), good=arm_of(), broken=lossy).checks
    assert [(check.id, check.arm, check.verdict) for check in found[2:]] == [
        ("spans-complete", "broken", Outcome.FAIL),
        ("fresh-agent", "broken", Outcome.UNKNOWN),
    ]
    assert found[3].message.startswith(
        "not taken for the fault of this control arm: spans-complete, which must hold in it, fell short. Seen"
    )


def test_nor_is_its_fault_said_to_be_missed() -> None:
    broken = arm_of()
    for number in range(10):
        broken.request(due_s=100.0 + number, status=500, error="HTTP 500", calls=[])
    result = verdict_on(spec_of(HOLDS), good=arm_of(), broken=broken)
    assert result.checks[1].verdict is Outcome.UNKNOWN


def test_a_control_arm_needs_its_tested_cases() -> None:
    result = verdict_on(spec_of(HOLDS), good=arm_of(), broken=arm_of(20, agent_id="one"))
    assert result.checks[1].verdict is Outcome.UNKNOWN
    assert "too few cases: 19 requests" in result.checks[1].message


def test_a_check_of_errors_is_caught_by_errors_beside_answers_and_not_by_errors_alone() -> None:
    errors = CheckSpec(id="no-errors", holds_in=("good",), caught_in=("broken",))
    some = arm_of(agent_id="one")
    some.request(due_s=100.0, status=500, error="HTTP 500", calls=[])
    assert verdict_on(spec_of(errors), good=arm_of(), broken=some).checks[1].verdict is Outcome.PASS
    dead = verdict_on(spec_of(errors), good=arm_of(), broken=failing()).checks[1]
    assert dead.verdict is Outcome.UNKNOWN
    assert "0 of its 40 requests were answered" in dead.message


@pytest.mark.parametrize("name", ["transient-survived", "sustained-ratio", "scaling-share", "init-once"])
def test_a_control_arm_that_answers_500_to_everything_is_caught_by_nothing(name: str) -> None:
    check = CheckSpec(id=name, caught_in=("broken",), versus="good" if REGISTRY[name].compares else None)
    result = verdict_on(spec_of(check), good=arm_of(), broken=failing())
    assert result.checks[0].verdict is Outcome.UNKNOWN


@pytest.mark.parametrize(("failing_of_ten", "verdict"), [(1, Outcome.PASS), (6, Outcome.UNKNOWN)])
def test_a_control_that_is_caught_by_its_errors_has_not_broken_down(
    failing_of_ten: int, verdict: Outcome
) -> None:
    broken = Arm()
    for number in range(100):
        lost = number % 10 < failing_of_ten
        status, error = (0, "connection refused") if lost else (200, None)
        broken.request(due_s=float(number), container=None if lost else 1, status=status, error=error)
    caught = CheckSpec(id="errors-explained", caught_in=("broken",))
    spec = spec_of(HOLDS).model_copy(update={"checks": (HOLDS, caught)})
    assert verdict_on(spec, good=arm_of(), broken=broken).checks[1].verdict is verdict


@pytest.mark.parametrize(("refused", "verdict"), [(20, Outcome.PASS), (80, Outcome.UNKNOWN)])
def test_a_control_that_is_caught_by_its_refusals_has_answered_half(refused: int, verdict: Outcome) -> None:
    broken = Arm(containers=2)
    for number in range(60):
        broken.request(due_s=number * 2.0, end_s=number * 2 + 1.5, container=1)
        broken.request(due_s=number * 2.0 + 0.5, end_s=number * 2 + 1.0, container=2)
    for number in range(2 * refused):
        at_s = number % 60 * 2 + 1.2
        broken.request(
            due_s=at_s, end_s=at_s + 0.01, container=None, refused_by=[1], status=503, error="busy"
        )
    broken.set(policy="ping")  # which offers a refused request to nobody else
    caught = CheckSpec(id="no-503-while-idle", caught_in=("broken",))
    spec = spec_of(HOLDS).model_copy(update={"checks": (HOLDS, caught)})
    check = verdict_on(spec, good=arm_of(), broken=broken).checks[1]
    assert check.verdict is verdict, check.message


def test_records_that_can_t_be_make_every_check_unknown() -> None:
    good = arm_of()
    good.change(end_s=good.rows[-1].due_s - 1.0)
    first, caught = verdict_on(spec_of(HOLDS), good=good, broken=arm_of(agent_id="one")).checks
    assert (first.verdict, caught.verdict) == (Outcome.UNKNOWN, Outcome.PASS)
    assert "1 of 40 requests have times that are out of order" in first.message
