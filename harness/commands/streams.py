"""The two streams that a person reads: whoever prints, no secret gets there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO

from harness.outside.secrets import hidden


class _Hiding:
    """A stream of text, as another one but for what is hidden; there is no way past it to its bytes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, secrets and prompts hidden."""
        self._stream.write(hidden(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        """All else is the stream's."""
        if name in {"buffer", "writelines"}:
            raise AttributeError(name)
        return getattr(self._stream, name)


@contextmanager
def hiding() -> Iterator[None]:
    """Have secrets and prompts hidden in all that is printed within the block."""
    out: Any = _Hiding(sys.stdout)
    err: Any = _Hiding(sys.stderr)
    with redirect_stdout(out), redirect_stderr(err):
        yield
