"""Checks of installed packages: judged as ours are, and never green by mistake."""

import signal
import sys
from dataclasses import replace
from typing import Any, cast

import pytest

from harness.analysis.summary import summarise
from harness.errors import StartError
from harness.judge.case import Case, Finding, Invariant
from harness.judge.installed import CHECKS, taken
from harness.judge.invariants import REGISTRY
from harness.judge.verdict import judge
from harness.outside.plugins import Origin, PluginError
from harness.records.outcome import CheckResult, Outcome
from harness.records.seen import Attribute
from harness.records.spec import ArmSpec, CheckSpec, ExperimentSpec
from tests.harness.histories import Arm

ORIGIN = Origin(group="agentrig.checks", name="theirs", value="them:CHECK", package="them 1.0")
OURS = REGISTRY["no-errors"]


def theirs(examine: Any, **more: Any) -> Invariant:
    return replace(OURS, id="theirs", examine=examine, **more)


def checks_of(check: Invariant) -> dict[str, CheckResult]:
    """Judge a good arm and a control arm by a check of theirs alone."""
    spec = ExperimentSpec(
        name="small",
        title="Small",
        claim="it holds",
        min_requests=10,
        arms={"good": ArmSpec(title="good"), "broken": ArmSpec(title="broken", control=True)},
        checks=(CheckSpec(id="theirs", holds_in=("good",), caught_in=("broken",)),),
    )
    histories = {}
    for name in spec.arms:
        arm = Arm()
        for number in range(40):
            arm.request(due_s=number * 1.0)
        histories[name] = arm.history()
    summaries = {name: summarise(history) for name, history in histories.items()}
    result = judge(spec, histories, summaries, {**REGISTRY, "theirs": taken(check, ORIGIN)})
    assert result.verdict is not Outcome.PASS
    return {made.arm: made for made in result.checks}


def found(**fields: Any) -> Finding:
    return replace(Finding(holds=True, observed=0.0, message="seen", cases=40), **fields)


def fails(_: Case) -> Finding:
    raise ZeroDivisionError("division by zero")


def cant_start(_: Case) -> Finding:
    raise StartError("no such thing")


def never_ends(_: Case) -> Finding:
    for _ in range(3):
        try:
            signal.raise_signal(signal.SIGALRM)  # as if the time was up
        except Exception:  # noqa: BLE001, S112 - of these it makes nothing
            continue
    return found()


@pytest.mark.parametrize(
    ("examine", "said"),
    [
        (fails, "failed at the check: ZeroDivisionError: division by zero"),
        (lambda _: sys.exit(0), "failed at the check: SystemExit: 0"),
        (lambda _: pytest.fail("no"), "failed at the check: Failed: no"),
        (cant_start, "failed at the check: StartError: no such thing"),
        (never_ends, "failed at the check: TooSlowError: it took more than 120 s"),
        (lambda _: True, "returned bool from the check, not a Finding"),
        (lambda _: found(observed=float("nan")), "found nan in the check, which is no figure"),
        (lambda _: found(limit=float("inf")), "found inf in the check, which is no figure"),
        (lambda _: found(message=" "), "found something in the check, and says not what"),
        (lambda _: found(observed=None), "without the figure that it rests on"),
        (lambda _: found(message=None), "returned a wrong Finding from the check: message: "),
        (lambda _: found(holds="yes"), "returned a wrong Finding from the check: holds"),
        (lambda _: found(traces=(7,)), "returned a wrong Finding from the check: traces.0: "),
    ],
)
def test_a_check_that_fails_is_unknown_in_both_arms_with_the_reason(examine: Any, said: str) -> None:
    for made in checks_of(theirs(examine)).values():
        assert made.verdict is Outcome.UNKNOWN
        assert made.message.startswith("not judged: them 1.0: its entry point theirs of agentrig.checks ")
        assert said in made.message


def test_the_alarm_of_whoever_set_one_is_his_again() -> None:
    before = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)[0] > 0
    checks_of(theirs(never_ends))
    assert (signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)[0] > 0) == before


def test_what_it_changes_is_changed_for_nobody_else() -> None:
    seen: list[int] = []

    def spoils(case: Case) -> Finding:
        spans = [span for request in case.history.requests for span in request.spans]
        seen.append(sum("theirs" in span.attributes for span in spans))
        for span in spans:
            cast(dict[str, Attribute], span.attributes)["theirs"] = "was here"
        return found(cases=len(spans))

    check = taken(theirs(spoils), ORIGIN)
    arm = Arm()
    arm.request(due_s=0.0)
    history = arm.history()
    case = Case(history=history, summary=summarise(history), versus=None, limit=0.0)
    assert (check.examine(case).cases > 0, check.examine(case).cases > 0, seen) == (True, True, [0, 0])


def test_what_it_prints_is_no_part_of_what_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    def prints(_: Case) -> Finding:
        print("looked")  # noqa: T201 - as theirs do
        return found()

    checks_of(theirs(prints))
    assert capsys.readouterr() == ("", "looked\n" * 2)


def test_one_that_looks_is_judged_as_ours_are() -> None:
    checks = checks_of(theirs(lambda case: found(observed=0.0, message=str(len(case.history.requests)))))
    assert (checks["good"].verdict, checks["good"].message) == (Outcome.PASS, "40")
    assert checks["broken"].verdict is Outcome.FAIL
    few = checks_of(theirs(lambda _: found(cases=1), cases_needed=2))
    assert few["good"].verdict is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ("no check", "is no check: it is of type str, not "),
        (replace(OURS, id="theirs", limit="0"), "is no check: limit: "),
        (replace(OURS, id="theirs", examine=None), "is no check: examine: "),
        (replace(OURS, id="theirs", needs=("spans",)), "is no check: needs.0: "),
        (OURS, "is the check 'no-errors': name its entry point so"),
        (replace(OURS, id="theirs", cases_needed=0), "needs no tested case"),
        (replace(OURS, id="theirs", limit=float("inf")), "needs no tested case, or has no limit"),
    ],
)
def test_what_would_not_do_is_refused(check: Any, said: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        taken(check, ORIGIN)
    assert str(caught.value).startswith(said)
    assert not isinstance(caught.value, PluginError)


def test_ours_would_be_taken() -> None:
    for name, check in REGISTRY.items():
        assert taken(check, replace(ORIGIN, name=name)).id == name
    assert set(CHECKS) >= set(REGISTRY)
