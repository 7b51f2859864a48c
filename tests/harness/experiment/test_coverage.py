"""Every check that holds somewhere in the catalogue is seen to fail somewhere in it."""

from harness.experiment.coverage import CAUGHT_NOWHERE, CheckCoverage, coverage
from harness.experiment.load import OWN, Known, catalogue, load, parse
from harness.judge.verdict import known_checks
from harness.records.spec import ExperimentSpec
from harness.simulator.installed import known_faults
from harness.weather.kinds import known_weather

KNOWN = Known(checks=known_checks(), faults=known_faults(), weather=known_weather())
NOT_IN_QUICK = {
    *("attempts-agree", "goodput-share", "handshakes-agree", "recovery", "reinits-explained"),
    *("ids-differ", "renewed-once", "stamp-of-this-life"),
    "harm-stays-local",
    *("ready-truthful", "store-herd", "store-recovery", "store-wait-bounded", "success-kept"),
}
"""Caught in long forms alone; `agentrig list --checks` says so."""
SMALL = """
name = "small"
title = "Small"
claim = "It works."
[quick]
without = ["late"]
[arms.good]
title = "good"
[arms.bad]
title = "bad"
control = true
[arms.late]
title = "late"
control = true
[[checks]]
id = "no-errors"
holds_in = ["good"]
caught_in = ["bad", "late"]
[[checks]]
id = "p99-ratio"
holds_in = ["good"]
versus = "late"
[[checks]]
id = "kills-done"
holds_in = ["good"]
"""


def ours() -> list[ExperimentSpec]:
    return [load(name, KNOWN) for name in (*catalogue(), *OWN)]


def of(found: list[CheckCoverage], check: str) -> CheckCoverage:
    return next(each for each in found if each.check == check)


def test_no_check_of_the_catalogue_is_caught_nowhere_but_for_those_that_say_why() -> None:
    found = coverage(KNOWN.checks, ours())
    uncaught = {each.check for each in found if each.held and not each.caught}
    assert uncaught == set(CAUGHT_NOWHERE)
    assert all(of(found, check).uncaught == why for check, why in CAUGHT_NOWHERE.items())


def test_nearly_all_are_caught_in_the_quick_forms_as_well() -> None:
    found = coverage(KNOWN.checks, ours())
    late = {each.check for each in found if each.caught and not any(place.quick for place in each.caught)}
    assert late == NOT_IN_QUICK


def test_a_control_of_the_catalogue_is_judged_by_more_than_its_fault() -> None:
    """What breaks everything would be caught by any check: something has to hold beside it."""
    alone = {
        f"{spec.name}/{arm}"
        for spec in ours()
        for arm, each in spec.arms.items()
        if each.control and not any(arm in check.holds_in for check in spec.checks)
    }
    assert alone == set()


def test_where_a_check_is_made_is_told_with_what_quick_leaves_out() -> None:
    found = coverage(["kills-done", "no-errors", "p99-ratio", "recovery"], [parse(SMALL, "s.toml", KNOWN)])
    errors, ratio = of(found, "no-errors"), of(found, "p99-ratio")
    assert [(place.arm, place.quick) for place in errors.held] == [("good", True)]
    assert [(place.arm, place.quick) for place in errors.caught] == [("bad", True), ("late", False)]
    assert [place.quick for place in ratio.held] == [False], "what it is compared with is not there"
    assert (of(found, "kills-done").uncaught, errors.uncaught) == (CAUGHT_NOWHERE["kills-done"], None)
    assert of(found, "recovery") == CheckCoverage(check="recovery", held=(), caught=())
