"""A proxy in front of the provider got no answer from it."""

from harness.simulator.faults.fault import Scene, Spoiled
from harness.simulator.faults.page import page
from harness.simulator.reply import Reply


def _change(scene: Scene) -> Reply:
    return page(502, "502 Bad Gateway", scene.headers)


FAULT = Spoiled(kind="bad_gateway", fault_class="transient", change=_change)
