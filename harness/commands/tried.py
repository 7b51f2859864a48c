"""What `agentrig doctor` tells of an agent that it tried."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.clock import Clock
from harness.errors import AgentrigError
from harness.outside.secrets import beginning
from harness.own.examine import Requirement
from harness.records.setup import no_call_served
from harness.run.folder import RunFolder
from harness.run.trial import Trial, can_be_seen, try_agent
from harness.under_test import AgentUnderTest

SHOWN_CHARS = 200
TURNS = 2


def try_and_tell(agent: AgentUnderTest, clock: Clock) -> tuple[Requirement, ...]:
    """Start one container, ask it, and tell what was seen; its log is kept where something is wrong.

    Containers that run already and know no simulator are left alone: their model may be a real one.
    """
    if not can_be_seen(agent):
        detail = "not asked: the containers run already, and their model may be a real one (simulator_port)"
        return (Requirement(what="agent", ok=True, detail=detail),)
    folder = Path(tempfile.mkdtemp(prefix="agentrig-doctor-"))
    try:
        told = tuple(findings(try_agent(agent, RunFolder(folder), clock, turns=TURNS)))
    except AgentrigError as error:
        told = (Requirement(what="agent", ok=False, detail=str(error)),)
    if all(finding.ok for finding in told):
        shutil.rmtree(folder, ignore_errors=True)
    return told


def findings(trial: Trial) -> Iterator[Requirement]:
    """Yield what a trial showed: the answer, the session, the model calls, and what was refused."""
    first, later = trial.turns[0], trial.turns[1:]
    failure = first.said.failure
    shown = beginning(" ".join(first.said.text.split()), SHOWN_CHARS)
    said = failure.error if failure else f"HTTP {first.status}: {shown}"
    logged = f". Its log: {trial.log}" if failure else ""
    yield Requirement(what="answer", ok=failure is None, detail=said + logged)
    if later:
        yield Requirement(what="session", ok=later[0].said.failure is None, detail=_session(trial))
    if trial.calls:
        yield Requirement(what="model", ok=True, detail=f"the simulator received {'; '.join(trial.calls)}")
    else:
        yield Requirement(
            what="model",
            ok=False,
            detail=f"{no_call_served(trial.unserved, trial.outside)}. Point its client at {{simulator}} in "
            f"[agent.env]. Its log: {trial.log}",
        )
    if trial.calls and (trial.unserved or trial.outside):
        yield Requirement(what="elsewhere", ok=True, detail=_elsewhere(trial))


def _session(trial: Trial) -> str:
    later = trial.turns[1]
    if later.said.failure is not None:
        return f"its second turn: {later.said.failure.error}"
    if trial.remembered:
        return "its second turn knows what the first one told"
    if not trial.recalled:
        return (
            "not known: the answer doesn't repeat the model's words, so that none can be looked for in it; "
            "give request.answer their path"
        )
    return (
        "its second turn does not know what the first one told: it keeps no session, or was not told which "
        "one; see session_header, and {session} in request.body"
    )


def _elsewhere(trial: Trial) -> str:
    parts = []
    if trial.unserved:
        parts.append(f"not served: {', '.join(trial.unserved)}")
    if trial.outside:
        parts.append(f"refused: {', '.join(trial.outside)}; [agent] outside lets a tool's host through")
    return "; ".join(parts)
