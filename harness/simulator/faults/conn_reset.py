"""The connection is reset before the first byte of an answer."""

from harness.simulator.faults.effects import Fault, Reset

FAULT = Fault(kind="conn_reset", fault_class="transient", effect=Reset())
