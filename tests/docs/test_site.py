"""The site has each page in its menu, and nothing that it shows is fetched from elsewhere."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.test_commands import SHELL
from tests.test_docs import DOCS, ROOT, pages

SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
ELSEWHERE = re.compile(r"""(?:src|href|url|@import)\s*[=(]?\s*["'(]?\s*(https?:)?//(?!www\.w3\.org)""")
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
MAKE = re.compile(r"\bmake(?: [A-Z]+=\S+)* ([a-z][a-z0-9-]*)")
SHOWN = [*sorted((DOCS / "samples").glob("*.html")), DOCS / "pictures" / "demo.svg"]


def entries(nav: Any) -> Iterator[str]:
    for entry in nav:
        (named,) = entry.values()
        yield from [named] if isinstance(named, str) else entries(named)


def test_each_page_is_in_the_menu_once_and_no_other() -> None:
    listed = list(entries(SITE["nav"]))
    there = {page.name for page in DOCS.glob("*.md")} | {"examples/README.md"}
    assert sorted(listed) == sorted(there)


def test_a_link_or_a_page_that_is_wrong_ends_the_build() -> None:
    assert SITE["strict"] is True
    assert {rule for kind in SITE["validation"].values() for rule in kind.values()} == {"warn"}


def test_nothing_comes_from_elsewhere() -> None:
    assert SITE["theme"]["font"] is False
    assert "https://" not in (ROOT / "mkdocs.yml").read_text("utf-8")
    for file in SHOWN:
        assert not ELSEWHERE.search(file.read_text("utf-8")), file


@pytest.mark.parametrize("line", ['<img src="https://a/b.png">', "@import '//a/b'", "src: url(http://a/b)"])
def test_what_comes_from_elsewhere_would_be_found(line: str) -> None:
    assert ELSEWHERE.search(line)


def test_samples_say_nothing_of_the_machine_they_were_made_on() -> None:
    for file in SHOWN:
        assert not re.search(r"/(root|home|work|tmp|Users)/|\w@\w+:[~/]", file.read_text("utf-8")), file


def blocks(page: Path) -> str:
    return "".join(SHELL.findall(page.read_text("utf-8")))


@pytest.mark.parametrize(
    "page", [page for page in pages() if MAKE.search(blocks(page))], ids=lambda page: page.name
)
def test_what_make_is_asked_for_is_in_the_makefile(page: Path) -> None:
    assert set(MAKE.findall(blocks(page))) <= TARGETS
