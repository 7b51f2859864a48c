"""All conformance checks, in order."""

from __future__ import annotations

from collections.abc import Callable

from harness import contract
from harness.conform import basics, busy, sessions
from harness.conform.target import ConformFinding, ContractTarget
from harness.errors import InputError, StartError
from harness.records.outcome import Outcome

NOT_FOUND = 404
OnFinding = Callable[[ConformFinding], None]


async def conform(target: ContractTarget, concurrency: int, on_finding: OnFinding) -> Outcome:
    """Make every check, and report each finding as it comes.

    Args:
        target: the container.
        concurrency: the most requests to send at once while its limit is looked for.
        on_finding: gets each finding.

    Returns:
        fail when any demand of the contract fell short; else unknown when any check is; else pass. Advice of
        ours decides nothing.

    Raises:
        StartError: nobody answers there.
        InputError: what answers there knows neither of the contract's paths.
    """
    await _look(target)
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
    found(await sessions.minted(target))
    verdicts = {finding.verdict for finding in findings if not finding.advice}
    return next((v for v in (Outcome.FAIL, Outcome.UNKNOWN) if v in verdicts), Outcome.PASS)


async def _look(target: ContractTarget) -> None:
    """Look whether anything is there, before each check says in its own words that there is not."""
    ping = await target.ping()
    where = str(target.http.base_url).rstrip("/")
    if not ping.status:
        raise StartError(
            f"{where}: nobody answers ({ping.failure}). Start the container, or correct the address."
        )
    if ping.status != NOT_FOUND:
        return
    answer = await target.ask(basics.QUESTION, basics.session_id("look"))
    if answer.status == NOT_FOUND:
        raise InputError(
            f"{where}: answers 404 to GET {contract.PING} and to {target.shape.request.method} "
            f"{target.shape.request.path}: no agent is there. Correct the address, or give --path."
        )
