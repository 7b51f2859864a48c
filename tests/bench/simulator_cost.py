"""What the simulator costs, beside two others of its kind: CPU per JSON answer and per streamed event.

All servers run at once and idle; blocks of requests go to them in a new random order each round, so that
whatever else the machine does falls on all alike. Then, alone: how late tokens leave, with 200 streams
at once. The others are measured where the folder `--peers` has them; `INSTALLING` says how they get there.
A checkout of an older version takes part as `--before`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
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
import numpy as np
import psutil

READY_WITHIN_S = 60.0
CONNECTIONS = 8
WORDS = "Those agent question tokens answer warm one keeps"
PACE_S = 0.005
STREAMS, STREAM_TOKENS, TTFT_S, ITL_S = 200, 50, 0.2, 0.02
AIMOCK_FIXTURE = {"fixtures": [{"match": {"userMessage": "hello"}, "response": {"content": WORDS}}]}
INSTALLING = (
    "To compare with others: python -m venv PEERS/llmock && PEERS/llmock/bin/pip install llmock && "
    "npm install --prefix PEERS @copilotkit/aimock, and then --peers PEERS."
)


@dataclass
class Peer:
    """A server that is measured, and its figures: µs of CPU per request or event, by kind of block."""

    name: str
    argv: list[str]
    port: int
    folder: Path | None = None
    process: psutil.Process | None = None
    cost_us: dict[str, list[float]] = field(default_factory=dict)


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument(
        "--block", type=int, default=1600, help="requests a block; a quarter of it where tokens are paced"
    )
    parser.add_argument("--before", type=Path, help="checkout of an older version, measured beside this one")
    parser.add_argument("--peers", type=Path, help="folder that has the others installed")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for paced in (False, True):
            with ExitStack() as servers:
                peers = servers_in(folder, options.before, options.peers, paced=paced)
                for peer in peers:
                    servers.enter_context(served(peer))
                asyncio.run(compare(peers, options.rounds, options.block // (4 if paced else 1), paced=paced))
            tell(peers, paced=paced)
    late_ms = lateness_ms()
    p50, p99 = np.quantile(late_ms, [0.5, 0.99])
    print(
        f"\ntokens of {STREAMS} streams at once ({len(late_ms)}): late by p50 {p50:.2f} ms, p99 {p99:.2f} ms"
    )
    if options.peers is None:
        print(INSTALLING)


def servers_in(folder: Path, before: Path | None, installed: Path | None, *, paced: bool) -> list[Peer]:
    """Return how ours is started, an older one of it, and the others where they are installed."""
    config = folder / "sim.json"
    pace = {"median_s": PACE_S if paced else 0.0}
    config.write_text(json.dumps({"latency": {"ttft": pace, "itl": pace}}))
    servers = [simulator("agentrig", config)]
    if before is not None:
        servers.append(simulator("before", config, before.resolve()))
    if installed is None:
        return servers
    if missing := [str(file) for file in programs(installed).values() if not file.exists()]:
        sys.exit(f"there is no {' and no '.join(missing)}. {INSTALLING}")
    return servers + theirs(folder, installed, paced=paced)


def programs(installed: Path) -> dict[str, Path]:
    """Return what the others are started by, whether it is there or not."""
    return {
        "llmock": installed / "llmock" / "bin" / "llmock",
        "aimock": installed / "node_modules" / ".bin" / "llmock",  # the server of that package
    }


def theirs(folder: Path, installed: Path, *, paced: bool) -> list[Peer]:
    """Return how the others are started that are there."""
    fixture = folder / "fixture.json"
    fixture.write_text(json.dumps(AIMOCK_FIXTURE))
    delay_ms = str(round(PACE_S * 1000) if paced else 0)
    told_llmock = ["--log-level", "error", "--stream-chunk-delay-ms", delay_ms]
    told_aimock = ["-f", str(fixture), "--log-level", "silent", "--chunk-size", "6", "--latency", delay_ms]
    ports = {name: free_port() for name in programs(installed)}
    llmock, aimock = programs(installed).values()
    argvs = {
        "llmock": [str(llmock), "serve", "-p", str(ports["llmock"]), *told_llmock],
        "aimock": ["node", str(aimock), "-p", str(ports["aimock"]), *told_aimock],
    }
    return [
        Peer(name, argvs[name], ports[name]) for name, file in programs(installed).items() if file.exists()
    ]


def simulator(name: str, config: Path, checkout: Path | None = None) -> Peer:
    """Return how a simulator of ours is started, with a journal; of another checkout by its folder."""
    port = free_port()
    argv = [sys.executable, "-m", "harness.simulator", "--port", str(port), "--config", str(config)]
    return Peer(name, [*argv, "--journal", str(config.with_name(f"{name}.jsonl"))], port, checkout)


@contextmanager
def served(peer: Peer) -> Iterator[None]:
    """Run a server, ready when it is handed out."""
    quiet = subprocess.DEVNULL
    env = os.environ | {"NO_COLOR": "1"} | ({"PYTHONPATH": str(peer.folder)} if peer.folder else {})
    process = subprocess.Popen(peer.argv, stdout=quiet, stderr=quiet, env=env, cwd=peer.folder)
    try:
        end = time.monotonic() + READY_WITHIN_S
        while True:
            try:
                httpx.post(f"http://127.0.0.1:{peer.port}/v1/chat/completions", json=asked(0), headers=KEY)
                break
            except httpx.TransportError:
                if process.poll() is not None or time.monotonic() > end:
                    sys.exit(f"{peer.name} does not start: {' '.join(peer.argv)}")
                time.sleep(0.1)
        peer.process = psutil.Process(process.pid)
        yield
    finally:
        process.terminate()
        process.wait(20)


KEY = {"authorization": "Bearer sk-test"}


def asked(number: int, *, stream: bool = False) -> dict[str, object]:
    return {"model": "gpt-4o", "stream": stream, "messages": [{"role": "user", "content": f"hello {number}"}]}


async def compare(peers: list[Peer], rounds: int, block: int, *, paced: bool) -> None:
    """Send blocks to all in a new order each round; the first round warms up and doesn't count."""
    kinds = ["stream"] if paced else ["json", "stream"]
    for number in range(rounds + 1):
        for kind in kinds:
            for peer in random.sample(peers, len(peers)):
                cpu_s = cpu_of(peer)
                counts = [
                    send(peer.port, range(k, block, CONNECTIONS), stream=kind == "stream")
                    for k in range(CONNECTIONS)
                ]
                events = sum(await asyncio.gather(*counts))
                spent_us = (cpu_of(peer) - cpu_s) * 1e6
                if number:
                    peer.cost_us.setdefault(kind, []).append(spent_us / block)
                if number and kind == "stream":
                    peer.cost_us.setdefault("event", []).append(spent_us / events)


async def send(port: int, numbers: range, *, stream: bool) -> int:
    """Send requests one after the other over one connection; return how many events came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    events = 0
    for number in numbers:
        body = json.dumps(asked(number, stream=stream)).encode()
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer sk-test\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise RuntimeError(f"no answer: {head!r}")
        if b"content-length:" in head:
            await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
            continue
        while size := int(await reader.readline(), 16):
            events += (await reader.readexactly(size + 2)).count(b"data: ")
        await reader.readline()
    writer.close()
    return events


def cpu_of(peer: Peer) -> float:
    if peer.process is None:
        raise RuntimeError(f"{peer.name} does not run")
    spent = [process.cpu_times() for process in (peer.process, *peer.process.children(recursive=True))]
    return sum(times.user + times.system for times in spent)


def tell(peers: list[Peer], *, paced: bool) -> None:
    """Print a table: medians over the rounds, with their quartiles."""
    print(f"\nCPU in µs, median [quartiles]; tokens {f'every {PACE_S * 1e3:.0f} ms' if paced else 'at once'}")
    for peer in peers:
        told = []
        for kind, values in peer.cost_us.items():
            low, median, high = statistics.quantiles(values, n=4)
            told.append(f"{kind} {median:7.1f} [{low:.1f}, {high:.1f}]")
        print(f"  {peer.name:9} {'   '.join(told)}")


def lateness_ms() -> list[float]:
    """Return how late each token of many streams at once was read, against when it was due."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "sim.json"
        latency = {"ttft": {"median_s": TTFT_S}, "itl": {"median_s": ITL_S}, "tokens": STREAM_TOKENS}
        config.write_text(json.dumps({"latency": latency}))
        peer = simulator("agentrig", config)
        with served(peer):
            return asyncio.run(all_streams(peer.port))


async def all_streams(port: int) -> list[float]:
    late = await asyncio.gather(*(one_stream(port, number) for number in range(STREAMS)))
    return [value for of_stream in late for value in of_stream]


async def one_stream(port: int, number: int) -> list[float]:
    await asyncio.sleep(number * 0.003)  # or the client would be what is measured
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps(asked(number, stream=True) | {"max_tokens": STREAM_TOKENS}).encode()
    begun = time.monotonic()
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    )
    await reader.readuntil(b"\r\n\r\n")
    late: list[float] = []
    while size := int(await reader.readline(), 16):
        came_s = time.monotonic() - begun
        for _ in range((await reader.readexactly(size + 2)).count(b'"content":')):
            late.append((came_s - TTFT_S - len(late) * ITL_S) * 1e3)
    writer.close()
    if len(late) != STREAM_TOKENS:
        raise RuntimeError(f"{len(late)} tokens came, not {STREAM_TOKENS}")
    return late


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
