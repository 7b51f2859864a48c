"""A prediction held against what was measured, without any process."""

import dataclasses
import json
import math

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from harness.commands.schema import SCHEMAS
from harness.plan import bench, check, forecast
from harness.plan.records import Fleet, Routing
from harness.records.history import ArmHistory
from harness.records.setup import ProcessUsage
from harness.records.spec import Policy
from harness.records.workload import Duration
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


def test_the_interval_covers_one_run_in_twenty_less_than_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw what is predicted and what is measured alike: so often is the latter inside."""
    monkeypatch.setattr(check, "SLACK", {"s": 0.0})
    draw = np.random.default_rng(1)
    values = draw.standard_normal((3000, check.REPLICATIONS + 1))
    inside = [check._compared("p99", "s", one[1:].tolist(), float(one[0])).within for one in values]
    assert np.mean(inside) == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / len(values)))


def test_the_tail_of_a_short_calibration_is_as_unsure_as_its_mean() -> None:
    """The p99 of thirty requests is the word of one of them."""
    told, many = (plain().model_copy(update={"requests": count}) for count in (30, 10_000))
    few_s, known_s = (
        np.array([each.p99_s for each in check.predict(one, Fleet(containers=300), DUE_S, seed=1)])
        for one in (told, many)
    )
    assert np.std(np.log(few_s)) > 1.2 * np.std(np.log(known_s))


def test_a_machine_that_was_full_or_late_is_unknown() -> None:
    late = history()
    rows = [each.row for each in late.requests]
    for row in rows[:10]:
        object.__setattr__(row, "sent_s", row.due_s + 0.5)
    found = check.measured(late, predicted(), Fleet(containers=2), 2.0, 2)
    assert found.within is None
    assert "the load sent late" in found.headline
    usage = (ProcessUsage(name="load", cpu_s=140.0, wall_s=150.0, rss_mb=1.0),)
    for changed, said in (
        ({"usage": usage}, "the machine was the bottleneck"),
        ({"others_cores": 0.9, "cores": 1.0}, "others kept 90% of the cores busy"),
    ):
        full = history()
        full = dataclasses.replace(full, facts=dataclasses.replace(full.facts, **changed))
        told = check.measured(full, predicted(), Fleet(containers=2), 2.0, 2)
        assert told.within is None
        assert said in told.headline


def test_what_is_predicted_is_what_the_bench_can_be_told() -> None:
    """One or two calls, as they were seen: the fleet makes one, of a lognormal, and so is predicted."""
    rest = Duration(median_s=0.3, quantiles_s=(0.1, 0.3, 5.0))
    told = workload()
    told = told.model_copy(update={"service": told.service.model_copy(update={"rest": rest})})
    run = bench.as_run(told)
    simulator = told.simulator()
    assert run.simulator() == simulator
    assert run.service.mean_calls == 1 + simulator.tool_turns
    assert run.service.rest.quantiles_s == ()
    assert run.service.rest.p99_s is not None
    assert run.service.rest.median_s == pytest.approx(
        (simulator.latency.tokens - 1) * simulator.latency.itl.median_s
    )
    assert (run.service.own, run.quota, run.arrivals) == (told.service.own, told.quota, told.arrivals)
