"""The HTTP contract of an AgentCore container, and the names on this agent's telemetry."""

from __future__ import annotations

from typing import Final

SESSION_HEADER: Final = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
REQUEST_HEADER: Final = "X-Amzn-Bedrock-AgentCore-Runtime-Request-Id"
BUSY_HEADER: Final = "x-agent-busy"
DEADLINE_HEADERS: Final = (
    "x-envoy-expected-rq-timeout-ms",
    "X-Amzn-Bedrock-AgentCore-Runtime-Custom-Timeout-Ms",
)
"""Milliseconds after which the caller has no use for the answer. Envoy sets the first by itself where a route
has a timeout; AgentCore lets headers of the second's kind through."""
DEGRADED_HEADER: Final = "x-envoy-degraded"
"""On a busy `/ping`: a balancer that polls it prefers other containers, and still may use this one."""

MAX_BODY_BYTES: Final = 1_048_576
MAX_BODY_S: Final = 10.0
"""A caller that sends slower than this would keep a slot from others."""
UNASKED_TYPES: Final = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data")
"""Of bodies that a page of somebody else may let a browser send without asking the agent."""
MAX_HEADER_BYTES: Final = 32_768
MAX_ID_CHARS: Final = 256

CLIENT_STATE: Final = "agentrig.client.state"
"""`cold` for a request that built the clients or waited for them, `warm` for all that follow."""
CLIENT_WAIT_S: Final = "agentrig.client.wait"
"""Seconds that the request waited for the clients."""
BUSY: Final = "agentrig.busy"
"""On the server span of a request that was refused, for no slot was free."""
CLIENT_NAME: Final = "agentrig.client.name"
"""Which client was built: `llm` or `mcp`."""
CLIENT_INIT_STATE: Final = "agentrig.client.init.state"
"""`cold` for the first build in a container, `reinit` for one in place of a client that was given up."""
CLIENT_INIT_REASON: Final = "agentrig.client.init.reason"
"""`first_use`, or why the one before was given up: `expired` or `broken`."""
AGENT_ID: Final = "agentrig.agent.id"
"""One for each Agent object, never the same again as Python's `id()` is. Of two requests, it was shared."""
QUEUE_WAIT_S: Final = "agentrig.queue.wait"
"""Seconds that the request waited inside the container for a slot."""
RETRY_ATTEMPTS: Final = "agentrig.retry.attempts"
"""How often the agent tried the call, the first time included."""
RETRY_OUTCOME: Final = "agentrig.retry.outcome"
"""`success`, or `permanent`, `answer_begun`, `exhausted`, `deadline`, `budget`, `cancelled`."""
RETRY_EVENT: Final = "agentrig.retry"
"""A backoff begins."""
RETRY_DELAY_S: Final = "agentrig.retry.delay"
"""Seconds until the next attempt."""
RETRY_DELAY_MS: Final = "agentrig.retry.delay_ms"
"""The same in whole ms, for who reads it."""
RETRY_DELAY_SOURCE: Final = "agentrig.retry.delay_source"
"""`backoff` for the agent's own, `retry_after` where the model API said how long."""
FIRST_CHUNK_S: Final = "gen_ai.response.time_to_first_chunk"
"""Seconds from the call to the first part of a streamed answer, retries included."""
AFTER_ANSWER_SPAN: Final = "agentrig.after_answer"
"""Its end is when the request's slot is free."""
