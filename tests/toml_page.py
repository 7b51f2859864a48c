"""Makes `docs/toml.md`: every key of the files in TOML, from the models that read them."""

import inspect
import json
import re
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from harness.own.config import OwnAgent
from harness.plan.prices import Prices
from harness.records.spec import ExperimentSpec
from harness.records.workload import Workload

HEAD = """# Files in TOML

Each key with its type and what it is when it is not given; made from the models that read the files. A key
that is not here is refused, with the one that was meant.
"""
FILES: dict[str, tuple[type[BaseModel], str]] = {
    "agentrig": (
        OwnAgent,
        "Your agent, and how it is asked; [its page](own-agent.md#agentrigtoml) says more.",
    ),
    "experiment": (ExperimentSpec, "[Its page](own-experiment.md) builds one from nothing."),
    "workload": (Workload, "[`agentrig calibrate`](plan.md) writes it."),
    "prices": (Prices, "[`agentrig plan`](plan.md) reads it, where `--prices` names it."),
}
LISTED = "Attributes:\n"
ENTRY = re.compile(r"^    (\w[\w, ]*: .*(?:\n {8}.*)*)", re.MULTILINE)
Tables = dict[str, dict[str, Any]]
MOST = 1e15
"""A bound beyond is the machine's."""
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


class WithWords(GenerateJsonSchema):
    """Says of each key what the docstring of its table says."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        made["description"], _, listed = (inspect.getdoc(schema["cls"]) or "").partition(LISTED)
        told: dict[str, str] = {}
        for entry in ENTRY.findall(listed):
            names, _, text = entry.partition(": ")
            told |= dict.fromkeys(names.split(", "), " ".join(text.split()))
        for name, key in made.get("properties", {}).items():
            key["description"] = told.get(name, "")
        return made


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    for file, (model, about) in FILES.items():
        made = model.model_json_schema(schema_generator=WithWords)
        tables = {"": made, **made.get("$defs", {})}
        parts.append(f"## {file}.toml\n\n{about}\n")
        parts += [f"{text}\n" for name in tables if (text := section(name, tables, file))]
    return "\n".join(parts)


def section(name: str, tables: Tables, file: str) -> str:
    """Return the table of the keys of one, nothing where it has none."""
    table = tables[name]
    if "properties" not in table:
        return ""
    keys = table["properties"].items()
    rows = "\n".join(
        row(key, told, kind(told, tables, file), key in table.get("required", ())) for key, told in keys
    )
    title = f"### {name} ({file}.toml)\n\n{one_line(table.get('description', ''))}\n\n" if name else ""
    return f"{title}| key | type | when not given | what it is |\n|---|---|---|---|\n{rows}"


def row(key: str, told: dict[str, Any], taken: str, required: bool) -> str:  # noqa: FBT001 - of a table
    default = "**needed**" if required else shown(told.get("default"))
    return f"| `{key}` | {cell(taken)} | {cell(default)} | {cell(one_line(told.get('description', '')))} |"


def kind(told: dict[str, Any], tables: Tables, file: str) -> str:
    """Return what a key takes, in words."""
    if "$ref" in told:
        name = told["$ref"].rpartition("/")[2]
        named = tables[name]
        link = f"[{name}](#{name.lower()}-{file}toml)"
        return link if "properties" in named else kind(named, tables, file)
    if "enum" in told or "const" in told:
        return ", ".join(f"`{json.dumps(value)}`" for value in told.get("enum", [told.get("const")]))
    if several := told.get("anyOf", told.get("oneOf")):
        kinds = dict.fromkeys(kind(each, tables, file) for each in several if each.get("type") != "null")
        return " or ".join(kinds)
    if told.get("type") == "array":
        inside = told.get("items") or told["prefixItems"][0]
        return f"list of {kind(inside, tables, file)}"
    if told.get("type") == "object":
        inside = told.get("additionalProperties") or next(
            iter(told.get("patternProperties", {}).values()), None
        )
        return f"table of {kind(inside, tables, file)}" if isinstance(inside, dict) else "table"
    bounds = [f"{sign} {told[key]:.15g}" for key, sign in BOUNDS.items() if abs(told.get(key, MOST)) < MOST]
    return " ".join([told.get("type", "any"), *bounds])


def shown(value: Any) -> str:
    if value in (None, "", [], {}):
        return ""
    if isinstance(value, dict | list):
        return "as below" if isinstance(value, dict) else f"`{json.dumps(value)}`"
    return f"`{json.dumps(value)}`"


def one_line(text: str) -> str:
    return " ".join(text.split())


def cell(text: str) -> str:
    return text.replace("|", "\\|")
