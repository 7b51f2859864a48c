"""Reads an experiment: by its name in the catalogue, or by the path of a TOML file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.errors import InputError
from harness.outside.text import parse_toml, read_text
from harness.records.spec import EventSpec, ExperimentSpec, Policy
from harness.records.weather import WeatherRule
from harness.wrong_keys import suggest, validation_messages

OWN = ("own-clients", "own-busy", "own-sessions", "own-retry", "own-leave", "own-restored", "own-memory")
"""The experiments that are made with a user's own agent, in the order they run."""

WHEN_NAMED = (
    *("restored", "memory-weather", "outside-weather", "frozen", "autoscale", "scale-to-zero"),
    *("fleet-rate", "soak"),
    *("own-restored", "own-memory"),
)
"""Those that take long, or need a program that not everybody has: they run when they are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The names that an experiment may use; the pipeline collects them from the stages.

    To ask whether one is in a collection may load another package, and raise an InputError that names it.

    Attributes:
        checks: ids of the invariants.
        faults: kinds of the simulator's faults.
        weather: kinds of weather.
        weather_of_store: those of them that are done to the store itself.
        weather_only: those that befall one target alone, and which; None where that is not asked.
        weather_spreads: those that lead to several replicas.
        weather_takes: which keys of its own a rule of each takes; None where that is not asked.
        weather_undone: those that are undone when they end, and what they are done to.
        weather_of_ours: those that befall the reference agent alone.
        protocols: that the simulator speaks.
        policies: of the balancer.
    """

    checks: Collection[str]
    faults: Collection[str]
    weather: Collection[str] = ()
    weather_of_store: Collection[str] = ()
    weather_only: Mapping[str, str] | None = None
    weather_spreads: Collection[str] = ()
    weather_takes: Mapping[str, Collection[str]] | None = None
    weather_undone: Mapping[str, str] = field(default_factory=dict)
    weather_of_ours: Collection[str] = ()
    protocols: Collection[str] = ()
    policies: Collection[str] = tuple(Policy)


def catalogue() -> tuple[str, ...]:
    """Return the names of the experiments that come with agentrig, in the order they run."""
    order = (
        *("cold-start", "sustainable-rate", "busy-routing", "busy-two-balancers", "busy-after-answer"),
        *("busy-errors", "throttling", "session-continuity", "scale-out", *WHEN_NAMED),
    )
    found = {
        entry.name.removesuffix(".toml") for entry in _folder().iterdir() if entry.name.endswith(".toml")
    }
    return tuple(sorted(found, key=lambda name: (order.index(name) if name in order else len(order), name)))


def default_experiments(*, own: bool = False) -> tuple[str, ...]:
    """Return those that run when none is named; `own` is whether a user's own agent is asked."""
    return tuple(name for name in (OWN if own else catalogue()) if name not in WHEN_NAMED)


def load(word: str, known: Known) -> ExperimentSpec:
    """Read the experiment that `word` names.

    Args:
        word: a name of the catalogue, or the path of a TOML file.
        known: the checks and faults that there are.

    Raises:
        InputError: there is no such experiment, or the file is wrong; the message names
            the file, the key and the way out.
    """
    if word in catalogue() or word in OWN:
        folder = resources.files("harness.own").joinpath("catalogue") if word in OWN else _folder()
        return parse(folder.joinpath(f"{word}.toml").read_text("utf-8"), f"{word}.toml", known)
    if word.endswith(".toml") or "/" in word:
        return parse(read_text(Path(word), "Check the path."), word, known)
    raise InputError(
        f"There is no experiment named {word!r}{suggest(word, (*catalogue(), *OWN))} "
        f"Known: {', '.join(catalogue())}; with your own agent {', '.join(OWN)}; or give the path of a "
        ".toml file."
    )


def parse(text: str, source: str, known: Known) -> ExperimentSpec:
    """Make an experiment of TOML text.

    Args:
        text: the TOML.
        source: what to call it in messages: a file name.
        known: the checks and faults that there are.

    Raises:
        InputError: one line for each thing that is wrong.
    """
    try:
        spec = ExperimentSpec.model_validate(parse_toml(text, source))
    except ValidationError as error:
        raise InputError(validation_messages(error, source, ExperimentSpec)) from error
    problems = [
        *(
            ["rate_scale: is for a run to write; scale an experiment by --rate-scale."]
            if spec.rate_scale != 1
            else []
        ),
        *_unknown_names("checks", (check.id for check in spec.checks), known.checks),
        *_unknown_names("simulator.faults", (fault.kind for fault in spec.simulator.faults), known.faults),
        *_unknown_names("simulator.protocols", spec.simulator.protocols, known.protocols),
        *_unknown_names("fleet.policy", sorted(_policies_of(spec)), known.policies),
        *_unknown_names("fleet.weather", sorted({rule.kind for rule in _weather_of(spec)}), known.weather),
        *_elsewhere(_weather_of(spec), known.weather_of_store),
        *(
            _of_another_target(_weather_of(spec), known.weather_only, known.weather)
            if known.weather_only is not None
            else []
        ),
        *(_of_another_kind(spec, known.weather_takes) if known.weather_takes is not None else []),
        *_without_its_pair(spec),
        *_too_late(spec),
        *_of_nothing(spec, known),
        *_at_once(spec, known.weather_undone),
    ]
    if problems:
        raise InputError("\n".join(f"{source}: {problem}" for problem in problems))
    return spec


def _weather_of(spec: ExperimentSpec) -> list[WeatherRule]:
    return [*spec.fleet.weather, *(rule for arm in spec.arms.values() for rule in arm.weather or ())]


def _policies_of(spec: ExperimentSpec) -> set[str]:
    chosen = {spec.fleet.policy, *(arm.policy for arm in spec.arms.values() if arm.policy is not None)}
    tables = (item for table in spec.matrix for item in table.items())
    return chosen | {
        str(value) for key, values in tables if key.endswith(".policy") for value in values if value
    }


def _elsewhere(rules: Iterable[WeatherRule], of_store: Collection[str]) -> list[str]:
    """Say which weather of the store itself is asked for elsewhere, or of one container alone."""
    return [
        f"fleet.weather: {rule.kind} is done to the store itself, and befalls all: leave target and "
        "container out."
        for rule in rules
        if rule.kind in of_store and (rule.target != "store" or rule.container is not None)
    ]


def _of_another_target(
    rules: Iterable[WeatherRule], only: Mapping[str, str], known: Collection[str]
) -> list[str]:
    """Say which weather is asked for where it can't befall anything."""
    return [
        f"fleet.weather: {rule.kind} does not befall {rule.target}"
        + (f'; give target = "{only[rule.kind]}".' if rule.kind in only else "; give another target.")
        for rule in rules
        if rule.kind in known
        and (
            rule.target != only.get(rule.kind, rule.target)
            or (rule.target == "container" and rule.kind not in only)
        )
    ]


def _of_another_kind(spec: ExperimentSpec, takes: Mapping[str, Collection[str]]) -> list[str]:
    """Say which keys of weather are of no effect: whoever wrote them counts on one."""
    said = {
        f"fleet.weather: {rule.kind} takes no {key}, which is of "
        f"{', '.join(kind for kind in sorted(takes) if key in takes[kind])}; leave it out.": None
        for rule in _weather_of(spec)
        for key in sorted({key for keys in takes.values() for key in keys} - {*takes.get(rule.kind, ())})
        if rule.kind in takes and key in rule.model_fields_set
    }
    return list(said)


def _without_its_pair(spec: ExperimentSpec) -> list[str]:
    """Say what would come once, though somebody wrote that it comes again; or again, and not when."""
    events = [*spec.fleet.events, *(event for arm in spec.arms.values() for event in arm.events or ())]
    named: list[tuple[str, EventSpec | WeatherRule]] = [
        *((f"fleet.events: {event.action}", event) for event in events),
        *((f"fleet.weather: {rule.kind}", rule) for rule in _weather_of(spec)),
    ]
    return [
        *(
            f"{name} has every_s, and would come once; give times, how often in all."
            for name, each in named
            if "every_s" in each.model_fields_set and "times" not in each.model_fields_set
        ),
        *(
            f"fleet.weather: {rule.kind} comes {rule.times} times; give every_s, from one to the next."
            for rule in _weather_of(spec)
            if rule.times > 1 and "every_s" not in rule.model_fields_set
        ),
    ]


def _too_late(spec: ExperimentSpec) -> list[str]:
    """Say which weather would never begin. A short form may leave some out; a soak may be cut short."""
    if spec.fleet.soaked:
        return []
    late = {
        f"fleet.weather: {rule.kind} of {rule.window_s[0]:g} to {rule.window_s[1]:g} s would never begin: "
        f"the load is over after {length_s:g} s.": None
        for arm in spec.arms
        if (length_s := spec.load_of(arm).length_s)
        for rule in spec.fleet_of(arm).weather
        if rule.window_s[0] >= length_s
    }
    return list(late)


def _of_nothing(spec: ExperimentSpec, known: Known) -> list[str]:
    """Say which weather would befall nothing where it is asked for: what holds in it would prove nothing."""
    fleets = {name: spec.fleet_of(name) for name in spec.arms}
    kinds = {name: {rule.kind for rule in fleet.weather} for name, fleet in fleets.items()}
    alone = {kind for name in kinds if fleets[name].tool_servers == 1 for kind in kinds[name]}
    yours = {kind for name in kinds if spec.arms[name].agent == "yours" for kind in kinds[name]}
    return [
        *(
            f"fleet.weather: {kind} leads to several replicas; give tool_servers = 2 or 3."
            for kind in sorted(alone.intersection(known.weather_spreads))
        ),
        *(
            f"fleet.weather: {kind} befalls the reference agent alone; leave it out of the arms of yours."
            for kind in sorted(yours.intersection(known.weather_of_ours))
        ),
    ]


def _at_once(spec: ExperimentSpec, undone: Mapping[str, str]) -> list[str]:
    """Say which weather of an arm the end of other weather would undo, or leave nothing to be done to."""
    found: dict[str, None] = {}
    for arm in spec.arms:
        rules = [rule for rule in spec.fleet_of(arm).weather if rule.kind in undone]
        for done_to, container in dict.fromkeys((undone[rule.kind], rule.container) for rule in rules):
            there = sorted(
                (window, rule.kind)
                for rule in rules
                if undone[rule.kind] == done_to and rule.container in {None, container}
                for window in rule.windows
            )
            found |= {
                f"fleet.weather: {arm}: {kind} of {from_s:g} to {to_s:g} s is not over when {other} begins "
                f"at {next_s:g} s, and both are done to the {done_to}: the end of one would undo the "
                "other.": None
                for ((from_s, to_s), kind), ((next_s, _), other) in pairwise(there)
                if next_s <= to_s
            }
    return list(found)


def _folder() -> Any:
    return resources.files("harness.experiment").joinpath("catalogue")


def _unknown_names(where: str, names: Iterable[str], known: Collection[str]) -> list[str]:
    return [
        f"{where}: there is no {name!r}{suggest(name, known)} Known: {', '.join(sorted(known))}."
        for name in names
        if name not in known
    ]
