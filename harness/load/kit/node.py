"""One process's part in a test: its drivers, the calls they make, and what came of them."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TextIO

import gevent
from gevent.event import Event
from gevent.pool import Group

from harness.asking.request_table import remember_shape
from harness.load.arrivals import arrivals
from harness.load.caller import Caller, Labels, RequestEvent, SteadyClock
from harness.load.job import DEFAULT_SHAPE, SHAPE
from harness.load.kit import results
from harness.load.kit.caller_spans import CallerSpans, Post
from harness.load.kit.profiles import Due, Profile
from harness.load.kit.rates import RateChange, Rates, due_at
from harness.load.kit.settings import LoadSettings
from harness.load.kit.shares import Ledger, Share, ShareState
from harness.load.kit.tally import Others, Tally
from harness.load.kit.turns import Turns
from harness.load.open_loop import ArrivalCounts, OpenLoop
from harness.load.rows import line_of
from harness.load.workers import Workers
from harness.records.sent import Arrival, RequestRow
from harness.under_test import RequestShape

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
        request: how the service is asked, None for as the leader says.
    """

    name: str
    host: str
    profile: Profile
    turns: int
    request: RequestShape | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginMessage:
    """What the leader tells each process when a test begins: the plan, and its drivers' shares of it.

    Attributes:
        run_id: names the test; trace ids are derived from it.
        start_s: Unix time that due times count from.
        length_s: what is due so long after it, or later, is not sent; None for no end.
        shares: per scenario, those of the drivers in this process.
        request: how the service is asked, by scenarios that don't say it themselves.
        results: folder for the rows, None to keep none.
    """

    run_id: str
    start_s: float
    length_s: float | None
    shares: Mapping[str, tuple[Share, ...]]
    request: RequestShape = DEFAULT_SHAPE
    results: Path | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return plain values for Locust's messages."""
        return {
            "run_id": self.run_id,
            "start_s": self.start_s,
            "length_s": self.length_s,
            "shares": {name: [[s.first, s.of] for s in shares] for name, shares in self.shares.items()},
            "request": dataclasses.asdict(self.request),
            "results": None if self.results is None else str(self.results),
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Return what `to_wire` was called on."""
        shares = {name: tuple(Share(*s) for s in shares) for name, shares in wire["shares"].items()}
        return cls(
            run_id=wire["run_id"],
            start_s=wire["start_s"],
            length_s=wire["length_s"],
            shares=shares,
            request=SHAPE.validate_python(wire["request"]),
            results=None if wire["results"] is None else Path(wire["results"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one process hands in.

    Attributes:
        run_id: names the test, None before it has begun here.
        tally: what came of its calls so far.
        shares: per scenario, what became of each share that it was assigned.
        resets: how often the figures were set back in it.
    """

    run_id: str | None
    tally: Tally
    shares: Mapping[str, Sequence[ShareState]]
    resets: int = 0

    def to_wire(self) -> dict[str, Any]:
        """Return plain values for Locust's messages."""
        shares = {name: [state.name for state in states] for name, states in self.shares.items()}
        return {
            "run_id": self.run_id,
            "tally": self.tally.to_wire(),
            "shares": shares,
            "resets": self.resets,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """Return what `to_wire` was called on."""
        shares = {name: [ShareState[state] for state in states] for name, states in wire["shares"].items()}
        tally = Tally.from_wire(wire["tally"])
        return cls(run_id=wire["run_id"], tally=tally, shares=shares, resets=wire["resets"])


class Node:
    """One process's part in one test.

    Args:
        settings: how the test is made.
        event: Locust's `request` event.
        worker_index: number of this process, for the name of its file of rows.
        post: sends the callers' spans on, None to send none.
    """

    def __init__(
        self, settings: LoadSettings, event: RequestEvent, worker_index: int, post: Post | None
    ) -> None:
        self._settings = settings
        self._event = event
        self._worker_index = worker_index
        self._rows: TextIO | None = None
        self._rates = Rates(settings.rate_factor)
        self._over = Event()
        self._caller_spans = CallerSpans(post, settings.containers) if post else None
        self._sender = gevent.spawn(self._caller_spans.run, self._over.wait) if self._caller_spans else None
        self._clock = SteadyClock()
        self._begin_message: BeginMessage | None = None
        self._begun = Event()
        self._ledger = Ledger()
        self._loops: list[OpenLoop] = []
        self._dispatchers, self._calls = Group(), Workers()
        self._tally = Tally()
        self._counted_before = ArrivalCounts()
        self._resets = 0

    def begin(self, message: BeginMessage) -> None:
        """Let the drivers begin."""
        self._begin_message = message
        self._rows = results.open_rows(message.results, self._worker_index)
        self._ledger.assign(message.shares)
        self._begun.set()

    def drive(self, scenario: DriverScenario) -> None:
        """Send this driver's share of the scenario's arrivals; returns when the plan or the test ends."""
        self._begun.wait()
        number = self._ledger.take(scenario.name)
        if self._begin_message is None or number is None:
            return  # it came after the shares had been assigned, or too late
        self._dispatchers.spawn(self._send_share, scenario, self._begin_message, number).join()

    def change_rate(self, change: RateChange) -> None:
        """Let another factor hold for the rates of the plan."""
        self._rates.change(change)

    def reset(self) -> None:
        """Begin the figures anew; a call that is under way belongs to the new ones."""
        self._counted_before = self._counts().without_those_under_way()
        self._tally = Tally()
        self._resets += 1

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
        if self._rows is not None:
            self._rows.close()
            self._rows = None

    def count_other(self, others: Others) -> None:
        """Count what users of other classes did."""
        self._tally.others += others

    def part(self) -> Part:
        """Return what this process has done so far."""
        return Part(
            run_id=self._begin_message.run_id if self._begin_message else None,
            tally=dataclasses.replace(self._tally, counts=self._counts() - self._counted_before),
            shares=self._ledger.states(),
            resets=self._resets,
        )

    def _counts(self) -> ArrivalCounts:
        return sum((loop.counts for loop in self._loops), ArrivalCounts())

    def _send_share(self, scenario: DriverScenario, message: BeginMessage, number: int) -> None:
        try:
            shape = scenario.request or message.request
            remember_shape(shape)  # a worker has not read its file
            loop = self._loop(scenario, shape, message)
            self._loops.append(loop)
            due = due_at(
                scenario.profile,
                f"{self._settings.seed}/{scenario.name}",
                self._rates,
                end_s=math.inf if message.length_s is None else message.length_s,
                now_s=lambda: self._clock.now() - message.start_s,
                sleep=gevent.sleep,
            )
            plan = plan_of(
                scenario, self._settings, message.length_s, message.run_id, due=due, prompts=shape.prompts
            )
            share = self._ledger.share(scenario.name, number)
            loop.run(share.take(plan, by_session=scenario.turns > 1), message.start_s)
        except Exception:
            self._ledger.set_state(scenario.name, number, ShareState.BROKEN)
            log.exception("%s broke off: what was left of its share is not sent", scenario.name)
        else:
            self._ledger.set_state(scenario.name, number, ShareState.SENT)

    def _loop(self, scenario: DriverScenario, shape: RequestShape, message: BeginMessage) -> OpenLoop:
        settings = self._settings
        caller = Caller(
            scenario.host,
            labels=Labels(run_id=message.run_id, experiment=scenario.name, arm=ARM),
            timeout_s=settings.call_timeout_s,
            shape=shape,
            record=self._record,
            event=self._event,
            now=self._clock.now,
        )
        call = Turns(caller.call, self._clock.now).call if scenario.turns > 1 else caller.call
        return OpenLoop(
            call,
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
    scenario: DriverScenario,
    settings: LoadSettings,
    length_s: float | None,
    run_id: str,
    *,
    due: Iterator[Due] | None = None,
    prompts: Sequence[str] = (),
) -> Iterator[Arrival]:
    """Return the whole plan of a scenario, of which each driver sends a share.

    Args:
        scenario: what is sent.
        settings: seed and rate.
        length_s: what is due so many seconds after the start, or later, is left out; None for no end.
        run_id: of the test, all of whose processes name its sessions by it.
        due: what is due when, None for the profile's own, all at once.
        prompts: what is asked in turns; made-up questions when there are none.
    """
    seed = f"{settings.seed}/{scenario.name}"
    due = due or scenario.profile.due(random.Random(seed), settings.rate_factor)
    if length_s is not None:
        due = itertools.takewhile(lambda phase_and_s: phase_and_s[1] < length_s, due)
    return arrivals(due, scenario.turns, seed, salt=run_id, prompts=prompts)
