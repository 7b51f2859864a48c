"""Acme's gateway speaks OpenAI's chat, at a path of its own."""

from harness.simulator.wire.openai_chat import OpenAIChat


class Acme(OpenAIChat):
    """OpenAI's chat completions below `/acme/v2`."""

    name = "acme"

    def serves(self, path: str) -> bool:
        """Return whether a path is this protocol's."""
        return path == "/acme/v2/chat"
