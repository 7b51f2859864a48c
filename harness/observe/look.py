"""One look at a live system: its spans in, a verdict and its report out. The page that calls all of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.clock import Clock
from harness.errors import InputError
from harness.judge.verdict import combine
from harness.observe import together
from harness.observe.gathering import Gathering, Known, ObservedHistory
from harness.observe.processes import Group
from harness.observe.sources.source import Source, Time
from harness.observe.store import Doubt
from harness.observe.together import Part
from harness.observe.untimely import Judged
from harness.observe.verdict import Judging, title_of
from harness.records.outcome import ArmSeries, ExperimentResult, RunResult
from harness.run.folder import RunFolder, new_run_id
from harness.run.pipeline import write_reports

SETTLED_S = 10.0
"""What ended so lately may have spans that are still on their way to a store."""
MOST_NAMED = 10
"""Of services that are not judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is asked.

    Attributes:
        source: of the spans.
        services: whose; all that work as agents do when none is named.
        judging: by what.
        since_s: seconds that are looked back; None for all that is there.
        out: the folder of the report; a new one by default.
        again: the command that asks it again.
        version: of agentrig.
        salt: keeps the names of two looks of one second apart.
    """

    source: Source
    services: tuple[str, ...]
    judging: Judging
    since_s: float | None
    out: Path | None
    again: str
    version: str
    salt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a look found.

    Attributes:
        result: the verdict.
        pictures: what its report draws.
        doubts: what the store does not have, by the names that services have in reports.
    """

    result: RunResult
    pictures: Mapping[tuple[str, str], ArmSeries]
    doubts: Mapping[str, tuple[Doubt, ...]]


def look(asked: Look, clock: Clock) -> tuple[RunResult, RunFolder]:
    """Read the spans, judge each service, and write the report.

    Raises:
        InputError: there is nothing that can be read as spans, or no agent in it.
        StartError: the source can't be asked, or the folder not be written.
    """
    if asked.source.listens_since_s is not None:
        clock.sleep((asked.since_s or 0.0) + SETTLED_S)
    seen = judged(asked, clock)
    return seen.result, written(seen, asked.out or Path("runs") / f"observe-{seen.result.run_id}")


def judged(asked: Look, clock: Clock) -> Seen:
    """Read the spans, and judge each service.

    Raises:
        InputError: there is nothing that can be read as spans, or no agent in it.
        StartError: the source can't be asked.
    """
    now_s, began_s = clock.now(), clock.monotonic()
    time = Time(from_s=None if asked.since_s is None else now_s - asked.since_s, to_s=now_s)
    gathering = Gathering(asked.services)
    parts, doubts, began = read(asked, time, gathering, clock.now)
    told = _beside(gathering)
    results, pictures = list[ExperimentResult](), dict[tuple[str, str], ArmSeries]()
    for name, each in parts.items():
        concluded, drawn = asked.judging.conclude(name, each, doubts[name], told)
        results.append(concluded)
        pictures |= drawn
    result = RunResult(
        run_id=new_run_id(now_s, asked.salt),
        verdict=combine(results),
        started_s=began,
        duration_s=clock.monotonic() - began_s,
        quick=False,
        experiments=tuple(results),
        version=asked.version,
        again=asked.again,
    )
    return Seen(result=result, pictures=pictures, doubts=doubts)


def written(seen: Seen, path: Path) -> RunFolder:
    """Write the report of a look.

    Args:
        seen: what it found.
        path: of its folder.

    Raises:
        InputError: another run is in that folder.
        StartError: it can't be written.
    """
    folder = RunFolder.create(path, seen.result.run_id)
    write_reports(seen.result, seen.pictures, folder)
    return folder


def read(
    asked: Look, time: Time, gathering: Gathering, now: Callable[[], float]
) -> tuple[dict[str, list[Part]], dict[str, tuple[Doubt, ...]], float]:
    """Read a source, and judge each service stretch by stretch.

    Args:
        asked: what is asked.
        time: that is looked at.
        gathering: takes the spans.
        now: returns the time (Unix).

    Returns:
        What came out, and what the store does not have, by the names of services; and when (Unix) what was
        seen began.

    Raises:
        InputError: there is nothing that can be read as spans, or no agent in it.
        StartError: the source can't be asked.
    """
    source, known = asked.source, asked.judging.limits.known
    parts: defaultdict[Group, list[Part]] = defaultdict(list)
    began_s = time.to_s
    for group, history, of_several in gathering.windows(
        source.spans(time), known, _judged_of(source, time, now)
    ):
        together.add(parts[group], asked.judging.part(history, of_several=of_several))
        began_s = min(began_s, history.facts.start_s)
    if not parts:
        raise _no_agent(gathering)
    gathering.store.notes += source.notes
    doubts = {title_of(group): gathering.doubts(group, known) for group in parts}
    return {title_of(group): parts[group] for group in sorted(parts)}, doubts, began_s


def _judged_of(source: Source, time: Time, now: Callable[[], float]) -> Judged:
    # of traces that began before it listened, a part may be missing
    from_s = max((each for each in (time.from_s, source.listens_since_s) if each is not None), default=None)
    return Judged(from_s=from_s, until_s=time.to_s - SETTLED_S if source.live else None, now=now)


def _beside(gathering: Gathering) -> tuple[str, ...]:
    """Return what is told beside a verdict: what has none."""
    others, told = gathering.others, list[str]()
    if others:
        more = f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
        told.append(
            f"not judged: {', '.join(others[:MOST_NAMED])}{more}: no span of theirs tells of an agent at "
            "work; name one with --service to judge it"
        )
    if gathering.elsewhen:
        told.append(
            f"not judged: {gathering.elsewhen} traces that began before the time that is looked at, or "
            f"ended in its last {SETTLED_S:.0f} s"
        )
    return tuple(told)


def histories(
    source: Source, services: Sequence[str], known: Known, time: Time, now: Callable[[], float]
) -> dict[Group, tuple[ObservedHistory, tuple[Doubt, ...]]]:
    """Read a source, and return of each service what happened, all in memory, and what the store has not.

    Raises:
        InputError: there is nothing that can be read as spans, or no agent in it.
        StartError: the source can't be asked.
    """
    gathering = Gathering(services)
    gathering.take(source.spans(time), _judged_of(source, time, now))
    gathering.store.notes += source.notes
    found = gathering.histories(known)
    if not found:
        raise _no_agent(gathering)
    return {group: (history, gathering.doubts(group, known)) for group, history in found.items()}


def _no_agent(gathering: Gathering) -> InputError:
    names = gathering.services
    seen = ", ".join(names[:MOST_NAMED]) or "none that serves requests"
    seen += f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    left = f", and of {gathering.elsewhen} traces of another time" if gathering.elsewhen else ""
    return InputError(
        f"no span tells of an agent at work (of {gathering.store.spans} that were read{left}). Services "
        f"seen: {seen}; name one with --service, or instrument the agent (docs/production.md)."
    )
