import tomllib
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.experiment.load import load
from harness.plan.bench import bursts, shaped
from harness.plan.files import read_workload
from harness.plan.prices import read_prices
from harness.records.workload import Arrivals, Duration, RateStep, Workload, to_toml
from harness.run import pipeline
from harness.simulator_config import Quota
from tests.harness.plan.workloads import plain, sessions, workload

TOML = """
[arrivals]
rate_rps = 12

[service]
calls = [0.4, 0.6]

[service.rest]
median_s = 0.8
p99_s = 4
"""


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "workload.toml"
    file.write_text(text)
    return file


def test_a_workload_by_hand_is_read(tmp_path: Path) -> None:
    told = read_workload(written(tmp_path, TOML))
    assert told.service.mean_calls == pytest.approx(1.6)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    told = workload(
        name='a "name"\\',
        unknown=("one\ntwo", "three"),
        quota=Quota(rpm=300, burst=5),
        sessions=sessions(3, 5.0),
        arrivals=Arrivals(
            rate_rps=10,
            dispersion=2.5,
            steps=(RateStep(from_s=0, rate_rps=5), RateStep(from_s=43_200, rate_rps=15)),
        ),
    )
    again = read_workload(written(tmp_path, to_toml(told)))
    assert again == told
    empirical = plain()
    empirical = empirical.model_copy(
        update={
            "service": empirical.service.model_copy(
                update={"rest": Duration(median_s=1, quantiles_s=(0.5, 1, 3))}
            )
        }
    )
    assert Workload.model_validate(tomllib.loads(to_toml(empirical))) == empirical


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TOML.replace("12", "-3"), "arrivals.rate_rps"),
        (TOML.replace("12", "0"), "arrivals.rate_rps"),
        (TOML.replace("0.4, 0.6", "0.4, 0.4"), "must sum to 1"),
        (TOML.replace("p99_s = 4", "p99_s = 0.1"), "above median_s"),
        (TOML.replace("p99_s = 4", "p95_s = 4"), "p95_s"),
        (TOML.replace("median_s = 0.8\np99_s = 4", "median_s = 0"), "takes no time"),
        ("[arrivals", "is not valid TOML"),
        ("a = " + "[" * 100_000, "nested too deeply"),
        ("a = " + "9" * 5_000, "is not valid TOML"),
        ("", "arrivals"),
        (TOML + "quantiles_s = [1, 2]", "not both"),
        (
            TOML.replace("rate_rps = 12", "rate_rps = 12\nsteps = [{ from_s = 5, rate_rps = 1 }]"),
            "begin at 0",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        read_workload(written(tmp_path, text))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_workload(tmp_path / "none.toml")


def test_the_simulator_answers_as_the_model_did() -> None:
    told = workload(quota=Quota(rpm=300, burst=5)).simulator(seed=4)
    assert told.seed == 4
    assert told.latency.ttft.median_s == pytest.approx(0.1)
    assert told.latency.tokens == 100
    assert told.latency.itl.mean_s * 99 == pytest.approx(Duration(median_s=0.3, p99_s=1.5).mean_s)
    assert told.tool_turns == 1  # a request has 1.5 calls on average: two of them
    assert told.quota == Quota(rpm=300, burst=5)


def test_an_experiment_behaves_as_a_workload() -> None:
    spec = load("throttling", pipeline.known())
    told = shaped(spec, workload(sessions=sessions(3, 5.0)))
    assert told.simulator.latency.ttft.median_s == pytest.approx(0.1)
    assert told.load.turns == 3
    assert told.load.turn_gap_s == pytest.approx(5.0)
    assert told.simulator.quota == spec.simulator.quota  # what it asks about stays
    assert told.arms == spec.arms


def test_a_load_is_as_bursty_as_the_workload() -> None:
    even = bursts(plain(), 20, 60, seed=1)
    assert (even.rate_rps, even.duration_s, even.phases) == (20, 60, ())
    bursty = plain().model_copy(update={"arrivals": Arrivals(rate_rps=20, dispersion=9, window_s=5)})
    told = bursts(bursty, 20, 60, seed=1)
    assert 1 + len(told.phases) == 12
    assert told.requests == pytest.approx(1200, rel=0.01)
    rates = [told.rate_rps, *(phase.rate_rps for phase in told.phases)]
    assert max(rates) > 1.3 * min(rates)


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "9" * 5_000, "container_hour = inf", "["])
def test_odd_prices_are_a_sentence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=r"prices\.toml"):
        read_prices(file)
