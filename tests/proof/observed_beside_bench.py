"""What a bench finds, and what `agentrig observe` finds in the spans of the same fleets, side by side.

    python -m tests.proof.observed_beside_bench --out runs/beside

One `agentrig run busy-routing throttling cold-start --quick --jaeger URL` sends its spans to a real Jaeger
(`jaeger` on the PATH). Of each experiment that Jaeger is then asked once, with the limits that the experiment
has itself. The table of both is written into `docs/production.md`, between two comments.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import reference_agent
from harness.observe.checks import OBSERVABLE
from harness.observe.gathering import OBSERVED
from harness.observe.limits import SHARES
from harness.records.outcome import CheckResult, ExperimentResult, Outcome
from harness.records.spec import ExperimentSpec
from harness.report.verdict_json import from_json
from harness.run.folder import RunFolder
from tests.e2e.jaeger_server import jaeger, own_host

ROOT = Path(reference_agent.__file__).parents[1]
PAGE = ROOT / "docs" / "production.md"
EXPERIMENTS = ("busy-routing", "throttling", "cold-start")
NO_PROMISE = "no-errors=0.3"
"""Of an experiment that asks for no share of errors: some of its faults are there to be answered as such."""
SOME_SURVIVE = 0.7
"""Where some calls fail whatever the attempt: those the bench leaves out, and no span tells of them."""
CAUGHT = "Seen was: caught"
"""In what a check says that found a fault, and does not count it, as others used the machine."""
BEGIN, END = "<!-- made by python -m tests.proof.observed_beside_bench -->", "<!-- end of what is made -->"
HEAD = (
    "| arm | the bench, with rows and journal | from the spans in Jaeger alone |",
    "|---|---|---|",
)


@dataclass(frozen=True, kw_only=True)
class Side:
    """An arm, judged twice.

    Attributes:
        experiment, arm: which.
        control: whether it is wrong on purpose.
        caught: the checks that must find it so.
        bench: what its checks came to there.
        observed: likewise, from spans alone.
        doubts: what the store does not have of it, a sentence each.
    """

    experiment: str
    arm: str
    control: bool
    caught: frozenset[str]
    bench: tuple[CheckResult, ...]
    observed: tuple[CheckResult, ...]
    doubts: tuple[str, ...]

    @property
    def faults(self) -> set[str]:
        """The faults that the bench found in it by a check that spans alone allow."""
        return {each.id for each in self.bench if each.id in OBSERVABLE and _found(each, self.caught)}

    @property
    def red(self) -> set[str]:
        """What fell short, from spans alone."""
        return {each.id for each in self.observed if each.verdict is Outcome.FAIL}


def limits_of(spec: ExperimentSpec) -> str:
    """Return what an experiment says of its fleet and its limits, as `--limits` takes it."""
    said = {
        "min-requests": float(spec.min_requests),
        "concurrency-limit": float(spec.fleet.concurrency_limit),
    }
    for check in spec.checks:
        least, most = SHARES.get(check.id, (0.0, float("inf")))
        if check.id in OBSERVABLE and check.limit is not None and check.holds_in:
            said[check.id] = min(max(check.limit, least), most)
    if any(fault.lasting for fault in spec.simulator.faults):
        said["transient-survived"] = SOME_SURVIVE
    words = [f"{key}={value:g}" for key, value in said.items()]
    if "no-errors" not in {check.id for check in spec.checks}:
        words.append(NO_PROMISE)
    return ",".join(words)


def sides(folder: Path, page: str) -> list[Side]:
    """Run the experiments with their spans sent to a Jaeger, ask it, and return what both found.

    Args:
        folder: gets the folders of the run and of each look.
        page: the address of the Jaeger's page.
    """
    run = folder / "run"
    _agentrig("run", *EXPERIMENTS, "--quick", "--jaeger", page, "--out", str(run))
    return looked(run, folder, page)


def looked(run: Path, folder: Path, page: str) -> list[Side]:
    """Ask a Jaeger that has the spans of a run, and return what both found.

    Args:
        run: its folder.
        folder: gets the folders of the looks.
        page: the address of the Jaeger's page.
    """
    specs = {spec.name: spec for spec in RunFolder.open(run).plan().experiments}
    found = list[Side]()
    for bench in from_json((run / "verdict.json").read_text("utf-8")).experiments:
        spec, out = specs[bench.name], folder / f"observed-{bench.name}"
        limits = limits_of(spec)
        _agentrig("observe", f"jaeger:{page}", "--service", "agent", "--limits", limits, "--out", str(out))
        result = from_json((out / "verdict.json").read_text("utf-8"))
        services = {each.name: each for each in result.experiments}
        found += [_side(spec, bench, arm, services[f"agent ({bench.name}/{arm})"]) for arm in bench.arms]
    return found


def _side(spec: ExperimentSpec, bench: ExperimentResult, arm: str, seen: ExperimentResult) -> Side:
    return Side(
        experiment=bench.name,
        arm=arm,
        control=bench.arms[arm].control,
        caught=frozenset(check.id for check in spec.checks if arm in check.caught_in),
        bench=tuple(each for each in bench.checks if each.arm == arm),
        observed=tuple(each for each in seen.checks if each.arm == OBSERVED),
        doubts=tuple(seen.arms[OBSERVED].join_warnings),
    )


def _agentrig(*words: str) -> None:
    """Run a command; its verdict is read, whatever it is."""
    done = subprocess.run([sys.executable, "-m", "harness", *words], cwd=ROOT, check=False)
    if done.returncode not in {0, 1, 2}:
        raise SystemExit(f"agentrig {' '.join(words)}: exit {done.returncode}")


# --- the table -------------------------------------------------------------------------
def table(found: Sequence[Side]) -> str:
    """Make the table."""
    return "\n".join([*HEAD, *map(_row, found)])


def _row(side: Side) -> str:
    name = f"`{side.experiment}` {side.arm}"
    bench, observed = _told(side.bench, side.caught), _told(side.observed, frozenset())
    return f"| {f'({name})' if side.control else name} | {bench} | {observed} |"


def _told(checks: Sequence[CheckResult], caught: frozenset[str]) -> str:
    """Say which faults were found, else that none was, how many checks held, and what was not known."""
    faults = dict.fromkeys(f"`{each.id}`" for each in checks if _found(each, caught) and not _doubted(each))
    seen = dict.fromkeys(f"`{each.id}`" for each in checks if _found(each, caught) and _doubted(each))
    held = sum(each.verdict is Outcome.PASS and each.id not in caught for each in checks)
    unknown = dict.fromkeys(f"`{each.id}`" for each in checks if _doubted(each) and not _found(each, caught))
    told = [", ".join(faults) or ("no fault" if not seen else ""), f"{held} held"]
    told.insert(1, f"{', '.join(seen)} seen, and not counted in this run" if seen else "")
    return "; ".join(filter(None, [*told, f"unknown: {', '.join(unknown)}" if unknown else ""]))


def _found(check: CheckResult, caught: frozenset[str]) -> bool:
    """Whether a check found a fault: one that must find a control's has held then, or would have."""
    if check.id not in caught:
        return check.verdict is Outcome.FAIL
    return check.verdict is Outcome.PASS or (_doubted(check) and CAUGHT in check.message)


def _doubted(check: CheckResult) -> bool:
    return check.verdict is Outcome.UNKNOWN


def written(page: str, made: str) -> str:
    """Return a page with the table between its comments."""
    between = re.compile(f"(?<={re.escape(BEGIN)}\n).*?(?=\n{re.escape(END)})", re.DOTALL)
    if not between.search(page):
        raise SystemExit(f"{PAGE}: has no {BEGIN} with {END} below it")
    return between.sub(lambda _: f"\n{made}\n", page)


def main() -> None:
    """Run, look, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/beside"), help="gets the folders of all")
    folder: Path = parser.parse_args().out.resolve()
    folder.mkdir(parents=True)
    host = own_host()
    with jaeger(folder, f"http://{host}:9090", host) as server:
        found = sides(folder, server.page)
    made = table(found)
    sys.stdout.write(f"{made}\n")
    PAGE.write_text(written(PAGE.read_text("utf-8"), made), "utf-8")


if __name__ == "__main__":
    main()
