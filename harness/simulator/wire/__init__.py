"""The protocols that the simulator speaks: one file each, and this explicit registry of them."""

from __future__ import annotations

from harness.simulator.wire.anthropic import Anthropic
from harness.simulator.wire.bedrock import Bedrock
from harness.simulator.wire.openai import OpenAI
from harness.simulator.wire.protocol import Wire

WIRES: tuple[Wire, ...] = (OpenAI(), Anthropic(), Bedrock())


def wire_for(path: str) -> Wire | None:
    """Return the protocol that a (still quoted) path belongs to."""
    return next((wire for wire in WIRES if wire.serves(path)), None)
