"""The process that leads a test: it distributes the plan, collects the tallies, and judges.

Alone, that is the one process there is; otherwise Locust's master.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from harness.errors import ExitCode
from harness.load.kit.limits import LimitFinding, exit_code, judge, require
from harness.load.kit.node import BeginMessage, Part
from harness.load.kit.rates import KNOWN_S
from harness.load.kit.settings import LoadSettings
from harness.load.kit.shares import Share, ShareState, assign
from harness.load.kit.tally import Tally, merge
from harness.load.kit.throttling import (
    ModelCalls,
    SimulatorControl,
    SimulatorError,
    Throttling,
    combined,
)

BEGIN: Final = "agentrig-begin"
STOP: Final = "agentrig-stop"
RATE: Final = "agentrig-rate"
RESET: Final = "agentrig-reset"
FINAL: Final = "agentrig-final"
SPARE_S: Final = 5.0
"""Workers may take so much longer than their last call to hand in their figures."""
POLL_S: Final = 0.05
log = logging.getLogger("agentrig.load")


class Leader:
    """Leads one test.

    Args:
        settings: how the test is made.
        run_id: names the test.
        send: gives a worker a message: its kind, its content, and the worker's id.
        alive: tells whether a worker may still answer.
        simulator: control API of the model API simulator, None when there is none.
        results: folder for rows and histogram, None to keep none.
    """

    def __init__(
        self,
        settings: LoadSettings,
        *,
        run_id: str,
        send: Callable[[str, dict[str, Any], str], None],
        alive: Callable[[str], bool],
        simulator: SimulatorControl | None,
        results: Path | None = None,
    ) -> None:
        self.results = results
        self.rate_factor = settings.rate_factor
        self._resets = 0
        self._start_s = 0.0
        self._settings = settings
        self._run_id = run_id
        self._send = send
        self._alive = alive
        self._simulator = simulator
        self._parts: dict[str, Part] = {}
        self._assigned: dict[str, dict[str, tuple[Share, ...]]] = {}
        self._awaited: set[str] = set()
        self._silent: set[str] = set()
        self._scenarios: tuple[str, ...] = ()
        self._throttling: Throttling | None = None
        self._begun = self._whole = self._lease_lost = False
        self._extra_findings: list[LimitFinding] = []
        self._model: ModelCalls | None = None

    @property
    def begun(self) -> bool:
        """Whether the plan has been distributed."""
        return self._begun

    def begin(
        self,
        drivers: Mapping[str, Mapping[str, int]],
        picked: Mapping[str, Throttling | None],
        start_s: float,
        length_s: float | None,
    ) -> None:
        """Distribute the plan to the drivers, who begin together.

        Args:
            drivers: per worker and user class, how many run there.
            picked: the scenarios that are to run, each with what it asks of the simulator.
            start_s: the Unix time that due times count from.
            length_s: seconds of the plan that are sent, None for all.
        """
        if self._begun:
            log.warning("the number of users changed: the arrivals stay with the drivers that have them")
            return
        self._begun, self._start_s = True, start_s
        self._scenarios = tuple(picked)
        running = {
            worker: {name: count for name, count in counts.items() if name in picked}
            for worker, counts in drivers.items()
        }
        self._assigned = {
            worker: {name: its for name, its in shares.items() if its}
            for worker, shares in assign(running).items()
            if any(drivers[worker].values())  # of whatever class: what other users did is told, too
        }
        self._throttling = combined([throttling for throttling in picked.values() if throttling])
        self._count_model_calls(start_s)
        for worker, shares in self._assigned.items():
            self._awaited.add(worker)
            message = BeginMessage(
                run_id=self._run_id,
                start_s=start_s,
                length_s=length_s,
                shares=shares,
                request=self._settings.request,
                results=self.results,
            )
            self._send(BEGIN, message.to_wire(), worker)

    def receive(self, worker: str, part: Part) -> bool:
        """Take what a worker has done so far, in place of its earlier report; not of another test's."""
        if part.run_id != self._run_id or part.resets < self._resets:
            return False
        self._parts[worker] = part
        return True

    def receive_final(self, worker: str, part: Part) -> None:
        """Take what a worker has done that has ended its part."""
        if self.receive(worker, part):
            self._awaited.discard(worker)

    def gather(self, now: Callable[[], float], sleep: Callable[[float], None], *, whole: bool) -> None:
        """Stop all workers, and wait until all answers and final tallies are in.

        Args:
            whole: whether what is left of a plan that has an end is still sent; otherwise nothing more is.
            now: seconds since any origin.
            sleep: waits for seconds.
        """
        self._whole = whole
        for worker in sorted(self._awaited):
            self._send(STOP, {"whole": whole}, worker)
        deadline_s = now() + self._settings.call_timeout_s + SPARE_S
        while now() < deadline_s and any(self._alive(worker) for worker in self._awaited):
            sleep(POLL_S)

    def change_rate(self, factor: float, now_s: float) -> None:
        """Let another factor hold for all rates, soon: all drivers have to know of it beforehand.

        Raises:
            ValueError: it is no rate.
        """
        require(0 < factor < math.inf, "the rate factor", factor, "above 0")
        at_s = max(now_s - self._start_s, 0.0) + KNOWN_S
        self.rate_factor = factor
        log.info("from second %.1f of the plan on, all rates are multiplied by %g", at_s, factor)
        for worker in self._assigned:
            self._send(RATE, {"at_s": at_s, "factor": factor}, worker)

    def reset(self) -> None:
        """Begin all figures anew, as Locust does with its own."""
        self._resets += 1
        self._parts.clear()
        for worker in self._assigned:
            self._send(RESET, {}, worker)

    def look_at_workers(self) -> None:
        """Note which workers are not heard of: one that comes back has stood still, or was cut off."""
        self._silent |= {worker for worker in self._awaited if not self._alive(worker)}

    def renew(self) -> None:
        """Let the scenarios' throttling stay in place: by itself it goes soon."""
        if self._simulator is None or self._lease_lost:
            return
        try:
            self._simulator.renew()
        except SimulatorError as error:
            self._lease_lost = True
            self._add_unknown(f"the throttling may have gone before the test did: {error}")

    def clear_up(self) -> None:
        """Take the scenarios' throttling away, and ask what the simulator has seen of the test."""
        if self._simulator is None:
            return
        try:
            self._model = self._simulator.end()
        except SimulatorError as error:
            self._add_unknown(f"the simulator could not be set back: {error}")

    def tally(self) -> Tally:
        """Return what came of all calls that are known of, of all processes."""
        return merge(part.tally for part in self._parts.values())

    def findings(self) -> tuple[LimitFinding, ...]:
        """Hold what was measured against the limits."""
        tally = self.tally()
        judged = judge(
            self._settings.limits,
            tally,
            model=self._model,
            throttling=self._throttling,
            retried_within_s=self._settings.call_timeout_s,
            scenarios=bool(self._scenarios),
        )
        missing = [
            LimitFinding(ExitCode.UNKNOWN, text)
            for text in (*self._not_run(tally), *self._not_sent(), *self._stood_still())
        ]
        return (*judged, *missing, *self._extra_findings)

    def findings_so_far(self) -> tuple[LimitFinding, ...]:
        """Hold what was measured so far against the limits; what is still to come is not missing."""
        tally = self.tally()
        flying = replace(tally.counts, sent=tally.done, due=tally.done + tally.counts.dropped)
        return judge(self._settings.limits, replace(tally, counts=flying), scenarios=bool(self._scenarios))

    def verdict(self) -> ExitCode:
        """Log what was measured and each finding; return the exit code."""
        findings = self.findings()
        log.info(summary_line(self.tally()))
        for finding in findings:
            level = logging.INFO if finding.code is ExitCode.HELD else logging.ERROR
            log.log(level, "%s: %s", finding.code.name.lower().replace("_", " "), finding.text)
        return exit_code(findings)

    def _not_run(self, tally: Tally) -> Iterator[str]:
        """Yield a text for each scenario that was picked and of which nothing is known."""
        run = {name for assigned in self._assigned.values() for name, shares in assigned.items() if shares}
        for name in self._scenarios:
            if name not in run:
                yield f"{name} was picked, and none of its users ran"
            elif tally.successes and not tally.succeeded[name]:
                yield f"no call of {name} succeeded: the others say nothing about it"

    def _not_sent(self) -> Iterator[str]:
        """Yield a text for each share that was assigned and not driven."""
        acceptable = {ShareState.SENT} if self._whole else {ShareState.SENT, ShareState.BEGUN}
        for worker, assigned in self._assigned.items():
            part = None if worker in self._awaited else self._parts.get(worker)
            if part is None:
                shares = ", ".join(f"{share} of {name}" for name, its in assigned.items() for share in its)
                missing = shares or "no share"
                yield f"worker {worker} never handed in its figures, see its log: {missing} is missing"
                continue
            for name, its in assigned.items():
                for share, state in zip(its, part.shares[name], strict=True):
                    if state not in acceptable:
                        yield f"{share} of {name} (worker {worker}) {state.value}"

    def _stood_still(self) -> Iterator[str]:
        """Yield a text for each worker that did its part, but not when it was due."""
        most = self._settings.limits.max_late_ratio
        for worker, part in self._parts.items():
            counts = part.tally.counts
            if worker in self._silent:
                yield (
                    f"worker {worker} was not heard of for a while: it stood still, or was cut off; "
                    f"{counts.late} of its {counts.sent} calls were sent late"
                )
            elif len(self._parts) > 1 and counts.late > most * counts.sent:
                yield f"worker {worker} sent {counts.late} of its {counts.sent} calls late"

    def _count_model_calls(self, start_s: float) -> None:
        """Let the simulator count from now on, and throttle, where either was asked for."""
        throttling = self._throttling
        if self._simulator is None or (
            throttling is None and self._settings.limits.max_amplification is None
        ):
            return
        try:
            self._simulator.begin(throttling, start_s)
        except SimulatorError as error:
            self._add_unknown(f"the simulator could not be made ready: {error}")
        else:
            if throttling is not None:
                log.info("the model API throttles now, until the test ends")

    def _add_unknown(self, text: str) -> None:
        self._extra_findings.append(LimitFinding(ExitCode.UNKNOWN, text))


def summary_line(tally: Tally) -> str:
    """Return what was measured, in one line: of the calls that succeeded, and of all."""
    counts = tally.counts
    succeeded = _percentiles(tally.quantile_ms, (50, 95, 99, 99.9)) or "no call succeeded"
    everything = _percentiles(tally.quantile_of_all_ms, (50, 99)) or "no call ended"
    token = _percentiles(tally.ttft_ms, (50, 99)) or "none"
    return (
        f"from the intended start: {succeeded}; first token: {token}; "
        f"all calls, failed ones too: {everything}; due {counts.due}, "
        f"sent {counts.sent}, late {counts.late}, dropped {counts.dropped}, failed {tally.errors}"
    )


def _percentiles(quantile_ms: Callable[[float], float | None], percents: Sequence[float]) -> str:
    return "  ".join(
        f"p{percent:g} {value:.1f} ms" for percent in percents if (value := quantile_ms(percent)) is not None
    )
