"""Requests over fifty sessions while agents are killed at random: a thousand in `make proof`, some here.

Each prompt has a word of its own, and the simulated model answers with all such words of the
conversation that it was sent: so an answer tells which turns an agent had before it.
"""

import asyncio
import random
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from reference_agent.adapters.sessions.open import open_store
from reference_agent.adapters.sessions.protocol import SessionStore
from reference_agent.contract import REQUEST_HEADER, SESSION_HEADER
from reference_agent.settings import Settings
from tests.e2e.agents import Agents, agents
from tests.e2e.redis_server import redis_server
from tests.e2e.waiting import DEADLINE_S

SESSIONS, CALLERS = 50, 2
"""A session has two callers at once, each with requests one after the other."""
SENT_TWICE = 0.1
"""The share of answered requests that are sent once more, as a balancer does that lost the answer."""
WORD = re.compile(r"CANARY-\w+")
LATER = {409, 503}


@dataclass
class Run:
    """Requests under way, and what became of them."""

    fleet: Agents
    http: httpx.AsyncClient
    rng: random.Random
    requests: int
    """Of each caller."""
    kills_planned: int
    answers: dict[str, str] = field(default_factory=dict)
    broken: int = 0
    conflicts: int = 0
    twice: int = 0
    kills: int = 0

    async def everything(self) -> None:
        async with asyncio.TaskGroup() as callers:
            for session in range(SESSIONS):
                for caller in range(CALLERS):
                    callers.create_task(self._call(session, caller))

    async def _call(self, session: int, caller: int) -> None:
        for request in range(self.requests):
            word = f"CANARY-s{session:02d}c{caller}n{request:02d}"
            self.answers[word] = await self._asked(session, word)
            self._kill_some()
            if self.rng.random() < SENT_TWICE:
                assert await self._asked(session, word) == self.answers[word]
                self.twice += 1

    async def _asked(self, session: int, word: str) -> str:
        """Ask until there is an answer, each time some agent."""
        identity = {SESSION_HEADER: name_of(session), REQUEST_HEADER: word}
        body = {"prompt": f"My word is {word}. Which canary words are there?"}
        async with asyncio.timeout(DEADLINE_S):
            while True:
                url = f"{self.rng.choice(self.fleet.urls)}/invocations"
                try:
                    answer = await self.http.post(url, json=body, headers=identity)
                except httpx.ConnectError:
                    pass
                except httpx.TransportError:
                    self.broken += 1
                else:
                    if answer.status_code == 200:
                        return str(answer.json()["result"])
                    assert answer.status_code in LATER, answer.text
                    self.conflicts += answer.status_code == 409
                await asyncio.sleep(self.rng.uniform(0.01, 0.1))

    def _kill_some(self) -> None:
        """Kill agents at even distances in requests; a new one starts in its place."""
        total = SESSIONS * CALLERS * self.requests
        every = total // (self.kills_planned + 1)
        while self.kills < self.kills_planned and len(self.answers) >= (self.kills + 1) * every:
            self.kills += 1
            victim = self.rng.randrange(len(self.fleet.urls))
            self.fleet.kill(victim)
            self.fleet.start(victim)


def name_of(session: int) -> str:
    return f"session-{session:02d}"


@contextmanager
def store_address(kind: str, folder: Path) -> Iterator[str]:
    with ExitStack() as stack:
        if kind == "redis":
            yield stack.enter_context(redis_server(folder)).url
        else:
            yield f"sqlite:///{folder}/sessions.db"


async def check(store: SessionStore, answers: dict[str, str], requests: int) -> None:
    """Read every session back, and compare it with what its callers were told."""
    for session in range(SESSIONS):
        read = await store.load(name_of(session), "-")
        texts = [part["text"] for message in read.messages for part in message["content"]]
        words = [found for text in texts[::2] for found in WORD.findall(text)]
        expected = [word for word in answers if word.startswith(f"CANARY-s{session:02d}")]
        assert sorted(words) == sorted(expected), "lost, doubled, or in the wrong session"
        assert read.version == len(words) == CALLERS * requests
        for caller in range(CALLERS):
            own = [word for word in words if f"c{caller}n" in word]
            assert own == sorted(own), "out of order"
        for number, word in enumerate(words):
            whole = ", ".join(words[: number + 1])
            assert texts[2 * number + 1] == whole, "answered without the turns before it"
            assert answers[word] == whole, "the caller was told something else"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
@pytest.mark.parametrize(
    ("requests", "kills", "count"),
    [pytest.param(2, 2, 2, marks=pytest.mark.e2e), pytest.param(10, 6, 3, marks=pytest.mark.proof)],
)
def test_no_turn_is_lost_doubled_or_misplaced_when_agents_are_killed(
    kind: str, requests: int, kills: int, count: int, tmp_path: Path
) -> None:
    async def work() -> Run:
        limits = httpx.Limits(max_connections=SESSIONS * CALLERS)
        async with httpx.AsyncClient(limits=limits, timeout=DEADLINE_S) as http:
            run = Run(fleet, http, random.Random(7), requests, kills)
            await run.everything()
            store = open_store(Settings(agent_session_store=address))
            await check(store, run.answers, requests)
            await store.aclose()
            return run

    with (
        store_address(kind, tmp_path) as address,
        agents(
            tmp_path,
            count=count,
            ttft_s=0.03,
            AGENT_SESSION_STORE=address,
            AGENT_CONCURRENCY_LIMIT="64",
        ) as fleet,
    ):
        run = asyncio.run(work())

    assert len(run.answers) == SESSIONS * CALLERS * requests
    assert run.kills == kills
    assert run.broken > 0, "no kill met a request in work: nothing was tried"
    assert run.conflicts > 0, "no two requests of a session met: nothing was tried"
    assert run.twice > 0
