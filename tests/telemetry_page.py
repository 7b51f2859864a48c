"""Writes the page of telemetry: `docs/telemetry.md`."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain

from harness import contract
from harness.fleet.commands import FleetAddresses, mcp_server
from reference_agent import contract as agents
from tests.telemetry_seen import (
    Counted,
    Place,
    Seen,
    instruments,
    loads_metrics,
    meanings,
    observes_metrics,
    simulators_metrics,
    spans,
)

HEAD = """# Telemetry

What each process of a fleet says of itself: the names of its spans, attributes, events and metrics. This
page is made from the code, and compared with the spans and series of real runs.

Names follow the OpenTelemetry semantic conventions
([HTTP](https://opentelemetry.io/docs/specs/semconv/http/http-spans/),
[GenAI](https://opentelemetry.io/docs/specs/semconv/gen-ai/),
[MCP](https://opentelemetry.io/docs/specs/semconv/gen-ai/mcp/)) where there is one; `agentrig.` is for what
has none. No prompt, answer or key is in any of it, whatever `OTEL_*` says: of an agent's spans only the
attributes that are known to hold no words are sent (`reference_agent/telemetry/redaction.py` lists them), and
of other packages' log lines the place alone. `AGENT_CAPTURE_MESSAGE_CONTENT=true` shows everything.

## One request

```text
{experiment} / {arm}                 locust       from the sending to the whole answer
└ ingress                            envoy        with the wait for a container
  └ router agents egress             envoy        one for each container that was tried
    └ POST /invocations              agent        the server span
      ├ session.load
      ├ client.init {client}                      only in the request that pays for it
      │ └ MCP send tools/list                     what the build itself does
      ├ invoke_agent {agent}
      │ ├ chat {model}                            the logical call, its retries included
      │ │ └ POST {path}                           one for each attempt
      │ │   └ chat {model}           model-api    what was served
      │ └ execute_tool {tool}
      │   └ MCP send tools/call {tool}
      │     └ tools/call {tool}      mcp-server
      ├ session.save
      └ agentrig.after_answer                     only where work goes on
```

"""
SERVICES = {
    contract.SERVICE_LOAD: "The load. Its spans are made from its rows when it has ended; plain "
    "`locust -f locustfiles` makes none.",
    contract.SERVICE_ENVOY: "The balancer.",
    contract.SERVICE_AGENT: "A container. Strands' own spans of a model attempt and of a cycle are left out: "
    "`chat {model}` stands for the whole logical call.",
    contract.SERVICE_SIMULATOR: "The model API simulator.",
    contract.SERVICE_MCP: "The tool server.",
}
SAYS = {
    ("locust", "{experiment} / {arm}"): "The root of the trace: what the caller saw.",
    ("envoy", "ingress"): "From the request's arrival at the balancer to the end of its answer.",
    (
        "envoy",
        "router gate egress",
    ): "The way from the part that takes a request in to the gate, in which it waits.",
    (
        "envoy",
        "router agents egress",
    ): "One attempt at one container; a 503 at the limit leads to a next one.",
    ("agent", "POST /invocations"): "The request inside the container; `/ping` and its like leave no span.",
    ("agent", "session.load"): "The conversation is read from the store.",
    ("agent", "session.save"): "The turn is written to the store.",
    (
        "agent",
        "client.init {client}",
    ): "A client is built. Once per container and client, or the cache is none.",
    ("agent", "invoke_agent {agent}"): "The Agent object works.",
    ("agent", "execute_tool {tool}"): "It calls a tool.",
    ("agent", "chat {model}"): "A logical model call, retries and their pauses included.",
    (
        "agent",
        "POST {path}",
    ): "One HTTP request to the model API, also one that an SDK sends again "
    "unasked; from the second attempt on, the name says which it is.",
    (
        "agent",
        "agentrig.after_answer",
    ): "Work goes on once the answer is out; its end is when the slot is free.",
    ("agent", "MCP send tools/call {tool}"): "A tool is called over MCP.",
    ("agent", "MCP send tools/list"): "The tools are listed, when a session is opened.",
    ("agent", "MCP send server/discover"): "A session is opened.",
    ("model-api", "chat {model}"): "One call as the model API received it.",
    ("mcp-server", "tools/call {tool}"): "A tool is called.",
    ("mcp-server", "tools/list"): "The tools are listed.",
    ("mcp-server", "server/discover"): "A session is opened.",
}
ONLY_WHEN = {
    agents.AFTER_ANSWER_SPAN: "`AGENT_AFTER_ANSWER_SHARE` is above 0",
    agents.QUEUE_WAIT_S: "the container queues at its limit, which a control arm does",
    "error.type": "something failed",
}
"""What a run need not have, by span or attribute."""

_EGRESS = (
    *("component", "error", "http.protocol", "http.status_code", "peer.address", "response_flags"),
    *("upstream_address", "upstream_cluster", "upstream_cluster.name", contract.BALANCER_WAIT_MS),
)
_INGRESS = (
    *("component", "downstream_cluster", "error", "guid:x-request-id", "http.method", "http.protocol"),
    *("http.status_code", "http.url", "node_id", "peer.address", "request_size", "response_flags"),
    *("response_size", "upstream_cluster", "upstream_cluster.name", "user_agent", "zone"),
    contract.BALANCER_WAIT_MS,
)
_MESSAGE = ("jsonrpc.request.id", "mcp.method.name")
_SERVED = (*_MESSAGE, "mcp.protocol.version")
_TOOL = ("gen_ai.operation.name", "gen_ai.tool.name")
BESIDE = [
    Seen(Place(service, scope, name, kind), frozenset(keys))
    for service, scope, name, kind, keys in (
        ("envoy", "envoy", "ingress", "server", _INGRESS),
        ("envoy", "envoy", "router gate egress", "client", _EGRESS),
        ("envoy", "envoy", "router agents egress", "client", (*_EGRESS, "retry.count")),
        ("agent", "mcp-python-sdk", "MCP send server/discover", "client", _MESSAGE),
        ("agent", "mcp-python-sdk", "MCP send tools/list", "client", _MESSAGE),
        ("agent", "mcp-python-sdk", "MCP send tools/call {tool}", "client", _MESSAGE),
        ("mcp-server", "mcp-python-sdk", "server/discover", "server", _SERVED),
        ("mcp-server", "mcp-python-sdk", "tools/list", "server", _SERVED),
        ("mcp-server", "mcp-python-sdk", "tools/call {tool}", "server", (*_SERVED, *_TOOL)),
    )
]
"""Spans of programs that no unit test starts."""


def all_spans() -> list[Seen]:
    return [*spans(), *BESIDE]


def resource_keys() -> list[str]:
    """Return what the harness puts on the resource of each process."""
    wiring = FleetAddresses(experiment="e", arm="a", capture=1, simulator=1, mcp=1, inherited={})
    pairs = mcp_server(wiring, 0.0).env["OTEL_RESOURCE_ATTRIBUTES"].split(",")
    return [contract.SERVICE_NAME, *(pair.partition("=")[0] for pair in pairs)]


def page() -> str:
    return HEAD + "\n".join(chain(_resource(), _spans(all_spans()), _own(all_spans()), _metrics()))


def _resource() -> Iterator[str]:
    says = meanings() | {
        contract.SERVICE_NAME: ", ".join(f"`{name}`" for name in SERVICES) + ".",
        contract.INSTANCE_ID: "One for each process: `agent-1`, `agent-2`, and so on. Envoy has none.",
    }
    yield "## Resource\n\nOn everything; beside it what the SDKs add (`telemetry.sdk.*`).\n"
    yield _table(("attribute", "meaning"), [(f"`{key}`", says[key]) for key in resource_keys()])


def _spans(seen: Sequence[Seen]) -> Iterator[str]:
    keys: dict[Place, set[str]] = defaultdict(set)
    events: dict[Place, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for each in seen:
        keys[each.place] |= each.keys
        for name, attributes in each.events:
            events[each.place][name] |= attributes
    yield "## Spans\n\nBold is what the section after this one explains.\n"
    for service, says in SERVICES.items():
        yield f"### {service}\n\n{says}\n"
        places = sorted((place for place in keys if place.service == service), key=_turn)
        yield _table(
            ("span", "meaning", "attributes"),
            [(_named(place), _meaning(place), _listed(keys[place], events[place])) for place in places],
        )


def _named(place: Place) -> str:
    return f"`{place.name}` ({place.kind}, `{place.scope}`)"


def _turn(place: Place) -> int:
    return list(SAYS).index((place.service, place.name))


def _meaning(place: Place) -> str:
    when = ONLY_WHEN.get(place.name)
    return SAYS[place.service, place.name] + (f" Only when {when}." if when else "")


def _listed(keys: set[str], events: dict[str, set[str]]) -> str:
    text = ", ".join(map(_key, sorted(keys, key=lambda key: (not is_ours(key), key)))) or "none"
    for name, attributes in sorted(events.items()):
        text += f"; event {_key(name)}: " + ", ".join(map(_key, sorted(attributes)))
    return text


def _key(key: str) -> str:
    return f"**`{key}`**" if is_ours(key) else f"`{key}`"


def is_ours(name: str) -> bool:
    return name.startswith("agentrig.")


def _own(seen: Sequence[Seen]) -> Iterator[str]:
    says = meanings()
    keys = {key for each in seen for key in each.keys | {k for _, ks in each.events for k in ks}}
    yield "## Our attributes\n"
    rows = [
        (f"`{key}`", says[key] + (f" Only when {ONLY_WHEN[key]}." if key in ONLY_WHEN else ""))
        for key in sorted(filter(is_ours, keys))
    ]
    yield _table(("attribute", "meaning"), rows)


def _metrics() -> Iterator[str]:
    yield (
        "## Metrics\n\nThe agent's, at its `/metrics`, beside `http.server.request.duration`, which "
        "`opentelemetry-instrumentation-fastapi` times:\n"
    )
    yield _table(
        ("instrument", "in Prometheus", "kind", "meaning"),
        [(f"`{m.name}`", f"`{m.series}`", m.kind, m.says) for m in instruments()],
    )
    for of, found in (
        ("model API simulator's, at its `/metrics`", simulators_metrics()),
        ("load's, at `/agentrig/metrics` of Locust's page", loads_metrics()),
        ("watch's, `agentrig observe SOURCE --every 5m --metrics HOST:PORT`", observes_metrics()),
    ):
        yield f"The {of}:\n"
        yield _table(("series", "labels", "kind", "meaning"), [_series(metric) for metric in found])
    for name in (contract.PING_BUSY, contract.PING_MUTE):
        yield f"In `metrics.jsonl` of a run also `{name}`: {meanings()[name]}\n"


def _series(metric: Counted) -> tuple[str, ...]:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return (f"`{metric.name}`", labels, metric.kind, metric.says.removesuffix("."))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = (f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))
    return "\n".join(lines) + "\n"
