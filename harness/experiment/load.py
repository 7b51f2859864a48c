"""Reads an experiment: by its name in the catalogue, or by the path of a TOML file."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from harness.errors import InputError
from harness.experiment.spec import ExperimentSpec

ErrorLocation = tuple[int | str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The names that an experiment may use; the pipeline collects them from the stages.

    Attributes:
        checks: ids of the invariants.
        faults: kinds of the simulator's faults.
    """

    checks: Collection[str]
    faults: Collection[str]


def catalogue() -> tuple[str, ...]:
    """Return the names of the experiments that come with agentrig, in the order they run."""
    order = (
        *("cold-start", "sustainable-rate", "busy-routing", "busy-two-balancers", "busy-after-answer"),
        *("throttling", "session-continuity", "scale-out"),
    )
    found = {
        entry.name.removesuffix(".toml") for entry in _folder().iterdir() if entry.name.endswith(".toml")
    }
    return tuple(sorted(found, key=lambda name: (order.index(name) if name in order else len(order), name)))


def load(word: str, known: Known) -> ExperimentSpec:
    """Read the experiment that `word` names.

    Args:
        word: a name of the catalogue, or the path of a TOML file.
        known: the checks and faults that there are.

    Raises:
        InputError: there is no such experiment, or the file is wrong; the message names
            the file, the key and the way out.
    """
    if word in catalogue():
        return parse(_folder().joinpath(f"{word}.toml").read_text("utf-8"), f"{word}.toml", known)
    if word.endswith(".toml") or "/" in word:
        try:
            text = Path(word).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise InputError(f"{word}: cannot be read: {reason}. Check the path.") from error
        return parse(text, word, known)
    raise InputError(
        f"There is no experiment named {word!r}{_suggest(word, catalogue())} "
        f"Known: {', '.join(catalogue())}; or give the path of a .toml file."
    )


def parse(text: str, source: str, known: Known) -> ExperimentSpec:
    """Make an experiment of TOML text.

    Args:
        text: the TOML.
        source: what to call it in messages: a file name.
        known: the checks and faults that there are.

    Raises:
        InputError: one line for each thing that is wrong.
    """
    try:
        spec = ExperimentSpec.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{source}: is not valid TOML: {error}") from error
    except ValidationError as error:
        raise InputError(_complaints(error, source)) from error
    problems = [
        *_strangers("checks", (check.id for check in spec.checks), known.checks),
        *_strangers("simulator.faults", (fault.kind for fault in spec.simulator.faults), known.faults),
    ]
    if problems:
        raise InputError("\n".join(f"{source}: {problem}" for problem in problems))
    return spec


def _folder() -> Any:
    return resources.files("harness.experiment").joinpath("catalogue")


def _strangers(where: str, names: Iterable[str], known: Collection[str]) -> list[str]:
    return [
        f"{where}: there is no {name!r}{_suggest(name, known)} Known: {', '.join(sorted(known))}."
        for name in names
        if name not in known
    ]


def _suggest(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else "."


def _complaints(error: ValidationError, source: str) -> str:
    lines = []
    for item in error.errors():
        location: ErrorLocation = tuple(item["loc"])
        key = _dotted(location)
        if item["type"] == "extra_forbidden":
            siblings = _keys_at(location[:-1])
            hint = f"{_suggest(str(location[-1]), siblings)} Known keys here: {', '.join(siblings)}."
            lines.append(f"{source}: {key}: there is no such key{hint}")
        elif item["type"] == "missing":
            lines.append(f"{source}: {key}: is missing; add it.")
        else:
            given = f" (given: {item['input']!r})" if isinstance(item["input"], str | int | float) else ""
            said = item["msg"].removeprefix("Value error, ")
            lines.append(f"{source}: {key + ': ' if key else ''}{said[:1].lower()}{said[1:]}{given}")
    return "\n".join(lines)


def _dotted(location: Sequence[int | str]) -> str:
    parts: list[str] = []
    for part in location:
        if isinstance(part, int):
            parts[-1] += f"[{part}]"
        elif not part.startswith("[") and part != "constrained-float":
            parts.append(part)
    return ".".join(parts)


def _keys_at(location: Sequence[int | str]) -> tuple[str, ...]:
    """Return the keys that the table at `location` may have."""
    model: type[BaseModel] = ExperimentSpec
    for part in location:
        field = model.model_fields.get(str(part))
        if field is not None and (nested := _model_in(field.annotation)) is not None:
            model = nested
    return tuple(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _model_in(arg)) is not None), None)
