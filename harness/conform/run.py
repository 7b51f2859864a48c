"""All conformance checks, in order."""

from __future__ import annotations

from collections.abc import Callable

from harness.conform import basics, busy, sessions
from harness.conform.target import ConformFinding, ContractTarget
from harness.records.outcome import Outcome

OnFinding = Callable[[ConformFinding], None]


async def conform(target: ContractTarget, concurrency: int, on_finding: OnFinding) -> Outcome:
    """Make every check, and report each finding as it comes.

    Args:
        target: the container.
        concurrency: the most requests to send at once while its limit is looked for.
        on_finding: gets each finding.

    Returns:
        fail when any check fell short; else unknown when any is; else pass.
    """
    findings: list[ConformFinding] = []

    def found(finding: ConformFinding) -> None:
        findings.append(finding)
        on_finding(finding)

    for check in (
        basics.ping_shape,
        basics.ping_stamp,
        basics.json_answer,
        basics.session_header,
        basics.bad_bodies,
        basics.sse_shape,
    ):
        found(await check(target))
    burst = await busy.burst_until_refused(target, concurrency)
    for examine in (busy.busy_flip, busy.busy_stamp, busy.at_the_limit, busy.ping_under_load):
        found(examine(burst))
    for finding in await sessions.isolation(target):
        found(finding)
    verdicts = {finding.verdict for finding in findings}
    return next((v for v in (Outcome.FAIL, Outcome.UNKNOWN) if v in verdicts), Outcome.PASS)
