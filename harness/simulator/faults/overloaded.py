"""The provider has too much to do, whoever asks."""

from harness.simulator.faults.effects import Fault, Refuse

FAULT = Fault(
    kind="overloaded",
    fault_class="transient",
    effect=Refuse(
        status=503,
        code="overloaded",
        type="server_error",
        message="The engine is currently overloaded, please try again later.",
    ),
)
