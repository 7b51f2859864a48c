"""What is of Linux, or of POSIX, alone: each place that uses it, and what happens on another machine."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeGuard

import pytest

from tests.bare import NAMES, NOWHERE

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "machines.md").read_text("utf-8")

GUARDED: Mapping[tuple[str, str], str] = {
    ("harness/capture/__main__.py", "uvloop"): "Windows: the loop of asyncio, which costs more CPU",
    (
        "harness/outside/patience.py",
        "signal.SIGALRM",
    ): "Windows: a check of another package may take as long as it likes",
    ("harness/machine.py", "resource"): "Windows: no limit of open files to raise or to look at",
    (
        "harness/machine.py",
        "os.sched_getaffinity",
    ): "macOS, Windows: all cores of the machine are taken for usable",
    (
        "harness/outside/files.py",
        "fcntl",
    ): "Windows: no locks, so two runs in one folder are not told of each other",
    ("harness/outside/files.py", "os.fchmod"): "Windows: a file is as open as its folder is",
    (
        "harness/process/leftovers.py",
        "fcntl",
    ): "Windows: nobody waits for the end of a harness that is killed",
    (
        "harness/process/child.py",
        "os.waitid",
    ): "macOS before Python 3.13: a child is reaped when it is looked at",
    (
        "harness/load/service.py",
        "select.poll",
    ): "Windows: `select`, which takes no large number of connections",
}
"""Looked for before it is used, or imported within a `try`: with what becomes of it elsewhere."""

AT_USE: Mapping[tuple[str, str], str] = {
    ("harness/fleet/docker/container.py", "signal.SIGSTOP"): "experiments that freeze containers need POSIX",
    ("harness/fleet/docker/container.py", "signal.SIGCONT"): "experiments that freeze containers need POSIX",
    ("harness/fleet/kubernetes/pod.py", "signal.SIGSTOP"): "experiments that freeze containers need POSIX",
    ("harness/fleet/kubernetes/pod.py", "signal.SIGCONT"): "experiments that freeze containers need POSIX",
    ("harness/fleet/local/processes.py", "signal.SIGSTOP"): "experiments that freeze containers need POSIX",
    ("harness/fleet/local/processes.py", "signal.SIGCONT"): "experiments that freeze containers need POSIX",
    ("harness/fleet/redis_pair.py", "signal.SIGKILL"): "a Redis of one's own needs POSIX, as Redis does",
    ("harness/process/child.py", "os.getsid"): "a fleet's processes are sessions: POSIX",
    ("harness/process/child.py", "os.killpg"): "a fleet's processes are sessions: POSIX",
    ("harness/process/child.py", "signal.SIGCONT"): "a fleet's processes are sessions: POSIX",
    ("harness/process/die_with_parent.py", "signal.SIGKILL"): "asked of the kernel where that is Linux",
    ("harness/process/leftovers.py", "os.O_CLOEXEC"): "only where there are locks",
    ("harness/process/leftovers.py", "os.O_NOFOLLOW"): "only where there are locks",
    ("harness/process/leftovers.py", "signal.SIGHUP"): "only where there are locks: it is started beside one",
    ("harness/process/leftovers.py", "signal.SIGKILL"): "only where there is /proc",
    (
        "harness/outside/http.py",
        "socket.AF_UNIX",
    ): "Envoy's own control is a Unix socket: a fleet needs POSIX",
}
"""Used without a look, in a function that is called by nothing that has to work there."""


def sources() -> Iterator[Path]:
    for top in ("harness", "reference_agent", "locustfiles"):
        yield from sorted((ROOT / top).rglob("*.py"))


def is_look(node: ast.AST) -> TypeGuard[ast.Call]:
    """Return whether something is looked for that may not be there."""
    return isinstance(node, ast.Call) and ast.unparse(node.func) in {"hasattr", "getattr"}


def used(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Yield each name of another machine's lack that a module uses, and where."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names if alias.name in NOWHERE)
        elif isinstance(node, ast.ImportFrom) and node.module in NOWHERE:
            yield str(node.module), node
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in NAMES.get(node.value.id, ()):
                yield f"{node.value.id}.{node.attr}", node
        elif is_look(node) and isinstance(name := node.args[1], ast.Constant):
            module = ast.unparse(node.args[0])
            if name.value in NAMES.get(module, ()):
                yield f"{module}.{name.value}", node


def found() -> dict[tuple[str, str], list[ast.AST]]:
    places: defaultdict[tuple[str, str], list[ast.AST]] = defaultdict(list)
    for file in sources():
        for name, node in used(ast.parse(file.read_text("utf-8"))):
            places[str(file.relative_to(ROOT)), name].append(node)
    return dict(places)


def at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what of a module is executed when it is imported."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            for each in (*child.args.defaults, *child.args.kw_defaults, *child.decorator_list):
                if each is not None:
                    yield from (each, *at_import(each))
        elif not isinstance(child, ast.Lambda):
            yield child
            yield from at_import(child)


def test_each_place_is_known_and_says_what_happens_elsewhere() -> None:
    assert {*GUARDED, *AT_USE} == set(found()) - CHECKED_BY_GETATTR
    assert all(why for why in (*GUARDED.values(), *AT_USE.values()))


CHECKED_BY_GETATTR = {("harness/process/child.py", "signal.SIGKILL")}
"""Looked up with another in its place."""


def tried(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what of a module may fail to be imported, or is looked for before."""
    for node in ast.walk(tree):
        imported = isinstance(node, ast.Try) and any(
            each.type is not None and "ImportError" in ast.unparse(each.type) for each in node.handlers
        )
        if imported or is_look(node):
            yield from ast.walk(node)


def needed_at_import(text: str) -> list[str]:
    tree = ast.parse(text)
    fine = {id(node) for node in tried(tree)}
    early = {id(node) for node in at_import(tree)} - fine
    return [name for name, node in used(tree) if id(node) in early]


def test_nothing_of_it_is_needed_at_import() -> None:
    needed = {str(file): names for file in sources() if (names := needed_at_import(file.read_text("utf-8")))}
    assert not needed


@pytest.mark.parametrize(
    "text",
    [
        "import fcntl",
        "from resource import getrlimit",
        "import os\nA = os.O_NOFOLLOW",
        "def f(a=signal.SIGKILL): ...",
    ],
)
def test_what_would_be_needed_is_seen(text: str) -> None:
    assert needed_at_import(text)


def test_the_page_of_machines_has_each_place_and_no_other() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| (.*) \|$", PAGE, re.MULTILINE)
    assert rows == [(file, name, why) for (file, name), why in (*GUARDED.items(), *AT_USE.items())]
