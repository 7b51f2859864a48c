"""A small part of JSONPath: names, positions and `[*]`, as in `$.message.parts[0].text` or `[-1].content`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

Path = tuple[str | int | None, ...]
"""Names and positions on the way down; None stands for every one of a list."""
_STEP: Final = re.compile(r"""\.?([^\W\d][\w-]*)|\[(-?\d{1,9}|\*)\]|\[("[^"]*"|'[^']*')\]""")
WHOLE: Final = "$"


def parse(text: str) -> Path:
    """Read a path; `$` is the whole answer, and may be left out before anything else.

    Raises:
        ValueError: it is none; says where.
    """
    steps: list[str | int | None] = []
    at = 1 if text.startswith(WHOLE) else 0
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None or (step[0].startswith(".") and not at):
            where = f"{text[:at]}>>>{text[at:]}"
            raise ValueError(f"is no path such as message.parts[0].text: not understood from {where!r}")
        name, position, quoted = step.groups()
        if name is not None:
            steps.append(name)
        elif position is not None:
            steps.append(None if position == "*" else int(position))
        else:
            steps.append(quoted[1:-1])
        at = step.end()
    if not text:
        raise ValueError("is empty; give a path such as message.parts[0].text, or $ for the whole answer")
    return tuple(steps)


def find(value: Any, path: Path) -> list[Any]:
    """Return what stands at a path of a JSON value: nothing, one, or with `[*]` any number."""
    found = [value]
    for step in path:
        found = [below for each in found for below in _below(each, step)]
    return found


def _below(value: Any, step: str | int | None) -> Iterable[Any]:
    if isinstance(value, dict) and isinstance(step, str):
        return (value[step],) if step in value else ()
    if isinstance(value, list):
        if step is None:
            return value
        if isinstance(step, int) and -len(value) <= step < len(value):
            return (value[step],)
    return ()
