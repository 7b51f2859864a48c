"""Detects in a project's files how its agent is started and asked, and where its model points."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Final

from harness.contract import INVOCATIONS, PING, SESSION_HEADER
from harness.outside.files import read_bytes

MOST_FILES: Final = 300
MOST_BYTES: Final = 300_000
MOST_FOLDERS: Final = 10_000
"""That are looked through: a project has fewer, and somebody may be in another place than they think."""
LONGEST_DOCSTRING: Final = 4000
PASSED_OVER: Final = frozenset(
    {"node_modules", "site-packages", "build", "dist", "tests", "test", "__pycache__"}
)
AGENTCORE: Final = re.compile(r"^[ \t]*(\w+)[ \t]*=\s*BedrockAgentCoreApp\(", re.MULTILINE)
WEB_APP: Final = re.compile(r"^(\w+)[ \t]*=\s*(?:FastAPI|Starlette|\w+\.to_web|\w+\.to_asgi)\(", re.MULTILINE)
POST: Final = re.compile(r"""@\w+\.post\(\s*["'](/[^"'{}]*)["']""")
PINGS: Final = re.compile(r"""@\w+\.get\(\s*["'](/(?:ping|healthz?|readyz|livez|ready))["']""")
ASKED: Final = re.compile(r"(invoc|invoke|chat|ask|run|message|agent)")
MODEL: Final = re.compile(r"class \w+\(BaseModel\):\s*")
FIELD: Final = re.compile(r"\s*(\w+)\s*:\s*str\b")
QUOTES: Final = '"""'
SESSION: Final = re.compile(r"\b(x[-_](?:[\w-]{0,60}[-_])?session[-_]id)\b", re.IGNORECASE)
MODELS: Final[Mapping[str, tuple[re.Pattern[str], Mapping[str, str]]]] = {
    "OpenAI": (
        re.compile(r"\bopenai\b|OpenAIModel|OPENAI_", re.IGNORECASE),
        {"OPENAI_BASE_URL": "{simulator}/v1", "OPENAI_API_KEY": "{api_key}"},
    ),
    "Anthropic": (
        re.compile(r"\banthropic\b", re.IGNORECASE),
        {"ANTHROPIC_BASE_URL": "{simulator}", "ANTHROPIC_API_KEY": "{api_key}"},
    ),
    "Bedrock": (
        re.compile(r"\bboto3\b|BedrockModel|bedrock-runtime"),
        {
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "{simulator}",
            "AWS_ACCESS_KEY_ID": "agentrig",
            "AWS_SECRET_ACCESS_KEY": "{api_key}",
            "AWS_REGION": "us-east-1",
        },
    ),
}
"""How an SDK is recognised, and the variables that point it at the simulator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectedAgent:
    """What was detected of an agent.

    Attributes:
        kind: of agent, in words.
        command: that starts it; empty when none was found.
        path, ready: its HTTP paths.
        prompt_field: key of the prompt in the body.
        session_header: that it reads, where one was found.
        env: that points its model at the simulator.
        models: the SDKs that were recognised.
        notes: what its owner should look at, a sentence each.
    """

    kind: str = "no agent was recognised"
    command: tuple[str, ...] = ()
    path: str = INVOCATIONS
    ready: str = PING
    prompt_field: str = "prompt"
    session_header: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def detect(folder: Path) -> DetectedAgent:
    """Read a project's files; nothing of it is run."""
    sources = {file: text for file in _files(folder) if (text := _text(file))}
    everything = "\n".join(sources.values()) + "".join(_text(file) for file in _lists(folder))
    models = tuple(name for name, (pattern, _) in MODELS.items() if pattern.search(everything))
    if not models and "strands" in everything:
        models = ("Bedrock",)  # what Strands takes when it is told nothing
    base = DetectedAgent(
        env={key: value for name in models for key, value in MODELS[name][1].items()},
        models=models,
        notes=() if models else ("Point its model at {simulator}: no SDK that agentrig knows was found.",),
    )
    for file, text in sources.items():
        if AGENTCORE.search(text):
            return _agentcore(base, file.relative_to(folder).as_posix(), text)
    for file, text in sources.items():
        if (web := WEB_APP.search(text)) and "post(" in text + everything:
            return _web(base, file.relative_to(folder), web[1], text)
    return replace(base, notes=(*base.notes, "Say in `command` how one container is started."))


def _agentcore(base: DetectedAgent, name: str, text: str) -> DetectedAgent:
    fixed = f'{name} has a fixed port; a fleet needs one each: app.run(port=int(os.environ["PORT"])).'
    return replace(
        base,
        kind=f"a BedrockAgentCoreApp in {name}",
        command=("python3", name),
        notes=base.notes if "PORT" in text else (*base.notes, fixed),
    )


def _web(base: DetectedAgent, file: Path, app: str, text: str) -> DetectedAgent:
    paths, ready = POST.findall(text), next(iter(PINGS.findall(text)), None)
    silent = "No /ping was found: give `ready` a path that answers 200 once it can work."
    session = SESSION.search(text)
    module = ".".join(file.with_suffix("").parts)
    return replace(
        base,
        kind=f"a web application in {file.as_posix()}",
        command=("python3", "-m", "uvicorn", f"{module}:{app}", "--port", "{port}"),
        path=next((each for each in paths if ASKED.search(each)), paths[0] if paths else INVOCATIONS),
        ready=ready or PING,
        prompt_field=_prompt_field(text) or "prompt",
        session_header=_header(session[1]) if session else None,
        notes=base.notes if ready else (*base.notes, silent),
    )


def _prompt_field(text: str) -> str | None:
    """Return the first text field of the first model that begins with one; its docstring is passed over."""
    for model in MODEL.finditer(text):
        begin = model.end()
        if text.startswith(QUOTES, begin):
            end = text.find(QUOTES, begin + len(QUOTES), begin + LONGEST_DOCSTRING)
            if end < 0:
                continue
            begin = end + len(QUOTES)
        if found := FIELD.match(text, begin):
            return found[1]
    return None


def _header(name: str) -> str | None:
    """Return a header's name as it is written; None for the one that is taken by default."""
    written = "-".join(part.capitalize() for part in re.split("[-_]", name))
    return None if written.lower() == SESSION_HEADER.lower() else written


def _files(folder: Path) -> Iterator[Path]:
    """Yield the project's Python files, those nearest to its root first."""
    found: list[Path] = []
    for place, folders, names in islice(os.walk(folder), MOST_FOLDERS):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in PASSED_OVER]
        found += [Path(place, name) for name in names if name.endswith(".py") and not name.startswith(".")]
    yield from sorted(found, key=lambda file: (len(file.parts), file.name))[:MOST_FILES]


def _lists(folder: Path) -> Iterator[Path]:
    yield from (folder / name for name in ("pyproject.toml", "requirements.txt", "Dockerfile"))


def _text(file: Path) -> str:
    try:
        content = read_bytes(file)
        return content.decode() if len(content) <= MOST_BYTES else ""
    except (OSError, UnicodeDecodeError):
        return ""
