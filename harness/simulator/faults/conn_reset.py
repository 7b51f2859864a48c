"""The connection is reset before the first byte of an answer."""

from harness.simulator.faults.fault import Scene, Spoiled
from harness.simulator.reply import Ending, Reply, nothing


def _change(_: Scene) -> Reply:
    return nothing(Ending.RESET)


FAULT = Spoiled(kind="conn_reset", fault_class="transient", change=_change)
