"""The key is wrong, and stays wrong."""

from harness.simulator.faults.effects import Fault, Refuse

FAULT = Fault(
    kind="auth",
    fault_class="permanent",
    effect=Refuse(
        status=401,
        code="invalid_api_key",
        type="invalid_request_error",
        message="Incorrect API key provided.",
    ),
)
