"""The simulator beside aimock and llmock, and the agent beside other ways of writing one: CPU of each."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from tests.bench import agent_cost, simulator_cost
from tests.bench.peers.figures import Figures, NotMeasuredError, Row

BLOCK, PACED_BLOCK = 800, 200
"""Requests of a block to a simulator, and where tokens are paced."""
AGENT_BLOCK = 150
PLAIN = Path(__file__).parents[2] / "fixtures" / "plain_fastapi_agent.py"
MISSING = "not installed"


def simulator_rows(peers: Path, rounds: int) -> list[Row]:
    """Measure the rows of the simulator. Each answer is read to its end, and has to be a 200."""
    found = []
    for paced, kinds in (
        (False, {"json": "a JSON answer", "event": "an event of a stream, at once"}),
        (True, {"event": f"an event of a stream, one every {simulator_cost.PACE_S * 1000:g} ms"}),
    ):
        servers = simulators(peers, rounds, paced=paced)
        for kind, what in kinds.items():
            costs: dict[str, Figures] = dict.fromkeys(simulator_cost.programs(peers), MISSING)
            costs |= {server.name: tuple(server.cost_us[kind]) for server in servers}
            found.append(
                Row(
                    part="simulator",
                    what=f"CPU of {what}",
                    unit="µs",
                    ours=costs.pop("agentrig"),
                    peers=costs,
                )
            )
    return found


def simulators(peers: Path, rounds: int, *, paced: bool) -> list[simulator_cost.Peer]:
    """Run all simulators at once, send blocks to them in turn, and return them with their figures."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = simulator_cost.servers_in(folder, None, None, paced=paced)
        servers += simulator_cost.theirs(folder, peers, paced=paced)
        for server in servers:
            stack.enter_context(simulator_cost.served(server))
        block = PACED_BLOCK if paced else BLOCK
        asyncio.run(simulator_cost.compare(servers, rounds, block, paced=paced))
    return servers


def agent_rows(rounds: int) -> list[Row]:
    """Measure the rows of the agent; requests are held against the calls that the simulator received."""
    variants = agent_cost.ways()
    plain = agent_cost.Variant(
        "e", "plain FastAPI", [sys.executable, str(PLAIN)], {"OTEL_SDK_DISABLED": "true"}
    )
    variants.append(plain)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ExitStack() as stack:
            agent_cost.start_all(stack, variants, folder)
            asyncio.run(agent_cost.measure(variants, rounds, AGENT_BLOCK))
        calls = (
            (folder / agent_cost.JOURNAL).read_text("utf-8").splitlines()
        )  # whole once the simulator ended
    answered = sum(json.loads(line)["decision"] == "ok" for line in calls)
    asked = len(variants) * (rounds + 1) * AGENT_BLOCK
    if answered < asked:
        raise NotMeasuredError(f"{asked} requests made {answered} model calls")
    cost = {variant.name: ms(variant.per_cpu_s) for variant in variants}
    names = {
        "c": "AgentCore SDK's sample",
        "d": "the sample, clients cached",
        "e": "plain FastAPI, clients cached",
    }
    peers = {name: cost[variant] for variant, name in names.items()}
    return [
        Row(part="agent", what=f"CPU of a request, {how}", unit="ms", ours=cost[variant], peers=peers)
        for variant, how in (
            ("b", "no telemetry"),
            ("a", "ours with all telemetry, theirs without"),
        )
    ]


def ms(per_cpu_s: Iterable[float]) -> tuple[float, ...]:
    """Return CPU ms a request, of requests a CPU second."""
    return tuple(1000 / rate for rate in per_cpu_s)
