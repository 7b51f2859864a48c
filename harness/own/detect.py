"""Detects in a project's files how its agent is started and asked, and where its model points.

Nothing is guessed silently: what could not be known is a line to look at, and to fill in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Final

from harness.contract import INVOCATIONS, PING, SESSION_HEADER
from harness.fence import FENCE
from harness.outside.files import read_bytes
from harness.own.models import MODELS, models_in
from harness.own.node_code import PACKAGE, NodeCode, read_node
from harness.own.python_code import PythonCode, Route, is_session, read_code

MOST_FILES: Final = 300
MOST_BYTES: Final = 300_000
MOST_FOLDERS: Final = 10_000
"""That are looked through: a project has fewer, and somebody may be in another place than they think."""
LISTS: Final = ("pyproject.toml", "requirements.txt", "setup.py", "setup.cfg", "Pipfile")
"""What a Python project's dependencies are in: where one lies, imports begin."""
PASSED_OVER: Final = frozenset(
    {"node_modules", "site-packages", "build", "dist", "tests", "test", "__pycache__", "venv"}
)
ASKED: Final = ("invoc", "invoke", "chat", "ask", "run", "message", "agent", "stream", "query", "complet")
"""What the path that asks an agent has in it, the likeliest first."""
READY: Final = ("/ping", "/healthz", "/health", "/readyz", "/ready", "/livez")
PROMPTS: Final = ("prompt", "message", "question", "query", "input", "text", "user_input", "content", "q")
ANSWERS: Final = ("result", "answer", "reply", "response", "output", "message", "text", "content")
PIECES: Final = ("delta", "token", "text", "content", "chunk", "answer")
"""The key of an event that has a piece of the answer."""
PARAMETER: Final = re.compile(r"[{<](?:\w{1,20}:)?(\w{1,60})(?::\w{1,20})?[}>]")
"""A parameter of a path, as FastAPI and as Flask write it."""
KNOWN_VARIABLES: Final = frozenset({*FENCE, "PORT", "HOST", "MCP_SERVER_URL", "WEB_CONCURRENCY"})
FILL_IN: Final = "FILL-IN"
STANDS_FOR: Final[Mapping[str, str]] = {
    "{limit}": "the requests that it works on at once",
    "{sessions}": "a file that all containers may share",
}
"""What a variable of the project's own may be told, by the place that is filled in."""
CODE: Final = (".py", ".js", ".mjs", ".cjs", ".ts", ".mts")
SAY_COMMAND: Final = "Say in `command` how one container is started."
NO_PING: Final = "No /ping was found: give `ready` a path that answers 200 once it can work, or add one."
LISTENS: Final = "No /ping was found: `ready` is {}, which says that it listens; is there one that says more?"
OPENAPI: Final = "/openapi.json"
"""What every application of FastAPI serves that doesn't say otherwise (`openapi_url`)."""
OVERRIDDEN: Final = (
    "Its .env goes before what agentrig sets (override): leave that out, or let .env name no model API."
)
NO_ROUTE: Final = "No POST route was found: say in `path` and `prompt_field` how it is asked."


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectedAgent:
    """What was detected of an agent.

    Attributes:
        kind: of agent, in words.
        command: that starts it; empty when none was found.
        path, ready: its HTTP paths.
        prompt_field: key of the prompt in the body.
        body: the whole body, where more than that is sent; empty for none.
        session_header: that it reads, where one was found; empty for none.
        answer: path of the answer's text, empty when none was found.
        stream: whether it answers with events.
        opens: the path that opens a session, empty for none.
        env: that points its model at the simulator; what could not be known is `FILL_IN`.
        models: the SDKs that were recognised.
        notes: what its owner should look at, a sentence each.
    """

    kind: str = "no agent was recognised"
    command: tuple[str, ...] = ()
    path: str = INVOCATIONS
    ready: str = PING
    prompt_field: str = "prompt"
    body: Mapping[str, object] = field(default_factory=dict)
    session_header: str | None = None
    answer: str = ""
    stream: bool = False
    opens: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    models: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def detect(folder: Path) -> DetectedAgent:
    """Read a project's files; nothing of it is run."""
    sources = {file: text for file in files(folder) if (text := text_in(file))}
    python = {
        file: code for file, text in sources.items() if file.suffix == ".py" and (code := read_code(text))
    }
    used = [python[file].used if file in python else text for file, text in sources.items()]
    models = models_in("\n".join([*used, *(text_in(file) for file in _lists(folder))]))
    node = _node_of(folder, sources)
    names = [name for code in python.values() for name in code.read]
    read = dict.fromkeys([*names, *(name for code in node for name in code.read)])
    told = {name: place for name in read if (place := _place(name)) and name not in KNOWN_VARIABLES}
    required = dict.fromkeys(
        name for code in python.values() for name in code.required if name not in {*KNOWN_VARIABLES, *told}
    )
    notes = [f"{name} has to be set for it: give it a made-up value." for name in required]
    notes += [f"{name} is taken for {STANDS_FOR[place]}: {place}." for name, place in told.items()]
    if any([*(code.overrides for code in python.values()), *(code.overrides for code in node)]):
        notes.append(OVERRIDDEN)
    if not models:
        notes.insert(0, "Point its model at {simulator}: no SDK that agentrig knows was found.")
    base = DetectedAgent(
        env={key: value for name in models for key, value in MODELS[name][1].items()}
        | told
        | dict.fromkeys(required, FILL_IN),
        models=models,
        notes=tuple(notes),
    )
    found = _python(folder, python, base)
    if found is None and node:
        return _node(node[0], base)
    return found or replace(base, notes=(*base.notes, SAY_COMMAND))


def _node_of(folder: Path, sources: Mapping[Path, str]) -> tuple[NodeCode, ...]:
    """Return what a `package.json` and the code beside it say; nothing without one."""
    package = text_in(folder / PACKAGE)
    rest = {file: text for file, text in sources.items() if file.suffix != ".py"}
    return (read_node(folder, package, rest),) if package else ()


# --- Python ----------------------------------------------------------------------------
def _python(folder: Path, codes: Mapping[Path, PythonCode], base: DetectedAgent) -> DetectedAgent | None:
    apps = [
        Found(folder, file, variable, made, code)
        for file, code in codes.items()
        for variable, made in code.apps.items()
    ]
    for kind, described in (("BedrockAgentCoreApp", _agentcore), ("get_fast_api_app", _adk)):
        if of_kind := [each for each in apps if each.made == kind]:
            return _of_several(described(of_kind[0], codes, base), of_kind)
    asked = any(each.verb == "POST" for code in codes.values() for each in code.routes)
    apps = [each for each in apps if asked or each.made in {"to_web", "to_asgi"}]
    alone = [each for each in apps if _prefix(each.variable, each.file, codes) is None]
    if found := sorted(alone or apps, key=_unlikely):
        return _of_several(_web(found[0], codes, base, found[1:]), found)
    made = [(file, code, name) for file, code in codes.items() for name in code.factories]
    if found := [Found(folder, file, f"{name}()", "factory", code) for file, code, name in made]:
        return _of_several(_web(found[0], codes, base), found)
    for file, code in codes.items():
        for name in code.needing:
            told = _web(Found(folder, file, f"{name}()", "factory", code), codes, base)
            where = f"{name} in {file.relative_to(folder).as_posix()}"
            note = f"{where} can't be called without arguments. {SAY_COMMAND}"
            return replace(told, command=(), notes=(*told.notes, note))
    return None


def _unlikely(found: Found) -> tuple[bool, bool]:
    """Return what orders applications: first one that is asked, then one that has or includes routes."""
    own = [
        each.path.lower()
        for each in found.code.routes
        if (each.verb, each.router) == ("POST", found.variable)
    ]
    asked = any(word in path for word in ASKED for path in own)
    return not asked, not own and not found.code.mounted


def _of_several(told: DetectedAgent, found: Sequence[Found]) -> DetectedAgent:
    """Say of which applications the first was taken, where there are several."""
    if len(found) == 1:
        return told
    names = ", ".join(f"{each.variable} in {each.name}" for each in found)
    return replace(
        told, notes=(*told.notes, f"Several applications were found, and the first is taken: {names}.")
    )


@dataclass(frozen=True, slots=True)
class Found:
    """An application that was found: in which file, by which variable, and what made it."""

    folder: Path
    file: Path
    variable: str
    made: str
    code: PythonCode

    @property
    def name(self) -> str:
        """The file, below the project."""
        return self.file.relative_to(self.folder).as_posix()

    @property
    def base(self) -> str:
        """The folder that its imports begin at, below the project: empty for the project's own."""
        for above in self.file.parents:
            if above == self.folder:
                break
            own = any((above / name).exists() for name in LISTS)
            if own or (above.name == "src" and not (above / "__init__.py").exists()):
                return above.relative_to(self.folder).as_posix()
        return ""

    @property
    def module(self) -> str:
        """The file, as a module."""
        return ".".join(self.file.relative_to(self.folder / self.base).with_suffix("").parts)

    @property
    def python(self) -> str:
        """The project's own Python, where it has one."""
        bases = dict.fromkeys((self.base, ""))
        own = (Path(base, venv, "bin", "python").as_posix() for base in bases for venv in (".venv", "venv"))
        return next((each for each in own if (self.folder / each).exists()), "python3")

    def served(self) -> tuple[str, ...]:
        """Return what serves it on a port that is told."""
        name, factory = self.variable.removesuffix("()"), self.variable.endswith("()")
        if self.made in {"Flask", "Quart"}:
            tool = self.made.lower()
            told = (
                f"{self.name if self.base else self.module}:{name}"  # of a file it finds where imports begin
            )
            return (self.python, "-m", tool, "--app", told, "run", "--port", "{port}")
        base = ("--app-dir", self.base) if self.base else ()
        extra = (*base, "--factory") if factory else base
        start = (self.python, "-m", "uvicorn", *extra, f"{self.module}:{name}")
        return (*start, "--port", "{port}", "--log-level", "warning")


def _agentcore(found: Found, _codes: Mapping[Path, PythonCode], base: DetectedAgent) -> DetectedAgent:
    asked = [each for each in found.code.routes if each.path == INVOCATIONS]
    answers = [key for each in asked for key in each.answers]
    fields = [key for each in asked for key in each.fields]
    kind = f"a BedrockAgentCoreApp in {found.name}"
    if not found.code.runs_at_import:
        return replace(
            base,
            kind=kind,
            command=found.served(),
            prompt_field=_first(PROMPTS, fields, whole=False) or "prompt",
            answer=_first(ANSWERS, answers, whole=False),
        )
    guard = 'if __name__ == "__main__"'
    fixed = f"{found.name} starts when it is imported: let it listen on PORT, or only below `{guard}`."
    return replace(base, kind=kind, command=(found.python, found.name), notes=(*base.notes, fixed))


def _adk(found: Found, codes: Mapping[Path, PythonCode], base: DetectedAgent) -> DetectedAgent:
    """Google's own server: a session is made first, and the words of a request are nested."""
    agents = list(dict.fromkeys(file.parent.name for file, code in codes.items() if code.root_agent))
    name = agents[0] if agents else FILL_IN
    ids = {"appName": name, "userId": "agentrig", "sessionId": "{session}"}
    more = (
        ()
        if len(agents) == 1
        else (f"It serves {', '.join(agents) or 'no agent that was found'}: name one in body.",)
    )
    return replace(
        base,
        kind=f"a server of Google's ADK in {found.name}",
        command=found.served(),
        path="/run",
        ready="/list-apps",
        body={**ids, "newMessage": {"role": "user", "parts": [{"text": "{prompt}"}]}},
        session_header="",
        answer="[-1].content.parts[0].text",
        opens=f"/apps/{name}/users/agentrig/sessions/{{session}}",
        notes=(*base.notes, *more),
    )


def _web(
    found: Found, codes: Mapping[Path, PythonCode], base: DetectedAgent, others: Sequence[Found] = ()
) -> DetectedAgent:
    """Describe an application, of whose routes none is that of others."""
    theirs = {(each.file, each.variable) for each in others}
    routes = [
        replace(each, path=(_prefix(each.router, file, codes) or "") + each.path)
        for file, code in codes.items()
        for each in code.routes
        if (file, each.router) not in theirs
    ]
    posts = [each for each in routes if each.verb == "POST"]
    asked = next((each for word in ASKED for each in posts if word in each.path.lower()), None)
    asked = asked or (posts[0] if posts else None)
    ready, note = _ready(routes, openapi=_has_openapi(found, codes))
    notes = [*base.notes, *note]
    what = found.made if found.made in {"Flask", "Quart"} else "web"
    told = replace(
        base,
        kind=f"a {what} application in {found.name}",
        command=found.served(),
        ready=ready,
        stream=found.code.streams,
    )
    if asked is None:
        notes.append(NO_ROUTE)
        return replace(told, notes=tuple(notes))
    return _asked(told, asked, found.code, notes)


def _ready(routes: Iterable[Route], *, openapi: bool) -> tuple[str, tuple[str, ...]]:
    """Return the path that says that an agent can work, and what to look at where none was found."""
    gets = {each.path for each in routes if each.verb == "GET"}
    if found := next((each for each in READY if each in gets), None):
        return found, ()
    listens = OPENAPI if openapi else "/" if "/" in gets else ""
    return listens or PING, (LISTENS.format(listens) if listens else NO_PING,)


def _has_openapi(found: Found, codes: Mapping[Path, PythonCode]) -> bool:
    """Return whether an application is one of FastAPI's that keeps the page of its routes."""
    fastapi = found.made == "FastAPI" or (found.made == "factory" and "FastAPI(" in found.code.used)
    return fastapi and not any("openapi_url" in code.used for code in codes.values())


def _asked(told: DetectedAgent, route: Route, code: PythonCode | NodeCode, notes: list[str]) -> DetectedAgent:
    """Add how the route that was found is asked."""
    path = PARAMETER.sub(lambda found: "{session}" if is_session(found[1]) else FILL_IN, route.path)
    prompt = _first(PROMPTS, route.fields, whole=True)
    session = next((each for each in route.fields if is_session(each)), "")
    if not prompt:
        notes.append("Which key of the body holds the prompt was not found: see prompt_field.")
    if not (session or route.header or "{session}" in path):
        notes.append(
            "Where it takes a session's id was not found: see session_header, and {session} in body."
        )
    if code.bearer:
        notes.append("It looks for a bearer token: give it in `headers`.")
    if code.streams:
        answer = _first(PIECES, code.stream_keys, whole=False)
    else:
        answer = _first(ANSWERS, route.answers, whole=False)
    in_body = bool(session) and not route.header
    return replace(
        told,
        path=path,
        prompt_field=prompt or "prompt",
        body={prompt or "prompt": "{prompt}", session: "{session}"} if in_body else {},
        session_header=_header(route.header)
        if route.header
        else ("" if in_body or "{session}" in path else None),
        answer=answer,
        notes=tuple(notes),
    )


def _prefix(variable: str, file: Path, codes: Mapping[Path, PythonCode]) -> str | None:
    """Return the prefix at which a router or an application is included; None where it is nowhere."""
    for code in codes.values():
        for name in (f"{file.stem}.{variable}", variable):
            if name in code.mounted:
                return code.mounted[name]
    return None


def _place(variable: str) -> str:
    """Return what a variable of the project's own stands for, by its name; empty where that is unclear."""
    words = variable.lower().split("_")
    if "concurrency" in words or {"max", "concurrent"} <= set(words):
        return "{limit}"
    sessions = any(is_session(each) for each in words)
    return "{sessions}" if sessions and words[-1] in {"sessions", "db", "file", "path", "sqlite"} else ""


def _first(known: Iterable[str], names: Iterable[str], *, whole: bool) -> str:
    """Return the likeliest of some names; of `whole` one that isn't known as well, when there is no other."""
    there = list(dict.fromkeys(names))
    likely = next((each for each in known if each in there), "")
    left = [each for each in there if not is_session(each)]
    return likely or (left[0] if whole and len(left) == 1 else "")


def _header(name: str) -> str | None:
    """Return a header's name; None for the one that is taken by default."""
    return None if name.lower() == SESSION_HEADER.lower() else name


# --- Node ------------------------------------------------------------------------------
def _node(code: NodeCode, base: DetectedAgent) -> DetectedAgent:
    posts = [each for each in code.routes if each.verb == "POST"]
    notes = list(base.notes)
    if code.missing:
        notes.append(f"package.json starts {code.missing}, which is not there: is it built first?")
    if not code.command:
        notes.append(SAY_COMMAND)
    if "PORT" not in code.read:
        notes.append("Let it listen on process.env.PORT: a fleet needs a port for each container.")
    ready, note = _ready(code.routes, openapi=False)
    notes += note
    told = replace(
        base,
        kind="a Node application",
        command=code.command,
        ready=ready,
        stream=code.streams,
    )
    asked = next((each for word in ASKED for each in posts if word in each.path.lower()), None)
    asked = asked or (posts[0] if posts else None)
    if asked is None:
        return replace(told, notes=(*notes, NO_ROUTE))
    return _asked(told, asked, code, notes)


# --- files -----------------------------------------------------------------------------
def files(folder: Path) -> Iterator[Path]:
    """Yield the project's Python and JavaScript files, those nearest to its root first."""
    found: list[Path] = []
    for place, folders, names in islice(os.walk(folder), MOST_FOLDERS):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in PASSED_OVER]
        found += [Path(place, name) for name in names if name.endswith(CODE) and not name.startswith(".")]
    yield from sorted(found, key=lambda file: (len(file.parts), file.name))[:MOST_FILES]


def _lists(folder: Path) -> Iterator[Path]:
    yield from (folder / name for name in (*LISTS, PACKAGE, "Dockerfile"))


def text_in(file: Path) -> str:
    """Return the text of a file; nothing of one that is too long, or none."""
    try:
        content = read_bytes(file)
        return content.decode() if len(content) <= MOST_BYTES else ""
    except (OSError, UnicodeDecodeError):
        return ""
