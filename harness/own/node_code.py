"""What the files of a Node agent say of how it is started and asked; they are searched, and never run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.outside.text import parse_json
from harness.own.python_code import Route, is_session

PACKAGE: Final = "package.json"
COMMENT: Final = re.compile(r"^\s{0,80}(?://[^\n]{0,400}|/\*.{0,2000}?\*/)", re.DOTALL | re.MULTILINE)
SIMPLE: Final = re.compile(r"[\w@./:=-]{1,100}( [\w@./:=-]{1,200}){0,9}")
"""A command that needs no shell."""
LISTENS: Final = re.compile(r"\.listen\(|\bserve\(\s{0,20}\{")
ROUTE: Final = re.compile(r"""\.(get|post)\(\s{0,20}["'`](/[^"'`\s]{0,200})["'`]""")
METHOD: Final = r"""method\s{0,9}===?\s{0,9}["'](GET|POST)["']"""
TARGET: Final = r"""(?:url|pathname)\s{0,9}===?\s{0,9}["'](/[^"']{0,200})["']"""
BY_HAND: Final = re.compile(rf"{METHOD}[^;{{}}]{{0,80}}{TARGET}")
BY_HAND_TURNED: Final = re.compile(rf"{TARGET}[^;{{}}]{{0,80}}{METHOD}")
"""A route of Node's own server, in either order."""
READ: Final = (
    r"(?:(?:await )?(?:req|request|c|ctx)(?:\.req|\.request)?\.(?:body|json\(\))"
    r"|JSON\.parse\(\s{0,9}(?:await )?(?:body|raw|data|text|read\w{0,30}|Buffer)\b)"
)
TAKEN_APART: Final = re.compile(r"\{([^{}]{1,300})\}\s{0,9}(?::\s{0,9}[\w<>]{1,60}\s{0,9})?=\s{0,20}" + READ)
BODY_KEY: Final = re.compile(r"(?:req|request)\.body\??\.(\w{1,60})")
SENT: Final = re.compile(
    r"(?:\.(?:json|send)\(|(?:\.end|Response)\(\s{0,9}JSON\.stringify\()\s{0,20}\{([^{}]{1,300})"
)
EVENT: Final = re.compile(r"data: \$\{\s{0,9}JSON\.stringify\(\s{0,9}\{([^{}]{1,200})")
HEADER: Final = re.compile(r"""(?:headers\[|\.get\(|\.header\()\s{0,9}["']([\w-]{1,60})["']""")
BEARER: Final = re.compile(
    r"""(?:headers\.|headers\[["']|\.header\(["']|\.get\(["'])authorization""", re.IGNORECASE
)
OVERRIDES: Final = re.compile(r"config\(\s{0,20}\{[^{}]{0,200}\boverride:\s{0,9}true\b")
"""What dotenv is told."""
VARIABLE: Final = re.compile(
    r"""process\.env(?:\.|\[["'])(\w{1,60})|\{([^{}]{1,300})\}\s{0,9}=\s{0,9}process\.env\b"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCode:
    """What was found.

    Attributes:
        command: that starts it, empty when none was found.
        missing: what its package starts and is not there, empty for nothing.
        routes: in the order they stand; one that is asked has the fields of all bodies that are read.
        read: variables of the environment that it looks for.
        streams: whether it answers with server-sent events; stream_keys are those of the events' JSON.
        bearer: whether it looks for a bearer token.
        overrides: whether a `.env` is put in place of what the environment says.
    """

    command: tuple[str, ...]
    missing: str
    routes: tuple[Route, ...]
    read: tuple[str, ...]
    streams: bool
    stream_keys: tuple[str, ...]
    bearer: bool
    overrides: bool


def read_node(folder: Path, package: str, sources: Mapping[Path, str]) -> NodeCode:
    """Read a project.

    Args:
        folder: of the project.
        package: the text of its `package.json`.
        sources: its JavaScript and TypeScript files.
    """
    texts = {file: COMMENT.sub("", text) for file, text in sources.items()}
    text = "\n".join(texts.values())
    command, missing = _command(folder, package, texts)
    variables = [name for one, several in VARIABLE.findall(text) for name in (one, *_keys(several)) if name]
    return NodeCode(
        command=command,
        missing=missing,
        routes=tuple(_routes(text)),
        read=tuple(dict.fromkeys(variables)),
        streams="text/event-stream" in text,
        stream_keys=tuple(key for found in EVENT.findall(text) for key in _keys(found)),
        bearer=bool(BEARER.search(text)),
        overrides=bool(OVERRIDES.search(text)),
    )


def _command(folder: Path, package: str, texts: Mapping[Path, str]) -> tuple[tuple[str, ...], str]:
    """Return what starts it, and the file that its package names and that is not there."""
    said = _package(package)
    scripts = said.get("scripts")
    start = scripts.get("start") if isinstance(scripts, dict) else None
    named = start if isinstance(start, str) else ""
    if not named and isinstance(said.get("main"), str):
        named = f"node {said['main']}"
    words = tuple(named.split()) if SIMPLE.fullmatch(named) else ()
    if named and words[:1] != ("node",):
        tool = f"node_modules/.bin/{words[0]}" if words else ""
        return ((tool, *words[1:]) if tool and (folder / tool).exists() else ("npm", "start")), ""
    if words and (folder / words[-1]).is_file():
        return words, ""
    listening = (
        file
        for file, text in texts.items()
        if LISTENS.search(text) and file.suffix in {".js", ".mjs", ".cjs"}
    )
    found = next((("node", file.relative_to(folder).as_posix()) for file in listening), ())
    return found, words[-1] if words and start else ""


def _package(text: str) -> Mapping[str, Any]:
    try:
        said = parse_json(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _routes(text: str) -> Iterator[Route]:
    found = [(verb.upper(), path) for verb, path in ROUTE.findall(text)]
    found += BY_HAND.findall(text)
    found += [(verb, path) for path, verb in BY_HAND_TURNED.findall(text)]
    taken = [key for keys in TAKEN_APART.findall(text) for key in _keys(keys)]
    fields = (*taken, *BODY_KEY.findall(text))
    answers = tuple(key for keys in SENT.findall(text) for key in _keys(keys))
    header = next((name for name in HEADER.findall(text) if is_session(name)), "")
    for verb, path in dict.fromkeys(found):
        named = re.sub(r"/:(\w{1,60})", r"/{\1}", path)
        yield Route(verb=verb, path=named, router="app", header=header, fields=fields, answers=answers)


def _keys(text: str) -> list[str]:
    """Return the names at the beginnings of what commas divide."""
    found = (re.match(r"\s{0,80}(\w{1,60})", part) for part in text.split(","))
    return [each[1] for each in found if each]
