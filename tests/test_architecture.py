"""The tree is the architecture: who may import whom, read from the imports themselves."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STAGES = ("experiment", "fleet", "simulator", "load", "capture", "analysis", "judge", "report", "gate")
RECORDS_OF_A_STAGE = {"harness.records.spec"}
"""Plain record modules of a stage that every stage may read."""
COMPOSERS = {
    "baseline_commands.py",
    "baselines.py",
    "calibrate.py",
    "cli.py",
    "console.py",
    "doctor.py",
    "drive.py",
    "fit.py",
    "gate_commands.py",
    "gate_verdict.py",
    "gating.py",
    "matrix.py",
    "pipeline.py",
    "progress.py",
    "up.py",
}


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import; say the whole name"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def sources(*parts: str) -> list[Path]:
    found = sorted(ROOT.joinpath(*parts).rglob("*.py"))
    assert found, f"no source under {parts}"
    return found


def stage_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "harness" and parts[1] in STAGES else None


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_imports_no_other_stage(stage: str) -> None:
    strangers = {
        f"{file.relative_to(ROOT)} imports {module}"
        for file in sources("harness", stage)
        for module in imports(file)
        if stage_of(module) not in {None, stage}
        and not any(within(module, allowed) for allowed in RECORDS_OF_A_STAGE)
        and module != "harness.experiment"
    }
    assert not strangers


def test_what_the_stages_share_imports_no_stage_but_plain_records() -> None:
    shared = [file for file in ROOT.joinpath("harness").glob("*.py") if file.name not in COMPOSERS]
    assert len(shared) > 5
    strangers = {
        f"{file.name} imports {module}"
        for file in shared
        for module in imports(file)
        if stage_of(module) is not None and not any(within(module, allowed) for allowed in RECORDS_OF_A_STAGE)
    }
    assert not strangers


def test_the_agent_and_the_harness_know_each_other_only_by_the_contract() -> None:
    assert not [f for f in sources("reference_agent") if any(within(m, "harness") for m in imports(f))]
    assert not [f for f in sources("harness") if any(within(m, "reference_agent") for m in imports(f))]


@pytest.mark.parametrize("part", ["controls", "after_answer"])
def test_the_agent_works_without_what_is_put_in_from_outside(part: str) -> None:
    importers = [
        str(file.relative_to(ROOT))
        for file in sources("reference_agent")
        if any(within(module, f"reference_agent.{part}") for module in imports(file))
    ]
    assert importers == ["reference_agent/__main__.py"]


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


def test_only_the_load_imports_locust() -> None:
    strangers = [
        file
        for file in [*sources("harness"), *sources("reference_agent")]
        if any(within(module, "locust") for module in imports(file)) and "load" not in file.parts
    ]
    assert not strangers


def test_every_ignored_rule_says_why() -> None:
    silent = [
        f"{file.relative_to(ROOT)}:{number}"
        for top in ("harness", "reference_agent", "locustfiles")
        for file in sources(top)
        for number, line in enumerate(file.read_text("utf-8").splitlines(), start=1)
        if ("# noqa" in line or "# type: ignore" in line) and " - " not in line.split("#", 1)[1]
    ]
    assert not silent
