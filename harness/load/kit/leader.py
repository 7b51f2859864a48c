"""The process that leads a test: it distributes the plan, collects the tallies, and judges.

Alone, that is the one process there is; otherwise Locust's master.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import httpx

from harness.errors import ExitCode
from harness.load.kit.limits import LimitFinding, exit_code, judge
from harness.load.kit.node import BeginMessage
from harness.load.kit.settings import LoadSettings
from harness.load.kit.shares import assign
from harness.load.kit.tally import Tally, merge
from harness.load.kit.throttling import SimulatorControl, Throttling, combined

BEGIN: Final = "agentrig-begin"
STOP: Final = "agentrig-stop"
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
    """

    def __init__(
        self,
        settings: LoadSettings,
        *,
        run_id: str,
        send: Callable[[str, dict[str, Any], str], None],
        alive: Callable[[str], bool],
        simulator: SimulatorControl | None,
    ) -> None:
        self._settings = settings
        self._run_id = run_id
        self._send = send
        self._alive = alive
        self._simulator = simulator
        self._parts: dict[str, Tally] = {}
        self._awaited: set[str] = set()
        self._begun = False
        self._extra_findings: list[LimitFinding] = []
        self._amplification: float | None = None

    @property
    def begun(self) -> bool:
        """Whether the plan has been distributed."""
        return self._begun

    def begin(
        self,
        drivers: Mapping[str, Mapping[str, int]],
        throttlings: Sequence[Throttling],
        start_s: float,
        length_s: float | None,
    ) -> None:
        """Distribute the plan to the drivers, who begin together.

        Args:
            drivers: per worker and scenario, how many run there.
            throttlings: what those scenarios ask of the simulator.
            start_s: the Unix time that due times count from.
            length_s: seconds of the plan that are sent, None for all.
        """
        if self._begun:
            log.warning("the number of users changed: the arrivals stay with the drivers that have them")
            return
        self._begun = True
        if throttlings:
            self._throttle(combined(throttlings), start_s)
        for worker, shares in assign(drivers).items():
            self._awaited.add(worker)
            message = BeginMessage(run_id=self._run_id, start_s=start_s, length_s=length_s, shares=shares)
            self._send(BEGIN, message.to_wire(), worker)

    def receive(self, worker: str, wire: dict[str, Any]) -> None:
        """Take the figures of a worker so far; they replace its earlier ones."""
        self._parts[worker] = Tally.from_wire(wire)

    def receive_final(self, worker: str, wire: dict[str, Any]) -> None:
        """Take the figures of a worker that has ended its part."""
        self.receive(worker, wire)
        self._awaited.discard(worker)

    def gather(self, now: Callable[[], float], sleep: Callable[[float], None], *, whole: bool) -> None:
        """Stop all workers, and wait until all answers and final tallies are in.

        Args:
            whole: whether what is left of a plan that has an end is still sent; otherwise nothing more is.
            now: seconds since any origin.
            sleep: waits for seconds.
        """
        for worker in sorted(self._awaited):
            self._send(STOP, {"whole": whole}, worker)
        deadline_s = now() + self._settings.call_timeout_s + SPARE_S
        while now() < deadline_s and any(self._alive(worker) for worker in self._awaited):
            sleep(POLL_S)

    def clear_up(self) -> None:
        """Take the scenario's throttling away, and ask for attempts where a limit is set for them."""
        if self._simulator is None:
            return
        try:
            self._simulator.end()
            if self._settings.limits.max_amplification is not None:
                self._amplification = self._simulator.amplification()
        except httpx.HTTPError as error:
            self._add_unknown(f"the simulator could not be set back: {error}")

    def tally(self) -> Tally:
        """Return what came of all calls that are known of, of all processes."""
        return merge(self._parts.values())

    def findings(self) -> tuple[LimitFinding, ...]:
        """Hold what was measured against the limits."""
        judged = judge(
            self._settings.limits,
            self.tally(),
            missing=len(self._awaited),
            amplification=self._amplification,
        )
        return (*judged, *self._extra_findings)

    def verdict(self) -> ExitCode:
        """Log what was measured and each finding; return the exit code."""
        findings = self.findings()
        log.info(summary_line(self.tally()))
        for finding in findings:
            level = logging.INFO if finding.code is ExitCode.HELD else logging.ERROR
            log.log(level, "%s: %s", finding.code.name.lower().replace("_", " "), finding.text)
        return exit_code(findings)

    def _throttle(self, throttling: Throttling, start_s: float) -> None:
        if self._simulator is None:
            log.warning("nothing is throttled: name the model API simulator by --simulator-url")
            return
        try:
            self._simulator.begin(throttling, start_s)
            log.info("the model API throttles now, until the test ends")
        except httpx.HTTPError as error:
            self._add_unknown(f"the throttling could not be put in place: {error}")

    def _add_unknown(self, text: str) -> None:
        self._extra_findings.append(LimitFinding(ExitCode.UNKNOWN, text))


def summary_line(tally: Tally) -> str:
    """Return what was measured, in one line."""
    counts = tally.counts
    quantiles = "  ".join(
        f"p{percent:g} {value:.1f} ms"
        for percent in (50, 95, 99, 99.9)
        if (value := tally.quantile_ms(percent)) is not None
    )
    return (
        f"from the intended start: {quantiles or 'no call succeeded'}; due {counts.due}, sent {counts.sent}, "
        f"late {counts.late}, dropped {counts.dropped}, failed {tally.errors}"
    )
