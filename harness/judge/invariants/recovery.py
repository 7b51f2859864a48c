"""After a fault has cleared, requests are soon answered as before it."""

from __future__ import annotations

from harness.judge.case import Case, Finding, Invariant, no_data
from harness.records.history import ArmHistory

ENOUGH_REQUESTS = 20
"""As many as are asked for before the fault and after it: a pile of fewer retries holds nobody back."""


def _examine(case: Case) -> Finding:
    took_s, look_s = case.summary.recovery_s, case.summary.recovery_look_s
    if took_s is None or look_s is None:
        return no_data("no fault had a time, or too few requests came before and after it")
    met = _met(case.history)
    slowed = case.history.facts.backoff_slowed  # the waits of a run in slow motion take as much longer
    limit_s, told = case.limit * slowed, f"limit {case.limit:.3g} s"
    if slowed > 1:
        told += f" at full speed, {limit_s:.3g} s in slow motion"
    if took_s < look_s:
        message = f"requests were as before the fault {took_s:.0f} s after it had cleared"
        return Finding(
            holds=took_s <= limit_s,
            observed=took_s,
            message=f"{message}; {told}",
            cases=met,
            limit=limit_s,
        )
    message = f"{look_s:.0f} s after the fault had cleared requests were not yet as before it"
    if look_s < limit_s:
        return no_data(f"{message}, and that is as long as the load stayed the same: give it more time")
    return Finding(holds=False, observed=took_s, message=f"{message}; {told}", cases=met, limit=limit_s)


def _met(history: ArmHistory) -> int:
    """Count the requests that met a fault which had a time, while it lasted."""
    begin_s = history.facts.start_s
    faults = [window for window in history.facts.windows if window.kind == "fault"]
    return sum(
        any(
            row.decision == fault.name and fault.from_s <= row.time_s - begin_s < fault.to_s
            for row in request.journal
            for fault in faults
        )
        for request in history.requests
    )


INVARIANT = Invariant(
    id="recovery",
    title="time to recover after a fault",
    limit=5.0,
    unit="s",
    timing=True,
    remedy="Retries that pile up behind the fault hold everybody back: bound them, and spread them.",
    case="requests that met the fault",
    cases_needed=ENOUGH_REQUESTS,
    more_cases="Let the fault last longer, or send more: nothing recovers from what nobody met.",
    examine=_examine,
)
