"""The capture as a process: `python -m harness.capture --port P --out DIR`."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import httpx
import uvicorn
from opentelemetry.util.re import parse_env_headers

from harness.capture.forward import Forwarder, post_to
from harness.capture.frames import FrameWriter
from harness.capture.receiver import Receiver, ReceiverStats
from harness.clock import SystemClock
from harness.contract import OTLP_HEADERS as HEADERS
from harness.errors import AgentrigError, StartError
from harness.outside.bounded_http import BoundedHttp

try:
    import uvloop
except ImportError:  # Windows: the loop of asyncio
    uvloop = None  # type: ignore[assignment]  # None - its type is of a module that is there

DRAIN_S: Final = 10.0
"""How long a stop may take to send on what waits, and to answer what is being received."""
KEEP_ALIVE_S: Final = 75
"""Longer than exporters pause between two batches."""


def main() -> int:
    """Run until SIGTERM or SIGINT; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m harness.capture", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, required=True, help="port to listen on")
    parser.add_argument("--out", type=Path, required=True, help="folder for traces.raw and metrics.raw")
    parser.add_argument("--forward", metavar="URL", help="OTLP/HTTP receiver that gets a copy of the traces")
    args = parser.parse_args()
    try:
        _make(args.out)
        loop = uvloop.new_event_loop if uvloop else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(serve(args.host, args.port, args.out, args.forward))
    except AgentrigError as error:
        sys.stderr.write(f"capture: {error}\n")
        return error.exit_code
    return 0


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(f"{folder}: cannot be made: {error.strerror}. Give another --out.") from error


async def serve(host: str, port: int, out: Path, forward_url: str | None) -> None:
    """Receive until a signal says stop, then send on what waits and close the files.

    Raises:
        StartError: the folder cannot be written to.
    """
    stats = ReceiverStats()
    async with AsyncExitStack() as stack:
        traces, metrics = FrameWriter(out / "traces.raw"), FrameWriter(out / "metrics.raw")
        stack.callback(traces.close)
        stack.callback(metrics.close)
        forwarder = None
        if forward_url:
            headers = parse_env_headers(os.environ.get(HEADERS, ""), liberal=True)
            client = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
            forwarder = Forwarder(post_to(client, forward_url, headers), stats)
            forwarder.start()
            stack.push_async_callback(forwarder.close, DRAIN_S)
        receiver = Receiver(traces, metrics, clock=SystemClock(), stats=stats, onward=forwarder)
        await _run(receiver, host, port)


async def _run(receiver: Receiver, host: str, port: int) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal again once it has stopped: without this the exit status would not be 0
        signal.signal(number, lambda *_: None)
    config = uvicorn.Config(
        receiver,
        host=host,
        port=port,
        http=BoundedHttp,
        lifespan="off",
        ws="none",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(DRAIN_S),
    )
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    sys.exit(main())
