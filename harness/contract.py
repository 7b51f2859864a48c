"""What the harness expects of an agent under test: headers, paths, names on the telemetry.

The HTTP part is the AgentCore Runtime contract. The names follow the OpenTelemetry
semantic conventions where one exists; `agentrig.` is only for what has none.
"""

from __future__ import annotations

from typing import Final

# --- HTTP ------------------------------------------------------------------------------
INVOCATIONS: Final = "/invocations"
PING: Final = "/ping"
READYZ: Final = "/readyz"
METRICS: Final = "/metrics"

SESSION_HEADER: Final = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
REQUEST_HEADER: Final = "X-Amzn-Bedrock-AgentCore-Runtime-Request-Id"
BUSY_HEADER: Final = "x-agent-busy"
UPSTREAM_HEADER: Final = "x-agentrig-upstream"
"""Set by our balancer on the answer: `host:port` of the container that gave it."""

HEALTHY: Final = "Healthy"
HEALTHY_BUSY: Final = "HealthyBusy"

PING_BUSY: Final = "agentrig.ping.busy"
"""The sample that a look at `/ping` leaves: 1 for `HealthyBusy`, 0 for `Healthy`."""

PING_CHANGED: Final = "agentrig.ping.changed_at"
"""What the same look found in `time_of_last_update`, in Unix seconds."""
PING_MUTE: Final = "agentrig.ping.mute"
"""The sample of a look at `/ping` that got no such answer, of who has given one before: always 1."""
READY: Final = "agentrig.ready"
"""The sample that a look at `/readyz` leaves: 1 where it can work, 0 where it can't or gives no answer."""
INFLIGHT: Final = "agentrig_inflight"
"""The agent's own count of the requests in its work, as Prometheus has it."""
HELD: Final = (
    *("agentrig.memory", "agentrig.file_descriptors", "agentrig.threads", "agentrig.connections"),
    *("agentrig.series", "agentrig.store.size"),
)
"""What a process holds, as a soak looks at it: bytes, counts, lines of /metrics, bytes of the store."""
HANDSHAKES: Final = "agentrig.mcp.handshakes"
"""How many sessions were opened at the tool server, as that server counts."""
HANDSHAKES_PATH: Final = "/handshakes"
"""Where our tool server tells that."""

# --- spans -----------------------------------------------------------------------------
SPAN_CLIENT_INIT: Final = "client.init"
"""Span name is `client.init {name}`; match by prefix."""
SPAN_INVOKE_AGENT: Final = "invoke_agent"
SPAN_AFTER_ANSWER: Final = "agentrig.after_answer"
"""Work that goes on once the answer is out; its end is when the slot is free."""

SPAN_SESSION_LOAD: Final = "session.load"
SPAN_SESSION_SAVE: Final = "session.save"
SPAN_EXECUTE_TOOL: Final = "execute_tool"
SPAN_MCP_CALL: Final = "MCP send"
SPAN_MCP_TOOL_CALL: Final = "MCP send tools/call"
"""What the agent asks the tool server for; match by prefix, as the one before."""

CLIENT_NAME: Final = "agentrig.client.name"
TOOL_CLIENT: Final = "mcp"
CLIENT_INIT_STATE: Final = "agentrig.client.init.state"
CLIENT_INIT_REASON: Final = "agentrig.client.init.reason"
"""`first_use`, or why the client before was given up: `expired` or `broken`."""
CLIENT_STATE: Final = "agentrig.client.state"
AGENT_ID: Final = "agentrig.agent.id"
"""On `invoke_agent`: identifies the Agent object, so that a shared one shows."""
QUEUE_WAIT_S: Final = "agentrig.queue.wait"
"""On the server span: seconds that the request waited inside the container for a slot."""
RETRY_ATTEMPTS: Final = "agentrig.retry.attempts"
RETRY_OUTCOME: Final = "agentrig.retry.outcome"
RETRY_EVENT: Final = "agentrig.retry"
RETRY_DELAY_S: Final = "agentrig.retry.delay"
CLIENT_WAIT_S: Final = "agentrig.client.wait"
BUSY: Final = "agentrig.busy"
"""On the server span of a request that was refused, for no slot was free."""
FIRST_CHUNK_S: Final = "gen_ai.response.time_to_first_chunk"
"""On the model API's span, where it tells: seconds until the first part of the answer was due."""
TOKENS_IN: Final = "gen_ai.usage.input_tokens"
TOKENS_OUT: Final = "gen_ai.usage.output_tokens"
"""On a model call's span: what it was billed for."""
REQUEST_OK: Final = "agentrig.request.ok"
"""On the caller's span: whether it got its answer. Jaeger can search for it, unlike for a span's status."""
REQUEST_INDEX: Final = "agentrig.request.index"
"""The request's place in the arrivals: the same index is the same request in every arm."""
REQUEST_ID: Final = "agentrig.request.id"
"""What the agent knows the request by, if it comes twice."""
REQUEST_PHASE: Final = "agentrig.request.phase"
"""The part of the load that it belongs to."""
REQUEST_LATENESS_S: Final = "agentrig.request.lateness"
"""Seconds that the load sent it after it was due."""
UPSTREAM: Final = "agentrig.upstream"
"""`host:port` of the container that answered, as the balancer tells."""
UPSTREAM_ADDRESS: Final = "upstream_address"
"""The same of each attempt, on Envoy's span of it."""
SIMULATOR_TOKEN: Final = "AGENTRIG_SIMULATOR_TOKEN"  # noqa: S105 - its name
"""The variable with the token of the simulator's control API: arguments are for everybody to see."""
OTLP_HEADERS: Final = "OTEL_EXPORTER_OTLP_HEADERS"
"""A variable: what a receiver of OTLP asks for, such as a token; `name=value,name=value`."""
UPSTREAM_NAME: Final = "agentrig.upstream.name"
"""The name of that container in the fleet."""
ONE_CLOCK: Final = "ip"
"""Of each process's resource: where Jaeger knows of no common machine, it looks for skewed clocks."""
LOOPBACK: Final = "127.0.0.1"
BALANCER_WAIT_MS: Final = "agentrig.balancer.wait_ms"
"""Milliseconds that the request waited in the balancer for a container."""
SIMULATOR_DECISION: Final = "agentrig.simulator.decision"
"""What was served: `ok`, or the kind of fault."""
SIMULATOR_ATTEMPT: Final = "agentrig.simulator.attempt"
"""Which try of its call this is, as the simulator counts: ground truth."""
OPERATION: Final = "gen_ai.operation.name"
"""`chat` on the span of a logical model call; its attempts are the HTTP spans right below it."""
METHOD: Final = "http.request.method"
STATUS_CODE: Final = "http.response.status_code"
ERROR_TYPE: Final = "error.type"

# --- resource --------------------------------------------------------------------------
SERVICE_NAME: Final = "service.name"
INSTANCE_ID: Final = "service.instance.id"
EXPERIMENT: Final = "agentrig.experiment"
"""The experiment that the process runs for."""
ARM: Final = "agentrig.arm"
"""And its arm."""

SERVICE_AGENT: Final = "agent"
SERVICE_SIMULATOR: Final = "model-api"
SERVICE_MCP: Final = "mcp-server"
SERVICE_ENVOY: Final = "envoy"
SERVICE_LOAD: Final = "locust"
PARTS: Final = frozenset({SERVICE_SIMULATOR, SERVICE_MCP, SERVICE_ENVOY, SERVICE_LOAD})
"""The parts of the harness: a span of any other service is the agent's, whatever it calls itself."""
