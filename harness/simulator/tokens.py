"""Access tokens, as an OAuth server gives them: short-lived, and checked without being kept."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from hashlib import blake2b

PREFIX = "sim-token"


class TokenIssuer:
    """Gives tokens, and knows them again: each tells its own end, signed.

    Args:
        now: Unix time in seconds.
        secret: what they are signed with; a new one for each process by default.
    """

    def __init__(self, now: Callable[[], float], secret: bytes | None = None) -> None:
        self._now = now
        self._secret = secret or secrets.token_bytes(32)

    def issue(self, lifetime_s: float) -> str:
        """Return a token that holds for so many seconds."""
        end_ms = str(round((self._now() + lifetime_s) * 1000))
        return f"{PREFIX}.{end_ms}.{self._signature(end_ms)}"

    def holds(self, token: str) -> bool:
        """Return whether a token is one of ours, and not over."""
        prefix, _, rest = token.partition(".")
        end_ms, _, signature = rest.partition(".")
        if prefix != PREFIX or not (end_ms.isascii() and end_ms.isdigit() and signature.isascii()):
            return False
        return hmac.compare_digest(signature, self._signature(end_ms)) and self._now() * 1000 < int(end_ms)

    def _signature(self, text: str) -> str:
        return blake2b(text.encode(), key=self._secret, digest_size=16).hexdigest()
