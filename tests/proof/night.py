"""A night of kills and failovers: how many turns are lost, doubled or leaked, and which bound that proves.

    python -m tests.proof.night --kills 1000 --failovers 200 --out runs/night

One round after another of `night.toml`, each with a seed of its own, until there were as many kills and
failovers as asked for. What each round saw is added to `OUT/rounds.jsonl`, a line each: stopped and started
again, it goes on with the first round that is missing. A round whose arm is not judged (a machine that stood
still) counts for nothing, and is told.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from harness.clock import SystemClock
from harness.commands.progress import TerminalProgress
from harness.experiment.load import load
from harness.records.outcome import Outcome, RunResult
from harness.run import pipeline
from harness.run.folder import RunFolder
from harness.run.pipeline import RunSettings

FILE = Path(__file__).with_name("night.toml")
ARM = "reference"
CHECKS = ("turns-kept", "success-kept", "no-leak")


@dataclass(frozen=True, kw_only=True)
class Round:
    """What a round saw.

    Attributes:
        seed: of its arrivals, and of which container is killed.
        kills, failovers: how many there were.
        answers: turns that were answered; failed: requests that were not.
        wrong: by check, how many turns were wrong; None where that is not known.
        cases: by check, how many tested cases it had.
        said: why something is not known, empty for nothing.
    """

    seed: int
    kills: int
    failovers: int
    answers: int
    failed: int
    wrong: dict[str, float | None]
    cases: dict[str, int]
    said: str = ""

    @property
    def counts(self) -> bool:
        """Whether all of it is known."""
        return all(value is not None for value in self.wrong.values())


def main() -> None:
    """Run what is missing, and tell what all of it proves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--failovers", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("runs/night"))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    file = asked.out / "rounds.jsonl"
    done = read(file)
    while not enough(done, asked.kills, asked.failovers):
        seed = max((each.seed for each in done), default=0) + 1
        made = one_round(seed, asked.out / f"round-{seed}")
        with file.open("a", encoding="utf-8") as rounds:
            rounds.write(json.dumps(asdict(made)) + "\n")
        done.append(made)
        sys.stdout.write(f"{told(done)}\n")
    sys.stdout.write(f"{told(done)}\n")
    sys.exit(0 if not any(sum(filter(None, each.wrong.values())) for each in done) else 1)


def read(file: Path) -> list[Round]:
    """Return the rounds that there are."""
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    return [Round(**json.loads(line)) for line in lines]


def enough(done: Sequence[Round], kills: int, failovers: int) -> bool:
    """Whether there were as many of both as asked for."""
    counted = [each for each in done if each.counts]
    return (
        sum(each.kills for each in counted) >= kills and sum(each.failovers for each in counted) >= failovers
    )


def one_round(seed: int, out: Path) -> Round:
    """Run one, and return what it saw."""
    spec = load(str(FILE), pipeline.known()).seeded(seed)
    clock = SystemClock()
    with TerminalProgress(Console(stderr=True), clock.monotonic) as progress:
        result, folder = pipeline.run([spec], RunSettings(out=out, rate_scale=1.0), progress, clock)
    return seen(seed, result, folder)


def seen(seed: int, result: RunResult, folder: RunFolder) -> Round:
    """Return what a round saw, from its verdict and its files."""
    checks = {check.id: check for check in result.experiments[0].checks if check.arm == ARM}
    data = pipeline.read_arms(folder)["night", ARM]
    known = {name: checks[name].verdict in {Outcome.PASS, Outcome.FAIL} for name in CHECKS}
    return Round(
        seed=seed,
        kills=sum(event.action == "kill" for event in data.facts.events),
        failovers=sum(window.name == "failover" for window in data.facts.windows),
        answers=sum(row.ok for row in data.requests),
        failed=sum(not row.ok for row in data.requests),
        wrong={name: checks[name].observed if known[name] else None for name in CHECKS},
        cases={name: checks[name].cases or 0 for name in CHECKS},
        said="; ".join(checks[name].message for name in CHECKS if not known[name]),
    )


def told(done: Sequence[Round]) -> str:
    """Say what some rounds prove together: none of n cases bounds the share at 3 / n, with 95 %."""
    counted = [each for each in done if each.counts]
    kills, failovers = sum(each.kills for each in counted), sum(each.failovers for each in counted)
    answers, failed = sum(each.answers for each in counted), sum(each.failed for each in counted)
    said = f"{len(counted)} rounds: {kills} kills, {failovers} failovers, {answers} answers, {failed} failed"
    lines = [f"{said}; {len(done) - len(counted)} rounds not counted"]
    for name in CHECKS:
        wrong = sum(each.wrong[name] or 0 for each in done)  # one that is known is wrong in any round
        cases = sum(each.cases[name] for each in counted)
        bound = f", so at most {3 / cases:.2%} with 95 %" if cases and not wrong else ""
        lines.append(f"  {name}: {wrong:.0f} of {cases} wrong{bound}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
