"""The JSON Schemas of all files: made from the records, true of what is written, and what changed is seen."""

import ast
import json
import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness.capture.decode import spans
from harness.commands.main import call
from harness.commands.schema import SCHEMAS
from harness.experiment.load import catalogue
from harness.gate.ending import Ending
from harness.gate.history import add
from harness.records.described import attributes
from harness.report.jaeger import to_jaeger
from tests.harness.calibrations import calibration
from tests.harness.gate.test_history import CALM
from tests.mutations import saved
from tests.schemas import FOLDER, path_of

ROOT = Path(__file__).parents[3]
RECORDED = ("arms.jsonl", "journal.jsonl", "metrics.jsonl", "requests.jsonl", "spans.jsonl")
MANY = 200


def validator(name: str) -> Draft202012Validator:
    schema = SCHEMAS[name]()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_ones_that_are_kept_are_current(name: str) -> None:
    kept = json.loads(path_of(name).read_text("utf-8"))
    assert kept == json.loads(json.dumps(SCHEMAS[name]())), (
        "the shape of this file has changed. Where a reader of the old one would go wrong, raise FORMAT in "
        "harness/run/formats.py; then: python -m tests.schemas"
    )
    assert {file.name.removesuffix(".schema.json") for file in FOLDER.iterdir()} == set(SCHEMAS)


def test_a_recorded_run_is_as_they_say(tmp_path: Path) -> None:
    run = saved.unpacked("run", tmp_path)
    assert not list(validator("plan.json").iter_errors(json.loads((run / "plan.json").read_text("utf-8"))))
    for name in RECORDED:
        looks = validator(name)
        lines = (run / name).read_text("utf-8").splitlines()
        some = lines[:: max(1, len(lines) // MANY)]
        assert some
        for line in some:
            assert not list(looks.iter_errors(json.loads(line))), name


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("plan.json", {"run_id": 3}),
        ("requests.jsonl", {"due_s": "now"}),
        ("spans.jsonl", {"resourceSpans": [{"scopeSpans": [{"spans": [{"spanId": "zz"}]}]}]}),
        ("traces.json", {"data": [{"traceID": "1"}], "left_out": 0}),
        ("agentrig.toml", {"agent": {"comand": ["a"]}}),
        ("experiment.toml", {"name": "A B", "title": "t", "claim": "c", "arms": {}, "checks": []}),
    ],
)
def test_what_is_wrong_is_seen(name: str, wrong: dict[str, Any]) -> None:
    assert list(validator(name).iter_errors(wrong))


def test_traces_for_jaegers_page_are_as_they_say(tmp_path: Path) -> None:
    lines = (saved.unpacked("run", tmp_path) / "spans.jsonl").read_text("utf-8").splitlines()
    written = json.loads(to_jaeger((each,) for each in spans(lines[:3])))
    assert written["data"]
    assert not list(validator("traces.json").iter_errors(written))


@pytest.mark.parametrize("name", catalogue())
def test_our_experiments_are_as_they_say(name: str) -> None:
    text = resources.files("harness.experiment").joinpath("catalogue", f"{name}.toml").read_text("utf-8")
    assert not list(validator("experiment.toml").iter_errors(tomllib.loads(text)))


@pytest.mark.parametrize(
    "file", sorted(ROOT.glob("docs/examples/*/*.toml")), ids=lambda file: str(file.parent.name)
)
def test_the_examples_are_as_they_say(file: Path) -> None:
    assert not list(validator("agentrig.toml").iter_errors(tomllib.loads(file.read_text("utf-8"))))


OF_OUR_OWN = {
    "agents.json": "the balancer's list, while it runs",
    "-access.jsonl": "the end of the name of a balancer's log",
    "load.json": "what the load's process is told",
    "load-result.json": "what the load's process says of itself",
    "package.json": "of a project in Node, which is read",
    "rows.jsonl": "what the load's process hands over",
    "simulator.json": "what the simulator's process is told",
    "up.json": "where `agentrig up` is, while it runs",
}
"""Files of no run folder that is kept, nor written for anybody else."""


def test_every_file_of_json_that_is_kept_has_one() -> None:
    named = {
        node.value
        for file in (ROOT / "harness").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if re.fullmatch(r"[a-z_-]+\.jsonl?", node.value)
    }
    assert named - set(SCHEMAS) == set(OF_OUR_OWN)


def test_how_a_gate_ended_a_session_of_a_history_and_a_calibration_are_as_they_say(tmp_path: Path) -> None:
    Ending(exit_code=4, title="base did not start", reasons=("it ended",), side="base").write(tmp_path)
    add(tmp_path / "history.jsonl", CALM)
    (tmp_path / "calibration.json").write_text(calibration().model_dump_json(), "utf-8")
    for name in ("outcome.json", "history.jsonl", "calibration.json"):
        lines = (tmp_path / name).read_text("utf-8")
        for text in lines.splitlines() if name.endswith("l") else [lines]:
            assert not list(validator(name).iter_errors(json.loads(text))), name


def test_an_editor_shows_what_each_key_means() -> None:
    keys = SCHEMAS["agentrig.toml"]()["$defs"]["AgentTable"]["properties"]
    assert keys["workdir"]["description"].startswith("where `command` is started")
    assert not [name for name, key in keys.items() if "description" not in key]
    assert attributes("A.\n\nAttributes:\n    a, b: both\n        of them; c: another.\n") == {
        "a": "both of them",
        "b": "both of them",
        "c": "another.",
    }


def test_the_command_prints_one_and_names_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["schema", "verdict.json"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMAS["verdict.json"]()
    assert call(["schema"]) == 0
    assert capsys.readouterr().out.split() == list(SCHEMAS)
    assert call(["schema", "verdict.jso"]) == 3
    assert "did you mean 'verdict.json'" in capsys.readouterr().err
