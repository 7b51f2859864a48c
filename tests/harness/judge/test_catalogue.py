"""The catalogue's experiments, judged on data that nobody has."""

import pytest

from harness.experiment.load import Known, catalogue, load
from harness.judge.verdict import judge, known_checks
from harness.records.outcome import Outcome
from harness.simulator.installed import known_faults
from harness.weather.kinds import known_weather


@pytest.mark.parametrize("name", catalogue())
def test_every_check_of_the_catalogue_is_there_and_unknown_without_data(name: str) -> None:
    result = judge(
        load(name, Known(checks=known_checks(), faults=known_faults(), weather=known_weather())), {}, {}
    )
    assert result.checks
    assert {check.verdict for check in result.checks} == {Outcome.UNKNOWN}
    assert result.verdict is Outcome.UNKNOWN
