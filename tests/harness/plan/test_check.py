"""A prediction held against what was measured, without any process."""

import json
import math

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from harness.commands.schema import SCHEMAS
from harness.plan import check, forecast
from harness.plan.records import Fleet, Routing
from harness.records.history import ArmHistory
from harness.records.spec import Policy
from harness.simulator_config import Quota
from tests.harness.histories import Arm
from tests.harness.plan.workloads import plain, workload

DUE_S = np.arange(300) * 0.5


def history(service_s: float = 0.4, count: int = 300) -> ArmHistory:
    arm = Arm(containers=2, limit=1)
    for number in range(count):
        due_s = float(DUE_S[number])
        arm.request(due_s=due_s, end_s=due_s + service_s, container=1 + number % 2, calls=[["ok"]])
    return arm.history()


def predicted(requests: int = 0) -> list[check.Figures]:
    told = plain(median_s=0.4, p99_s=None).model_copy(update={"requests": requests})
    return check.predict(told, Fleet(containers=2), DUE_S, seed=1)


def test_what_is_as_predicted_is_within() -> None:
    found = check.measured(history(), predicted(), Fleet(containers=2), 2.0, 2)
    assert found.within is True
    assert {each.name for each in found.figures} == {"p50", "p95", "p99", "throughput", "attempts"}
    assert "as predicted" in found.headline
    told = json.loads(forecast.text_of(check.record(found)))
    assert told["figures"]["p99"]["within"]
    assert not list(Draft202012Validator(SCHEMAS[forecast.CHECK]()).iter_errors(told))
    assert "<h1" in check.to_html(found)


def test_what_is_not_is_told_as_such() -> None:
    found = check.measured(history(service_s=0.46), predicted(), Fleet(containers=2), 2.0, 4)
    assert found.within is False
    assert "not as predicted: p50, p95, p99" in found.headline
    assert "This machine carries 2 of the 4" in found.sentences[1]
    assert [row[-1] for row in check.rows(found)] == ["outside", "outside", "outside", "", ""]


def test_too_few_answers_are_unknown() -> None:
    found = check.measured(history(count=50), predicted(), Fleet(containers=2), 2.0, 2)
    assert found.within is None
    assert "too few for a p99" in found.headline


def test_an_interval_is_wider_where_less_was_calibrated() -> None:
    def width(requests: int) -> float:
        told = plain().model_copy(update={"requests": requests})
        found = check.predict(told, Fleet(containers=40), DUE_S, seed=1)
        return float(np.std([each.p50_s for each in found]))

    assert width(30) > 1.3 * width(100_000)


def test_the_fleet_that_is_run_is_the_one_that_was_planned() -> None:
    told = workload(quota=Quota(rpm=600, burst=5))
    fleet = Fleet(containers=4, limit=2, routing=Routing.LEAST_REQUEST, balancers=2)
    spec = check.experiment(told, fleet, 3.0, seconds=60)
    run = spec.fleet_of(check.ARM)
    assert (run.agents, run.concurrency_limit, run.policy, run.balancers) == (4, 2, Policy.LEAST_REQUEST, 2)
    assert spec.simulator.quota == Quota(rpm=600, burst=5)
    assert spec.load_of(check.ARM).rate_rps == pytest.approx(3.0)
    assert math.isclose(spec.load_of(check.ARM).duration_s, 60)
