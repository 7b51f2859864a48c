"""A soak that lasts for hours."""

import pytest

from harness.errors import InputError
from harness.experiment.load import load
from harness.experiment.soak import lengthened
from harness.run import pipeline


def test_a_soak_of_hours_has_its_load_and_its_weather_all_the_time() -> None:
    soak = load("soak", pipeline.known())
    longer = lengthened(soak, 8)
    assert longer.load.length_s == 8 * 3600
    assert longer.load.highest_rps == soak.load.rate_rps
    last_s = max(rule.window_s[1] + (rule.times - 1) * rule.every_s for rule in longer.fleet.weather)
    assert 7.9 * 3600 < last_s <= 8 * 3600
    assert lengthened(soak, 0.25).load.length_s == 900


def test_what_is_no_soak_or_too_much_is_refused() -> None:
    with pytest.raises(InputError, match="cold-start is none"):
        lengthened(load("cold-start", pipeline.known()), 2)
    with pytest.raises(InputError, match="with --hours 30"):
        lengthened(load("soak", pipeline.known()), 30)
