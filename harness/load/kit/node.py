"""One process's part in a test: its drivers, the calls they make, and what came of them."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TextIO

import gevent
from gevent.event import Event
from gevent.pool import Group

from harness.load.arrivals import arrivals
from harness.load.caller import Caller, Labels, RequestEvent, SteadyClock
from harness.load.kit.caller_spans import CallerSpans, Post
from harness.load.kit.profiles import Profile
from harness.load.kit.settings import LoadSettings
from harness.load.kit.shares import Ledger, Share, ShareState
from harness.load.kit.tally import Tally
from harness.load.open_loop import ArrivalCounts, OpenLoop
from harness.load.rows import line_of
from harness.load.workers import Workers
from harness.records.sent import Arrival, RequestRow

ARM = "by-hand"
log = logging.getLogger("agentrig.load")


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverScenario:
    """What a user class sends where.

    Attributes:
        name: of the class.
        host: base URL of the service.
        profile: when requests are due.
        turns: requests of one session.
    """

    name: str
    host: str
    profile: Profile
    turns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginMessage:
    """What the leader tells each process when a test begins: the plan, and its drivers' shares of it.

    Attributes:
        run_id: names the test; trace ids are derived from it.
        start_s: Unix time that due times count from.
        length_s: what is due so long after it, or later, is not sent; None for no end.
        shares: per scenario, those of the drivers in this process.
    """

    run_id: str
    start_s: float
    length_s: float | None
    shares: Mapping[str, tuple[Share, ...]]

    def to_wire(self) -> dict[str, Any]:
        """Return plain values for Locust's messages."""
        return {
            "run_id": self.run_id,
            "start_s": self.start_s,
            "length_s": self.length_s,
            "shares": {name: [[s.first, s.of] for s in shares] for name, shares in self.shares.items()},
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Return what `to_wire` was called on."""
        shares = {name: tuple(Share(*s) for s in shares) for name, shares in wire["shares"].items()}
        return cls(run_id=wire["run_id"], start_s=wire["start_s"], length_s=wire["length_s"], shares=shares)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one process hands in.

    Attributes:
        run_id: names the test, None before it has begun here.
        tally: what came of its calls so far.
        shares: per scenario, what became of each share that it was assigned.
    """

    run_id: str | None
    tally: Tally
    shares: Mapping[str, Sequence[ShareState]]

    def to_wire(self) -> dict[str, Any]:
        """Return plain values for Locust's messages."""
        shares = {name: [state.name for state in states] for name, states in self.shares.items()}
        return {"run_id": self.run_id, "tally": self.tally.to_wire(), "shares": shares}

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Return what `to_wire` was called on."""
        shares = {name: [ShareState[state] for state in states] for name, states in wire["shares"].items()}
        return cls(run_id=wire["run_id"], tally=Tally.from_wire(wire["tally"]), shares=shares)


class Node:
    """One process's part in one test.

    Args:
        settings: how the test is made.
        event: Locust's `request` event.
        rows: gets a JSON line per call, None to keep none.
        post: sends the callers' spans on, None to send none.
    """

    def __init__(
        self, settings: LoadSettings, event: RequestEvent, rows: TextIO | None, post: Post | None
    ) -> None:
        self._settings = settings
        self._event = event
        self._rows = rows
        self._over = Event()
        self._caller_spans = CallerSpans(post) if post else None
        self._sender = gevent.spawn(self._caller_spans.run, self._over.wait) if self._caller_spans else None
        self._clock = SteadyClock()
        self._begin_message: BeginMessage | None = None
        self._begun = Event()
        self._ledger = Ledger()
        self._loops: list[OpenLoop] = []
        self._dispatchers, self._calls = Group(), Workers()
        self._tally = Tally()

    def begin(self, message: BeginMessage) -> None:
        """Let the drivers begin."""
        self._begin_message = message
        self._ledger.assign(message.shares)
        self._begun.set()

    def drive(self, scenario: DriverScenario) -> None:
        """Send this driver's share of the scenario's arrivals; returns when the plan or the test ends."""
        self._begun.wait()
        number = self._ledger.take(scenario.name)
        if self._begin_message is None or number is None:
            return  # it came after the shares had been assigned, or too late
        self._dispatchers.spawn(self._send_share, scenario, self._begin_message, number).join()

    def drain(self, *, whole: bool) -> None:
        """Wait for the answers that are still due.

        Args:
            whole: whether what is left of a plan that has an end is still sent; otherwise nothing more is.
        """
        if whole:
            self._dispatchers.join()
        else:
            self._dispatchers.kill()
        self._ledger.close()
        self._calls.join()
        self._over.set()
        if self._sender is not None:
            self._sender.join()

    def part(self) -> Part:
        """Return what this process has done so far."""
        counts = sum((loop.counts for loop in self._loops), ArrivalCounts())
        return Part(
            run_id=self._begin_message.run_id if self._begin_message else None,
            tally=dataclasses.replace(self._tally, counts=counts),
            shares=self._ledger.states(),
        )

    def _send_share(self, scenario: DriverScenario, message: BeginMessage, number: int) -> None:
        try:
            loop = self._loop(scenario, message)
            self._loops.append(loop)
            plan = plan_of(scenario, self._settings, message.length_s, message.run_id)
            loop.run(self._ledger.share(scenario.name, number).take(plan), message.start_s)
        except Exception:
            self._ledger.set_state(scenario.name, number, ShareState.BROKEN)
            log.exception("%s broke off: what was left of its share is not sent", scenario.name)
        else:
            self._ledger.set_state(scenario.name, number, ShareState.SENT)

    def _loop(self, scenario: DriverScenario, message: BeginMessage) -> OpenLoop:
        settings = self._settings
        caller = Caller(
            scenario.host,
            labels=Labels(run_id=message.run_id, experiment=scenario.name, arm=ARM),
            timeout_s=settings.call_timeout_s,
            record=self._record,
            event=self._event,
            now=self._clock.now,
        )
        return OpenLoop(
            caller.call,
            spawn=self._calls.spawn,
            now=self._clock.now,
            sleep=gevent.sleep,
            max_in_flight=settings.max_in_flight,
        )

    def _record(self, row: RequestRow) -> None:
        self._tally.add(row)
        if self._caller_spans is not None:
            self._caller_spans.add(row)
        if self._rows is not None:
            self._rows.write(line_of(row))


def plan_of(
    scenario: DriverScenario, settings: LoadSettings, length_s: float | None, run_id: str
) -> Iterator[Arrival]:
    """Return the whole plan of a scenario, of which each driver sends a share.

    Args:
        scenario: what is sent.
        settings: seed and rate.
        length_s: what is due so many seconds after the start, or later, is left out; None for no end.
        run_id: of the test, all of whose processes name its sessions by it.
    """
    seed = f"{settings.seed}/{scenario.name}"
    due = scenario.profile.due(random.Random(seed), settings.rate_factor)
    if length_s is not None:
        due = itertools.takewhile(lambda phase_and_s: phase_and_s[1] < length_s, due)
    return arrivals(due, scenario.turns, seed, salt=run_id)
