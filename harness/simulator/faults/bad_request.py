"""The request is invalid, and stays so."""

from harness.simulator.faults.effects import Fault, Refuse

FAULT = Fault(
    kind="bad_request",
    fault_class="permanent",
    effect=Refuse(
        status=400,
        code="invalid_value",
        type="invalid_request_error",
        message="Invalid value: a parameter of the request is not supported.",
    ),
)
