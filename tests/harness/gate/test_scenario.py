"""What both sides are asked."""

import pytest

from harness.errors import InputError
from harness.experiment.load import catalogue, load
from harness.gate.scenario import GateScenario, parse, steady
from harness.load.arrivals import plan
from harness.run import pipeline


def test_the_gates_own_scenario_is_whole() -> None:
    assert steady().name == "steady"
    assert steady().load.rate_rps > 0


@pytest.mark.parametrize("requests", [340, 540])
@pytest.mark.parametrize("seed", range(20))
def test_a_block_has_requests_to_spare(requests: int, seed: int) -> None:
    assert len(plan(steady().block(requests), seed, "steady")) >= requests


@pytest.mark.parametrize(
    "name", [n for n in catalogue() if n in {"busy-routing", "cold-start", "throttling", "scale-to-zero"}]
)
def test_an_experiment_gives_its_steady_part_without_what_has_a_time(name: str) -> None:
    spec = load(name, pipeline.known())
    scenario = GateScenario.of(spec)
    assert scenario.load.rate_rps == spec.load_of(next(iter(spec.arms))).rate_rps
    assert all(rule.window_s is None for rule in scenario.simulator.faults)
    assert scenario.fleet.events == ()
    assert scenario.fleet.autoscale is None, "two blocks of unlike fleets can't be compared"


def test_another_rate_can_be_asked_for() -> None:
    assert steady().at(12.0).load.rate_rps == 12.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name =", "no valid TOML|not valid TOML"),
        ('name = "x"', "load"),
        ('name = "x"\n[load]\nrate_rps = 0', "load.rate_rps"),
    ],
)
def test_a_wrong_file_names_its_key(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse(text, "x.toml")
