"""`agentrig schema`: the JSON Schema of each file of JSON, JSON lines or TOML."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import typer
from pydantic import TypeAdapter

from harness.capture import otlp_schema
from harness.commands.console import out
from harness.errors import InputError
from harness.gate import ending, marker
from harness.gate import folder as of_gate
from harness.gate.baseline import Baseline
from harness.gate.blocks import Block
from harness.own.config import OwnAgent
from harness.plan import forecast
from harness.plan.prices import Prices
from harness.records.calibration import Calibration
from harness.records.described import DIALECT, explained
from harness.records.seen import JournalRow, MetricPoint
from harness.records.sent import RequestRow
from harness.records.setup import ArmFacts
from harness.records.spec import ExperimentSpec
from harness.records.workload import Workload
from harness.report import jaeger, verdict_json
from harness.run import folder as of_run
from harness.run import matrix
from harness.run.folder import Plan
from harness.simulator_config import SimulatorConfig
from harness.wrong_keys import suggest

Schema = dict[str, Any]


def _written(record: Any, what: str) -> Callable[[], Schema]:
    """Describe what is written of a record."""
    return lambda: _titled(TypeAdapter(record).json_schema(mode="serialization"), what)


def _typed(record: Any, what: str) -> Callable[[], Schema]:
    """Describe what a person may write into a file, which may name its schema for an editor."""
    return lambda: _titled(TypeAdapter(record).json_schema(mode="validation"), what)


def _titled(schema: Schema, what: str) -> Schema:
    return {"$schema": DIALECT, "title": what, **{k: v for k, v in explained(schema).items() if k != "title"}}


SCHEMAS: Final[Mapping[str, Callable[[], Schema]]] = {
    "agentrig.toml": _typed(OwnAgent, "agentrig.toml: how your agent is started and asked"),
    "experiment.toml": _typed(ExperimentSpec, "an experiment of agentrig run"),
    "simulator.toml": _typed(SimulatorConfig, "what agentrig simulator --config is told"),
    "workload.toml": _typed(Workload, "workload.toml: what a service is asked, and what its requests take"),
    "prices.toml": _typed(Prices, "prices.toml: what agentrig plan --prices is told"),
    of_run.PLAN: _written(Plan, "plan.json of a run folder: what was asked"),
    of_run.ARMS: _written(ArmFacts, "a line of arms.jsonl: what was set up for an arm"),
    of_run.REQUESTS: _written(RequestRow, "a line of requests.jsonl: what the client saw of a request"),
    of_run.SPANS: otlp_schema.schema,
    of_run.JOURNAL: _written(JournalRow, "a line of journal.jsonl: what the simulator received"),
    of_run.METRICS: _written(MetricPoint, "a line of metrics.jsonl: a sample that was scraped"),
    "traces.json": jaeger.schema,
    "verdict.json": verdict_json.schema,
    marker.PLAN: _written(of_gate.GatePlan, "gate.json of a run folder of the gate: what was asked"),
    of_gate.BLOCKS: _written(Block, "a line of blocks.jsonl: what a block of the gate had to show"),
    ending.OUTCOME: _written(ending.Ending, "outcome.json: how a gate ended"),
    "history.jsonl": _written(
        Baseline, "a line of a history of agentrig baseline: one session of one version"
    ),
    matrix.CALIBRATION: _written(Calibration, "calibration.json of a matrix: what requests cost here"),
    forecast.FORECAST: _written(forecast.Forecast, "forecast.json of agentrig plan: how many containers"),
    forecast.CHECK: _written(forecast.CheckTold, "check.json of agentrig plan --check: beside a real fleet"),
}
"""By the names of the files; of JSON lines, each line is described."""


def schema(
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]",
            help="A name from the list that `agentrig schema` prints, such as verdict.json.",
            autocompletion=lambda incomplete: [name for name in SCHEMAS if name.startswith(incomplete)],
        ),
    ] = None,
) -> None:
    """Print the JSON Schema of a file that agentrig reads or writes; the names of all without one.

    Made from the records themselves. For completion in an editor, beside your experiment:

    Examples:
    `agentrig schema experiment.toml > experiment.schema.json`
    `agentrig schema verdict.json`
    """
    if file is None:
        for name in SCHEMAS:
            out.print(name, highlight=False)
        return
    if file not in SCHEMAS:
        raise InputError(
            f"there is no schema of {file!r}{suggest(file, SCHEMAS)} Known: {', '.join(SCHEMAS)}."
        )
    sys.stdout.write(text_of(file))


def text_of(name: str) -> str:
    """Return the schema of a file as it is printed."""
    return json.dumps(SCHEMAS[name](), indent=2, ensure_ascii=False) + "\n"
