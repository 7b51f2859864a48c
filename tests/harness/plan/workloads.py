"""Workloads for tests, and what a fleet that is simulated would have sent as spans."""

import heapq
from collections.abc import Iterator

import numpy as np

from harness import contract
from harness.plan.records import Outcome, Work
from harness.records.seen import Span
from harness.records.workload import Arrivals, Duration, Service, Sessions, Workload

BEGIN_NS = 1_700_000_000_000_000_000


def workload(**changed: object) -> Workload:
    told: dict[str, object] = {
        "arrivals": Arrivals(rate_rps=10),
        "service": Service(
            own=Duration(median_s=0.01),
            first_token=Duration(median_s=0.1, p99_s=0.3),
            rest=Duration(median_s=0.3, p99_s=1.5),
            calls=(0.5, 0.5),
            tool=Duration(median_s=0.02),
            tail=Duration(median_s=0.005),
            tokens_out=100,
            tokens=400,
            same_request=0.4,
        ),
    }
    return Workload.model_validate(told | changed)


def plain(
    rate_rps: float = 10, median_s: float = 0.4, p99_s: float | None = 2.0, **changed: object
) -> Workload:
    service = Service(rest=Duration(median_s=median_s, p99_s=p99_s))
    return workload(arrivals=Arrivals(rate_rps=rate_rps), service=service, **changed)


def sessions(turns: float, think_s: float) -> Sessions:
    return Sessions(turns=turns, think=Duration(median_s=think_s))


def spans(work: Work, outcome: Outcome, containers: int, first_token_share: float = 0.25) -> Iterator[Span]:
    """Yield the spans of a fleet of limit 1, with its caller's."""
    free = [(0.0, number) for number in range(containers)]
    begins = work.due_s + outcome.wait_s
    for request in np.argsort(begins, kind="stable").tolist():
        begin_s = float(begins[request])
        _, number = heapq.heappop(free)
        end_s = begin_s + float(work.service_s[request])
        heapq.heappush(free, (end_s, number))
        trace = f"{request + 1:032x}"
        session = f"session-{int(work.session[request])}"

        def made(
            name: str,
            begin: float,
            end: float,
            number: int = number,
            trace: str = trace,
            *,
            place: int,
            parent: int | None,
            kind: str = "client",
            told: dict[str, object],
        ) -> Span:
            ours = kind != "client" or place > 1
            return Span(
                trace_id=trace,
                span_id=f"{int(trace, 16) * 100 + place:016x}",
                parent_span_id=None if parent is None else f"{int(trace, 16) * 100 + parent:016x}",
                name=name,
                kind=kind,  # type: ignore[arg-type] # a word of a test
                start_ns=BEGIN_NS + round(begin * 1e9),
                end_ns=BEGIN_NS + round(end * 1e9),
                service="my-agent" if ours else "caller",
                instance=f"container-{number}" if ours else "caller-1",
                attributes=told,  # type: ignore[arg-type] # likewise
            )

        http = {"http.request.method": "POST", "http.response.status_code": 200, "url.path": "/invocations"}
        due_s = float(work.due_s[request])
        yield made("POST", due_s, end_s, place=0, parent=None, told=http)
        of_server = http | {"session.id": session, contract.QUEUE_WAIT_S: 0.0}
        yield made("POST /invocations", begin_s, end_s, place=1, parent=0, kind="server", told=of_server)
        at_s = begin_s
        for place, call in enumerate(range(work.first_call[request], work.first_call[request + 1]), start=2):
            at_s += float(work.before_s[call])
            took_s = float(work.call_s[call])
            of_call = {
                contract.OPERATION: "chat",
                "gen_ai.request.model": "m",
                "gen_ai.provider.name": "openai",
                "gen_ai.usage.input_tokens": 300,
                "gen_ai.usage.output_tokens": 100,
                contract.FIRST_CHUNK_S: first_token_share * took_s,
            }
            yield made("chat m", at_s, at_s + took_s, place=place, parent=1, told=of_call)
            at_s += took_s
