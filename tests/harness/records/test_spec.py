"""What an arm's fleet and load are, and what the short form leaves out."""

import pytest

from harness.errors import InputError
from harness.experiment.load import catalogue, load, parse
from harness.records.spec import ExperimentSpec, Policy
from harness.run.pipeline import known

TEXT = """
name = "mine"
title = "Mine"
claim = "It holds."
[fleet]
agents = 4
env = { A = "fleet", B = "fleet" }
[[fleet.events]]
action = "kill"
at_s = 1.0
[simulator]
latency = { ttft = { median_s = 0.1 }, itl = { median_s = 0.01 }, tokens = 11 }
tool_turns = 1
[load]
utilisation = 0.5
duration_s = 60
[[load.phases]]
name = "storm"
duration_s = 5
rate_rps = 9
[quick]
duration_s = 10
without = ["other"]
[arms.good]
title = "good"
[arms.other]
title = "other"
control = true
policy = "blind"
agents = 1
balancers = 2
events = []
env = { B = "arm" }
[arms.bad]
title = "bad"
control = true
[[checks]]
id = "no-errors"
holds_in = ["good"]
caught_in = ["other", "bad"]
[[checks]]
id = "p99-ratio"
holds_in = ["good"]
versus = "other"
[[checks]]
id = "init-once"
caught_in = ["other"]
"""


RAMP = "ramp = { p99_ms = 9, rates_rps = [1, 2, 3, 4, 5], min_step_s = 3600 }"
STORMS = "".join(f'\n[[load.phases]]\nname = "s{n}"\nduration_s = 3600\nrate_rps = 100' for n in range(2))


def matrix(table: str) -> tuple[str, str]:
    return "[arms.good]", f"[[matrix]]\n{table}\n[arms.good]"


def spec(text: str = TEXT) -> ExperimentSpec:
    return parse(text, "mine.toml", known())


def test_an_arm_has_the_fleet_of_the_experiment_but_for_what_it_says() -> None:
    fleet = spec().fleet_of("other")
    assert (fleet.agents, fleet.policy, fleet.balancers, fleet.events) == (1, Policy.BLIND, 2, ())
    assert fleet.env == {"A": "fleet", "B": "arm"}
    assert spec().fleet_of("good") == spec().fleet


def test_a_rate_by_utilisation_grows_with_the_arms_containers() -> None:
    service_s = 2 * (0.1 + 10 * 0.01) + 0.01
    assert spec().service_s == pytest.approx(service_s)
    assert spec().load_of("good").rate_rps == pytest.approx(0.5 * 4 * 8 / service_s)
    assert spec().load_of("other").rate_rps == pytest.approx(0.5 * 1 * 8 / service_s)


def test_a_given_rate_is_the_rate() -> None:
    plain = spec(TEXT.replace("utilisation = 0.5", "rate_rps = 3.0"))
    assert plain.load_of("other").rate_rps == 3.0


def test_the_short_form_leaves_out_arms_and_what_is_said_of_them() -> None:
    short = spec().quickened()
    assert set(short.arms) == {"good", "bad"}
    assert [(check.id, check.holds_in, check.caught_in) for check in short.checks] == [
        ("no-errors", ("good",), ("bad",))
    ]
    assert short.load.duration_s == 10


def test_the_length_of_a_load_is_that_of_all_its_phases() -> None:
    assert spec().load.length_s == 65


def test_the_short_form_cannot_leave_out_what_is_not_there() -> None:
    with pytest.raises(Exception, match="without names arms that are not there: stranger"):
        spec(TEXT.replace('without = ["other"]', 'without = ["stranger"]'))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            ('without = ["other"]', 'without = ["other", "bad"]'),
            "quick: as --quick runs it: arms: none has control",
        ),
        (("[quick]\nduration_s = 10", "[quick]\nduration_s = 1e9"), r"quick\.duration_s: "),
        (("[quick]\nduration_s = 10", "[quick]\nrate_rps = 4000"), r"quick\.rate_rps: "),
        (("[quick]\nduration_s = 10", "[quick]\nburst = 4000"), r"quick\.burst: "),
        (("utilisation = 0.5", "utilisation = 4\nquiet_s = inf"), r"load\.quiet_s: "),
        (("median_s = 0.1 }", "median_s = 1e-9, p99_s = 3600 }"), "10,000 times median_s"),
        (("agents = 4", "agents = 32\nconcurrency_limit = 1000"), "requests/s, and 5000 are the most"),
        (('id = "init-once"', 'id = "init-once"\nlimit = nan'), r"checks\[2\]\.limit: "),
        (
            ("duration_s = 60", "duration_s = 3600\nquiet_s = 3600\n" + RAMP),
            r"s of load, and 21600 are the most",
        ),
        (
            ("duration_s = 60", "ramp = { p99_ms = 9, rates_rps = [1, 2], min_step_s = 1e300 }"),
            r"min_step_s: ",
        ),
        (("rate_rps = 9", "rate_rps = 1000\nburst = 1" + STORMS), "requests, and 500000 are the most"),
        (matrix('"fleet.agnets" = [1]'), "fleet.agnets is not a key"),
        (matrix('"fleet.agents.x" = [1]'), "fleet.agents.x is not a key"),
        (matrix('"nowhere.x" = [1]'), "nowhere.x is not a key"),
        (matrix('"fleet.agents" = [99]'), "matrix: agents=99: fleet.agents: "),
        (matrix(f"seed = {list(range(9801))}"), "it has 9801 cells, and 1000 are the most"),
        (matrix("seed = [1, 1]"), "2 of its cells would be called mine.seed=1"),
    ],
)
def test_what_cannot_be_right_is_refused_before_anything_starts(change: tuple[str, str], told: str) -> None:
    changed = TEXT.replace(*change)
    assert changed != TEXT
    with pytest.raises(InputError, match=told):
        spec(changed)


def test_without_any_latency_no_rate_follows_from_a_utilisation() -> None:
    free = TEXT.replace("latency = { ttft = { median_s = 0.1 }, itl = { median_s = 0.01 }, tokens = 11 }", "")
    with pytest.raises(InputError, match="would get inf requests/s"):
        spec(free.replace('title = "Mine"', 'title = "Mine"\noverhead_s = 0'))


@pytest.mark.parametrize("name", catalogue())
def test_the_short_form_is_an_experiment_itself_and_can_be_kept(name: str) -> None:
    short = load(name, known()).quickened()
    assert ExperimentSpec.model_validate_json(short.model_dump_json()) == short
    assert short.quickened() == short


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("target = 2.0\nleast = 4", "least is 4, and most 3"),
        (
            'target = 0.8\nmetric = "cpu"\nleast = 0',
            "least is 0, and metric cpu: .* scale to zero by inflight",
        ),
        ("target = 5e-324", "target: input should be greater than or equal to 0.001"),
    ],
)
def test_an_autoscaler_that_can_not_be_is_told(asked: str, told: str) -> None:
    """One that goes by nothing at all is known to Kubernetes as no way to scale to zero, either."""
    text = TEXT.replace("[simulator]", f"[fleet.autoscale]\nmost = 3\n{asked}\n[simulator]")
    with pytest.raises(InputError, match=told):
        parse(text, "mine.toml", known())


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ("", "give the steps as rates_rps, or as utilisations"),
        ("rates_rps = [1, 2], utilisations = [0.5, 0.9],", "give the steps as rates_rps, or as utilisations"),
        ("utilisations = [0.9, 0.5],", "two or more, and rise"),
        ("rates_rps = [4],", "two or more, and rise"),
    ],
)
def test_a_ramp_without_rising_steps_is_told(steps: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        spec(TEXT.replace("duration_s = 60", f"duration_s = 60\nramp = {{ {steps} p99_ms = 100 }}"))
