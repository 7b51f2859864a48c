"""The twelve cells of the real fleet, without it: what is predicted, how long each runs, their table."""

import json
from pathlib import Path

import pytest

from harness.plan.check import experiment
from harness.records.workload import Duration, Service, to_toml
from tests.bench import plan_cells
from tests.harness.plan.workloads import workload

KNOWN = workload(
    requests=2000, service=Service(own=Duration(median_s=0.01), rest=Duration(median_s=0.4, p99_s=1.0))
)


def test_time_goes_to_the_cells_by_what_chance_does_to_them() -> None:
    lasts = plan_cells.seconds_of(plan_cells.CELLS, 60)
    sure = [each.chance / s**0.5 for each, s in zip(plan_cells.CELLS, lasts, strict=True)]
    assert all(each <= max(sure) for each in sure)
    assert sum(each == pytest.approx(max(sure)) for each in sure) >= 8
    assert 0.85 * 3600 < sum(lasts) < 1.1 * 3600


@pytest.mark.parametrize("number", range(1, 13))
def test_a_cell_runs_as_it_is_predicted(number: int) -> None:
    cell = plan_cells.CELLS[number - 1]
    told, fleet, rate_rps = plan_cells.told_of(cell, KNOWN)
    spec = experiment(told, fleet, rate_rps, seconds=60)
    assert rate_rps * KNOWN.service.held_s == pytest.approx(cell.load * cell.containers * cell.limit)
    assert (spec.fleet.agents, spec.fleet.concurrency_limit) == (cell.containers, cell.limit)
    assert spec.simulator.quota == told.quota
    assert (told.quota is not None) == cell.tight
    assert spec.fleet.env["AGENT_RETRY_BASE_S"] == f"{told.retries.base_s:g}" == "1"


def test_what_the_machine_got_in_the_way_of_is_no_cell_that_tells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = {
        "p99": {"predicted": 2.0, "low": 1.7, "high": 2.4, "measured": 2.5, "within": False},
        "throughput": {"predicted": 9.0, "low": 8.9, "high": 9.1, "measured": 9.0, "within": True},
    }
    one = {"requests": 1200, "figures": figures, "doubt": None, "runs": 1}
    near = {**figures, "p99": {**figures["p99"], "measured": 2.1, "within": True}}
    (tmp_path / "workload.toml").write_text(to_toml(KNOWN))
    for number, found in ((1, one), (2, {**one, "figures": near}), (3, {**one, "doubt": "late", "runs": 2})):
        (tmp_path / f"cell-{number}.json").write_text(json.dumps(found))
    plan_cells.show(tmp_path, range(1, 13))
    said = capsys.readouterr().out
    assert "p99 within 10%: 1 of 2 cells that tell." in said
    assert "throughput within 3%: 2 of 2 cells that tell." in said
    assert "| +25% | **no** | +0.0% |" in said
    assert "| unknown | late |" in said
    assert "Run again, for the machine was in the way: 3 (2 runs)." in said
