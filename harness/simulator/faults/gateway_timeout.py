"""A proxy in front of the provider waited too long for it."""

from harness.simulator.faults.fault import Scene, Spoiled
from harness.simulator.faults.page import page
from harness.simulator.reply import Reply


def _change(scene: Scene) -> Reply:
    return page(504, "504 Gateway Time-out", scene.headers)


FAULT = Spoiled(kind="gateway_timeout", fault_class="transient", change=_change)
