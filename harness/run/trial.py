"""One container of a user's own agent, asked once or twice: does it answer, and do its model calls come?

A run begins so, before any load: an agent whose calls don't come to the simulator would call a real model,
or be judged by what it never did.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.clock import Clock
from harness.errors import StartError, quote
from harness.fleet.opening import opened
from harness.fleet.plan import FleetPlan
from harness.fleet.protocol import Fleet
from harness.fleet.where import Where
from harness.records.setup import no_call_served
from harness.records.spec import Policy
from harness.run.direct import DirectAnswer, DirectCaller
from harness.run.folder import RunFolder
from harness.simulator_config import Distribution, Latency, SimulatorConfig
from harness.under_test import AgentUnderTest

NAME: Final = "trial"
TIMEOUT_S: Final = 60.0
WORD: Final = "CANARY-{}"
FIRST: Final = "My word is {}. Which canary words have I told you in this conversation? List them."
SECOND: Final = "Which canary words have I told you in this conversation? List them."
LATENCY: Final = Latency(ttft=Distribution(median_s=0.02), itl=Distribution(median_s=0.002), tokens=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What was seen of a container that was asked.

    Attributes:
        word: that the first turn told.
        turns: the answers, one a turn of one session.
        calls: the model calls that the simulator served, a line each: protocol, model and what was served.
        unserved: requests at paths that it does not serve, by method, path and model.
        outside: hosts beside this machine that were asked for and refused.
        last_lines: the end of the container's log; log is where the whole of it is.
    """

    word: str
    turns: tuple[DirectAnswer, ...]
    calls: tuple[str, ...]
    unserved: Mapping[str, int]
    outside: Mapping[str, int]
    last_lines: tuple[str, ...]
    log: Path

    @property
    def recalled(self) -> bool:
        """Whether the first answer has the word in it that its question told."""
        return self.word in self.turns[0].said.recalled

    @property
    def remembered(self) -> bool:
        """Whether a later turn knows the word of the first."""
        return any(self.word in turn.said.recalled for turn in self.turns[1:])


def can_be_seen(agent: AgentUnderTest) -> bool:
    """Return whether its model calls should come to a simulator: what runs already may know none."""
    return not agent.addresses or agent.simulator_port is not None


def ask(fleet: Fleet, agent: AgentUnderTest, turns: int = 1) -> Trial:
    """Ask the first container of a fleet that is up, and look at what came of it.

    Args:
        fleet: of the agent.
        agent: how it is asked.
        turns: of one session; at most 2.
    """
    container = fleet.containers[0]
    word = WORD.format(secrets.token_hex(6))
    with DirectCaller(container.reached_at, agent.request, timeout_s=TIMEOUT_S) as caller:
        session = caller.open(secrets.token_hex(20))
        answers = [caller.ask(prompt, session) for prompt in (FIRST.format(word), SECOND)[:turns]]
    stats = _get(fleet, "stats")
    log, last_lines = fleet.log_of(container.name)
    return Trial(
        word=word,
        turns=tuple(answers),
        calls=_calls(fleet) if stats["attempts"] else (),
        unserved=stats["unserved"],
        outside=fleet.outside,
        last_lines=last_lines,
        log=log,
    )


def require_call(agent: AgentUnderTest, trial: Trial) -> None:
    """Stop a run whose agent made no model call that the simulator serves.

    Raises:
        StartError: that is so; says what was seen instead.
    """
    if trial.calls:
        return
    answer = trial.turns[0]
    said = answer.said.failure.error if answer.said.failure else f"HTTP {answer.status}"
    raise StartError(
        f"{agent.name}: asked once, it gave {said}; and {no_call_served(trial.unserved, trial.outside)}. "
        "Nothing more is sent. Point its model client at {simulator} in [agent.env]; `agentrig doctor` shows "
        f"what it does. Its last lines:\n{quote(trial.last_lines)}\nThe whole log: {trial.log}"
    )


def try_agent(
    agent: AgentUnderTest, folder: RunFolder, clock: Clock, *, turns: int = 1, on: Where = Where.LOCAL
) -> Trial:
    """Start one container of an agent with a simulator of its own, ask it, and stop both.

    Args:
        agent: that is tried.
        folder: for its files meanwhile, and its log.
        clock: for waiting.
        turns: of one session.
        on: where the container runs.

    Raises:
        AgentrigError: it could not be started, or died.
    """
    plan = FleetPlan(
        experiment=NAME,
        arm="yours",
        agents=len(agent.addresses) or 1,
        concurrency_limit=agent.concurrency_limit,
        policy=Policy.BLIND,
        queue_limit=1000,
        simulator=SimulatorConfig(latency=LATENCY),
        mcp_handshake_s=0.0,
        env={},
        work_dir=folder.work(NAME, "yours"),
        log_dir=folder.logs(NAME, "yours"),
        forward_url=None,
        under_test=agent,
        start_deadline_s=agent.start_deadline_s,
    )
    with opened(plan, on, clock=clock) as fleet:
        return ask(fleet, agent, turns)


def _calls(fleet: Fleet) -> tuple[str, ...]:
    rows = [each["row"] for each in _get(fleet, "requests")]
    return tuple(
        f"{row['protocol']} {row['model'] or '(no valid request)'}{', streamed' if row['stream'] else ''}: "
        f"{row['decision']}"
        for row in rows
    ) or ("one that is still in work",)


def _get(fleet: Fleet, what: str) -> Any:
    return fleet.simulator.told(f"/sim/{what}")
