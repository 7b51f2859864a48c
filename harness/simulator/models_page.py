"""Which models there are, as each provider lists them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import unquote

DEFAULT_MODELS = ("gpt-5", "gpt-4o-mini", "claude-sonnet-4-5", "gemini-2.5-flash", "text-embedding-3-small")
"""What is listed while any name is taken."""
_OPENAI = re.compile(r"^/(?:v1|openai/v1|openai)/models(?:/([^/]+))?$")
_GEMINI = re.compile(r"^/(?:v1beta|v1alpha)/models(?:/([^/:]+))?$")
LONGEST_NAME = 80
"""Of what was asked for, said back."""
_GEMINI_KEY = b"x-goog-api-key"
_CREATED = "2026-01-15T00:00:00Z"


def models_page(
    path: str, headers: Iterable[tuple[bytes, bytes]], models: Sequence[str]
) -> tuple[int, dict[str, Any]] | None:
    """Return status and body of a list of models, or of one; None when the path is none of theirs.

    Args:
        path: still quoted.
        headers: of the request: Anthropic's clients and Gemini's ask the same path as OpenAI's, and are known
            by theirs.
        models: that there are; any, when none is named.
    """
    if found := _OPENAI.match(path):
        names = {name for name, _ in headers}
        write = _anthropic if b"anthropic-version" in names else _gemini if _GEMINI_KEY in names else _openai
    elif found := _GEMINI.match(path):
        write = _gemini
    else:
        return None
    if found[1] is None:
        return 200, write(models or DEFAULT_MODELS, None)
    name = unquote(found[1])
    if models and name not in models:
        return 404, _MISSING[write](name[:LONGEST_NAME])
    return 200, write((name,), name)


def _openai(models: Sequence[str], one: str | None) -> dict[str, Any]:
    told = [
        {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "simulator"} for name in models
    ]
    return told[0] if one else {"object": "list", "data": told}


def _anthropic(models: Sequence[str], one: str | None) -> dict[str, Any]:
    told = [{"type": "model", "id": name, "display_name": name, "created_at": _CREATED} for name in models]
    return told[0] if one else {"data": told, "has_more": False, "first_id": models[0], "last_id": models[-1]}


def _gemini(models: Sequence[str], one: str | None) -> dict[str, Any]:
    actions = ["generateContent", "countTokens"]
    told = [
        {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": actions}
        for name in models
    ]
    return told[0] if one else {"models": told}


def _no_openai(name: str) -> dict[str, Any]:
    problem = {"message": f"The model '{name}' does not exist.", "type": "invalid_request_error"}
    return {"error": problem | {"param": "model", "code": "model_not_found"}}


def _no_anthropic(name: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": "not_found_error", "message": f"model: {name}"}}


def _no_gemini(name: str) -> dict[str, Any]:
    message = f"Model is not found: models/{name} for api version v1beta"
    return {"error": {"code": 404, "message": message, "status": "NOT_FOUND"}}


_MISSING = {_openai: _no_openai, _anthropic: _no_anthropic, _gemini: _no_gemini}
"""How it is said that there is no such model, by how they are listed."""
