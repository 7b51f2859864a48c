"""Too many tokens: come back later."""

from harness.simulator.faults.effects import Fault, Refuse

FAULT = Fault(
    kind="rate_limit_tokens",
    fault_class="transient",
    effect=Refuse(
        status=429,
        code="rate_limit_exceeded",
        type="tokens",
        message="Rate limit reached for tokens per minute.",
    ),
)
