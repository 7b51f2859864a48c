"""`python -m tests.bench.peers`: installs peers, or measures ours beside them and writes docs/peers.md.

--install DIR              installs them at pinned versions, some minutes the first time
--peers DIR --out FILE     measures, and writes the page
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import psutil

from harness.clock import SystemClock
from harness.machine import describe
from harness.run.calibrate import calibrate_reference
from tests.bench import simulator_cost
from tests.bench.peers import capture, load, plan, servers
from tests.bench.peers.figures import NotMeasuredError, Row
from tests.bench.peers.install import install, recipes, versions
from tests.bench.peers.page import Setting, cell, page

OURS = ("agentrig", "locust", "fastapi", "bedrock-agentcore", "strands-agents", "simpy")
"""Packages of this environment that are measured."""
QUIET_CORES = 0.2
"""Others that keep less busy than this do not blur the figures."""


def main() -> None:
    """Install or measure."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peers", description=__doc__.splitlines()[0])
    parser.add_argument("--install", type=Path, metavar="DIR", help="install the peers there, and end")
    parser.add_argument("--peers", type=Path, metavar="DIR", help="where they are installed")
    parser.add_argument("--out", type=Path, metavar="FILE", help="gets the page; it is printed without")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--parts", default="load,simulator,agent,capture,plan", help="which (default: all)")
    told = parser.parse_args()
    if told.install:
        install(told.install)
        return
    if not told.peers:
        parser.error("say --install DIR or --peers DIR")
    peers, draw = told.peers.resolve(), random.Random(1)
    parts: dict[str, Callable[[], list[Row]]] = {
        "load": lambda: load.rows(peers, told.rounds, draw),
        "simulator": lambda: servers.simulator_rows(peers, told.rounds),
        "agent": lambda: servers.agent_rows(told.rounds),
        "capture": lambda: capture.rows(peers, told.rounds, draw),
        "plan": lambda: plan.rows(peers, told.rounds, draw),
    }
    asked = told.parts.split(",")
    if unknown := set(asked) - parts.keys():
        parser.error(f"no part is called {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    idle = quiet()
    setting = Setting(
        machine=machine(),
        rounds=told.rounds,
        versions=named(peers),
        missing=missing(peers),
        how=how(),
        quiet=idle,
    )
    rows = [row for name in asked for row in measured(name, parts[name])]
    written = page(rows, setting)
    if told.out:
        told.out.write_text(written, "utf-8")
    else:
        print(written)


def measured(name: str, measure: Callable[[], list[Row]]) -> list[Row]:
    """Return the rows of a part; where it can't be measured at all, one that says why."""
    sys.stderr.write(f"{name}\n")
    try:
        rows = measure()
    except (NotMeasuredError, OSError, RuntimeError, AssertionError, SystemExit) as error:
        rows = [Row(part=name, what="all", unit="", ours=str(error), peers={"all": "see ours"})]
    for row in rows:
        others = ", ".join(f"{peer} {cell(figures)}" for peer, figures in row.peers.items())
        sys.stderr.write(f"  {row.what}: {cell(row.ours)} {row.unit}; {others}\n")
    return rows


def named(peers: Path) -> dict[str, str]:
    """Return the versions of all that takes part."""
    return {name: version(name) for name in OURS} | versions(peers)


def missing(peers: Path) -> list[str]:
    """Say what is not installed."""
    there = versions(peers)
    names = [each.name for each in recipes(peers) if each.name not in there]
    return [f"**Not there,** and so not measured: {', '.join(names)}."] if names else []


def quiet() -> bool:
    """Look for a second whether others use the machine."""
    cores = psutil.cpu_count() or 1
    psutil.cpu_percent()
    time.sleep(1)
    return psutil.cpu_percent() / 100 * cores < QUIET_CORES


def machine() -> str:
    """Say what it has, and what a request of the reference agent costs on it."""
    is_so, found = describe(), calibrate_reference(SystemClock())
    costs_ms = found.costs[0].agent_s * 1000
    return (
        f"{is_so['cores']} cores, Python {is_so['python']}, {costs_ms:.1f} ms of CPU a request of the agent"
    )


def how() -> dict[str, float]:
    """Return what the page says of how it was measured."""
    return {
        "short": load.SHORT_S,
        "long": load.LONG_S,
        "at_once": load.AT_ONCE,
        "stall_rps": load.STALL_RPS,
        "stall_run": load.STALL_RUN_S,
        "stall_at": load.STALL_AT_S,
        "stall_for": load.STALL_FOR_S,
        "few": load.FEW,
        "connections": simulator_cost.CONNECTIONS,
        "pace": simulator_cost.PACE_S * 1000,
        "bodies": capture.BODIES,
        "spans": capture.SPANS,
        "capture_connections": capture.CONNECTIONS,
        "plan_requests": plan.REQUESTS,
    }


if __name__ == "__main__":
    main()
