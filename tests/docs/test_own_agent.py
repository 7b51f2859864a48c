"""docs/own-agent.md names every key of the file, and every place."""

import re
from pathlib import Path

from harness.own.config import OwnAgent
from harness.under_test import PLACE

PAGE = (Path(__file__).parents[2] / "docs" / "own-agent.md").read_text("utf-8")


def test_every_key_is_on_the_page_and_no_other() -> None:
    keys = {
        f"{table}.{key}"
        for table, field in OwnAgent.model_fields.items()
        for key in field.annotation.model_fields  # type: ignore[union-attr]  # each is a table
    }
    assert set(re.findall(r"^\| `((?:agent|request|limits)\.\w+)` \|", PAGE, re.MULTILINE)) == keys


def test_every_place_is_on_the_page_and_no_other() -> None:
    places = set(re.search(r"\((.*)\)", PLACE.pattern)[1].split("|"))  # type: ignore[index]  # it has a group
    assert set(re.findall(r"^\| `\{(\w+)\}` \|", PAGE, re.MULTILINE)) == places
