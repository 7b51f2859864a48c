"""How often the gate is right, on this machine: decisions on an agent against itself, and on slower ones.

    python -m tests.proof.gate_rates --minutes 60 --rate 55

Decisions are added to `docs/gate-rates.jsonl`, a line each, until the time is up; the table in
`docs/gate-rates.md` is made anew of all of them. False alarms and a slow-down of 30 % come first, the others
once these have been asked often enough.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from operator import attrgetter
from pathlib import Path

import numpy as np
from rich.console import Console

import reference_agent
from harness.clock import SystemClock
from harness.commands.progress import TerminalProgress
from harness.gate.blocks import P99, Block, Side
from harness.gate.decide import GateVerdict, blurred, decide
from harness.gate.parts import SESSION
from harness.gate.scenario import GateScenario
from harness.gate.session import Gate, GateSettings
from harness.gate.source import Source
from harness.gate.statistics import LOOKS, Compared, LookOutcome, look, rate_interval
from harness.under_test import AgentUnderTest, RequestShape
from tests.proof.slow_agent import CONTROLS_FILE, FILE, SESSIONS_FILE

ROOT = Path(reference_agent.__file__).parents[1]
DECISIONS = ROOT / "docs" / "gate-rates.jsonl"
BASES = ROOT / "docs" / "gate-rates-bases.jsonl"
PAGE = ROOT / "docs" / "gate-rates.md"
BLOCK = 340
"""Requests of a block: the fewest that bound a p99, and 40 to warm up."""
SCENARIO = GateScenario.model_validate(
    {
        "name": "short",
        "fleet": {"agents": 2, "concurrency_limit": 64},
        "simulator": {
            "latency": {
                "ttft": {"median_s": 0.06, "p99_s": 0.12},
                "itl": {"median_s": 0.002},
                "tokens": 8,
            },
            "tool_turns": 0,
        },
        "load": {"rate_rps": 150.0},
    }
)
"""One model call a request, of some 80 ms: little CPU, so that blocks can be short. The rate fills half of
two fast cores; a slower machine needs a lower one (`agentrig doctor --speed` tells what a request costs)."""
SMALL = AgentUnderTest(
    name="small",
    argv=(sys.executable, "-m", "tests.proof.small_agent"),
    env={
        "OPENAI_BASE_URL": "{simulator}/v1",
        "OPENAI_API_KEY": "{api_key}",
        "PORT": "{port}",
        "CONCURRENCY_LIMIT": "{limit}",
        "PYTHONPATH": str(ROOT),
    },
    concurrency_limit=64,
    request=RequestShape(answer="answer"),
)
SMALL_SCENARIO = SCENARIO.model_copy(update={"name": "small"})
SIMULATED = 2000
RESAMPLED = 1000
LEAST_BASES = 24
"""Blocks of base that decisions can be drawn from."""
HEAD = """# How often the gate is right

Decisions of the gate on machines of {cores} cores, made by `python -m tests.proof.gate_rates`, which adds to
`gate-rates.jsonl` and writes this page: the reference agent against itself, and against itself with each
request taking longer by a share of its own time. Blocks are as short as they may be ({counted} requests that
count).

{decisions} decisions, {took:.0f} s each in the median. Between two blocks of a pair that differ in nothing
the p99 moved by {spread:.1%} (half the way from the 16th to the 84th percentile of ln ratio, {pairs} pairs).

| head's requests | at | asked | FAIL (95 % interval) | PASS | inconcl. | unknown | pairs | time | simulated |
|---|---|---|---|---|---|---|---|---|---|
{rows}

*At* is the rate of arrivals: 55/s where a request costs 20 ms of CPU over all processes, 150/s on a machine
three times as fast. *Pairs* and *time* are medians until it decided. *Simulated* is the share of FAIL in
{simulated:,} decisions on the p99 alone, whose pairs are drawn from the ratios of a head that is the same,
their median taken off, plus the slow-down. A decision is a FAIL when any of its figures is: p99, p50, time
per request at the limit, CPU per request, memory, attempts per call, errors, the tail of a part. All rates
hold for blocks this short; longer ones, as `agentrig gate` takes them, see more.

† By an earlier gate, which looked after 8, 16 and 24 pairs and did not start its agents anew for each pair.

## Nothing differs, drawn from blocks that were measured

A false alarm that comes once in a hundred decisions is not seen in forty. So the blocks of base of all
decisions (`gate-rates-bases.jsonl`) are drawn at random, with their figures as they were measured, for
both sides of {resampled:,} decisions each; blocks beside each other in time, which the gate compares,
differ by less. Those in which the machine was full are left out.

| base | at | blocks | FAIL (95 % interval) | PASS | inconclusive | unknown |
|---|---|---|---|---|---|---|
{drawn}

## 12 ms in 3 % of the session loads

That is far beyond what the small agent's loads take (p99 0.15 ms; it is the agent of
`tests/proof/gate_repository`), and is named. The reference agent's take 11 to 20 ms at the p99 where a
request costs 20 ms of CPU and another request keeps the event loop for 10: there 12 ms make 1.2 to 1.3
times of it (5 ms added to both), and up to 1.25 times is fine.
"""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What is asked of the gate.

    Attributes:
        slower: share of its time by which each request of head takes longer.
        session_ms: how much longer one in 33 loads of head's sessions takes.
        per_request: whether head builds its clients for each request.
        neighbour: whether another process burns a core half of the time.
        small: whether it is the small agent of `gate_repository` that is asked, not the reference agent.
    """

    slower: float = 0.0
    session_ms: float = 0.0
    per_request: bool = False
    neighbour: bool = False
    small: bool = False


@dataclass(frozen=True, kw_only=True)
class BaseBlock:
    """A block of base, as it was measured: what `harness.gate.blocks.Block` has of it."""

    small: bool
    rate_rps: float
    requests: int
    errors: int
    successes: int
    figures: Mapping[str, float]
    lateness_p99_ms: float
    cpu_utilisation: float

    @classmethod
    def of(cls, block: Block, decided: Decided) -> BaseBlock:
        """Take it from a decision."""
        return cls(
            small=decided.small,
            rate_rps=decided.rate_rps,
            requests=block.requests,
            errors=block.errors,
            successes=block.successes,
            figures=dict(block.figures),
            lateness_p99_ms=block.lateness_p99_ms,
            cpu_utilisation=block.cpu_utilisation,
        )

    def as_block(self, pair: int, side: Side) -> Block:
        """Make a block of a decision of it."""
        return Block(
            scenario="drawn",
            pair=pair,
            side=side,
            first=side is Side.BASE,
            start_s=float(pair),
            requests=self.requests,
            errors=self.errors,
            successes=self.successes,
            figures=self.figures,
            lateness_p99_ms=self.lateness_p99_ms,
            cpu_utilisation=self.cpu_utilisation,
        )


SAME = Kind()
GROUPS: tuple[dict[Kind, int], ...] = (
    {Kind(slower=0.2): 10, Kind(session_ms=12.0): 10, Kind(per_request=True): 3},
    {SAME: 40},
    {Kind(slower=0.1): 10, Kind(slower=0.3): 10, Kind(slower=0.5): 10, Kind(neighbour=True): 10},
)
"""What is asked, and how often at the least; each group once those before it have been."""
NAMES: Mapping[str, Kind] = {
    "same": SAME,
    "slower": Kind(slower=0.2),
    "session": Kind(session_ms=12.0),
    "clients": Kind(per_request=True),
    "small-same": Kind(small=True),
    "small-slower": Kind(slower=0.2, small=True),
    "small-session": Kind(session_ms=12.0, small=True),
}
"""What can be asked by name."""


@dataclass(frozen=True, kw_only=True)
class Decided:
    """One decision; `z` is ln(p99 of head / p99 of base) of each pair, `named` the figures that failed.

    `looks` tell which rule decided: those after 8, 16 and 24 pairs are of one that is no more; `fresh`, that
    the agents were started anew for each pair.
    """

    slower: float
    neighbour: bool
    verdict: str
    pairs: int
    took_s: float
    z: tuple[float, ...]
    session_ms: float = 0.0
    per_request: bool = False
    named: tuple[str, ...] = ()
    looks: tuple[int, ...] = (8, 16, 24)
    fresh: bool = False
    rate_rps: float = 150.0
    small: bool = False

    @property
    def present(self) -> bool:
        """Whether the gate of today made it."""
        return tuple(self.looks) == LOOKS and self.fresh

    @property
    def kind(self) -> Kind:
        """What was asked."""
        return Kind(
            slower=self.slower,
            session_ms=self.session_ms,
            per_request=self.per_request,
            neighbour=self.neighbour,
            small=self.small,
        )


def main() -> None:
    """Decide until the time is up, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=0.0, help="0: only make the page anew")
    parser.add_argument(
        "--rate",
        type=float,
        default=SCENARIO.load.rate_rps,
        help="arrivals in a second; default: %(default)s",
    )
    parser.add_argument(
        "--only", nargs="+", choices=NAMES, default=[], help="what to ask; default: what was asked the least"
    )
    options = parser.parse_args()
    if len({NAMES[name].small for name in options.only}) > 1:
        parser.error("--only: the small agent and the reference agent are asked in calls of their own")
    if options.minutes:
        with (
            DECISIONS.open("a", encoding="utf-8") as file,
            BASES.open("a", encoding="utf-8") as bases,
            tempfile.TemporaryDirectory() as folder,
        ):
            for decided, blocks in decisions(
                Path(folder),
                options.rate,
                [NAMES[name] for name in options.only],
                until_s=time.monotonic() + options.minutes * 60,
            ):
                file.write(json.dumps(asdict(decided)) + "\n")
                file.flush()
                bases.writelines(
                    json.dumps(asdict(BaseBlock.of(block, decided))) + "\n"
                    for block in blocks
                    if block.side is Side.BASE
                )
                bases.flush()
    if not (told := read()):
        sys.exit(f"{DECISIONS}: has no decision: give --minutes")
    PAGE.write_text(page(told), "utf-8")


def read() -> list[Decided]:
    """Read all decisions so far."""
    return [Decided(**json.loads(line)) for line in DECISIONS.read_text("utf-8").splitlines()]


def next_kind(made: Sequence[Kind], only: Sequence[Kind] = ()) -> Kind:
    """Return what is furthest from its goal, in the first group that has not reached its own."""
    if only:
        return min(only, key=made.count)

    def done(group: Mapping[Kind, int], kind: Kind) -> float:
        return made.count(kind) / group[kind]

    group = next((each for each in GROUPS if min(done(each, kind) for kind in each) < 1), GROUPS[-1])
    return min(group, key=lambda kind: done(group, kind))


def decisions(
    folder: Path, rate_rps: float, only: Sequence[Kind], *, until_s: float
) -> Iterator[tuple[Decided, list[Block]]]:
    """Let the gate decide, kind after kind; the two fleets stay up meanwhile, their agents start anew."""
    files = {name: folder / name for name in (FILE, SESSIONS_FILE, CONTROLS_FILE)}
    never = {name: str(folder / "never") for name in files}
    made = [each.kind for each in read() if each.present]
    env = {Side.BASE: never, Side.HEAD: {name: str(path) for name, path in files.items()}}
    small = any(kind.small for kind in only)
    sources = {
        side: Source(
            label="the agent",
            folder=ROOT,
            python=Path(sys.executable),
            module="tests.proof.slow_agent",
            own=replace(SMALL, env=dict(SMALL.env) | env[side]) if small else None,
        )
        for side in Side
    }
    settings = GateSettings(out=folder / "run", requests=BLOCK, seed=1 + len(made), env=env)
    asked = SMALL_SCENARIO if small else SCENARIO
    scenario = asked.model_copy(update={"load": asked.load.model_copy(update={"rate_rps": rate_rps})})
    clock = SystemClock()
    with TerminalProgress(Console(), clock.monotonic) as progress, ExitStack() as stack:
        gate = Gate(sources, [scenario], settings, progress, clock)
        set_up(files, next_kind(made, only))
        gate.up(stack)
        while time.monotonic() < until_s:
            kind = next_kind(made, only)
            made.append(kind)
            set_up(files, kind)
            begun_s = time.monotonic()
            with neighbour() if kind.neighbour else ExitStack():
                decision, blocks = gate.decide()
            decided = Decided(
                **asdict(kind),
                named=tuple(
                    each.measure.name for each in decision.findings if each.look.call is LookOutcome.FAIL
                ),
                looks=LOOKS,
                fresh=True,
                rate_rps=rate_rps,
                verdict=str(decision.verdict),
                pairs=decision.pairs,
                took_s=round(time.monotonic() - begun_s, 1),
                z=tuple(ratios(blocks)),
            )
            yield decided, blocks


def set_up(files: Mapping[str, Path], kind: Kind) -> None:
    """Write what head's agents read: as they answer, and as they start."""
    files[FILE].write_text(str(kind.slower), "utf-8")
    files[SESSIONS_FILE].write_text(str(kind.session_ms), "utf-8")
    files[CONTROLS_FILE].write_text("per-request-clients" if kind.per_request else "", "utf-8")


@contextmanager
def neighbour() -> Iterator[None]:
    """Let another process burn a core half of the time: 20 s of work, 20 s of rest."""
    burn = (
        "import time\n"
        "while True:\n"
        "    until = time.monotonic() + 20\n"
        "    while time.monotonic() < until: pass\n"
        "    time.sleep(20)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", burn])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def ratios(blocks: Sequence[Block]) -> Iterator[float]:
    """Yield ln(p99 of head / p99 of base), pair by pair."""
    p99 = {(block.pair, block.side): block.figures[P99.name] for block in blocks if P99.name in block.figures}
    for pair in sorted({block.pair for block in blocks}):
        if not {(pair, Side.HEAD), (pair, Side.BASE)} <= p99.keys():
            continue  # too few successes for a p99
        yield math.log(p99[pair, Side.HEAD] / p99[pair, Side.BASE])


ORDER = attrgetter("small", "neighbour", "per_request", "session_ms", "slower", "rate_rps", "present")


# --- the page --------------------------------------------------------------------------
def page(told: Sequence[Decided]) -> str:
    """Make the page of all decisions."""
    same = [each for each in told if each.kind == SAME]
    noise = [ratio for each in same for ratio in each.z]
    spread = (np.quantile(noise, 0.84) - np.quantile(noise, 0.16)) / 2
    took = statistics.median(each.took_s for each in told)
    return HEAD.format(
        cores=os.cpu_count(),
        counted=BLOCK - 40,
        decisions=len(told),
        spread=spread,
        pairs=len(noise),
        took=took,
        simulated=SIMULATED,
        rows="\n".join(
            row([each for each in told if key_of(each) == key], noise)
            for key in dict.fromkeys(map(key_of, sorted(told, key=ORDER)))
        ),
        resampled=RESAMPLED,
        drawn="\n".join(drawn_rows()),
    )


def key_of(decided: Decided) -> tuple[Kind, float, bool]:
    """Return what makes a row of the table."""
    return decided.kind, decided.rate_rps, decided.present


def drawn_rows() -> Iterator[str]:
    """Yield the rows of the decisions that are drawn from blocks of base."""
    lines = BASES.read_text("utf-8").splitlines() if BASES.exists() else []
    bases = [BaseBlock(**json.loads(line)) for line in lines]
    for small, rate_rps in sorted({(each.small, each.rate_rps) for each in bases}):
        pool = [
            each
            for each in bases
            if (each.small, each.rate_rps) == (small, rate_rps) and not blurred(each.as_block(1, Side.BASE))
        ]
        if len(pool) < LEAST_BASES:
            continue
        found = Counter(drawn_verdicts(pool))
        low, high = rate_interval(found[GateVerdict.FAIL], RESAMPLED)
        cells = (
            "the small agent" if small else "the reference agent",
            f"{rate_rps:.0f}/s",
            len(pool),
            f"{found[GateVerdict.FAIL] / RESAMPLED:.1%} ({low:.1%} to {high:.1%})",
            *(
                f"{found[verdict] / RESAMPLED:.1%}"
                for verdict in (GateVerdict.PASS, GateVerdict.INCONCLUSIVE, GateVerdict.UNKNOWN)
            ),
        )
        yield f"| {' | '.join(map(str, cells))} |"


def drawn_verdicts(pool: Sequence[BaseBlock]) -> Iterator[GateVerdict]:
    """Yield what the gate says of blocks that are drawn for base and head alike."""
    rng = np.random.default_rng(1)
    for _ in range(RESAMPLED):
        blocks: list[Block] = []
        for pairs in LOOKS:
            blocks += [
                pool[int(rng.integers(len(pool)))].as_block(pair, side)
                for pair in range(len(blocks) // 2 + 1, pairs + 1)
                for side in Side
            ]
            if (verdict := decide(blocks).verdict) is not GateVerdict.GO_ON:
                break
        yield verdict


def row(told: Sequence[Decided], noise: Sequence[float]) -> str:
    """Make a line of the table."""
    kind = told[0].kind
    found = {verdict: sum(each.verdict == verdict for each in told) for verdict in GateVerdict}
    low, high = rate_interval(found[GateVerdict.FAIL], len(told))
    what = f"take {kind.slower:.0%} longer" if kind.slower else "the same"
    if kind.session_ms:
        named = sum(SESSION.name in each.named for each in told)
        what = f"{kind.session_ms:g} ms more in 3% of all session loads ({SESSION.name} named in {named})"
    if kind.per_request:
        what = "build their clients anew"
    if kind.small:
        what = f"the small agent: {what}"
    cells = (
        (f"{what}, a neighbour burns a core half of the time" if kind.neighbour else what)
        + ("" if told[0].present else " †"),
        f"{told[0].rate_rps:.0f}/s",
        len(told),
        f"{found[GateVerdict.FAIL]} ({low:.0%} to {high:.0%})",
        found[GateVerdict.PASS],
        found[GateVerdict.INCONCLUSIVE],
        found[GateVerdict.UNKNOWN],
        f"{statistics.median(each.pairs for each in told):.0f}",
        f"{statistics.median(each.took_s for each in told):.0f} s",
        f"{simulated(noise, kind.slower):.1%}" if kind in {SAME, Kind(slower=kind.slower)} else "-",
    )
    return f"| {' | '.join(map(str, cells))} |"


def simulated(noise: Sequence[float], slower: float) -> float:
    """Return how often the gate would fail a head that is slower, with the noise that was seen."""
    rng = np.random.default_rng(1)
    centred = np.asarray(noise) - np.median(noise)
    failed = 0
    for _ in range(SIMULATED):
        z = rng.choice(centred, LOOKS[-1]) + math.log1p(slower)
        calls = (look([Compared(z=list(z[:pairs]), tolerance=P99.tolerance)])[0].call for pairs in LOOKS)
        failed += (
            next((call for call in calls if call is not LookOutcome.GO_ON), LookOutcome.INCONCLUSIVE)
            is LookOutcome.FAIL
        )
    return failed / SIMULATED


if __name__ == "__main__":
    main()
