"""The page of Locust has every option of ours, with its default, and no other: Locust's own help has none."""

import re
from typing import Any

from harness.load.kit.settings import add_options
from tests.test_docs import DOCS

PAGE = (DOCS / "locust.md").read_text("utf-8")


class Parser:
    """Takes options as Locust's parser, which can't be had without its patches."""

    def __init__(self) -> None:
        self.defaults: dict[str, float | None] = {}

    def set_defaults(self, **_: Any) -> None:
        """Take the defaults of Locust's own options."""

    def add_argument(self, name: str, *, default: float | None = None, **_: Any) -> None:
        self.defaults[name] = default


def test_the_page_of_locust_has_every_option_and_its_default() -> None:
    parser: Any = Parser()
    add_options(parser)
    told = dict(re.findall(r"^\| `(--[\w-]+)` \| (.*) \|$", PAGE, re.MULTILINE))
    assert told.keys() == parser.defaults.keys()
    given = {name: default for name, default in parser.defaults.items() if default is not None}
    assert len(given) >= 6
    for name, default in given.items():
        assert re.search(rf"(?<![\d.]){default:g}(?![\d.])", told[name]), name
