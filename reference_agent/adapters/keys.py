"""The key of the model API: read anew for each build of the client, so that a new one needs no restart."""

from __future__ import annotations

import os
from typing import Final

from reference_agent.settings import Settings

KEY: Final = "OPENAI_API_KEY"


def openai_key(settings: Settings) -> str:
    """Return the key: of the file, else of the environment as it is now, else of the settings.

    Raises:
        ValueError: there is none, it can't be read, or no header can carry it. Its words are not told.
    """
    file = settings.openai_api_key_file
    if file is None:
        key, source = os.environ.get(KEY) or settings.openai_api_key.get_secret_value(), KEY
    else:
        source = f"{KEY}_FILE"
        try:
            key = file.read_text("utf-8")
        except (OSError, ValueError) as error:
            raise ValueError(f"{source}: {file} can't be read ({type(error).__name__})") from None
    key = key.strip()  # an editor ends a file with a newline
    if not key:  # also for a moment, while a file is written anew
        raise ValueError(f"{source}: there is none; for an endpoint that asks for none, give any word")
    if not key.isascii() or any(letter.isspace() or not letter.isprintable() for letter in key):
        raise ValueError(f"{source} has a space, a line break or a letter beyond ASCII within the key")
    return key


def is_outdated(key: str, settings: Settings) -> bool:
    """Return whether there is another key by now; one that can't be read is none."""
    try:
        return openai_key(settings) != key
    except ValueError:
        return False
