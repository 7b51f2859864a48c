"""The page: what is slower than a peer first, then all rows, then how it was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.bench.peers.figures import Figures, Row, Spread, slower_first, spread

HOW = """## How it was measured

`make bench-peers` installs the peers at the versions above into `.cache/peers` (it needs `go`, `cargo`,
`npm` and `pip`; what can't be had is left out, and said), measures, and writes this page. By hand:

```sh
python -m tests.bench.peers --install .cache/peers
python -m tests.bench.peers --peers .cache/peers --rounds 8 --out docs/peers.md
```

All of a row is measured in one run, turn about, in an order that is drawn anew for each round. A cell has
the median over the rounds, ours with its quartiles; a ratio is made in each round, ours by theirs. Above 1
the peer is better (but for the share that should be 1). *Better* is said of a peer where the lower quartile
of the ratio is above 1; where 1 lies between its quartiles, they are as good. A tool that did not do the
work has no figure, but the reason.

- **Load.** One process on one core, against a server that answers at once, on another core where there is
  one. CPU is that of all processes of a tool, by the kernel's count; each load is sent for {short} s and
  for {long} s, and what the longer costs more, by its requests, is without the start. vegeta and oha (`-q`,
  {at_once} connections) send evenly; ours is a Poisson plan, which is drawn within what is measured; Locust
  alone has {at_once} users with a constant throughput. What a tool does with a request differs: ours has a
  trace context and a session of its own for each, and keeps a row of each answer, which it has read; vegeta
  keeps a record of each and its report is made of them; vegeta and oha send one body again and again. The
  server counts what came, and when: *late at the server* is against the request that came the earliest by
  its plan, for all alike. k6 is not here: it is under the AGPL, which is not among the licences that the
  Makefile lists.
- **The stall.** {stall_rps} requests a second for {stall_run} s; from {stall_at:g} s on the server answers
  nothing for {stall_for:g} s. The true p99 is computed from the plan: each request that is due in the stall
  waits until its end. vegeta takes as many workers as it needs, and {few}; oha has {few} connections, with
  and without `--latency-correction`; {few} users of Locust pace themselves so that they would send as much
  to a server that answers at once. So few are less than one request in a hundred, and that makes a stall
  vanish from a p99; with as many as wait at once it is there without a correction. What is above 1 is time
  of the server and of the load itself.
- **Simulator.** CPU of the servers' processes, {connections} connections, no delay or one token every
  {pace:g} ms (`tests/bench/simulator_cost.py`). Ours writes its journal, which the others have not. The
  client reads each answer to its end.
- **Agent.** CPU of the agents' processes with a model that answers at once (`tests/bench/agent_cost.py`).
  Ours keeps each session in SQLite and has the contract's limits; the samples keep nothing. Requests are
  held against the calls in the journal of the model simulator.
- **Capture.** The same {bodies} bodies of {spans} spans, OTLP/HTTP in protobuf, over {capture_connections}
  connections. Ours checks a body and keeps it, and makes OTLP/JSON of it when the run is over: the row of
  OTLP/JSON has both. The Collector has its OTLP receiver and the `file` exporter of its contrib repository,
  without a batch processor. Spans are counted in the files.
- **Plan.** The very same {plan_requests} requests (lognormal, 95 % of the slots in use), waiting in one
  queue: each has to give the same mean wait, to rounding. CPU of the simulation alone, without imports.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What the figures are figures of.

    Attributes:
        machine: in words: cores, and what a request costs on it.
        rounds: how often all was measured.
        versions: by the name of what was measured.
        missing: a sentence for each peer that was not there.
        how: the figures within `HOW`.
        quiet: whether nobody else used the machine.
    """

    machine: str
    rounds: int
    versions: Mapping[str, str]
    missing: Sequence[str]
    how: Mapping[str, float]
    quiet: bool


def page(rows: Sequence[Row], setting: Setting) -> str:
    """Return the page."""
    return "\n".join(
        [*head(setting), *behind(rows), *table(rows), "", HOW.format(**setting.how).rstrip(), ""]
    )


def head(setting: Setting) -> Iterator[str]:
    yield "# Beside the best of others\n"
    yield "Made by `make bench-peers`: ours and its peers in one run, turn about. This page says only what"
    yield "each costs; what each is for is in [comparison.md](comparison.md).\n"
    noise = "" if setting.quiet else " Others used the machine: a quiet one has narrower quartiles."
    yield f"**Machine:** {setting.machine}.\n"
    yield f"**Rounds:** {setting.rounds}.{noise}\n"
    yield f"**Versions:** {', '.join(f'{name} {version}' for name, version in setting.versions.items())}."
    yield from (f"\n{sentence}" for sentence in setting.missing)
    yield ""


def behind(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what is slower than a peer, a sentence a row."""
    yield "## Where a peer is better\n"
    sentences = [sentence(row) for row in slower_first(rows) if row.behind()]
    yield "\n".join(sentences) if sentences else "In no row that was measured."
    yield ""


def sentence(row: Row) -> str:
    """Say how far behind a row is, beside each peer that is better."""
    if row.true_is_one:
        others = "; ".join(f"{name} {cell(row.peers[name])}" for name in row.behind())
        return f"- **{row.part}:** {row.what}: {cell(row.ours)}, further off than {others}."
    others = ", ".join(
        f"{number(ratio.mid)} times that of {name}" for name in row.behind() if (ratio := row.ratio(name))
    )
    return f"- **{row.part}:** {row.what}: {cell(row.ours)} {row.unit}, {others}."


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a line a row and peer, the rows in which ours is behind first."""
    yield "## All rows\n"
    yield "| measured | unit | ours (quartiles) | peer | the peer's | ours by theirs (quartiles) |"
    yield "|---|---|---|---|---|---|"
    for row in slower_first(rows):
        first = (f"{row.part}: {row.what}", row.unit, cell(row.ours, quartiles=True))
        for name, theirs in row.peers.items():
            ratio = row.ratio(name)
            mark = "**" if name in row.behind() else ""
            said = f"{mark}{told(ratio, quartiles=True)}{mark}" if ratio else ""
            yield f"| {' | '.join([*first, name, cell(theirs), said])} |"
            first = ("", "", "")


def cell(figures: Figures, *, quartiles: bool = False) -> str:
    """Return the median of some figures, or why there are none."""
    if isinstance(figures, str):
        return f"not measured: {figures}".replace("|", "/").replace("\n", " ")
    return told(spread(figures), quartiles=quartiles)


def told(values: Spread, *, quartiles: bool) -> str:
    return f"{number(values.mid)}" + (
        f" ({number(values.low)} to {number(values.high)})" if quartiles else ""
    )


def number(value: float) -> str:
    """Write three digits of a figure, and never as a power."""
    for least, decimals in ((100, 0), (10, 1), (1, 2)):
        if abs(value) >= least:
            return f"{value:,.{decimals}f}"
    return f"{value:.3f}"
