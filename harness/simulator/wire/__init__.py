"""The protocols that the simulator speaks: one file each, and this explicit registry of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from harness.simulator.wire.anthropic import Anthropic, AnthropicCountTokens
from harness.simulator.wire.azure import AzureChat, AzureEmbeddings, AzureResponses
from harness.simulator.wire.bedrock_converse import BedrockConverse
from harness.simulator.wire.bedrock_invoke import BedrockCountTokens, BedrockInvoke
from harness.simulator.wire.gemini import Gemini, GeminiCountTokens
from harness.simulator.wire.openai_chat import OpenAIChat
from harness.simulator.wire.openai_embeddings import OpenAIEmbeddings
from harness.simulator.wire.openai_responses import OpenAIResponses
from harness.simulator.wire.protocol import Wire

PROTOCOLS: tuple[Callable[[], Wire], ...] = (
    OpenAIChat,
    OpenAIResponses,
    OpenAIEmbeddings,
    AzureChat,
    AzureResponses,
    AzureEmbeddings,
    Anthropic,
    AnthropicCountTokens,
    BedrockConverse,
    BedrockInvoke,
    BedrockCountTokens,
    Gemini,
    GeminiCountTokens,
)
PATHS_KEPT = 1000


class Wires:
    """One of each protocol, for one simulator: some remember what they were asked.

    Args:
        more: what makes others, which are asked before ours whether a path is theirs.
    """

    def __init__(self, more: Iterable[Callable[[], Wire]] = ()) -> None:
        self.all: tuple[Wire, ...] = tuple(protocol() for protocol in (*more, *PROTOCOLS))
        self._by_path: dict[str, Wire | None] = {}

    def of(self, path: str) -> Wire | None:
        """Return the protocol that a (still quoted) path belongs to."""
        try:
            return self._by_path[path]
        except KeyError:
            found = next((wire for wire in self.all if wire.serves(path)), None)
            if found is not None and len(self._by_path) < PATHS_KEPT:
                self._by_path[path] = found
            return found
