"""`--limits`: what is promised of a service, and what is known of its fleet, as `key=value` or as TOML."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from harness.errors import InputError
from harness.observe.checks import OBSERVABLE
from harness.observe.gathering import Known
from harness.outside.text import parse_toml, read_text

MIN_REQUESTS: Final = "min-requests"
CONCURRENCY: Final = "concurrency-limit"
SAMPLED: Final = "sampled"
CLOCKS: Final = "clocks"
SYNCHRONISED: Final = "synchronised"
OF_FLEET: Final = (MIN_REQUESTS, CONCURRENCY, SAMPLED, CLOCKS)
MOST: Final = 100_000
SHARES: Final = {
    "no-errors": (0.0, 0.3),
    "transient-survived": (0.7, 1.0),
    "herd-share": (0.0, 0.6),
    "delays-differ": (0.0, 0.6),
    "idle-while-waiting": (0.0, 0.8),
    "traces-whole": (0.0, 0.05),
    "retry-after-respected": (0.0, 0.9),
    "session-load-tail": (0.0, 0.03),
    "load-spread": (1.0, 1.5),
}
"""Between which limits a check can be shown to fall short: beyond them it could not fail."""
MOST_OF_OTHERS: Final = 1e7
DEFAULT_MIN_REQUESTS: Final = 100
TOML_END: Final = ".toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What was said of a service.

    Attributes:
        checks: the limits of checks, by id.
        known: of the fleet and the store.
        min_requests: fewer make every check unknown.
    """

    checks: Mapping[str, float] = field(default_factory=dict)
    known: Known = field(default_factory=Known)
    min_requests: int = DEFAULT_MIN_REQUESTS


def read(words: Sequence[str]) -> Limits:
    """Return what some words say.

    Args:
        words: `key=value`, or the name of a TOML file with the same keys; later ones win.

    Raises:
        InputError: a word is neither, or has a key or value that there is not.
    """
    given: dict[str, object] = {}
    for word in words:
        if "=" not in word or word.endswith(TOML_END):
            file = Path(word)
            given |= parse_toml(read_text(file, "Give key=value, or a TOML file of them."), str(file))
            continue
        for pair in word.split(","):
            key, equals, value = pair.partition("=")
            if not equals:
                raise InputError(f"--limits {word}: {pair!r} is no key=value.")
            given[key.strip()] = value.strip()
    return _limits(given)


def _limits(given: Mapping[str, object]) -> Limits:
    checks: dict[str, float] = {}
    for key, value in given.items():
        if key in OBSERVABLE:
            checks[key] = _of_check(key, _number(key, value))
        elif key not in OF_FLEET:
            raise InputError(
                f"--limits {key}: there is no such key. Known: {', '.join([*OF_FLEET, *sorted(OBSERVABLE)])}."
            )
    clocks = given.get(CLOCKS)
    if clocks is not None and clocks != SYNCHRONISED:
        raise InputError(f"--limits {CLOCKS}={clocks}: say {CLOCKS}={SYNCHRONISED}, or nothing of them.")
    limit = _whole(CONCURRENCY, given[CONCURRENCY]) if CONCURRENCY in given else None
    sampled = _number(SAMPLED, given[SAMPLED]) if SAMPLED in given else None
    if sampled is not None and not 0 < sampled <= 1:
        raise InputError(f"--limits {SAMPLED}={sampled:g}: give the share of traces that is kept, 0 to 1.")
    return Limits(
        checks=checks,
        known=Known(concurrency_limit=limit, sampled=sampled, synchronised=clocks is not None),
        min_requests=_whole(MIN_REQUESTS, given.get(MIN_REQUESTS, DEFAULT_MIN_REQUESTS)),
    )


def _of_check(key: str, value: float) -> float:
    least, most = SHARES.get(key, (0.0, MOST_OF_OTHERS))
    if not least <= value <= most:
        raise InputError(
            f"--limits {key}={value:g}: give {least:g} to {most:g}; with others nothing could fall short."
        )
    return value


def _number(key: str, value: object) -> float:
    number = math.nan
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        with contextlib.suppress(ValueError, OverflowError):
            number = float(value)
    if not math.isfinite(number):
        raise InputError(f"--limits {key}={value}: is no number.")
    return number


def _whole(key: str, value: object) -> int:
    number = _number(key, value)
    if number != int(number) or not 1 <= number <= MOST:
        raise InputError(f"--limits {key}={value}: give a whole number from 1 to {MOST}.")
    return int(number)
