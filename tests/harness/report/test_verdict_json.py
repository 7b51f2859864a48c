import dataclasses
import json
import math
from dataclasses import replace

import jsonschema
import pytest

from harness.errors import InputError
from harness.records.outcome import ArmSummary, CheckResult, ExperimentResult, RunResult
from harness.report.verdict_json import from_json, schema, to_json
from tests.harness.report import sample

SCHEMA = schema()
RESULT, _ = sample.run()
FALLEN, _ = sample.fallen()


@pytest.mark.parametrize("result", [RESULT, FALLEN, replace(RESULT, experiments=())])
def test_what_is_written_reads_back_the_same_and_fits_the_schema(result: RunResult) -> None:
    text = to_json(result)
    assert from_json(text) == result
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(json.loads(text), SCHEMA)


def test_the_shape_is_the_one_that_was_promised() -> None:
    shape = json.loads(to_json(RESULT))
    assert (shape["schema_version"], shape["verdict"]) == (1, "pass")
    cold = shape["experiments"][0]
    assert (cold["name"], cold["verdict"]) == ("cold-start", "pass")
    assert cold["arms"]["per-request"]["control"] is True
    assert {"requests", "errors", "p50_ms", "p95_ms", "p99_ms", "throughput_rps"} <= set(
        cold["arms"]["cached"]
    )
    assert set(cold["checks"][0]) >= {
        "id", "arm", "verdict", "observed", "limit", "unit", "message", "traces",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("record", "schema"),
    [
        (RunResult, SCHEMA),
        (ExperimentResult, SCHEMA["$defs"]["experiment"]),
        (ArmSummary, SCHEMA["$defs"]["arm"]),
        (CheckResult, SCHEMA["$defs"]["check"]),
    ],
)
def test_the_schema_knows_every_field_of_the_records(record: type, schema: dict[str, object]) -> None:
    fields = {field.name for field in dataclasses.fields(record)}
    assert set(schema["properties"]) - {"schema_version"} == fields
    assert set(schema["required"]) == set(schema["properties"])


@pytest.mark.parametrize("breakage", ['"verdict": "green"', '"requests": -1', '"traces": "abc"'])
def test_the_schema_refuses_what_is_no_verdict(breakage: str) -> None:
    key = breakage.split('"')[1]
    shape = json.loads(to_json(RESULT))
    places = {"verdict": shape, "requests": shape["experiments"][0]["arms"]["cached"]}
    places.get(key, shape["experiments"][0]["checks"][0]).update(json.loads(f"{{{breakage}}}"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(shape, SCHEMA)


def test_a_figure_that_is_not_finite_is_null() -> None:
    arms = {"a": ArmSummary(control=False, requests=0, errors=0, p99_over_optimum=math.inf, p50_ms=math.nan)}
    text = to_json(replace(RESULT, experiments=(replace(RESULT.experiments[0], arms=arms),)))
    arm = json.loads(text)["experiments"][0]["arms"]["a"]
    assert (arm["p99_over_optimum"], arm["p50_ms"]) == (None, None)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda text: text[:-40], "is not JSON"),
        (lambda _: "[]", "does not hold a JSON object"),
        (lambda text: text.replace('"schema_version": 1', '"schema_version": 9'), "schema_version"),
        (lambda text: text.replace('"run_id"', '"runid"'), "run_id"),
        (
            lambda text: text.replace('"requests": 136', '"requests": "many"', 1),
            "experiments.0.arms.cached.requests",
        ),
    ],
)
def test_damage_is_told_with_its_key_and_the_way_out(damage: object, named: str) -> None:
    with pytest.raises(InputError, match="agentrig report") as caught:
        from_json(damage(to_json(RESULT)))
    assert named in str(caught.value)
