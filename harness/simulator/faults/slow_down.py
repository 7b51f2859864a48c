"""The load grew too fast, though it is below the limit."""

from harness.simulator.faults.fault import Refusal
from harness.simulator.wire.protocol import WireProblem

FAULT = Refusal(
    kind="slow_down",
    fault_class="transient",
    problems={
        "openai": WireProblem(
            status=429,
            type="requests",
            code="slow_down",
            message="Slow down: reduce your request rate to its earlier level.",
        ),
        "anthropic": WireProblem(
            status=429,
            type="rate_limit_error",
            message="Your usage has increased too quickly. Please ramp up gradually.",
        ),
        "bedrock": WireProblem(
            status=429,
            type="ThrottlingException",
            message="Your request rate is too high. Reduce the frequency of requests.",
        ),
        "gemini": WireProblem(
            status=429,
            type="RESOURCE_EXHAUSTED",
            message="Resource exhausted. Please try again later.",
        ),
    },
)
