"""What the code of a Python agent says of how it is started and asked; it is read, and never run."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from harness.contract import INVOCATIONS

APPS: Final = frozenset(
    {"BedrockAgentCoreApp", "FastAPI", "Starlette", "Flask", "Quart", "get_fast_api_app", "to_web", "to_asgi"}
)
"""What makes an application, by the last part of its name."""
FACTORIES: Final = ("create_app", "make_app", "build_app", "get_app")
WRAPPERS: Final = frozenset({"jsonify", "JSONResponse", "ORJSONResponse", "json_response"})
"""What an answer's dictionary is put into."""
VERBS: Final = frozenset({"get", "post", "put", "patch"})
ADDED: Final[Mapping[str, str]] = {
    "add_api_route": "",
    "add_route": "",
    "add_url_rule": "",
    "Route": "",
    "APIRoute": "",
    "add_get": "GET",
    "add_post": "POST",
    "add_put": "PUT",
}
"""What adds a route where it is called, with its verb where the name tells it."""
ENTRYPOINT: Final = "entrypoint"
"""What AgentCore's SDK calls the function that is asked; it has one path."""
MADE_FROM_BODY: Final = frozenset({"model_validate", "model_validate_json", "parse_obj", "parse_raw"})
"""How a model is made from a body that the handler reads itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A path that is served.

    Attributes:
        verb: GET, POST, ...
        path: with its router's own prefix.
        router: the variable that it hangs on.
        header: that tells the session, empty for none.
        fields: of the JSON body, where they are told; answers: of the answer.
    """

    verb: str
    path: str
    router: str
    header: str = ""
    fields: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()


@dataclass(slots=True)
class PythonCode:
    """What one file says.

    Attributes:
        apps: variable to what made it.
        factories: functions that make an application; needing are those that are to be told something.
        routes: in the order they stand.
        mounted: variable of a router, or of an application within another, to the prefix that it is at.
        required: variables of the environment without which it fails.
        read: variables of the environment that it looks for, those with a default as well.
        runs_at_import: whether it starts a server when it is imported.
        streams: whether it answers with server-sent events; stream_keys are those of the events' JSON.
        bearer: whether it looks for a bearer token.
        overrides: whether a `.env` is put in place of what the environment says.
        root_agent: whether it defines what Google's ADK serves.
        used: its text without docstrings and comments.
    """

    apps: dict[str, str] = field(default_factory=dict)
    factories: list[str] = field(default_factory=list)
    needing: list[str] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    mounted: dict[str, str] = field(default_factory=dict)
    required: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    runs_at_import: bool = False
    streams: bool = False
    stream_keys: list[str] = field(default_factory=list)
    bearer: bool = False
    overrides: bool = False
    root_agent: bool = False
    used: str = ""


def read_code(text: str) -> PythonCode | None:
    """Read a file; None when it is not Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what an escape or a number should be: that is their affair
            tree = ast.parse(text)
        return _read(tree, text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _read(tree: ast.Module, text: str) -> PythonCode:
    code = PythonCode(used=_without_docstrings(tree, text))
    code.streams = "text/event-stream" in text or "EventSourceResponse" in text
    code.bearer = "HTTPBearer" in text or "OAuth2PasswordBearer" in text
    models = {node.name: _fields(node) for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    prefixes: dict[str, str] = {}
    constants = dict(_constants(tree))
    makers = dict(_makers(tree))
    for statement in tree.body:
        _top_level(code, statement, makers)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            made = [(name, call) for name, call in _assigned(node) if _last_name(call.func) == "APIRouter"]
            prefixes |= {name: _text_of(call, "prefix") for name, call in made}
        elif isinstance(node, ast.Call):
            _call(code, node)
        elif isinstance(node, ast.Subscript):
            code.required += _required(node)
            code.read += _required(node)
    handlers: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            code.routes += _routes(node, models, prefixes, constants)
            handlers[node.name] = node
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            code.routes += _added(node, handlers, models, prefixes, constants)
    return code


def _makers(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the functions at the module's top that make an application, each with what makes it."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            made = (_last_name(each.func) for each in ast.walk(node) if isinstance(each, ast.Call))
            if found := next((name for name in made if name in APPS), ""):
                yield node.name, found


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the texts that have a name at the module's top."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            value = node.value.value
            yield from ((each.id, str(value)) for each in node.targets if isinstance(each, ast.Name))


def _without_docstrings(tree: ast.Module, text: str) -> str:
    """Return the lines of a file that are neither docstring nor comment: what these name is not used."""
    lines: list[str] = ["" if line.lstrip().startswith("#") else line for line in text.split("\n")]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and first.end_lineno:
            for number in range(first.lineno - 1, first.end_lineno):
                lines[number] = ""
    return "\n".join(lines)


def _top_level(code: PythonCode, node: ast.stmt, makers: Mapping[str, str]) -> None:
    if isinstance(node, ast.Assign | ast.AnnAssign):
        for name, call in _assigned(node):
            made = _last_name(call.func)
            if (made := makers.get(made, made)) in APPS:
                code.apps[name] = made
            code.root_agent |= name == "root_agent"
    elif isinstance(node, ast.FunctionDef) and (node.name in FACTORIES or _makes(node, makers)):
        (code.needing if _needs(node) else code.factories).append(node.name)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        code.runs_at_import |= _last_name(node.value.func) == "run" and bool(code.apps)


def _makes(node: ast.FunctionDef, makers: Mapping[str, str]) -> bool:
    """Return whether a function gives an application to whoever calls it."""
    gives = any(isinstance(each, ast.Return) and each.value is not None for each in ast.walk(node))
    return node.name in makers and gives


def _needs(node: ast.FunctionDef) -> bool:
    """Return whether a function can't be called without arguments."""
    needed = len(node.args.posonlyargs) + len(node.args.args) - len(node.args.defaults)
    return needed > 0 or any(default is None for default in node.args.kw_defaults)


def _required(node: ast.Subscript) -> list[str]:
    """Return the variable of the environment that is read, and has to be there."""
    if _dotted(node.value) == "os.environ" and isinstance(node.ctx, ast.Load):
        return [str(node.slice.value)] if isinstance(node.slice, ast.Constant) else []
    return []


def _call(code: PythonCode, node: ast.Call) -> None:
    name = _last_name(node.func)
    if name in {"include_router", "register_blueprint"} and node.args:
        prefix = _text_of(node, "prefix") or _text_of(node, "url_prefix")
        parts = _dotted(node.args[0]).split(".")
        code.mounted[parts[-1]] = prefix
        code.mounted[".".join(parts[-2:])] = prefix
    elif name == "mount" and len(node.args) > 1 and (inner := _dotted(node.args[1])):
        code.mounted[".".join(inner.split(".")[-2:])] = _first_text(node)
    elif name == "load_dotenv":
        told = [each.value for each in node.keywords if each.arg == "override"]
        code.overrides |= any(isinstance(each, ast.Constant) and each.value is True for each in told)
    elif _dotted(node.func) in {"os.environ.get", "os.getenv", "environ.get", "getenv"}:
        code.read += [text] if (text := _first_text(node)) else []
    elif name == "dumps" and node.args and isinstance(node.args[0], ast.Dict):
        code.stream_keys += _keys(node.args[0])


def _routes(
    node: ast.FunctionDef | ast.AsyncFunctionDef,
    models: dict[str, list[str]],
    prefixes: dict[str, str],
    constants: Mapping[str, str],
) -> Iterator[Route]:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Attribute) and decorator.attr == ENTRYPOINT:
            yield Route(
                verb="POST",
                path=INVOCATIONS,
                router=_last_name(decorator.value),
                fields=tuple(_asked(node, models)),
                answers=tuple(_answered(node, models)),
            )
        if not isinstance(decorator, ast.Call) or not isinstance(decorator.func, ast.Attribute):
            continue
        path = _first_text(decorator)
        verbs = _verbs(decorator)
        if not path.startswith("/") and path:
            continue
        router = _last_name(decorator.func.value)
        for verb in verbs:
            yield Route(
                verb=verb,
                path=prefixes.get(router, "") + path,
                router=router,
                header=next(_session_headers(node, constants), ""),
                fields=tuple(_asked(node, models)),
                answers=tuple(_answered(node, models, decorator)),
            )


def _added(
    call: ast.Call,
    handlers: Mapping[str, ast.FunctionDef | ast.AsyncFunctionDef],
    models: dict[str, list[str]],
    prefixes: dict[str, str],
    constants: Mapping[str, str],
) -> Iterator[Route]:
    """Yield the routes that a call adds, such as `app.add_api_route("/chat", chat, methods=["POST"])`."""
    name = _last_name(call.func)
    path = _first_text(call)
    if name not in ADDED or not path.startswith("/"):
        return
    named = {each.arg: each.value for each in call.keywords}
    given = [*call.args[1:], *(named[key] for key in ("endpoint", "view_func", "handler") if key in named)]
    handler = next((handlers[told] for each in given if (told := _last_name(each)) in handlers), None)
    router = _last_name(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    for verb in [ADDED[name]] if ADDED[name] else _verbs_told(call):
        yield Route(
            verb=verb,
            path=prefixes.get(router, "") + path,
            router=router,
            header=next(_session_headers(handler, constants), "") if handler else "",
            fields=tuple(_asked(handler, models)) if handler else (),
            answers=tuple(_answered(handler, models)) if handler else (),
        )


def _verbs(decorator: ast.Call) -> list[str]:
    name = _last_name(decorator.func)
    if name in VERBS:
        return [name.upper()]
    return _verbs_told(decorator) if name == "route" else []


def _verbs_told(call: ast.Call) -> list[str]:
    methods = next((each.value for each in call.keywords if each.arg == "methods"), None)
    if isinstance(methods, ast.List | ast.Tuple | ast.Set):
        return [str(each.value) for each in methods.elts if isinstance(each, ast.Constant)]
    return ["GET"]


def _session_headers(
    node: ast.FunctionDef | ast.AsyncFunctionDef, constants: Mapping[str, str]
) -> Iterator[str]:
    """Yield the headers that a handler takes as arguments and that name a session."""
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    defaults = [*[None] * (len(node.args.args) - len(node.args.defaults)), *node.args.defaults]
    given = dict(zip((each.arg for each in node.args.args), defaults, strict=False))
    given |= {
        each.arg: default for each, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    }
    for argument in arguments:
        made = [given.get(argument.arg), argument.annotation]
        calls = [call for each in made if each for call in ast.walk(each) if isinstance(call, ast.Call)]
        for call in calls:
            if _last_name(call.func) == "Header" and is_session(argument.arg):
                alias = _text_of(call, "alias") or constants.get(_name_of(call, "alias"), "")
                yield alias or "-".join(p.capitalize() for p in argument.arg.split("_"))


def is_session(name: str) -> bool:
    """Return whether a name is one that sessions have."""
    return any(word in name.lower() for word in ("session", "thread", "conversation", "chat_id", "chatid"))


def _asked(node: ast.FunctionDef | ast.AsyncFunctionDef, models: dict[str, list[str]]) -> Iterator[str]:
    """Yield the fields of the body: of the model that a handler takes, or those it reads from JSON."""
    for argument in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]:
        if argument.annotation is not None:
            for each in ast.walk(argument.annotation):
                if isinstance(each, ast.Name | ast.Attribute):
                    yield from models.get(_last_name(each), ())
    for each in ast.walk(node):
        if isinstance(each, ast.Subscript) and isinstance(each.slice, ast.Constant):
            if isinstance(each.slice.value, str) and isinstance(each.ctx, ast.Load):
                yield each.slice.value  # the key of a body that was read as JSON
        elif isinstance(each, ast.Call):
            yield from _read_from_body(each, models)


def _read_from_body(call: ast.Call, models: dict[str, list[str]]) -> Iterator[str]:
    made = call.func
    if isinstance(made, ast.Attribute) and made.attr in MADE_FROM_BODY:
        yield from models.get(_last_name(made.value), ())
    elif _last_name(made) == "get" and (text := _first_text(call)):
        yield text


def _answered(
    node: ast.FunctionDef | ast.AsyncFunctionDef,
    models: dict[str, list[str]],
    decorator: ast.Call | None = None,
) -> Iterator[str]:
    """Yield the fields of the answer: of the model that is named, or of what is returned."""
    keywords = decorator.keywords if decorator else ()
    told = [each.value for each in keywords if each.arg == "response_model"]
    for name in map(_last_name, filter(None, [*told, node.returns])):
        yield from models.get(name, ())
    for each in ast.walk(node):
        if isinstance(each, ast.Return) and each.value is not None:
            value = each.value
            if isinstance(value, ast.Call) and value.args and _last_name(value.func) in WRAPPERS:
                value = value.args[0]
            if isinstance(value, ast.Dict):
                yield from _keys(value)


def _fields(node: ast.ClassDef) -> list[str]:
    return [
        each.target.id
        for each in node.body
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    ]


def _keys(node: ast.Dict) -> list[str]:
    return [str(key.value) for key in node.keys if isinstance(key, ast.Constant)]


def _assigned(node: ast.Assign | ast.AnnAssign) -> Iterator[tuple[str, ast.Call]]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    if isinstance(node.value, ast.Call):
        yield from ((each.id, node.value) for each in targets if isinstance(each, ast.Name))


def _text_of(call: ast.Call, name: str) -> str:
    for each in call.keywords:
        if each.arg == name and isinstance(each.value, ast.Constant) and isinstance(each.value.value, str):
            return each.value.value
    return ""


def _name_of(call: ast.Call, name: str) -> str:
    return next((_last_name(each.value) for each in call.keywords if each.arg == name), "")


def _first_text(call: ast.Call) -> str:
    if call.args and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str):
        return call.args[0].value
    return _text_of(call, "path")


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _last_name(node: ast.AST | None) -> str:
    return "" if node is None else _dotted(node).rpartition(".")[2]
