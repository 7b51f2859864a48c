"""The spans and metrics that our code makes, seen by running it in this process."""

import ast
import asyncio
import inspect
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest.mock import create_autospec

from opentelemetry.metrics import Meter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as classic

import harness.contract
import reference_agent.contract
from harness.capture.decode import KINDS
from harness.load.kit.metrics import exposition
from harness.load.kit.tally import Tally
from harness.load.spans import SCOPE, client_spans
from harness.observe.metrics import Metrics as WindowMetrics
from harness.simulator.metrics import Metrics
from harness.simulator_config import SimulatorConfig
from reference_agent.telemetry.instruments import Instruments
from tests.harness.load.rows import row
from tests.harness.observe.seen import limits_of, spans_of, window_of
from tests.harness.simulator.asgi import Api
from tests.harness.simulator.wires import PATHS, body
from tests.reference_agent.rig import Tools, exporter, rig
from tests.reference_agent.wire import calls_tool, refuses, says

THROTTLED = refuses(429, "rate_limit_exceeded", retry_after_ms="1")
VARIABLE = {
    r"^client\.init .+": "client.init {client}",
    r"^chat .+": "chat {model}",
    r"^invoke_agent .+": "invoke_agent {agent}",
    r"^execute_tool .+": "execute_tool {tool}",
    r"tools/call .+": "tools/call {tool}",
    r"^POST /v1/.+": "POST {path}",
    r"^\S+ / \S+$": "{experiment} / {arm}",
}


class Place(NamedTuple):
    """Which span, and whose."""

    service: str
    scope: str
    name: str
    kind: str


@dataclass(frozen=True)
class Seen:
    """One span: where, its attributes, and its events with theirs."""

    place: Place
    keys: frozenset[str]
    events: frozenset[tuple[str, frozenset[str]]] = frozenset()


def general(name: str) -> str:
    """Return a span's name with a word in braces for what differs."""
    for pattern, replacement in VARIABLE.items():
        name = re.sub(pattern, replacement, name)
    return name


def meanings() -> dict[str, str]:
    """Return what the contracts say below each of their names."""
    return dict(chain.from_iterable(map(_documented, (harness.contract, reference_agent.contract))))


def _documented(module: Any) -> Iterator[tuple[str, str]]:
    body = ast.parse(inspect.getsource(module)).body
    for named, said in pairwise(body):
        match named, said:
            case ast.AnnAssign(value=ast.Constant(value=name)), ast.Expr(value=ast.Constant(value=text)):
                yield name, text


def spans() -> list[Seen]:
    return [*_agents(), *_simulators(), *_loads()]


# --- the agent -------------------------------------------------------------------------
def _agents() -> Iterator[Seen]:
    exporter().clear()
    with TemporaryDirectory() as folder:
        asyncio.run(_live(Path(folder)))
    yield from (_seen("agent", span) for span in exporter().get_finished_spans())
    exporter().clear()


async def _live(folder: Path) -> None:
    """Use a tool and one that isn't there, retry, refuse, fail, queue, build in vain, and work on after."""
    replies = (calls_tool("search"), calls_tool("none"), THROTTLED, says("found"), refuses(400))
    at = {"openai_base_url": "http://model:8080/v1", "agent_concurrency_limit": 1}
    async with rig(folder, *replies, tools=Tools, **at) as agent:
        await agent.ask()
        slot = agent.parts.busy.try_acquire()
        assert slot is not None
        await agent.ask()
        slot.release()
        await agent.ask()
    async with rig(folder, says("ok"), agent_concurrency_limit=1, agent_controls={"queue-at-limit"}) as agent:
        await asyncio.gather(agent.ask(session="a"), agent.ask(session="b"))
    async with rig(folder, says("ok"), build=_fails) as agent:
        await agent.ask(session="d")
    async with rig(folder, says("ok"), refuses(400), agent_after_answer_share=1.0) as agent:
        await agent.ask(session="c")
        while agent.parts.busy.state.in_flight:  # noqa: ASYNC110 - a slot is given back without an event
            await asyncio.sleep(0)


async def _fails() -> None:
    raise ConnectionError


def _seen(service: str, span: ReadableSpan) -> Seen:
    scope = span.instrumentation_scope.name if span.instrumentation_scope else ""
    return Seen(
        Place(service, scope, general(span.name), span.kind.name.lower()),
        frozenset(span.attributes or ()),
        frozenset((event.name, frozenset(event.attributes or ())) for event in span.events),
    )


# --- the model API simulator and the load ----------------------------------------------
def _simulators() -> Iterator[Seen]:
    for faults in ([], [{"kind": "overloaded"}]):
        kept = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(kept))
        api = Api(SimulatorConfig.model_validate({"faults": faults}), provider=provider)
        api.ask("POST", PATHS["openai"], content=body("openai", stream=True))
        yield from (_seen("model-api", span) for span in kept.get_finished_spans())


def _loads() -> Iterator[Seen]:
    sent = client_spans([row(0), row(1, status=503, error="no")], {row(0).upstream or "": "agent-1"})
    (resource,) = ExportTraceServiceRequest.FromString(sent).resource_spans
    for span in resource.scope_spans[0].spans:
        place = Place("locust", SCOPE, general(span.name), KINDS[span.kind])
        yield Seen(place, frozenset(attribute.key for attribute in span.attributes))


# --- metrics ---------------------------------------------------------------------------
class Counted(NamedTuple):
    """A metric: the name of the instrument, or of the series; its labels where the code tells."""

    name: str
    kind: str
    unit: str
    says: str
    labels: tuple[str, ...] = ()

    @property
    def series(self) -> str:
        """Its name in Prometheus."""
        if "." not in self.name:
            return self.name
        unit = {"s": "_seconds"}.get(self.unit, "")
        total = "_total" if self.kind in {"counter", "observable counter"} else ""
        return self.name.replace(".", "_") + unit + total


def instruments() -> list[Counted]:
    meter = create_autospec(Meter)
    Instruments(meter)
    return [_instrument(*call) for call in meter.method_calls]


def _instrument(method: str, args: tuple[Any, ...], told: dict[str, Any]) -> Counted:
    given = inspect.signature(getattr(Meter, method)).bind(None, *args, **told).arguments
    kind = method.removeprefix("create_").replace("_", " ")
    return Counted(given["name"], kind, given.get("unit", ""), given["description"])


def simulators_metrics() -> list[Counted]:
    api = Api()
    api.chat()
    return _families(classic(Metrics(api.simulator).text().decode()))


def loads_metrics() -> list[Counted]:
    tally = Tally(failures=Counter(timeout=1), upstreams=Counter({"127.0.0.1:1": 1}))
    return _families(open_metrics(exposition(tally).decode()))


def observes_metrics() -> list[Counted]:
    metrics = WindowMetrics(60.0, 3_600.0)
    metrics.take(window_of(spans_of("clients", "sound"), limits_of("clients")))
    return _families(classic(metrics.text().decode()))


def _families(families: Iterable[Metric]) -> list[Counted]:
    return [
        Counted(
            family.name + ("_total" if family.type == "counter" else ""),
            family.type,
            "",
            family.documentation,
            tuple(sorted({label for sample in family.samples for label in sample.labels} - {"le"})),
        )
        for family in families
    ]
