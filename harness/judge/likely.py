"""The likely cause of what fell short in a user's agent, by the API that its model client speaks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from harness.records.history import ArmHistory

_OPENAI_RETRIES: Final = (
    "`max_retries` of the OpenAI client is 2 by default, and a used-up quota is retried, too: "
    "`max_retries=0`, where something else retries"
)
_ANTHROPIC_RETRIES: Final = (
    "`max_retries` of the Anthropic client is 2 by default: `max_retries=0`, where something else retries"
)
_BOTO_RETRIES: Final = (
    "botocore tries 3 to 5 times by default, and reads no Retry-After: "
    '`Config(retries={"total_max_attempts": 1})`, where something else retries'
)
_RETRIES: Final[Mapping[str, str]] = {
    "openai": _OPENAI_RETRIES,
    "responses": _OPENAI_RETRIES,
    "azure": _OPENAI_RETRIES,
    "anthropic": _ANTHROPIC_RETRIES,
    "bedrock": _BOTO_RETRIES,
}
_CLIENTS: Final[Mapping[str, str]] = {
    "openai": "`OpenAI()` made in the handler, or a framework's model in it, has a pool of its own each time",
    "anthropic": "`Anthropic()` made in the handler has a pool of its own each time",
    "bedrock": '`boto3.client("bedrock-runtime")` made in the handler has a pool of its own each time',
}
LIKELY: Final[Mapping[str, Mapping[str, str]]] = {
    "attempts-bounded": _RETRIES,
    "permanent-once": _RETRIES,
    "retry-after-respected": _RETRIES,
    "connections-bounded": _CLIENTS,
}
"""By check, then by protocol of the journal."""


def likely(check: str, history: ArmHistory) -> str:
    """Return the likely cause for an agent of the usual SDKs, as a sentence; empty where nothing is known."""
    # of a live system, the host stands behind it
    protocols = Counter(row.protocol.partition(" ")[0] for row in history.journal)
    if not protocols or check not in LIKELY:
        return ""
    cause = LIKELY[check].get(protocols.most_common(1)[0][0], "")
    return f" Likely: {cause}." if cause else ""
