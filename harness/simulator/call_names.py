"""Which logical call an attempt belongs to: exact, in bounded memory.

A call is named by what it asks. One that asks the same again is a retry if an attempt with the same trace
failed and waits for one; else it is another call, with a name of its own: so is a fixed prompt many calls,
each with its own draws, and an unique prompt is named alike in two runs, whoever comes first.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

from harness.simulator import draws

KEPT = 200_000
"""Contents that are remembered, and failed calls; beyond, those that came longest ago are forgotten."""
MOST_RETRIES = 10
"""Attempts that a permanent error is taken to be the same call's in; more are those of a fixed prompt."""


@dataclass(slots=True)
class CallName:
    """An attempt, placed.

    Attributes:
        content: names what is asked.
        trace_id: of the caller, empty when it told none.
        name: of the logical call.
        attempt: 1 for the first of it.
        lasting: what errors that last are drawn for: what is asked, until it was answered once.
    """

    content: str
    trace_id: str
    name: str
    attempt: int
    lasting: str


@dataclass(slots=True)
class _Content:
    calls: int = 0
    attempts: int = 0
    answered: bool = False
    last_s: float = 0.0


class CallNames:
    """Names the calls since the last reset.

    Attributes:
        calls: how many there were.
        contents: how many different things were asked.
        forgotten_after_s: least seconds since its last attempt after which a call had to be forgotten, None
            while all are known; a call that is tried again after longer counts as a new one.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.contents = 0
        self.forgotten_after_s: float | None = None
        self._contents: OrderedDict[str, _Content] = OrderedDict()
        self._failed: OrderedDict[tuple[str, str], list[tuple[str, int]]] = OrderedDict()

    def place(self, trace_id: str | None, content: str, at_s: float) -> CallName:
        """Name one more attempt, seen at the Unix time `at_s`."""
        known = self._contents.get(content)
        if known is None:
            known = self._contents[content] = _Content()
            self.contents += 1
        else:
            self._contents.move_to_end(content)  # so that the oldest is forgotten first
        known.attempts += 1
        known.last_s = at_s
        if len(self._contents) > KEPT:
            _, oldest = self._contents.popitem(last=False)
            before_s = math.inf if self.forgotten_after_s is None else self.forgotten_after_s
            self.forgotten_after_s = min(at_s - oldest.last_s, before_s)
        key = trace_id or "", content
        if self._failed and (waiting := self._failed.get(key)):
            name, attempt = waiting.pop(0)
            if not waiting:
                del self._failed[key]
        else:
            known.calls += 1
            self.calls += 1
            name, attempt = content if known.calls == 1 else draws.call_id(content, known.calls), 0
        lasts = not known.answered and known.attempts <= MOST_RETRIES
        return CallName(content, key[0], name, attempt + 1, content if lasts else name)

    def failed(self, call: CallName, *, permanent: bool = False) -> None:
        """Take note that an attempt failed, so that the next one is a retry of it."""
        if permanent and call.attempt >= MOST_RETRIES:
            return
        self._failed.setdefault((call.trace_id, call.content), []).append((call.name, call.attempt))
        if len(self._failed) > KEPT:
            self._failed.popitem(last=False)

    def answered(self, call: CallName) -> None:
        """Take note that an attempt had its answer, so that who asks the same again makes another call."""
        known = self._contents.get(call.content)
        if known is not None:
            known.answered = True
