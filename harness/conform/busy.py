"""Conformance under concurrency: the busy signal, and what happens at the limit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from harness import contract
from harness.conform.basics import MILLISECONDS_SINCE, QUESTION, session_id
from harness.conform.target import (
    ConformFinding,
    ContractAnswer,
    ContractTarget,
    advised,
    describe_answer,
    fell_short,
    held,
    unknown,
)

POLL_S = 0.01
REFUSED_WITHIN_S = 0.25
"""A refusal that takes so much longer than the slowest ping waited for something; one on loopback takes a
millisecond or two, and a machine that is slow is so to both."""
GIVEN_BACK_WITHIN_S = 2.0
"""After the last answer."""
PING_WITHIN_S = 1.0
LATE_S = 0.25
"""Who is woken so much later than asked for is on a machine that is busy with something else."""
STAMP_OFF_S = 2.0
"""A stamp is cut to whole seconds, and a poll takes its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BurstResult:
    """What was seen when many requests came at once.

    Attributes:
        sent: how many came at once.
        answers: theirs.
        pings: (Unix time, status, stamp) of each poll until shortly after the last answer.
        slowest_ping_s: the longest that a poll took.
        late_s: how much later than asked for this side was woken, at most.
    """

    sent: int
    answers: tuple[ContractAnswer, ...]
    pings: tuple[tuple[float, str, int], ...]
    slowest_ping_s: float
    late_s: float = 0.0

    @property
    def refused(self) -> tuple[ContractAnswer, ...]:
        """Those that were told 503."""
        return tuple(answer for answer in self.answers if answer.busy)


async def burst_until_refused(target: ContractTarget, most: int) -> BurstResult:
    """Send 1, 2, 4, 8, ... requests at once, at most `most`, until one is refused."""
    burst = await _burst_of(target, 1)
    while not burst.refused and burst.sent * 2 <= most:
        burst = await _burst_of(target, burst.sent * 2)
    return burst


async def _burst_of(target: ContractTarget, count: int) -> BurstResult:
    pings: list[tuple[float, str, int]] = []
    took, late = [0.0], [0.0]

    async def poll() -> None:
        answer = await target.ping()
        took.append(answer.seconds)
        body = answer.json()
        if isinstance(body, dict):
            stamp = body.get("time_of_last_update")
            stamp = stamp if isinstance(stamp, int) and 0 <= stamp < MILLISECONDS_SINCE else 0
            pings.append((target.now(), str(body.get("status")), stamp))

    async def pause() -> None:
        begun_s = target.monotonic()
        await target.sleep(POLL_S)
        late.append(target.monotonic() - begun_s - POLL_S)

    asks = [
        asyncio.ensure_future(target.ask(f"{QUESTION} ({number})", session_id(f"rush-{count}-{number}")))
        for number in range(count)
    ]
    while not all(ask.done() for ask in asks):
        await poll()
        await pause()
    end_s = target.monotonic() + GIVEN_BACK_WITHIN_S
    while True:
        await pause()
        await poll()
        if not pings or pings[-1][1] == contract.HEALTHY or target.monotonic() >= end_s:
            break
    return BurstResult(
        sent=count,
        answers=tuple(ask.result() for ask in asks),
        pings=tuple(pings),
        slowest_ping_s=max(took),
        late_s=max(late),
    )


def busy_flip(burst: BurstResult) -> ConformFinding:
    """`/ping` says HealthyBusy while the container has no free slot, and Healthy after."""
    check = "busy-flip"
    statuses = [status for _, status, _ in burst.pings]
    if contract.HEALTHY_BUSY not in statuses:
        if burst.refused:
            return advised(
                check,
                f"requests were refused while {len(statuses)} pings said {contract.HEALTHY}. "
                f"Say {contract.HEALTHY_BUSY} while no slot is free, so that a balancer needn't try.",
            )
        failed = [answer for answer in burst.answers if not answer.ok]
        if failed:
            return fell_short(
                check,
                f"{burst.sent} requests at once were too many ({describe_answer(failed[0])}), and "
                f"{len(statuses)} pings never said {contract.HEALTHY_BUSY}. Count the requests in flight, "
                "and say so at the limit (see the busy-signal pattern).",
            )
        return unknown(
            check,
            f"{burst.sent} requests at once were all taken, and {len(statuses)} pings never said "
            f"{contract.HEALTHY_BUSY}: the limit is higher, or nobody counts. "
            "Raise --concurrency above the limit (see the busy-signal pattern).",
        )
    if statuses[-1] != contract.HEALTHY:
        return fell_short(check, f"still {statuses[-1]} after the last answer: a slot was not given back.")
    return held(check, f"{statuses.count(contract.HEALTHY_BUSY)} of {len(statuses)} pings said HealthyBusy")


def busy_stamp(burst: BurstResult) -> ConformFinding:
    """The stamp of a flip is the time of the flip."""
    check = "busy-stamp"
    flips = [
        (was_s, now_s, stamp)
        for (was_s, before, _), (now_s, after, stamp) in zip(burst.pings, burst.pings[1:], strict=False)
        if before != after
    ]
    if not flips:
        return unknown(check, "the status never changed; see busy-flip.")
    off = max(max(was_s - stamp, stamp - now_s) for was_s, now_s, stamp in flips)
    if off > STAMP_OFF_S:
        return fell_short(
            check, f"a change was stamped {off:.0f} s away from when it was seen. Stamp the change."
        )
    return held(check, f"{len(flips)} changes of status, each stamped when it happened")


def at_the_limit(burst: BurstResult) -> ConformFinding:
    """More requests than slots: refused at once with a 503, or queued."""
    check = "at-the-limit"
    odd = [answer for answer in burst.answers if answer.status not in {200, 503}]
    if odd:
        return fell_short(
            check, f"{burst.sent} at once: {describe_answer(odd[0])}. Answer, or refuse with 503."
        )
    if not burst.refused:
        return unknown(
            check,
            f"{burst.sent} requests at once were all answered: the limit is higher, or the container queues "
            "inside, where no balancer sees it. Raise --concurrency to find the limit.",
        )
    return _refusals(check, burst.refused, burst.sent, at_once_s=REFUSED_WITHIN_S + burst.slowest_ping_s)


def _refusals(
    check: str, refused: Sequence[ContractAnswer], sent: int, *, at_once_s: float
) -> ConformFinding:
    problems = []
    slowest_s = max(answer.seconds for answer in refused)
    if slowest_s > at_once_s:
        problems.append(f"one took {slowest_s * 1e3:.0f} ms: refuse before any work")
    if any("retry-after" not in answer.headers for answer in refused):
        problems.append("no Retry-After: say when to come back")
    if any(contract.BUSY_HEADER not in answer.headers for answer in refused):
        problems.append(
            f"no {contract.BUSY_HEADER}: a balancer can't tell a refusal, safe to retry, from a crash"
        )
    if any(answer.text for answer in refused):
        problems.append("a body: with one, a balancer that retries elsewhere has to close the connection")
    if problems:
        return advised(check, f"{len(refused)} of {sent} were refused with 503, but {'; '.join(problems)}.")
    return held(check, f"{len(refused)} of {sent} refused with 503 at once, with Retry-After and no body")


def ping_under_load(burst: BurstResult) -> ConformFinding:
    """`/ping` answers quickly also while the container works."""
    check = "ping-under-load"
    if not burst.pings:
        return unknown(check, "no ping was answered; see ping-shape.")
    if burst.slowest_ping_s > PING_WITHIN_S and burst.late_s > LATE_S:
        return unknown(
            check,
            f"a ping took {burst.slowest_ping_s:.1f} s, but this machine is busy: who asked was woken up to "
            f"{burst.late_s * 1e3:.0f} ms late. Ask again when nothing else runs.",
        )
    if burst.slowest_ping_s > PING_WITHIN_S:
        return fell_short(
            check,
            f"a ping took {burst.slowest_ping_s:.1f} s while {burst.sent} requests were in work: something "
            "blocks the event loop. Move it to a thread; a platform's probe gives up after about a second.",
        )
    return held(check, f"the slowest of {len(burst.pings)} pings took {burst.slowest_ping_s * 1e3:.0f} ms")
