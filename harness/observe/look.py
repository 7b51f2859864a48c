"""One look at a live system: its spans in, a verdict and its report out. The page that calls all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.clock import Clock
from harness.errors import InputError
from harness.judge.verdict import combine
from harness.observe.gathering import Gathering, ObservedHistory
from harness.observe.limits import Limits
from harness.observe.requests import Group
from harness.observe.sources.source import Source, Time
from harness.observe.verdict import Judging, title_of
from harness.records.outcome import ArmSeries, ExperimentResult, RunResult
from harness.run.folder import RunFolder, new_run_id
from harness.run.pipeline import write_reports

SETTLED_S = 10.0
"""What ended so lately may have spans that are still on their way to a store."""


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


def look(asked: Look, clock: Clock) -> tuple[RunResult, RunFolder]:
    """Read the spans, judge each service, and write the report.

    Raises:
        InputError: there is nothing that can be read as spans, or no agent in it.
        StartError: the source can't be asked, or the folder not be written.
    """
    now_s, began_s = clock.now(), clock.monotonic()
    run_id = new_run_id(now_s, asked.salt)
    time = Time(from_s=None if asked.since_s is None else now_s - asked.since_s, to_s=now_s)
    histories = read(asked.source, asked.services, asked.judging.limits, time)
    folder = RunFolder.create(asked.out or Path("runs") / f"observe-{run_id}", run_id)
    results, pictures = list[ExperimentResult](), dict[tuple[str, str], ArmSeries]()
    for group, history in histories.items():
        judged, drawn = asked.judging.conclude(title_of(group), history)
        results.append(judged)
        pictures |= drawn
    result = RunResult(
        run_id=run_id,
        verdict=combine(results),
        started_s=min((history.facts.start_s for history in histories.values()), default=now_s),
        duration_s=clock.monotonic() - began_s,
        quick=False,
        experiments=tuple(results),
        version=asked.version,
        again=asked.again,
    )
    write_reports(result, pictures, folder)
    return result, folder


def read(source: Source, services: Sequence[str], limits: Limits, time: Time) -> dict[Group, ObservedHistory]:
    """Read a source, and return what happened in each service that is judged.

    Raises:
        InputError: there is nothing that can be read as spans, or no agent in it.
        StartError: the source can't be asked.
    """
    gathering = Gathering(services)
    until_s = time.to_s - SETTLED_S if source.live else None
    gathering.take(source.spans(time), from_s=time.from_s, until_s=until_s)
    gathering.store.notes += source.notes
    histories = gathering.histories(limits.known)
    if not histories:
        seen = ", ".join(gathering.services) or "none that serves requests"
        raise InputError(
            f"no span tells of an agent at work (of {gathering.store.spans} that were read). Services seen: "
            f"{seen}; name one with --service, or instrument the agent (docs/production.md)."
        )
    return histories
