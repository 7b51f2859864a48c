"""A success that is the HTML page of a proxy: every SDK takes it for an answer."""

from harness.simulator.faults.fault import Scene, Spoiled
from harness.simulator.faults.page import page
from harness.simulator.reply import Reply


def _change(scene: Scene) -> Reply:
    return page(200, "Welcome", scene.headers)


FAULT = Spoiled(kind="html_body", fault_class="malformed", change=_change)
