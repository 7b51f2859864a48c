"""Lets the pages of docs/ be a site as they are: links that leave them lead to pages made of what is there.

On GitHub `../harness/simulator/faults/README.md` is a file of the repository, and so it is a page of the
site, below `source/`; a file of code or TOML that is linked to is shown as such. Anchors are GitHub's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SOURCE = "source"
FENCED = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)([^)\s]+)(?=\))")
SHOWN_AS_THEY_ARE = {".png", ".svg", ".html"}
LANGUAGES = {
    ".toml": "toml",
    ".yml": "yaml",
    ".yaml": "yaml",
    ".py": "python",
    ".js": "javascript",
    ".json": "json",
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Name headings as GitHub does."""
    config.mdx_configs["toc"] = {"permalink": True, "slugify": anchor}
    return config


def anchor(heading: str, _separator: str) -> str:
    """Return what a heading is called in links to it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file that is linked to and is none of the site's."""
    pages = [DOCS / file.src_uri for file in files.documentation_pages()]
    seen = set(pages)
    while pages:
        for target in targets(pages.pop()):
            if target in seen or files.get_file_from_path(place(target)):
                continue
            seen.add(target)
            files.append(File.generated(config, place(target), content=shown(target)))
            if target.suffix == ".md":
                pages.append(target)
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Point the links of a page to where their files are in the site."""
    here = of(page.file.src_uri)
    depth = page.file.src_uri.count("/")

    def moved(link: re.Match[str]) -> str:
        path, hash_, name = link[1].partition("#")
        return "../" * depth + place(resolved(here, path)) + hash_ + name

    parts = FENCED.split(markdown)
    code = [*FENCED.findall(markdown), ""]
    return "".join(LINK.sub(moved, part) + block for part, block in zip(parts, code, strict=True))


def targets(page: Path) -> Iterator[Path]:
    """Yield the files that a page links to."""
    for link in LINK.findall(FENCED.sub("", page.read_text("utf-8"))):
        yield resolved(page, link.partition("#")[0])


def resolved(page: Path, path: str) -> Path:
    """Return the file that a path in a page names; of a folder its README, where it has one."""
    target = (page.parent / path).resolve()
    readme = target / "README.md"
    return readme if readme.is_file() else target


def place(target: Path) -> str:
    """Return where a file of the repository is in the site."""
    own = target.relative_to(DOCS) if target.is_relative_to(DOCS) else None
    if own is not None and (target.suffix == ".md" or target.suffix in SHOWN_AS_THEY_ARE):
        return own.as_posix()
    path = target.relative_to(ROOT).as_posix()
    return f"{SOURCE}/{path}" if target.suffix == ".md" else f"{SOURCE}/{path}.md"


def of(src_uri: str) -> Path:
    """Return the file of the repository that a page of the site shows."""
    inside = src_uri.removeprefix(f"{SOURCE}/")
    if inside == src_uri:
        return DOCS / src_uri
    file = ROOT / inside
    return file if file.exists() else file.with_suffix("")


def shown(target: Path) -> str:
    """Return the page of a file that is no page, or of a folder."""
    path = target.relative_to(ROOT).as_posix()
    if target.is_dir():
        names = sorted(f"{each.name}/" if each.is_dir() else each.name for each in target.iterdir())
        listed = "\n".join(f"- `{name}`" for name in names if not name.startswith(("__", ".")))
        return f"# {path}/\n\n{listed}\n"
    text = target.read_text("utf-8")
    if target.suffix == ".md":
        return text
    return f"# {path}\n\n````{LANGUAGES.get(target.suffix, 'text')}\n{text}````\n"
