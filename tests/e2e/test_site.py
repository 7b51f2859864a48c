"""The site is built, strictly, and its links are followed in what was built."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.test_docs import DOCS, ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
NOT_LOADED = {"canonical", "prev", "next"}


class Links(HTMLParser):
    """What a page loads, where it links to, and what can be linked to in it."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: set[str] = set()
        self.linked: set[str] = set()
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.ids |= {told["id"] or ""} if "id" in told else set()
        address = told.get(LOADED.get(tag, ""))
        if address and told.get("rel") not in NOT_LOADED:
            self.loaded.add(address)
        if tag == "a" and told.get("href"):
            self.linked.add(told["href"] or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    argv = [Path(sys.executable).parent / "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder]
    subprocess.run(argv, check=True, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"})
    return folder


@pytest.fixture(scope="module")
def seen(site: Path) -> dict[Path, Links]:
    found = {}
    for page in site.rglob("*.html"):
        found[page] = Links()
        found[page].feed(page.read_text("utf-8"))
    return found


def dead(page: Path, addresses: set[str], seen: dict[Path, Links]) -> Iterator[str]:
    for address in addresses:
        parts = urlsplit(address)
        if parts.scheme:
            continue
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        target = target / "index.html" if target.is_dir() else target
        known = seen.get(target)
        if not target.exists() or (parts.fragment and known and unquote(parts.fragment) not in known.ids):
            yield address


def test_no_link_of_what_was_built_is_dead_and_nothing_is_loaded_from_elsewhere(
    seen: dict[Path, Links],
) -> None:
    whole = {
        page: links for page, links in seen.items() if page.name != "404.html"
    }  # whose links are absolute
    assert len(whole) > len(list(DOCS.glob("*.md")))
    assert {
        page.name: found for page, links in whole.items() if (found := [*dead(page, links.linked, seen)])
    } == {}
    assert {
        page.name: found for page, links in whole.items() if (found := [*dead(page, links.loaded, seen)])
    } == {}
    elsewhere = {
        address for links in seen.values() for address in links.loaded if re.match(r"(https?:)?//", address)
    }
    assert elsewhere == set()


def test_every_page_can_be_searched_for(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text("utf-8"))
    found = {entry["location"].partition("#")[0] for entry in index["docs"]}
    assert {page.with_suffix(".html").name for page in DOCS.glob("*.md") if page.name != "README.md"} <= found
