"""The tree is the architecture: who may import whom, read from the imports themselves."""

import ast
import re
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
FLOORS: tuple[tuple[str, ...], ...] = (
    ("commands",),
    ("plan",),
    ("gate", "observe", "traces"),
    ("run",),
    (
        *("experiment", "fleet", "simulator", "load", "capture"),
        *("analysis", "judge", "report", "own", "conform", "testing"),
    ),
    ("process", "asking", "weather"),
    ("records",),
    ("outside",),
    ("",),  # the ground: the few modules of `harness/` itself
)
"""From the top down: a folder imports what is below it, and nothing beside it."""
MOST_GROUND = 12
"""Modules that lie flat in `harness/`: more, and a room is missing."""


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


@cache
def imports(file: Path) -> tuple[str, ...]:
    found: list[str] = []
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import; say the whole name"
            found.append(node.module or "")
            found += (f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(found)


def sources(*parts: str) -> list[Path]:
    found = sorted(ROOT.joinpath(*parts).rglob("*.py"))
    assert found, f"no source under {parts}"
    return found


def folder_of(module: str) -> str:
    """Return the folder of a module of the harness, "" for the ground."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (ROOT / "harness" / parts[1]).is_dir() else ""


def floor_of(folder: str) -> int:
    found = [number for number, floor in enumerate(FLOORS) if folder in floor]
    assert found, f"harness/{folder} is on no floor: add it to FLOORS, where it belongs"
    return found[0]


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


@pytest.mark.parametrize("folder", [folder for floor in FLOORS for folder in floor])
def test_a_folder_imports_only_what_is_on_the_floors_below_it(folder: str) -> None:
    files = sources("harness", folder) if folder else sorted(ROOT.joinpath("harness").glob("*.py"))
    strangers = {
        f"{file.relative_to(ROOT)} imports {module}"
        for file in files
        if file.name != "__main__.py" or folder  # `python -m harness` is the command itself
        for module in imports(file)
        if within(module, "harness")
        and folder_of(module) != folder
        and floor_of(folder_of(module)) <= floor_of(folder)
    }
    assert not strangers


def test_every_folder_has_a_floor_and_the_ground_is_small() -> None:
    folders = {path.name for path in ROOT.joinpath("harness").iterdir() if (path / "__init__.py").exists()}
    assert folders == {folder for floor in FLOORS for folder in floor} - {""}
    assert len(list(ROOT.joinpath("harness").glob("*.py"))) <= MOST_GROUND


def test_the_agent_and_the_harness_know_each_other_only_by_the_contract() -> None:
    assert not [f for f in sources("reference_agent") if any(within(m, "harness") for m in imports(f))]
    assert not [f for f in sources("harness") if any(within(m, "reference_agent") for m in imports(f))]


@pytest.mark.parametrize("part", ["controls", "after_answer"])
def test_the_agent_works_without_what_is_put_in_from_outside(part: str) -> None:
    importers = [
        str(file.relative_to(ROOT))
        for file in sources("reference_agent")
        if part not in file.parts
        and any(within(module, f"reference_agent.{part}") for module in imports(file))
    ]
    assert importers == ["reference_agent/__main__.py"]


def test_no_module_is_started_that_a_folder_could_have_in_its_place() -> None:
    """`python -m` looks into the current folder first: in a project with a `mcp.py` its own would be run."""
    beside = [file for file in sources("harness") if file.name != "detect.py"]  # that starts the user's own
    started = [
        [each.value if isinstance(each, ast.Constant) else None for each in node.elts]
        for file in beside
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.Tuple | ast.List)
    ]
    with_module = [words for words in started if "-m" in words]
    assert len(with_module) > 5
    assert [words for words in with_module if words[words.index("-m") - 1] != "-P"] == []


def test_the_patterns_need_nothing_but_the_standard_library() -> None:
    for file in sources("reference_agent", "patterns"):
        foreign = {
            module
            for module in imports(file)
            if module.split(".")[0] not in sys.stdlib_module_names
            and not within(module, "reference_agent.patterns")
        }
        assert not foreign, f"{file.name} imports {foreign}"


def test_each_pattern_fits_on_a_few_screens() -> None:
    for name in ("client_cache.py", "busy_signal.py", "retry.py"):
        lines = (ROOT / "reference_agent" / "patterns" / name).read_text("utf-8").splitlines()
        assert 20 < len(lines) <= 150, f"{name} has {len(lines)} lines"


def test_no_private_name_of_another_package_is_imported() -> None:
    for file in [*sources("harness"), *sources("reference_agent"), *sources("locustfiles")]:
        private = [name for name in imports(file) if re.search(r"(^|\.)_(?!_)", name)]
        assert set(private) <= {"_typeshed", "_typeshed.DataclassInstance"}, file  # type checkers' own


def test_only_the_load_imports_locust() -> None:
    strangers = [
        file
        for file in [*sources("harness"), *sources("reference_agent")]
        if any(within(module, "locust") for module in imports(file)) and "load" not in file.parts
    ]
    assert not strangers


def test_one_place_makes_the_clients_of_control_calls_and_nobody_asks_a_proxy() -> None:
    called = {
        (str(file.relative_to(ROOT / "harness")), ast.unparse(node.func), ast.unparse(node))
        for file in sources("harness")
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).startswith(("httpx.", "urlopen", "requests."))
    }
    of_its_own = {"Client", "get", "post", "put", "patch", "delete", "request", "stream"}
    assert {file for file, name, _ in called if name.removeprefix("httpx.") in of_its_own} == {
        "outside/http.py"
    }
    asynchronous = [call for _, name, call in called if name == "httpx.AsyncClient"]
    assert asynchronous
    assert all("trust_env=False" in call for call in asynchronous)


def test_every_ignored_rule_says_why() -> None:
    silent = [
        f"{file.relative_to(ROOT)}:{number}"
        for top in ("harness", "reference_agent", "locustfiles")
        for file in sources(top)
        for number, line in enumerate(file.read_text("utf-8").splitlines(), start=1)
        if ("# noqa" in line or "# type: ignore" in line) and " - " not in line.split("#", 1)[1]
    ]
    assert not silent


ORDERED = {
    "locust": "locust",
    "opentelemetry-sdk": "opentelemetry.sdk",
    "opentelemetry-instrumentation-fastapi": "opentelemetry.instrumentation.fastapi",
    "fastapi": "fastapi",
    "uvicorn": "uvicorn",
    "pytest": "pytest",
}
"""What this project is to be built on: the package, and the module that it is used by."""


def uses(file: Path, module: str) -> bool:
    """Return whether a file calls something that it imported from a module, or takes it for a base."""
    tree = parsed(file)
    known: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias for alias in node.names if within(alias.name, module)]
            known |= {(alias.asname or alias.name).split(".")[0] for alias in names}
        elif isinstance(node, ast.ImportFrom) and within(node.module or "", module):
            known |= {alias.asname or alias.name for alias in node.names}
    used = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    used += [base for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for base in node.bases]
    return any(isinstance(node, ast.Name) and node.id in known for use in used for node in ast.walk(use))


@pytest.mark.parametrize("package", ORDERED)
def test_what_the_project_is_to_be_built_on_is_declared_and_used(package: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    assert package in {Requirement(line).name for group in groups for line in group}
    where = [sources("tests")] if package == "pytest" else [sources("harness"), sources("reference_agent")]
    assert any(uses(file, ORDERED[package]) for files in where for file in files)


def at_once(module: str, seen: set[str]) -> set[str]:
    """Add all that is imported with `module`, read from our files: not in functions, nor for types alone."""
    if module in seen:
        return seen
    seen.add(module)
    if "." in module:
        at_once(module.rpartition(".")[0], seen)
    path = ROOT.joinpath(*module.split("."))
    file = next((each for each in (path.with_suffix(".py"), path / "__init__.py") if each.is_file()), None)
    left = list(parsed(file).body) if file else []
    while left:
        node = left.pop()
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            kept = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
            functions = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            left += (
                []
                if kept or functions
                else [each for each in ast.iter_child_nodes(node) if isinstance(each, ast.stmt)]
            )
            continue
        for name in names:
            at_once(name, seen)
    return seen


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("harness.commands.main", {"numpy", "scipy", "fastapi", "httpx", "locust"}),
        ("harness.commands.run", {"scipy", "fastapi", "locust"}),
        ("harness.commands.gate", {"fastapi", "locust"}),
        ("harness.commands.observe", {"scipy", "fastapi", "locust"}),
        ("harness.commands.conform", {"numpy", "scipy", "fastapi", "locust"}),
    ],
)
def test_a_command_loads_nothing_heavy_that_it_does_not_need(module: str, heavy: set[str]) -> None:
    assert not {name.partition(".")[0] for name in at_once(module, set())} & heavy


def test_the_command_that_is_asked_for_is_loaded_by_name() -> None:
    assert "scipy.special" in at_once("harness.gate.statistics", set())
    assert "harness.commands.run" not in at_once("harness.commands.main", set())
