"""Installs the peers at pinned versions into a folder; what can't be had is told, and left out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

COLLECTOR = "0.161.0"
"""One release for all modules: the newest of which each could be had."""
BUILDER = f"""dist:
  name: otelcol
  description: what the capture is measured beside
  output_path: ./source
  version: {COLLECTOR}
receivers:
  - gomod: go.opentelemetry.io/collector/receiver/otlpreceiver v{COLLECTOR}
exporters:
  - gomod: github.com/open-telemetry/opentelemetry-collector-contrib/exporter/fileexporter v{COLLECTOR}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a peer gets into the folder.

    Attributes:
        name, version: of the peer.
        needs: the program that installs it.
        steps: commands, one after the other, in the folder.
        makes: the file that is there afterwards.
        env: for these commands.
        files: written before them.
    """

    name: str
    version: str
    needs: str
    steps: Sequence[Sequence[str]]
    makes: Path
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


def recipes(folder: Path) -> list[Recipe]:
    """Return what is installed, what takes seconds first."""
    bin_ = folder / "bin"
    built = f"{folder}/otelcol/source/otelcol"
    return [
        in_venv(folder, "llmock", "0.2.2", folder / "llmock" / "bin" / "llmock"),
        in_venv(folder, "ciw", "3.2.7", folder / "ciw" / "bin" / "python"),
        Recipe(
            name="aimock",
            version="1.43.0",
            needs="npm",
            steps=[["npm", "install", "--silent", "--prefix", str(folder), "@copilotkit/aimock@1.43.0"]],
            makes=folder / "node_modules" / ".bin" / "llmock",
        ),
        Recipe(
            name="vegeta",
            version="12.13.0",
            needs="go",
            steps=[["go", "install", "github.com/tsenart/vegeta/v12@v12.13.0"]],
            makes=bin_ / "vegeta",
            env={"GOBIN": str(bin_)},
        ),
        Recipe(
            name="OpenTelemetry Collector",
            version=COLLECTOR,
            needs="go",
            steps=[
                ["go", "install", f"go.opentelemetry.io/collector/cmd/builder@v{COLLECTOR}"],
                [
                    "sh",
                    "-c",
                    f"cd otelcol && {bin_}/builder --config builder.yaml && cp {built} {bin_}/otelcol",
                ],
            ],
            makes=bin_ / "otelcol",
            env={"GOBIN": str(bin_)},
            files={"otelcol/builder.yaml": BUILDER},
        ),
        Recipe(
            name="oha",
            version="1.16.0",
            needs="cargo",
            steps=[["cargo", "install", "oha", "--version", "1.16.0", "--locked", "--root", str(folder)]],
            makes=bin_ / "oha",
        ),
    ]


def in_venv(folder: Path, name: str, version: str, makes: Path) -> Recipe:
    """Return how a package of Python gets an environment of its own."""
    pip = [str(folder / name / "bin" / "python"), "-m", "pip", "install", "--quiet", f"{name}=={version}"]
    steps = [[sys.executable, "-m", "venv", str(folder / name)], pip]
    return Recipe(name=name, version=version, needs=sys.executable, steps=steps, makes=makes)


def install(folder: Path) -> list[str]:
    """Install what isn't there yet; return a sentence for each peer that could not be had."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    missing = []
    for recipe in recipes(folder):
        stamp = stamp_of(folder, recipe)
        if recipe.makes.exists() and stamp.exists():
            print(f"{recipe.name} {recipe.version} is there", flush=True)
            continue
        print(f"{recipe.name} {recipe.version}: installing ...", flush=True)
        if why := failure(folder, recipe):
            missing.append(f"{recipe.name} {recipe.version} could not be had: {why}.")
            print(f"{missing[-1]} What is measured goes on without it.", flush=True)
        else:
            stamp.parent.mkdir(exist_ok=True)
            stamp.touch()
    return missing


def stamp_of(folder: Path, recipe: Recipe) -> Path:
    """Return the file that says that a version was installed to its end."""
    return folder / "installed" / f"{recipe.name}-{recipe.version}".replace(" ", "-")


def versions(folder: Path) -> dict[str, str]:
    """Return the version of each peer that is installed."""
    folder = folder.resolve()
    return {each.name: each.version for each in recipes(folder) if stamp_of(folder, each).exists()}


def failure(folder: Path, recipe: Recipe) -> str | None:
    """Install one; return why it could not be."""
    if shutil.which(recipe.needs) is None:
        return f"there is no {recipe.needs}"
    for name, text in recipe.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    (folder / "bin").mkdir(exist_ok=True)
    for step in recipe.steps:
        ran = subprocess.run(
            step, cwd=folder, env=os.environ | recipe.env, capture_output=True, text=True, check=False
        )
        if ran.returncode:
            said = (ran.stderr or ran.stdout).strip().splitlines() or ["nothing was said"]
            return f"`{' '.join(step[:3])}` ended with {ran.returncode}: {said[-1].strip().rstrip('.')}"
    return None if recipe.makes.exists() else f"{recipe.makes} was not made"
