"""A night of kills and failovers: how many turns are lost, doubled or leaked, and which bound that proves.

    python -m tests.proof.night --kills 1000 --failovers 200 --out runs/night

One round after another of `night.toml`, each with a seed of its own, until there were as many kills and
failovers as asked for. What each round saw is added to `OUT/rounds.jsonl`, a line each: stopped and started
again, it goes on with the first round that is missing. A round whose arm is not judged (a machine that stood
still) counts for nothing, and is told; so is one that was cut short: its folder is left as it is.

The control arm runs in the first round and in each tenth after it, and again in the next where it could not
be judged: it takes as long as the arm that it controls, and shows that the checks would have seen a fault. A
control that was not caught ends the night: nothing is proved. (`success-kept` has its control in
`memory-weather`, arm `saves-late`.)

Exit codes: 0 proved, 1 a turn was wrong, 2 not proved.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import count
from math import ceil
from pathlib import Path

from rich.console import Console

from harness.clock import SystemClock
from harness.commands.progress import TerminalProgress
from harness.errors import AgentrigError
from harness.experiment.load import load
from harness.records.outcome import Outcome, RunResult
from harness.run import pipeline
from harness.run.folder import RunFolder
from harness.run.pipeline import RunSettings

FILE = Path(__file__).with_name("night.toml")
ARM, CONTROL = "reference", "shared-agent"
CHECKS = ("turns-kept", "success-kept", "no-leak")
CONTROLLED = ("turns-kept", "no-leak")
"""Those of them that the control arm has to be caught by."""
CAUGHT = {Outcome.PASS: True, Outcome.FAIL: False}
KILLS = "kills-done"
CONTROL_EVERY = 10
MOST_IN_VAIN = 3
"""So many rounds in a row that can't be judged are no bad luck any more."""
RULE_OF_THREE = 3.0
"""None of n cases bounds the share at 3 / n, with 95 %."""
HUNDREDTHS = 10_000
"""Of a percent, in which shares are told."""
ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Round:
    """What a round saw.

    Attributes:
        seed: of its arrivals, and of which container is killed.
        kills, failovers: how many there were.
        at_work: kills that met a container at work.
        answers: turns that were answered; failed: requests that were not.
        wrong: by check, how many turns were wrong; None where that is not known.
        cases: by check, how many tested cases it had.
        caught: by check, whether its control arm was caught by it; None where that is not known; empty for
            a round without a control arm.
        said: why something is not known, empty for nothing.
    """

    seed: int
    kills: int = 0
    failovers: int = 0
    at_work: int = 0
    answers: int = 0
    failed: int = 0
    wrong: Mapping[str, float | None] = field(default_factory=lambda: dict.fromkeys(CHECKS))
    cases: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(CHECKS, 0))
    caught: Mapping[str, bool | None] = field(default_factory=dict)
    said: str = ""

    @property
    def counts(self) -> bool:
        """Whether all of it is known."""
        return all(value is not None for value in self.wrong.values())

    @property
    def controlled(self) -> bool:
        """Whether it had a control arm that was judged."""
        return bool(self.caught) and None not in self.caught.values()


def main() -> None:
    """Run what is missing, and tell what all of it proves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--failovers", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("runs/night"))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    file = asked.out / "rounds.jsonl"
    done, in_vain = read(file), 0
    while goes_on(done, asked.kills, asked.failovers) and in_vain < MOST_IN_VAIN:
        seed = max((each.seed for each in done), default=0) + 1
        made = one_round(seed, free_folder(asked.out, seed), control=control_due(done))
        add(file, made)
        done.append(made)
        in_vain = 0 if made.counts and (made.controlled or not made.caught) else in_vain + 1
        sys.stdout.write(f"{told(done)}\n")
        sys.stdout.flush()
    cut_short = len(list(asked.out.glob("round-*/"))) - len(done)
    sys.stdout.write(f"{told(done)}\n")
    sys.stdout.write(f"  {cut_short} rounds cut short, not counted\n" if cut_short > 0 else "")
    if in_vain == MOST_IN_VAIN:
        sys.stdout.write(f"  ended: {in_vain} rounds in a row could not be judged: {done[-1].said}\n")
    sys.exit(ends_with(done, asked.kills, asked.failovers))


def read(file: Path) -> list[Round]:
    """Return the rounds that there are; a line that was cut short is of none."""
    found = []
    for line in file.read_text("utf-8", "replace").splitlines() if file.exists() else []:
        with suppress(json.JSONDecodeError):
            found.append(Round(**json.loads(line)))
    return found


def add(file: Path, made: Round) -> None:
    """Add a round, on a line of its own also where the one before was cut short."""
    whole = not file.exists() or file.read_bytes()[-1:] in {b"", b"\n"}
    with file.open("a", encoding="utf-8") as rounds:
        rounds.write(("" if whole else "\n") + json.dumps(asdict(made)) + "\n")


def free_folder(out: Path, seed: int) -> Path:
    """Return a folder for a round that is not there: one that was cut short has left its own."""
    tries = (out / (f"round-{seed}" if nth == 1 else f"round-{seed}.{nth}") for nth in count(1))
    return next(each for each in tries if not each.exists())


# --- how long it goes on ---------------------------------------------------------------
def enough(done: Sequence[Round], kills: int, failovers: int) -> bool:
    """Whether there were as many of both as asked for."""
    counted = [each for each in done if each.counts]
    return (
        sum(each.kills for each in counted) >= kills and sum(each.failovers for each in counted) >= failovers
    )


def goes_on(done: Sequence[Round], kills: int, failovers: int) -> bool:
    """Whether another round is wanted; none is, once a check has not seen what it is there to see."""
    return not escaped(done) and (not enough(done, kills, failovers) or not any(r.controlled for r in done))


def control_due(done: Sequence[Round]) -> bool:
    """Whether the next round has a control arm: the first, each tenth after it, and until one is judged."""
    judged = [number for number, each in enumerate(done) if each.controlled]
    return not judged or len(done) - judged[-1] >= CONTROL_EVERY


def escaped(done: Sequence[Round]) -> tuple[str, ...]:
    """Return the checks that did not catch the control arm of some round."""
    return tuple(name for name in CONTROLLED if any(each.caught.get(name) is False for each in done))


def ends_with(done: Sequence[Round], kills: int, failovers: int) -> int:
    """Return the exit code: 0 proved, 1 a turn was wrong, 2 not proved."""
    if any(sum(filter(None, each.wrong.values())) for each in done):
        return 1
    shown = any(each.controlled for each in done) and not escaped(done)
    return 0 if shown and enough(done, kills, failovers) else 2


# --- one round -------------------------------------------------------------------------
def one_round(seed: int, out: Path, *, control: bool) -> Round:
    """Run one, with its control arm or without it, and return what it saw."""
    spec = load(str(FILE), pipeline.known()).seeded(seed)
    clock = SystemClock()
    settings = RunSettings(out=out, rate_scale=1.0, arms=None if control else {ARM})
    try:
        with TerminalProgress(Console(stderr=True), clock.monotonic) as progress:
            result, folder = pipeline.run([spec], settings, progress, clock)
    except AgentrigError as error:  # the night goes on
        return Round(seed=seed, said=f"it was cut short: {error}")
    return seen(seed, result, folder)


def seen(seed: int, result: RunResult, folder: RunFolder) -> Round:
    """Return what a round saw, from its verdict and its files."""
    judged = {(check.id, check.arm): check for check in result.experiments[0].checks}
    checks = {name: judged[name, ARM] for name in (*CHECKS, KILLS)}
    data = pipeline.read_arms(folder)
    of, ran = data["night", ARM], ("night", CONTROL) in data
    controls = {name: judged[name, CONTROL] for name in CONTROLLED} if ran else {}
    known = {name: checks[name].verdict in {Outcome.PASS, Outcome.FAIL} for name in CHECKS}
    lacking = [checks[name] for name in CHECKS if not known[name]]
    lacking += [check for check in controls.values() if check.verdict is not Outcome.PASS]
    return Round(
        seed=seed,
        kills=sum(event.action == "kill" for event in of.facts.events),
        failovers=sum(window.name == "failover" for window in of.facts.windows),
        at_work=round(checks[KILLS].observed or 0),
        answers=sum(row.ok for row in of.requests),
        failed=sum(not row.ok for row in of.requests),
        wrong={name: checks[name].observed if known[name] else None for name in CHECKS},
        cases={name: checks[name].cases or 0 for name in CHECKS},
        caught={name: CAUGHT.get(check.verdict) for name, check in controls.items()},
        said="; ".join(f"{check.id} in {check.arm}: {check.message}" for check in lacking),
    )


# --- what all of it says ---------------------------------------------------------------
def told(done: Sequence[Round]) -> str:
    """Say what some rounds prove together."""
    counted = [each for each in done if each.counts]
    kills, failovers = sum(each.kills for each in counted), sum(each.failovers for each in counted)
    answers, failed = sum(each.answers for each in counted), sum(each.failed for each in counted)
    said = f"{len(counted)} rounds: {kills} kills, {failovers} failovers, {answers} answers, {failed} failed"
    lines = [f"{said}; {len(done) - len(counted)} rounds not counted"]
    shown, clean = any(each.controlled for each in done) and not escaped(done), True
    for name in CHECKS:
        wrong = sum(each.wrong[name] or 0 for each in done)  # one that is known is wrong in any round
        cases = sum(each.cases[name] for each in counted)
        clean = clean and not wrong
        lines.append(f"  {name}: {wrong:.0f} of {cases} wrong{_bound(cases) if shown and not wrong else ''}")
    if shown and clean:
        at_work = sum(each.at_work for each in counted)
        lines.append(
            f"  kills that harmed a turn: 0 of {at_work} that met a container at work{_bound(at_work)}"
        )
        lines.append(f"  failovers that harmed a turn: 0 of {failovers}{_bound(failovers)}")
    lines.append(f"  {_control(done)}")
    return "\n".join(lines)


def _bound(cases: int) -> str:
    """Say which share is bounded: rounded up, for a bound that is rounded down is none."""
    if not cases:
        return ""
    share = min(1.0, ceil(RULE_OF_THREE / cases * HUNDREDTHS - ROUNDING) / HUNDREDTHS)
    return f", so at most {share:.2%} with 95 %"


def _control(done: Sequence[Round]) -> str:
    """Say what the control arm showed: without it, that nothing is wrong proves nothing."""
    ran = [each for each in done if each.caught]
    judged = [each for each in ran if each.controlled]
    said = f"control arm: run in {len(ran)} rounds (the first, each tenth after it, until one is judged)"
    if gone := escaped(done):
        return f"{said}. Not proved: {' and '.join(gone)} did not catch it"
    if not judged:
        return f"{said}. Not proved: it was judged in none of them"
    by = " and ".join(CONTROLLED)
    return f"{said}, caught in {len(judged)} by {by}, not judged in {len(ran) - len(judged)}"


if __name__ == "__main__":
    main()
