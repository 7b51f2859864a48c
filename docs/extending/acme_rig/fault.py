"""Acme's gateway is overloaded, and says so in words of its own."""

from harness.simulator.faults.fault import Scene, Spoiled
from harness.simulator.reply import Reply, at_once


def brownout(scene: Scene) -> Reply:
    """Answer in place of the model."""
    return at_once(503, [(b"content-type", b"text/plain"), *scene.headers], b"brown-out, come back later")


FAULT = Spoiled(kind="acme_brownout", fault_class="transient", change=brownout)
