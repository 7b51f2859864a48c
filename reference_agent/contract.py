"""The HTTP contract of an AgentCore container, and the names on this agent's telemetry."""

from __future__ import annotations

from typing import Final

SESSION_HEADER: Final = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
REQUEST_HEADER: Final = "X-Amzn-Bedrock-AgentCore-Runtime-Request-Id"
BUSY_HEADER: Final = "x-agent-busy"
DEGRADED_HEADER: Final = "x-envoy-degraded"
"""On a busy `/ping`: a balancer that polls it prefers other containers, and still may use this one."""

MAX_BODY_BYTES: Final = 1_048_576
MAX_BODY_S: Final = 10.0
"""A caller that sends slower than this would keep a slot from others."""
MAX_HEADER_BYTES: Final = 32_768
MAX_ID_CHARS: Final = 256

CLIENT_STATE: Final = "agentrig.client.state"
CLIENT_WAIT_S: Final = "agentrig.client.wait"
BUSY: Final = "agentrig.busy"
"""On the server span of a request that was refused, for no slot was free."""
CLIENT_NAME: Final = "agentrig.client.name"
CLIENT_INIT_STATE: Final = "agentrig.client.init.state"
CLIENT_INIT_REASON: Final = "agentrig.client.init.reason"
AGENT_ID: Final = "agentrig.agent.id"
QUEUE_WAIT_S: Final = "agentrig.queue.wait"
RETRY_ATTEMPTS: Final = "agentrig.retry.attempts"
RETRY_OUTCOME: Final = "agentrig.retry.outcome"
RETRY_EVENT: Final = "agentrig.retry"
RETRY_DELAY_S: Final = "agentrig.retry.delay"
RETRY_DELAY_SOURCE: Final = "agentrig.retry.delay_source"
AFTER_ANSWER_SPAN: Final = "agentrig.after_answer"
"""Its end is when the request's slot is free."""
