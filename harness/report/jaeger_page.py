"""Addresses in Jaeger's page: of a trace, of two side by side, and of a search for a kind of trace."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

from harness import contract
from harness.records.outcome import ArmSummary, CheckResult, ExperimentResult, RunResult

ADDRESS: Final = re.compile(r"https?://[\w.\-:\[\]]+(/[\w.\-~/]*)?", re.ASCII)
"""What may be linked: a run's files may be somebody else's, and no sign of it ends a link of Markdown."""
SEARCHED: Final = 20
"""Traces that a search shows at most."""
US_PER_S: Final = 1_000_000
MARGIN_S: Final = 60.0
"""The search looks so far beyond the run, whose end is known to the second only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkKind:
    """What traces have in common.

    Attributes:
        name: what they are, in words.
        service: whose spans have the tags.
        tags: attributes of one span.
        slow: whether only what took as long as the arm's p99 counts.
    """

    name: str
    service: str
    tags: Mapping[str, str]
    slow: bool = False


COLD = LinkKind(name="cold requests", service=contract.SERVICE_AGENT, tags={contract.CLIENT_STATE: "cold"})
RETRIED = LinkKind(
    name="calls with 3 attempts", service=contract.SERVICE_AGENT, tags={contract.RETRY_ATTEMPTS: "3"}
)
PERMANENT = LinkKind(
    name="permanent errors", service=contract.SERVICE_AGENT, tags={contract.RETRY_OUTCOME: "permanent"}
)
REFUSED = LinkKind(name="refusals at the limit", service=contract.SERVICE_AGENT, tags={contract.BUSY: "true"})
FAILED = LinkKind(name="failed requests", service=contract.SERVICE_LOAD, tags={contract.REQUEST_OK: "false"})
SLOW = LinkKind(name="requests above p99", service=contract.SERVICE_LOAD, tags={}, slow=True)

KINDS: Final[Mapping[str, LinkKind]] = {
    "init-once": COLD,
    "joined-share": COLD,
    "connections-bounded": COLD,
    "reinits-explained": COLD,
    "handshakes-agree": COLD,
    "amplification": RETRIED,
    "attempts-agree": RETRIED,
    "attempts-bounded": RETRIED,
    "herd-share": RETRIED,
    "delays-differ": RETRIED,
    "retry-after-respected": RETRIED,
    "transient-survived": FAILED,
    "permanent-once": PERMANENT,
    "inflight-limit": REFUSED,
    "no-503-while-idle": REFUSED,
    "answers-whole": FAILED,
    "no-errors": FAILED,
    "recovery": FAILED,
    "turns-kept": FAILED,
    "idle-while-waiting": SLOW,
    "p99-over-optimum": SLOW,
    "p99-ratio": SLOW,
    "session-load-tail": SLOW,
    "steady-p95-ratio": SLOW,
}
"""What to look at when a check falls short; a check that isn't here is about no kind of trace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JaegerPage:
    """Jaeger's page, and the run in it.

    Attributes:
        url: of the page, without a slash at its end.
        from_s, until_s: Unix time in which the run's traces lie.
    """

    url: str
    from_s: float
    until_s: float

    def trace(self, trace_id: str) -> str:
        """Return the address of one trace."""
        return f"{self.url}/trace/{quote(trace_id, safe='')}"

    def comparison(self, arm: ArmSummary, trace_id: str | None) -> str | None:
        """Return the address of a trace beside the arm's median one; None where it has no two."""
        median = arm.median_trace
        if trace_id is None or median is None or trace_id == median:
            return None
        return f"{self.trace(median)}...{quote(trace_id, safe='')}"

    def like(self, experiment: ExperimentResult, check: CheckResult) -> tuple[str, str] | None:
        """Return what the traces of a check's evidence are, and the address that searches for their like."""
        kind = KINDS.get(check.id)
        if kind is None or not check.traces:
            return None
        arm = experiment.arms.get(check.arm)
        return kind.name, self.search(kind, experiment.name, check.arm, arm.p99_ms if arm else None)

    def of_check(
        self, experiment: ExperimentResult, check: CheckResult, most: int
    ) -> Iterator[tuple[str, str]]:
        """Yield (what, address) of all that helps to look into a check.

        Args:
            experiment: the check's.
            check: what is looked into.
            most: traces of its evidence that are given, at most.
        """
        yield from (("trace", self.trace(trace_id)) for trace_id in check.traces[:most])
        if found := self.like(experiment, check):
            yield found
        arm = experiment.arms.get(check.arm)
        if arm and (beside := self.comparison(arm, arm.slowest_trace)):
            yield "the slowest beside a median one", beside

    def search(self, kind: LinkKind, experiment: str, arm: str, p99_ms: float | None) -> str:
        """Return the address of a search.

        Args:
            kind: what to search for.
            experiment: in which it happened.
            arm: of that.
            p99_ms: of the arm, for kinds that are slow.
        """
        tags = {**kind.tags, contract.EXPERIMENT: experiment, contract.ARM: arm}
        asked: dict[str, str | int] = {
            "service": kind.service,
            "start": round((self.from_s - MARGIN_S) * US_PER_S),
            "end": round((self.until_s + MARGIN_S) * US_PER_S),
            "limit": SEARCHED,
            "lookback": "custom",
            "tags": json.dumps(tags, separators=(",", ":")),
        }
        if kind.slow and p99_ms:
            asked["minDuration"] = f"{int(p99_ms)}ms"
        return f"{self.url}/search?{urlencode(asked, quote_via=quote)}"


def page_of(result: RunResult) -> JaegerPage | None:
    """Return the page that has a run's traces; what is not an http address is never linked."""
    url = result.jaeger_url
    if not url or not ADDRESS.fullmatch(url):
        return None
    until_s = result.started_s + result.duration_s
    return JaegerPage(url=url.rstrip("/"), from_s=result.started_s, until_s=until_s)
