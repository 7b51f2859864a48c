"""Tolerances of one's own: what a figure may do, in place of what the gate takes by itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from harness.errors import InputError
from harness.gate.blocks import MEASURES, Measure
from harness.gate.parts import PARTS
from harness.gate.statistics import Tolerance
from harness.gate.work import ANSWERED

COMPARED: Final[tuple[Measure, ...]] = (*MEASURES, *(measure for measure, _ in PARTS.values()))
"""All figures of a block of which more is worse, where it has them."""
KNOWN: Final[tuple[Measure, ...]] = (*COMPARED, *ANSWERED)
"""All that have a tolerance."""


def id_of(measure: Measure) -> str:
    """Return what a figure is called where a word may have no space: in checks and on the command line."""
    return measure.name.replace("'", "").replace(" ", "-")


def usual(measure: Measure) -> Tolerance:
    """Return what a figure may do by itself."""
    return next(each.tolerance for each in KNOWN if each.name == measure.name)


def with_tolerances(
    tolerances: Mapping[str, Tolerance], measures: Sequence[Measure] = COMPARED
) -> tuple[Measure, ...]:
    """Return figures, those that are named with another tolerance.

    Args:
        tolerances: by id.
        measures: the figures.
    """
    return tuple(
        replace(each, tolerance=tolerances[id_of(each)]) if id_of(each) in tolerances else each
        for each in measures
    )


def parse_tolerances(words: Sequence[str]) -> dict[str, Tolerance]:
    """Read tolerances as they are typed: `p99=1.10:1.30` is fine up to 1.10 times base's, and bad from 1.30.

    Without a second number the figure is bad from where it was. What is beyond doubt stays where it was, or
    is what is bad, if that is more.

    Returns:
        They by the id of their figure.

    Raises:
        InputError: a word is no such thing.
    """
    found = {}
    for word in words:
        name, _, given = word.partition("=")
        measure = next((each for each in KNOWN if id_of(each) == name.strip()), None)
        if measure is None:
            raise InputError(
                f"--tolerance {word}: {name.strip()!r} is no figure of the gate. These are: "
                f"{', '.join(map(id_of, KNOWN))}."
            )
        by_itself = measure.tolerance
        try:
            first, colon, second = given.partition(":")
            fine, bad = float(first), float(second) if colon else by_itself.bad
            found[id_of(measure)] = Tolerance(fine=fine, bad=bad, gross=_gross(by_itself, bad))
        except ValueError as error:
            raise InputError(
                f"--tolerance {word}: give two ratios of head to base, fine and bad: {name}=1.10:1.30. "
                f"By itself it is {by_itself.fine:g}:{by_itself.bad:g}."
            ) from error
    return found


def _gross(by_itself: Tolerance, bad: float) -> float:
    return by_itself.gross if math.isinf(bad) else max(by_itself.gross, bad)
