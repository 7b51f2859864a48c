"""What the agent costs: requests per CPU-second, four ways of building it, side by side in one run.

    (a) the reference agent, telemetry on        (c) the SDK's sample, clients per request
    (b) the same with OTEL_SDK_DISABLED=true     (d) the SDK's sample, clients cached

A checkout of an older version takes part, as (e), with `--before`.

All four run at once and idle; blocks of requests go to them in a new random order each round, so that
whatever else the machine does falls on all alike. The model answers at once. Run it by `make bench`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

HERE = Path(__file__).parent
AT_ONCE = 4
JOURNAL = "journal.jsonl"
"""What the simulator received: a line a model call."""
READY_WITHIN_S = 60.0


@dataclass
class Variant:
    """One way of building the agent, and what was measured of it."""

    name: str
    title: str
    argv: list[str]
    env: dict[str, str]
    port: int = 0
    process: psutil.Process | None = None
    per_cpu_s: list[float] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--block", type=int, default=150, help="requests a block")
    parser.add_argument("--before", type=Path, help="checkout of an older version, measured beside this one")
    parser.add_argument("--growth", type=int, default=0, help="then so many requests to (a), for its memory")
    options = parser.parse_args()
    variants = ways(options.before)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        start_all(stack, variants, folder)
        asyncio.run(measure(variants, options.rounds, options.block))
        print_table(variants, options)
        if options.growth:
            asyncio.run(grow(variants[0], options.growth))


def ways(before: Path | None) -> list[Variant]:
    """Return the four ways of building it, and the older version where there is one."""
    ours = [sys.executable, "-m", "reference_agent"]
    sample = [sys.executable, str(HERE.parent / "fixtures" / "agentcore_sdk_agent.py")]
    quiet = {"OTEL_SDK_DISABLED": "true"}
    older = {} if before is None else {"PYTHONPATH": str(before.resolve())}
    variants = [
        Variant("a", "reference agent, telemetry on", ours, {}),
        Variant("b", "reference agent, OTEL_SDK_DISABLED", ours, quiet),
        Variant("c", "SDK sample, clients per request", sample, quiet),
        Variant("d", "SDK sample, clients cached", sample, quiet | {"CACHE_CLIENTS": "1"}),
        Variant("e", "an older reference agent", ours, older),
    ]
    return variants if before is not None else variants[:-1]


def start_all(stack: ExitStack, variants: list[Variant], folder: Path) -> None:
    """Start simulator, capture and the agents, and wait until each answers."""
    simulator, capture = free_port(), free_port()
    (folder / "sim.json").write_text("{}")
    harness = [sys.executable, "-m"]
    parts = [
        (
            "simulator",
            [
                *(
                    *harness,
                    "harness.simulator",
                    "--port",
                    str(simulator),
                    "--config",
                    str(folder / "sim.json"),
                ),
                *("--journal", str(folder / JOURNAL)),
            ],
        ),
        ("capture", [*harness, "harness.capture", "--port", str(capture), "--out", str(folder)]),
    ]
    for (name, argv), port in zip(parts, (simulator, capture), strict=True):
        stack.enter_context(running(name, argv, {}, folder))
        wait_ready(f"http://127.0.0.1:{port}/healthz", name, folder)
    for variant in variants:
        variant.port = free_port()
        env = {
            "PORT": str(variant.port),
            "OPENAI_BASE_URL": f"http://127.0.0.1:{simulator}/v1",
            "OPENAI_API_KEY": "bench",
            "OTEL_SERVICE_NAME": "agent",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{capture}",
            "AGENT_SESSION_STORE": f"sqlite:///{folder}/{variant.name}.db",
            "AGENT_CONCURRENCY_LIMIT": "64",
        }
        process = stack.enter_context(running(variant.name, variant.argv, env | variant.env, folder))
        variant.process = psutil.Process(process.pid)
        wait_ready(f"http://127.0.0.1:{variant.port}/ping", variant.name, folder)


async def measure(variants: list[Variant], rounds: int, block: int) -> None:
    """Send blocks of requests to the variants, in a new order each round; the first round warms up."""
    order = random.Random(1)
    async with httpx.AsyncClient(timeout=30) as http:
        for number in range(rounds + 1):
            for variant in order.sample(variants, len(variants)):
                cpu_s, latencies_ms, rss_mb = await one_block(http, variant, block, number)
                if number:
                    variant.per_cpu_s.append(block / cpu_s)
                    variant.latencies_ms += latencies_ms
                    variant.rss_mb.append(rss_mb)
            sys.stderr.write(f"\rround {number} of {rounds}")
            sys.stderr.flush()
        sys.stderr.write("\n")


async def one_block(
    http: httpx.AsyncClient, variant: Variant, block: int, number: int
) -> tuple[float, list[float], float]:
    """Send one block, and return its CPU seconds, latencies in ms and the memory after it in MiB."""
    assert variant.process is not None
    numbers = iter(range(block))
    latencies_ms: list[float] = []

    async def caller() -> None:
        for index in numbers:
            session = f"bench-{variant.name}-{number:06d}-{index:06d}".ljust(40, "0")
            headers = {"X-Amzn-Bedrock-AgentCore-Runtime-Session-Id": session}
            begun = time.perf_counter()
            answer = await http.post(
                f"http://127.0.0.1:{variant.port}/invocations",
                json={"prompt": f"Hello {index}"},
                headers=headers,
            )
            latencies_ms.append((time.perf_counter() - begun) * 1e3)
            answer.raise_for_status()

    before = variant.process.cpu_times()
    await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
    await asyncio.sleep(0.3)  # the exporter's share is part of the cost
    after = variant.process.cpu_times()
    cpu_s = after.user + after.system - before.user - before.system
    return cpu_s, latencies_ms, variant.process.memory_info().rss / 2**20


async def grow(variant: Variant, requests: int) -> None:
    """Send many requests to one variant, and print how its memory grew."""
    assert variant.process is not None
    step = max(1, requests // 10)
    async with httpx.AsyncClient(timeout=30) as http:
        for number in range(10):
            _, _, rss_mb = await one_block(http, variant, step, 1000 + number)
            print(f"after {(number + 1) * step:>7,} more requests: {rss_mb:7.1f} MiB", flush=True)


def print_table(variants: list[Variant], options: argparse.Namespace) -> None:
    """Print what was measured, and the ratios the goals are about."""
    print(f"{options.rounds} rounds of {options.block} requests, {AT_ONCE} at once, {os.cpu_count()} cores")
    print(f"{'':38} {'requests/CPU-s':>15} {'quartiles':>15} {'p50 ms':>8} {'RSS MiB':>8}")
    for v in variants:
        low, mid, high = statistics.quantiles(v.per_cpu_s, n=4)
        p50, spread = statistics.median(v.latencies_ms), f"{low:.0f}-{high:.0f}"
        print(f"({v.name}) {v.title:34} {mid:15.0f} {spread:>15} {p50:8.2f} {v.rss_mb[-1]:8.1f}")
    by = {variant.name: variant for variant in variants}
    for names, goal in (("ac", 3.0), ("ad", 1.0), ("ab", 0.9), ("ae", 1.0)):
        if not by.keys() >= set(names):
            continue
        one, other = (by[name] for name in names)
        ratios = [x / y for x, y in zip(one.per_cpu_s, other.per_cpu_s, strict=True)]
        low, mid, high = statistics.quantiles(ratios, n=4)
        print(f"{'/'.join(names)}: {mid:.2f} (quartiles {low:.2f}-{high:.2f}, goal >= {goal})")


@contextmanager
def running(
    name: str, argv: list[str], env: dict[str, str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process, its output in a log, for as long as the block lasts."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(argv, env=os.environ | env, cwd=folder, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_ready(url: str, name: str, folder: Path) -> None:
    """Return when `url` answers 200."""
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=1).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    tail = (folder / f"{name}.log").read_text()[-2000:]
    sys.exit(f"{name} did not answer at {url} within {READY_WITHIN_S:.0f} s. Its log ends:\n{tail}")


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
