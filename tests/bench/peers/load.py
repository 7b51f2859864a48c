"""The load beside others: CPU a request, how late, and the p99 that each tells of a server that stalls."""

from __future__ import annotations

import csv
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from tests.bench.load_cost import pinned, replay
from tests.bench.peers.figures import (
    NotMeasuredError,
    Rounds,
    Row,
    even,
    late_p99_ms,
    stalled_p99_ms,
    turn_about,
)
from tests.e2e.asking import HTTP
from tests.e2e.serving import contract_server

RATES_RPS = (100, 300)
SHORT_S, LONG_S = 4, 12
"""Two lengths of a load, in seconds: what the longer costs more is without the start."""
STALL_RPS, STALL_RUN_S, STALL_AT_S, STALL_FOR_S = 100, 8, 3.0, 1.0
AT_ONCE = 20
"""Connections of oha and users of Locust, where nothing stalls."""
FEW = 3
"""Closed users, connections and workers in a stall: fewer than one request in a hundred, by far."""
UNTOLD = {"late_ms": "it has no plan", "told_late_ms": "it does not tell"}
"""Why a tool has no such figure."""
ENOUGH = 0.98
"""The share of a plan that must have come at the server; the rest is rounding at a load's two ends."""
BODY = json.dumps({"prompt": "Question: what is a lock?"})
SESSION = "x-amzn-bedrock-agentcore-runtime-session-id: " + "session".ljust(40, "0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One load.

    Attributes:
        cpu_s: CPU seconds of all its processes, from their start to their end.
        came_s: when its requests came at the server, in monotonic seconds.
        due_s: when they were due, in seconds from any instant.
        p99_ms: as the tool tells it.
        told_late_ms: how late it sent, p99 in ms as it tells; None where it doesn't.
        has_plan: whether requests are due at all, whatever becomes of those before.
    """

    cpu_s: float
    came_s: list[float]
    due_s: list[float]
    p99_ms: float
    told_late_ms: float | None = None
    has_plan: bool = True


Tool = Callable[[str, float, int], Ran]
"""What sends to a host at a rate for some seconds."""


def rows(peers: Path, rounds: int, draw: random.Random) -> list[Row]:
    """Measure the rows of the load."""
    cores = sorted(os.sched_getaffinity(0))
    an_oha, a_vegeta = partial(oha, peers / "bin" / "oha"), partial(vegeta, peers / "bin" / "vegeta")
    tools: dict[str, Tool] = {
        "agentrig": ours,
        "vegeta": a_vegeta,
        "oha": partial(an_oha, connections=AT_ONCE),
        "Locust alone": partial(locust, users=AT_ONCE),
    }
    found: list[Row] = []
    with pinned(cores[-1]), contract_server() as host, pinned(cores[0]):
        for rate_rps in RATES_RPS:
            ways = {name: partial(twice, tool, host, rate_rps) for name, tool in tools.items()}
            found += rows_of(turn_about(ways, rounds, draw), rate_rps)
    stalls: dict[str, Tool] = {
        "agentrig": ours,
        "vegeta": a_vegeta,
        f"vegeta, {FEW} workers": partial(a_vegeta, workers=FEW),
        f"oha --latency-correction, {FEW} connections": partial(an_oha, connections=FEW, corrected=True),
        f"oha, {FEW} connections": partial(an_oha, connections=FEW),
        f"Locust alone, {FEW} users": partial(locust, users=FEW),
    }
    told = turn_about({name: partial(stalled, tool, cores) for name, tool in stalls.items()}, rounds, draw)
    found.append(
        row("p99 told of a server that stalls for 1 s, in terms of the true one", "share", told, one=True)
    )
    return found


def twice(tool: Tool, host: str, rate_rps: float) -> dict[str, float]:
    """Send for a short and a long time; return CPU ms a request without the start, and the other figures."""
    short, long = tool(host, rate_rps, SHORT_S), tool(host, rate_rps, LONG_S)
    more = len(long.came_s) - len(short.came_s)
    a_request_s = (long.cpu_s - short.cpu_s) / more
    figures = {
        "cpu_ms": a_request_s * 1000,
        "start_s": short.cpu_s - a_request_s * len(short.came_s),
    }
    if long.has_plan:
        figures["late_ms"] = late_p99_ms(long.came_s, long.due_s)
    if long.told_late_ms is not None:
        figures["told_late_ms"] = long.told_late_ms
    return figures


def rows_of(told: Mapping[str, list[dict[str, float]] | str], rate_rps: float) -> list[Row]:
    """Return the rows of one rate."""

    def figures(key: str) -> dict[str, list[float] | str]:
        return {
            name: each
            if isinstance(each, str)
            else [figure[key] for figure in each if key in figure] or UNTOLD[key]
            for name, each in told.items()
        }

    found = [
        row(f"CPU of a request at {rate_rps}/s, without the start", "ms", figures("cpu_ms")),
        row(f"requests late at the server at {rate_rps}/s, p99", "ms", figures("late_ms")),
        row(f"requests sent late at {rate_rps}/s, p99 as told", "ms", figures("told_late_ms")),
    ]
    return found + ([row("CPU of the start", "s", figures("start_s"))] if rate_rps == RATES_RPS[0] else [])


def row(what: str, unit: str, told: Mapping[str, list[float] | str], *, one: bool = False) -> Row:
    """Return the row of what was told of each tool."""
    figures: dict[str, Rounds | str] = {
        name: each if isinstance(each, str) else tuple(each) for name, each in told.items()
    }
    return Row(
        part="load", what=what, unit=unit, ours=figures.pop("agentrig"), peers=figures, true_is_one=one
    )


def stalled(tool: Tool, cores: list[int]) -> float:
    """Return the p99 that a tool tells of a server that stalls, in terms of the true one of its plan."""
    with pinned(cores[-1]), contract_server(STALL_AT_S, STALL_FOR_S) as host, pinned(cores[0]):
        ran = tool(host, STALL_RPS, STALL_RUN_S)
    return ran.p99_ms / stalled_p99_ms(ran.due_s, STALL_AT_S, STALL_FOR_S)


def ours(host: str, rate_rps: float, seconds: int) -> Ran:
    """Send a plan of ours, and read what came of it: the plan is drawn within what is measured."""
    before_s, before = cpu_s(), len(asked_at(host))
    result, sent = replay(host, rate_rps, float(seconds))
    p99_ms = float(np.quantile([row.latency_s for row in sent], 0.99) * 1000)
    late_ms = float(np.quantile([row.lateness_s for row in sent], 0.99) * 1000)
    spent_s = cpu_s() - before_s
    came_s = came(host, before, result.planned, failed=sum(not row.ok for row in sent))
    due_s = [row.due_s for row in sent]
    return Ran(cpu_s=spent_s, came_s=came_s, due_s=due_s, p99_ms=p99_ms, told_late_ms=late_ms)


def vegeta(program: Path, host: str, rate_rps: float, seconds: int, *, workers: int = 0) -> Ran:
    """Send evenly by vegeta, by as many workers as it takes or by so many; its report is part of the cost."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "body.json").write_text(BODY)
        head = f"POST {host}/invocations\ncontent-type: application/json\n{SESSION}\n@{folder}/body.json\n"
        (folder / "targets").write_text(head)
        argv = [str(program), "attack", f"-rate={rate_rps:g}/1s", f"-duration={seconds}s"]
        argv += [f"-targets={folder}/targets", f"-output={folder}/results"]
        argv += [f"-workers={workers}", f"-max-workers={workers}"] if workers else []
        before = len(asked_at(host))
        _, attack_s = run(argv)
        out, report_s = run([str(program), "report", "-type=json", str(folder / "results")])
    told = json.loads(out)
    failed = told["requests"] - told["status_codes"].get("200", 0)
    planned = round(rate_rps * seconds)
    came_s = came(host, before, planned, failed=failed)
    p99_ms = told["latencies"]["99th"] / 1e6
    return Ran(cpu_s=attack_s + report_s, came_s=came_s, due_s=even(rate_rps, planned), p99_ms=p99_ms)


def locust(host: str, rate_rps: float, seconds: int, *, users: int) -> Ran:
    """Let closed users of Locust ask, who would send at that rate to a server that answers at once.

    They have no plan: what they leave out while they wait is what they are shown for. The truth of a stall
    is that of even requests.
    """
    with tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, "-m", "locust", "-f", str(Path(__file__).with_name("closed_users.py"))]
        argv += ["--headless", "--only-summary", "--host", host, "-u", str(users), "-r", str(users)]
        argv += ["-t", f"{seconds}s", "--csv", f"{folder}/told"]
        before = len(asked_at(host))
        _, spent_s = run(argv, {"EACH_RPS": str(rate_rps / users)})
        with (Path(folder) / "told_stats.csv").open(encoding="utf-8") as file:
            told = next(row for row in csv.DictReader(file) if row["Name"] == "Aggregated")
    came_s = came(host, before, 0, failed=int(told["Failure Count"]))
    due_s = even(rate_rps, round(rate_rps * seconds))
    return Ran(cpu_s=spent_s, came_s=came_s, due_s=due_s, p99_ms=float(told["99%"]), has_plan=False)


def oha(
    program: Path, host: str, rate_rps: float, seconds: int, *, connections: int, corrected: bool = False
) -> Ran:
    """Send evenly by oha, which waits for the answers that are on their way at the end."""
    argv = [str(program), "--no-tui", "--output-format", "json", "-w"]
    argv += ["-q", f"{rate_rps:g}", "-z", f"{seconds}s", "-c", str(connections)]
    argv += ["--latency-correction"] if corrected else []
    argv += ["-m", "POST", "-T", "application/json", "-H", SESSION]
    before = len(asked_at(host))
    out, spent_s = run([*argv, "-d", BODY, f"{host}/invocations"])
    told = json.loads(out)
    failed = sum(told["errorDistribution"].values())
    failed += sum(number for status, number in told["statusCodeDistribution"].items() if status != "200")
    came_s = came(host, before, round(rate_rps * seconds), failed=failed)
    due_s = even(rate_rps, round(rate_rps * seconds))
    return Ran(cpu_s=spent_s, came_s=came_s, due_s=due_s, p99_ms=told["latencyPercentiles"]["p99"] * 1000)


def run(argv: list[str], env: Mapping[str, str] | None = None) -> tuple[str, float]:
    """Run a tool; return what it printed, and the CPU seconds of all its processes."""
    before_s = cpu_s()
    try:
        ran = subprocess.run(
            argv, env=os.environ | dict(env or {}), capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise NotMeasuredError("not installed") from error
    if ran.returncode:
        said = (ran.stderr or ran.stdout).strip().splitlines() or ["nothing was said"]
        raise NotMeasuredError(f"{Path(argv[0]).name} ended with {ran.returncode}: {said[-1]}")
    return ran.stdout, cpu_s() - before_s


def cpu_s() -> float:
    """Return the CPU seconds so far of this process and of all that ended below it."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def asked_at(host: str) -> list[float]:
    """Return when requests came at the server, in its monotonic seconds."""
    return list(HTTP.get(f"{host}/asked", timeout=30).raise_for_status().json()["at_s"])


def came(host: str, before: int, planned: int, *, failed: float) -> list[float]:
    """Return when the requests of one load came, once the server has counted enough of them."""
    came_s = asked_at(host)[before:]
    if failed:
        raise NotMeasuredError(f"{failed:.0f} of {len(came_s)} requests failed")
    if len(came_s) < planned * ENOUGH:
        raise NotMeasuredError(f"{len(came_s)} of {planned} requests came at the server")
    return came_s
