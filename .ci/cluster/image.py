"""Makes an image of this machine's own Python and packages, where no registry of images is in reach.

`image.py OUT.tar NAME --require DIST... --copy SRC:DEST... --workdir DIR -- COMMAND...` writes what
`ctr images import` and `docker load` read: one layer, of the interpreter, its libraries, a shell and a few
tools, the packages that are named with all they need, and some folders. Its user is 10001.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import platform
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

TOOLS = ("sh", "mkdir", "chmod", "rm", "sleep", "cat", "env")
LEFT_OUT = {"__pycache__", "test", "tests", "idlelib", "tkinter", "site-packages", "ensurepip", "lib2to3"}
FILES = {
    "etc/passwd": "root:x:0:0::/root:/bin/sh\nagent:x:10001:10001::/tmp:/bin/sh\n",
    "etc/group": "root:x:0:\nagent:x:10001:\n",
}


def needed(names: list[str]) -> dict[str, Distribution]:
    """Return distributions by name, and all that these need on this machine."""
    found: dict[str, Distribution] = {}
    waiting = [Requirement(name) for name in names]
    while waiting:
        asked = waiting.pop()
        extras = sorted(asked.extras) or [""]
        key = f"{asked.name.lower()}[{','.join(extras)}]"
        if key in found or (asked.marker and not any(asked.marker.evaluate({"extra": e}) for e in extras)):
            continue
        try:
            dist = distribution(asked.name)
        except PackageNotFoundError:
            continue  # for another system, or an extra that nobody asked for
        found[key] = dist
        for line in dist.requires or ():
            one = Requirement(line)
            if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras):
                one.marker = None
                waiting.append(one)
    return found


def libraries(files: list[Path]) -> set[Path]:
    """Return the shared libraries that some programs and libraries load from this machine."""
    told = subprocess.run(["ldd", *map(str, files)], capture_output=True, text=True, check=False).stdout
    words = [word for line in told.splitlines() for word in line.split()]
    return {
        Path(word)
        for word in words
        if word.startswith("/") and not word.endswith(":") and Path(word).exists()
    }


def is_program(file: Path) -> bool:
    """Return whether a file is a program of this machine, as a package brings one now and then."""
    if not file.stat().st_mode & 0o111:
        return False
    with file.open("rb") as content:
        return content.read(4) == b"\x7fELF"


def python_files() -> Iterator[tuple[Path, str]]:
    """Yield the interpreter's files, and where they go: to where they are."""
    library = Path(sysconfig.get_path("stdlib", vars={"base": sys.base_prefix}))
    for path in sorted(library.rglob("*")):
        within = path.relative_to(library)
        if path.is_file() and not LEFT_OUT & set(within.parts) and not within.parts[0].startswith("config-"):
            yield path, str(path)
    program = Path(sys.executable).resolve()
    yield program, str(program)


class Layer:
    """A layer that is being written, with each folder and file once."""

    def __init__(self, path: Path) -> None:
        self._tar = tarfile.open(path, "w")  # noqa: SIM115 - closed by `close`
        self._there: set[str] = set()

    def add(self, source: Path, target: str) -> None:
        """Add a file by its content: where it leads, if it is a link."""
        name = target.lstrip("/")
        if name in self._there:
            return
        self._folder(str(Path(name).parent))
        self._there.add(name)
        info = self._tar.gettarinfo(str(source.resolve()), name)
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        info.mode |= 0o444
        with source.open("rb") as content:
            self._tar.addfile(info, content)

    def text(self, name: str, content: str) -> None:
        """Add a small file."""
        self._folder(str(Path(name).parent))
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(content.encode()), 0o644
        self._tar.addfile(info, io.BytesIO(content.encode()))

    def link(self, name: str, target: str) -> None:
        """Add a link."""
        self._folder(str(Path(name).parent))
        info = tarfile.TarInfo(name)
        info.type, info.linkname = tarfile.SYMTYPE, target
        self._tar.addfile(info)

    def _folder(self, name: str, mode: int = 0o755) -> None:
        if name in {".", ""} or name in self._there:
            return
        self._folder(str(Path(name).parent))
        self._there.add(name)
        info = tarfile.TarInfo(name)
        info.type, info.mode = tarfile.DIRTYPE, mode
        self._tar.addfile(info)

    def close(self) -> None:
        """End it, with a /tmp that anybody may write to."""
        self._folder("tmp", 0o1777)
        self._tar.close()


def package_files(require: list[str]) -> dict[Path, str]:
    """Return the files of some packages and of all they need, and where they go."""
    site = Path(sysconfig.get_path("stdlib", vars={"base": sys.base_prefix})) / "site-packages"
    found: dict[Path, str] = {}
    for dist in {str(dist.name): dist for dist in needed(require).values()}.values():
        for each in dist.files or ():
            source = Path(str(dist.locate_file(each)))
            if source.is_file() and ".." not in each.parts and "__pycache__" not in each.parts:
                found[source] = str(site / each)
    return found


def write_layer(path: Path, require: list[str], copies: list[str]) -> None:
    """Write all that is in the image."""
    layer = Layer(path)
    found = dict(python_files()) | package_files(require)
    programs = [Path(shutil.which(tool) or f"/bin/{tool}") for tool in TOOLS]
    loaded = [file for file in found if file.suffix == ".so" or ".so." in file.name or is_program(file)]
    there = {file.resolve() for file in found}
    for library in libraries([*loaded, *programs]):
        if library.resolve() not in there:
            found[library] = str(library)
    for source, target in found.items():
        layer.add(source, target)
    for tool, program in zip(TOOLS, programs, strict=True):
        layer.add(program, f"bin/{tool}")
    for copy in copies:
        source_text, _, target = copy.partition(":")
        root = Path(source_text)
        for file in [root] if root.is_file() else sorted(root.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                layer.add(file, str(Path(target) / file.relative_to(root if root.is_dir() else root.parent)))
    for name, content in FILES.items():
        layer.text(name, content)
    for name in ("python3", "python"):
        layer.link(f"usr/local/bin/{name}", str(Path(sys.executable).resolve()))
    layer.close()


def write_image(
    out: Path,
    name: str,
    layer: Path,
    workdir: str,
    command: list[str],
    *,
    more: Mapping[str, str] | None = None,
) -> None:
    """Write the archive of an image of one layer; `more` is in its environment, too."""
    with layer.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    env = [
        "PATH=/usr/local/bin:/usr/bin:/bin",
        "HOST=0.0.0.0",
        "PORT=8080",
        "PYTHONUNBUFFERED=1",
        "HOME=/tmp",
        *(f"{key}={value}" for key, value in (more or {}).items()),
    ]
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    config = {
        "architecture": machine,
        "os": "linux",
        "config": {"Env": env, "Entrypoint": command, "WorkingDir": workdir, "User": "10001"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    with tarfile.open(out, "w") as archive:
        for file, told in (("config.json", config), ("manifest.json", manifest)):
            content_bytes = json.dumps(told).encode()
            info = tarfile.TarInfo(file)
            info.size = len(content_bytes)
            archive.addfile(info, io.BytesIO(content_bytes))
        archive.add(layer, "layer.tar")


def main() -> None:
    """Make what the words say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("name")
    parser.add_argument("--require", nargs="*", default=[])
    parser.add_argument("--copy", nargs="*", default=[])
    parser.add_argument("--workdir", default="/app")
    parser.add_argument("command", nargs="+")
    told = parser.parse_args()
    layer = told.out.with_suffix(".layer")
    try:
        write_layer(layer, told.require, told.copy)
        write_image(told.out, told.name, layer, told.workdir, told.command)
    finally:
        layer.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
