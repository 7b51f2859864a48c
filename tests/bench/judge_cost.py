"""What `agentrig judge` costs: CPU seconds for run folders of several sizes.

Each folder is made of the recorded run of `tests/mutations`: the arm of its routing experiment again and
again, one after the other in time, with one request of eight refused as a full fleet refuses. Of the spans
those are kept that checks look at. What one size costs more than in proportion is a loop within a loop.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import contract
from harness.records.history import ArmData, grouped
from harness.records.seen import JournalRow, MetricPoint, Span
from harness.records.sent import RequestRow
from harness.records.spec import ExperimentSpec
from harness.run import folder as run_folder
from harness.run import pipeline
from harness.run.folder import Plan, RunFolder
from tests.mutations.saved import recorded

SIZES = (4_000, 16_000, 100_000)
EXPERIMENT, ARM = "routing", "sound"
REFUSED_EACH = 8
KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")


def main() -> None:
    """Print a line per size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    print("requests  MB spans  read+join+judge+report, CPU s   us a request   peak MB")
    for size in parser.parse_args().sizes:
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "run"
            made(path, size)
            begun_s = time.process_time()
            result, folder = pipeline.judge_saved(path)
            cpu_s = time.process_time() - begun_s
            requests = result.experiments[0].arms[ARM].requests
            megabytes = (folder.path / run_folder.SPANS).stat().st_size / 1e6
            peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"{requests:8d} {megabytes:9.0f} {cpu_s:31.2f} {cpu_s / requests * 1e6:14.0f} {peak_mb:9.0f}"
            )


def made(path: Path, size: int) -> None:
    """Make a run folder with so many requests, about."""
    spec, arms = recorded()[EXPERIMENT]
    data = arms[ARM]
    rounds = round(size / len(data.requests))
    lasts_s = data.facts.end_s - data.facts.start_s + 1.0
    folder = RunFolder.create(path, "made")
    plan = Plan(run_id="made", started_s=0, quick=False, version="", machine={}, experiments=(_alone(spec),))
    folder.write_plan(plan)
    facts = replace(
        data.facts,
        end_s=data.facts.start_s + rounds * lasts_s,
        planned=rounds * len(data.requests),
        windows=tuple(replace(each, to_s=rounds * lasts_s) for each in data.facts.windows),
    )
    folder.append_rows(run_folder.ARMS, [facts])
    for number in range(rounds):
        rows, spans, journal, metrics = _again(data, number, number * lasts_s)
        folder.append_rows(run_folder.REQUESTS, rows)
        folder.append_rows(run_folder.JOURNAL, journal)
        folder.append_rows(run_folder.METRICS, metrics)
        folder.append(run_folder.SPANS, _lines(spans))


def _alone(spec: ExperimentSpec) -> ExperimentSpec:
    """Return the experiment with the checks of one arm; the control did not run."""
    checks = tuple(
        check.model_copy(update={"holds_in": (ARM,), "caught_in": ()})
        for check in spec.checks
        if ARM in check.holds_in
    )
    caught = spec.checks[0].model_copy(update={"holds_in": (), "caught_in": ("blind",)})
    return spec.model_copy(update={"checks": (*checks, caught)})


def _again(
    data: ArmData, number: int, by_s: float
) -> tuple[list[RequestRow], list[Span], list[JournalRow], list[MetricPoint]]:
    """Return what was seen of an arm once more, later, under other ids."""
    by_ns, at = round(by_s * 1e9), number * len(data.requests)
    refused = {row.trace_id for row in data.requests if row.index % REFUSED_EACH == 0}

    def other(name: str | None) -> str | None:
        return None if name is None else f"{number:06x}{name[6:]}"

    rows = [
        replace(
            row,
            index=at + row.index,
            trace_id=other(row.trace_id) or "",
            span_id=other(row.span_id) or "",
            session_id=f"{number}-{row.session_id}",
            due_s=row.due_s + by_s,
            sent_s=row.sent_s + by_s,
            end_s=(row.sent_s + 0.005 if row.trace_id in refused else row.end_s) + by_s,
            **({"status": 503, "error": "HTTP 503: busy"} if row.trace_id in refused else {}),
        )
        for row in data.requests
    ]
    spans = [
        replace(
            span,
            trace_id=other(span.trace_id) or "",
            span_id=other(span.span_id) or "",
            parent_span_id=other(span.parent_span_id),
            start_ns=span.start_ns + by_ns,
            end_ns=span.end_ns + by_ns,
            events=(),
        )
        for span in data.spans
        if _is_looked_at(span) and (span.trace_id not in refused or span.service == contract.SERVICE_LOAD)
    ]
    journal = [
        replace(row, trace_id=other(row.trace_id), parent_span_id=other(row.parent_span_id))
        for row in data.journal
        if row.trace_id not in refused
    ]
    journal = [replace(row, time_s=row.time_s + by_s, end_s=row.end_s + by_s) for row in journal]
    return rows, spans, journal, [replace(each, time_s=each.time_s + by_s) for each in data.metrics]


def _is_looked_at(span: Span) -> bool:
    return span.service != contract.SERVICE_ENVOY and not span.name.startswith("session.")


def _lines(spans: Iterable[Span]) -> Iterator[str]:
    """Yield the spans as OTLP/JSON, a line for each process."""
    for process, mine in grouped(spans, lambda span: f"{span.service} {span.instance}").items():
        service, _, instance = process.partition(" ")
        told = {
            contract.SERVICE_NAME: service,
            contract.INSTANCE_ID: instance,
            contract.EXPERIMENT: EXPERIMENT,
            contract.ARM: ARM,
        }
        body = {
            "resource": {"attributes": _attributes(told)},
            "scopeSpans": [{"spans": list(map(_span, mine))}],
        }
        yield json.dumps({"resourceSpans": [body]}, separators=(",", ":"))


def _span(span: Span) -> dict[str, Any]:
    return {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_span_id,
        "name": span.name,
        "kind": KINDS.index(span.kind),
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(span.end_ns),
        "attributes": _attributes(dict(span.attributes)),
    }


def _attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    kinds = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}
    return [
        {"key": key, "value": {kinds[type(value)]: str(value) if type(value) is int else value}}
        for key, value in values.items()
        if type(value) in kinds
    ]


if __name__ == "__main__":
    main()
