"""When each request is due, for which session, and what it asks: a pure function of the seed and a salt.

The seed says when, and what. The salt names the sessions and their words: an agent may keep what it was told
in a store that outlives a run, and is to hear nothing twice.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from harness.ramp import phase_of
from harness.records.sent import Arrival
from harness.records.setup import Window
from harness.records.spec import LoadSpec, step_s

TURN_GAP_S = 2.0
"""Two turns of one session are planned at least so far apart: a person reads before they answer."""
ASKS = " My word is {word}. Which canary words have I told you in this conversation? List them."
TOPICS = (
    "tide pools", "paper folding", "sourdough", "suspension bridges", "comets", "chess openings",
    "bird migration", "glassblowing", "old maps", "rain gardens", "lighthouses", "violin making",
    "coral reefs", "sundials", "honey bees", "railway gauges", "volcanoes", "knitting patterns",
    "the water cycle", "canal locks", "mushrooms", "kites", "the printing press",
)  # fmt: skip
QUESTIONS = (
    "What should a beginner know about {topic}?",
    "Give me one surprising fact about {topic}.",
    "How did {topic} change over the last century?",
    "Which three words describe {topic} best?",
    "What do people often get wrong about {topic}?",
)


def plan(
    load: LoadSpec, seed: int, experiment: str, salt: str = "", prompts: Sequence[str] = ()
) -> tuple[Arrival, ...]:
    """Plan all requests of a load.

    Args:
        load: burst, rates, durations and turns.
        seed: the same seed gives the same questions at the same instants.
        experiment: keeps the sessions of two experiments apart.
        salt: with the same seed it gives the same sessions and canary words as well; new in each run.
        prompts: what is asked in turns; made-up questions when there are none.

    Returns:
        The arrivals in the order they are due.
    """
    draw = random.Random(f"{seed}/{experiment}")
    due = [("burst", 0.0)] * load.burst
    rates_rps = {"steady": load.rate_rps}
    rates_rps |= {phase.name: phase.rate_rps for phase in load.phases}
    rates_rps |= {phase_of(rate): rate for rate in (load.ramp.rates_rps if load.ramp else ())}
    bursts = {phase.name: phase.burst for phase in load.phases}
    for window in phases(load):
        due += [(window.name, window.from_s)] * bursts.get(window.name, 0)
        arriving = poisson(draw, rates_rps[window.name], window.from_s, window.to_s - window.from_s)
        due += [(window.name, due_s) for due_s in arriving]
    name = f"{seed}/{experiment}"
    planned = arrivals(
        due, load.turns, name, load.turn_gap_s, canaries=load.canaries, salt=salt, prompts=prompts
    )
    if not load.leave_share:
        return tuple(planned)
    return tuple(replace(each, leaves=_leaves(each.index, name, load.leave_share)) for each in planned)


def _leaves(index: int, seed: str, share: float) -> bool:
    """Draw whether the reader of a request leaves: by its index, so that the plan is else the same."""
    return random.Random(f"{seed}/leaves/{index}").random() < share


def phases(load: LoadSpec) -> tuple[Window, ...]:
    """Return when each phase after the burst begins and ends, the steps of a ramp included."""
    lengths_s = [("steady", load.duration_s)]
    lengths_s += [(phase.name, phase.duration_s) for phase in load.phases]
    if load.ramp:
        lengths_s += [(phase_of(rate), step_s(load.ramp, rate)) for rate in load.ramp.rates_rps]
    ends_s = list(itertools.accumulate((length_s for _, length_s in lengths_s), initial=load.quiet_s))
    return tuple(
        Window(kind="phase", name=name, from_s=from_s, to_s=to_s)
        for (name, _), (from_s, to_s) in zip(lengths_s, itertools.pairwise(ends_s), strict=True)
        if to_s > from_s
    )


def arrivals(
    due: Iterable[tuple[str, float]],
    turns: int,
    seed: str,
    turn_gap_s: float = TURN_GAP_S,
    *,
    canaries: bool = False,
    salt: str = "",
    prompts: Sequence[str] = (),
) -> Iterator[Arrival]:
    """Number what is due, and give each its session and its question.

    Args:
        due: phase and due time in seconds, in the order of the latter; may be endless.
        turns: requests of one session.
        seed: the same gives the same questions.
        turn_gap_s: least seconds between two turns of one session.
        canaries: whether each prompt tells a word of its own, and asks for those of its conversation.
        salt: the same, with the same seed, gives the same sessions and words.
        prompts: what is asked in turns; a number makes each one unique where no word does.
    """
    draw = random.Random(f"{seed}/prompts")
    names = f"{salt}/{seed}" if salt else seed
    sessions = Sessions(turns=turns, gap_s=turn_gap_s, salt=names)
    for index, (phase, due_s) in enumerate(due):
        word = canary(index, names) if canaries else None
        asked = prompt(index, draw)
        if prompts:
            own = prompts[index % len(prompts)]
            asked = own if word else f"{own} ({index})"
        yield Arrival(
            index=index,
            due_s=due_s,
            session_id=sessions.next(due_s),
            prompt=asked + ASKS.format(word=word) if word else asked,
            phase=phase,
            canary=word,
        )


def poisson(draw: random.Random, rate_rps: float, from_s: float, duration_s: float) -> Iterator[float]:
    """Yield the instants, in seconds, of a Poisson process of `rate_rps` over `duration_s`."""
    if rate_rps <= 0:
        return
    due_s = from_s
    while (due_s := due_s + draw.expovariate(rate_rps)) < from_s + duration_s:
        yield due_s


def prompt(index: int, draw: random.Random) -> str:
    """Return a harmless question that no other index has."""
    question = draw.choice(QUESTIONS).format(topic=draw.choice(TOPICS))
    return f"Question {index}: {question}"


def canary(index: int, salt: str) -> str:
    """Return a word that no other index has."""
    return f"CANARY-{hashlib.sha256(f'{salt}/canary/{index}'.encode()).hexdigest()[:12]}"


@dataclass
class Sessions:
    """Hands out session ids: a waiting conversation goes on, or a new one opens.

    Attributes:
        turns: requests of one session.
        gap_s: least seconds between two of them.
        salt: makes the ids differ from those of other plans.
    """

    turns: int
    gap_s: float
    salt: str
    _opened: int = 0
    _waiting: deque[tuple[float, str, int]] = field(default_factory=deque)

    def next(self, due_s: float) -> str:
        """Return the session of a request due at `due_s`; calls come in the order of `due_s`."""
        session_id, turns_left = self._longest_waiting(due_s) or self._open()
        if turns_left > 1:
            self._waiting.append((due_s, session_id, turns_left - 1))
        return session_id

    def _longest_waiting(self, due_s: float) -> tuple[str, int] | None:
        if not self._waiting or due_s - self._waiting[0][0] < self.gap_s:
            return None
        _, session_id, turns_left = self._waiting.popleft()
        return session_id, turns_left

    def _open(self) -> tuple[str, int]:
        self._opened += 1
        name = f"{self.salt}/session/{self._opened}"
        return hashlib.sha256(name.encode()).hexdigest()[:40], self.turns
