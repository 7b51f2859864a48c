"""The simulator as a process: configuration, socket, signals, and the server on it."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from pydantic import ValidationError

from harness.contract import SIMULATOR_TOKEN
from harness.errors import AgentrigError, InputError, StartError
from harness.outside.files import read_bytes
from harness.outside.text import parse_toml
from harness.simulator.exchange import Exchanges
from harness.simulator.installed import unknown_names
from harness.simulator.journal import Journal
from harness.simulator.router import Router
from harness.simulator.serve import ModelSimulator
from harness.simulator.tracing import Tracing
from harness.simulator_config import SimulatorConfig

LOOPBACK = {"127.0.0.1", "::1", "localhost"}
BACKLOG = 2048
KEEP_ALIVE_S = 120
GC_AFTER = 20_000
"""Objects made, net, before a collection: calls leave no cycles, and their number goes up and down."""


def read_config(file: Path | None) -> SimulatorConfig:
    """Read the configuration, the default one without a file.

    Raises:
        InputError: it is wrong; names file and key.
    """
    if file is None:
        return SimulatorConfig()
    try:
        told = read_bytes(file)
        if file.suffix == ".toml":
            config = SimulatorConfig.model_validate(parse_toml(told.decode(), str(file)))
        else:
            config = SimulatorConfig.model_validate_json(told)
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: is no TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{file}: {where or 'whole file'}: {first['msg']}") from error
    if (said := unknown_names(config)) is not None:
        raise InputError(f"{file}: {said}")
    return config


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
        opened.listen(BACKLOG)  # from now on nobody else has it, and who connects waits for the answer
    except (OSError, OverflowError) as error:
        opened.close()
        why = getattr(error, "strerror", None) or error
        raise StartError(f"port {port} on {host}: {why}. Give another --port or --host.") from error
    return opened


def serve(
    host: str,
    port: int,
    *,
    config: Path | None = None,
    journal: Path | None = None,
    labels: tuple[str, str] = ("", ""),
    on_listen: Callable[[], None] = lambda: None,
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        host: address to listen on.
        port: to listen on.
        config: TOML (a file `.toml`) or JSON of a `SimulatorConfig`.
        journal: gets a JSON line per call.
        labels: experiment and arm, for the journal.
        on_listen: called once the port and the journal are had.

    The control API's token is read from the environment: arguments are for everybody to see.

    Raises:
        InputError: the configuration is wrong, or a token is missing beyond loopback.
        StartError: the port or the journal can't be had, or the journal can't be written any more.
    """
    token = os.environ.get(SIMULATOR_TOKEN) or None
    if host not in LOOPBACK and not token:
        raise InputError(
            f"--host {host} is beyond loopback: set {SIMULATOR_TOKEN}, a token for the control API."
        )
    simulator_config = read_config(config)
    opened = listen(host, port)
    rows = Journal(journal)
    on_listen()
    tracing = Tracing()
    troubles: list[AgentrigError] = []

    def fail(trouble: AgentrigError) -> None:
        troubles.append(trouble)
        server.should_exit = True

    router = Router(ModelSimulator(simulator_config, rows, tracing, labels=labels), token, fail)
    server = uvicorn.Server(server_config(router))
    gc.collect()
    gc.freeze()  # what is loaded by now stays: collections need not look at it for each few calls
    gc.set_threshold(GC_AFTER)
    try:
        run_until_stopped(server, opened)
    finally:
        tracing.shutdown()
    if troubles:
        raise troubles[0]
    rows.close()


def run_until_stopped(server: uvicorn.Server, opened: socket.socket) -> None:
    """Serve on an open socket until SIGTERM or SIGINT, which is not a failure.

    uvicorn takes the signals while it serves, and raises them again once it has ended.
    """

    def stop(*_: object) -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    server.run(sockets=[opened])


def server_config(router: Router) -> uvicorn.Config:
    """Return how the server runs: nothing logged, nothing added that a call would pay for."""
    return uvicorn.Config(
        router,
        http=Exchanges,
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
    )


def run_or_exit(**arguments: Any) -> None:
    """`serve`, with failures as a message and an exit code."""
    try:
        serve(**arguments)
    except AgentrigError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
