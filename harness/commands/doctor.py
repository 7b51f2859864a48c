"""`agentrig doctor`: is everything there that a run needs?"""

from __future__ import annotations

import dataclasses
import json
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from harness.asking.described import find
from harness.clock import SystemClock
from harness.commands.console import OwnAgentFile, out
from harness.commands.tried import try_and_tell
from harness.errors import AgentrigError, ExitCode
from harness.fleet import reference
from harness.fleet.docker.engine import Engine, engine_socket
from harness.fleet.envoy import find_envoy
from harness.fleet.kubernetes.kubeconfig import connect
from harness.machine import usable_cores
from harness.own.config import read
from harness.own.examine import Requirement, examine, fetch_status
from harness.records.calibration import describe
from harness.run.calibrate import calibrate_reference

CORES = 2
CLUSTER_S = 5.0
WITHOUT_ENVOY = (
    "Without it all works that starts no fleet: init, conform, simulator, observe, calibrate, plan, judge, "
    "report, traces and schema."
)
ELSEWHERE = {
    "Darwin": "macOS: no wheel of Envoy, and nobody has run a fleet here yet; docs/machines.md says more",
    "Windows": "Windows: a fleet needs POSIX, so install agentrig in WSL; docs/machines.md says more",
}
"""By what Python calls the system."""


def examine_machine() -> tuple[Requirement, ...]:
    """Look at the system, Python, the balancer, the agent's packages, the cores, an engine and a cluster."""
    return (_system(), _python(), _envoy(), _agent(), _cores(), _engine(), _cluster())


def _system() -> Requirement:
    system = platform.system()
    known = f"{system}, {platform.machine()}"
    return Requirement(what="system", ok=system != "Windows", detail=ELSEWHERE.get(system, known))


def _python() -> Requirement:
    return Requirement(
        what="Python", ok=sys.version_info >= (3, 11), detail=f"{platform.python_version()} (3.11 or newer)"
    )


def _envoy() -> Requirement:
    try:
        return Requirement(what="Envoy", ok=True, detail=str(find_envoy()))
    except AgentrigError as error:
        return Requirement(what="Envoy", ok=False, detail=f"{error} {WITHOUT_ENVOY}")


def _agent() -> Requirement:
    said = reference.lacking()
    detail = f"{said}. With --on docker or kubernetes it is an image, and needs none of them" if said else ""
    return Requirement(what="reference agent", ok=said is None, detail=detail or "its packages are there")


def _cores() -> Requirement:
    cores = usable_cores()
    fewer = (
        ": on fewer, loads are scaled down, runs take longer, and more is unknown" if cores < CORES else ""
    )
    return Requirement(
        what="CPU cores", ok=True, detail=f"{cores:.3g} (the catalogue is sized for {CORES}{fewer})"
    )


def _engine() -> Requirement:
    """Tell of the engine: none is missing, for without --on no run needs one."""
    try:
        told = Engine(engine_socket()).call("GET", "/version")
        detail = f"{told['Version']} at {engine_socket()}: --on docker can be asked for"
    except AgentrigError as error:
        detail = f"none, and only --on docker needs one: {error}"
    return Requirement(what="container engine", ok=True, detail=detail)


def _cluster() -> Requirement:
    """Tell of the cluster that the kubeconfig names: none is missing, as above."""
    try:
        cluster = connect("", SystemClock(), deadline_s=CLUSTER_S)
        told = cluster.call("GET", "/version", once=True)
        detail = f"{told['gitVersion']}, {cluster.name}: --on kubernetes can be asked for"
    except AgentrigError as error:
        detail = f"none, and only --on kubernetes needs one: {error}"
    return Requirement(what="cluster", ok=True, detail=detail)


def doctor(
    agent: OwnAgentFile = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    start: Annotated[
        bool,
        typer.Option("--start/--no-start", help="Start a container of your agent and ask it, or not."),
    ] = True,
    speed: Annotated[
        bool, typer.Option("--speed", help="Also measure what a request costs on this machine; some 10 s.")
    ] = False,
) -> None:
    """Check that this machine has what a run needs, try your agent, and say what to correct.

    Of the agent of an agentrig.toml one container is started, and asked twice in a session: shown are its
    answer, what it remembers, and the model calls that came to the simulator.
    """
    file = agent or find(Path())
    sound = True
    for finding in _findings(file, start=start, speed=speed):  # each as it is found: a start may take minutes
        sound = sound and finding.ok
        if as_json:
            typer.echo(json.dumps(dataclasses.asdict(finding)))
            continue
        mark = "[green]ok[/]     " if finding.ok else "[red]missing[/]"
        out.print(f"{mark} {escape(finding.what)}: {escape(finding.detail)}", highlight=False, soft_wrap=True)
    if not file and not as_json:
        out.print("No agentrig.toml is here: `agentrig init` writes one for your agent.", highlight=False)
    raise typer.Exit(ExitCode.HELD if sound else ExitCode.NOT_STARTED)


def _findings(file: Path | None, *, start: bool, speed: bool) -> Iterator[Requirement]:
    """Yield what there is and what is missing: of the machine, then of the agent that `file` describes."""
    described = read(file) if file else None
    machine = examine_machine()
    yield from machine
    if speed and all(finding.ok for finding in machine):
        yield _speed()
    if file is None or described is None:
        return
    under_test = described.under_test(file.parent)
    about_agent = examine(described, under_test, fetch_status)
    yield from about_agent
    if start and all(finding.ok for finding in about_agent):
        yield from try_and_tell(under_test, SystemClock())


def _speed() -> Requirement:
    found = calibrate_reference(SystemClock())
    return Requirement(what="speed", ok=True, detail=f"{describe(found)}. Measured in {found.took_s:.0f} s")
