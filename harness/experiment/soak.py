"""A soak that lasts for hours: the same load, and the same rare weather, as often as they fit."""

from __future__ import annotations

import math
from typing import Final

from pydantic import ValidationError

from harness.errors import InputError
from harness.records.spec import EventSpec, ExperimentSpec, PhaseSpec
from harness.records.weather import WeatherRule

HOUR_S: Final = 3600.0


def lengthened(spec: ExperimentSpec, hours: float) -> ExperimentSpec:
    """Return a soak that lasts so long.

    Args:
        spec: as it was written.
        hours: that its load lasts.

    Raises:
        InputError: it is no soak, or has more requests or hours than an experiment may have.
    """
    if not spec.fleet.soaked:
        raise InputError(
            f"--hours is for a soak, and {spec.name} is none: `agentrig run soak --hours {hours:g}`."
        )
    whole_s = hours * HOUR_S
    first_s = min(whole_s, HOUR_S)
    rest = [min(HOUR_S, whole_s - HOUR_S * n) for n in range(1, math.ceil(hours))]
    load = spec.load.model_copy(
        update={
            "duration_s": first_s,
            "phases": tuple(
                PhaseSpec(name=f"hour-{number}", rate_rps=spec.load.rate_rps, duration_s=length_s)
                for number, length_s in enumerate(rest, start=2)
                if length_s > 0
            ),
        }
    )
    fleet = spec.fleet.model_copy(
        update={
            "events": tuple(_again(event, event.at_s, whole_s) for event in spec.fleet.events),
            "weather": tuple(_again(rule, rule.window_s[1], whole_s) for rule in spec.fleet.weather),
        }
    )
    changed = spec.model_copy(update={"load": load, "fleet": fleet}).model_dump()
    try:
        return ExperimentSpec.model_validate(changed)
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise InputError(f"{spec.name}: with --hours {hours:g}: {said}.") from error


def _again(rule: EventSpec | WeatherRule, first_s: float, whole_s: float) -> EventSpec | WeatherRule:
    """Return something that comes again and again, as often as it fits, once at the least."""
    times = max(1, min(1000, int((whole_s - first_s) / rule.every_s) + 1))
    return rule if rule.times == 1 else rule.model_copy(update={"times": times})
