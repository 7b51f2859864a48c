"""Too many requests: come back later."""

from harness.simulator.faults.effects import Fault, Refuse

FAULT = Fault(
    kind="rate_limit_requests",
    fault_class="transient",
    effect=Refuse(
        status=429,
        code="rate_limit_exceeded",
        type="requests",
        message="Rate limit reached for requests per minute.",
    ),
)
