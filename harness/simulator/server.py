"""The simulator as a server: model calls, control API, health and metrics on one port."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from pydantic import ValidationError
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from harness.errors import AgentrigError, InputError, StartError
from harness.simulation import SimulatorConfig
from harness.simulator import openai
from harness.simulator.control import build_control
from harness.simulator.journal import Journal
from harness.simulator.serve import Receive, Scope, Send, Simulator
from harness.simulator.tracing import Tracing

LOOPBACK = {"127.0.0.1", "::1", "localhost"}
FLUSH_S = 0.5
KEEP_ALIVE_S = 120
_numbers = itertools.count(1)


class NumberedConnections(HttpToolsProtocol):
    """Numbers the TCP connections, so that the journal can tell how many there were."""

    def connection_made(self, transport: Any) -> None:
        """Give every request of this connection its number and its transport."""
        self.app_state = {**self.app_state, "connection": next(_numbers), "transport": transport}
        super().connection_made(transport)


class Router:
    """Sends each path to who serves it."""

    def __init__(self, simulator: Simulator, token: str | None) -> None:
        self._simulator = simulator
        self._control = build_control(simulator, token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the server's life cycle."""
        if scope["type"] == "lifespan":
            await _lifespan(self._simulator, receive, send)
            return
        if scope["type"] != "http":
            return
        path: str = scope["path"]
        if path == openai.PATH and scope["method"] == "POST":
            await self._simulator(scope, receive, send)
        elif path.startswith("/sim/"):
            inner: Any = self._control
            await inner({**scope, "path": path.removeprefix("/sim"), "root_path": ""}, receive, send)
        elif path == "/healthz":
            await _text(send, 200, b'{"status":"ready"}', b"application/json")
        elif path == "/metrics":
            await _text(send, 200, metrics(self._simulator), b"text/plain; version=0.0.4")
        else:
            known = f"POST {openai.PATH}, /sim/docs, /healthz, /metrics"
            body = {"error": {"message": f"no such path; there are {known}", "type": "invalid_request_error"}}
            await _text(send, 404, json.dumps(body).encode(), b"application/json")


def metrics(simulator: Simulator) -> bytes:
    """Write the counts in the text format of Prometheus."""
    lines = ["# TYPE agentrig_simulator_requests_total counter"]
    lines += [
        f'agentrig_simulator_requests_total{{decision="{kind}"}} {count}'
        for kind, count in sorted(simulator.journal.decisions.items())
    ]
    return ("\n".join(lines) + "\n").encode()


async def _lifespan(simulator: Simulator, receive: Receive, send: Send) -> None:
    async def flush() -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            simulator.journal.flush()

    async with _background(flush()):
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return


@contextlib.asynccontextmanager
async def _background(work: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()


async def _text(send: Send, status: int, body: bytes, kind: bytes) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def read_config(file: Path | None) -> SimulatorConfig:
    """Read the configuration, the default one without a file.

    Raises:
        InputError: it is wrong; names file and key.
    """
    if file is None:
        return SimulatorConfig()
    try:
        return SimulatorConfig.model_validate_json(file.read_bytes())
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{file}: {where or 'whole file'}: {first['msg']}") from error


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket.

    Raises:
        StartError: the port is in use, or the address is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
    except OSError as error:
        opened.close()
        raise StartError(f"port {port} on {host}: {error.strerror}. Give another --port.") from error
    return opened


def serve(
    host: str,
    port: int,
    *,
    config: Path | None = None,
    journal: Path | None = None,
    labels: tuple[str, str] = ("", ""),
    token: str | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        InputError: the configuration is wrong, or a token is missing beyond loopback.
        StartError: the port or the journal can't be had.
    """
    if host not in LOOPBACK and token is None:
        raise InputError(f"--host {host} is beyond loopback: give a --token for the control API.")
    told = read_config(config)
    opened = listen(host, port)
    rows = Journal(journal)
    tracing = Tracing()
    simulator = Simulator(told, rows, tracing, labels=labels)
    server = uvicorn.Server(
        uvicorn.Config(
            Router(simulator, token),
            http=NumberedConnections,
            ws="none",
            access_log=False,
            log_level="warning",
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=1,
        )
    )
    # uvicorn raises the signal again once it has ended: a stop that was asked for is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    try:
        server.run(sockets=[opened])
    finally:
        rows.close()
        tracing.shutdown()


def run_or_exit(**arguments: Any) -> None:
    """`serve`, with failures as a message and an exit code."""
    try:
        serve(**arguments)
    except AgentrigError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
