"""Packages that are installed in a folder: as much of them as says which entry points they have."""

from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from harness.outside.plugins import Installed


def lay(
    site: Path, package: str, groups: Mapping[str, Mapping[str, str]], *, metadata_text: str | None = ""
) -> None:
    """Lay the metadata of an installed package into a folder.

    Args:
        site: the folder.
        package: its name.
        groups: its entry points: by group, by name.
        metadata_text: in place of the usual METADATA; None for a package that has none.
    """
    folder = site / f"{package.replace('-', '_')}-1.0.dist-info"
    folder.mkdir()
    if metadata_text is not None:
        usual = f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n"
        (folder / "METADATA").write_text(metadata_text or usual)
    sections = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in groups.items()
    ]
    (folder / "entry_points.txt").write_text("\n".join(sections))


def installed_in(site: Path) -> Installed:
    """Return what tells of the entry points of the packages in a folder."""

    def installed(group: str) -> Iterable[metadata.EntryPoint]:
        for each in metadata.distributions(path=[str(site)]):
            yield from each.entry_points.select(group=group)

    return installed
