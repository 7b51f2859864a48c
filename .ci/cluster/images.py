"""Makes the images of the reference agent and of the harness, each where it is older than what it is made of.

Prints where they are: `images.py [NAME]...`, both by default.
"""

import os
import sys
import sysconfig
import tomllib
from pathlib import Path

from image import write_image, write_layer

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentrig" / "cluster"
FOLDER = Path(os.environ.get("AGENTRIG_CLUSTER") or CACHE) / "images"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
SITE = Path(sysconfig.get_path("stdlib", vars={"base": sys.base_prefix})) / "site-packages"
IMAGES = {
    "agentrig-agent": (
        EXTRAS["agent"],
        {"reference_agent": "/app/reference_agent"},
        ["python3", "-m", "reference_agent"],
        {},
    ),
    "agentrig-harness": (
        [*PROJECT["dependencies"], *EXTRAS["kubernetes"]],
        {
            "harness": f"{SITE}/harness",
            "reference_agent": f"{SITE}/reference_agent",
            "locustfiles": f"{SITE}/harness/shipped/locustfiles",
            "dashboards": f"{SITE}/harness/shipped/dashboards",
        },
        ["python3", "-m", "harness"],
        {"PYTHONPYCACHEPREFIX": "/tmp/compiled"},  # noqa: S108 - of the image: its packages are not its user's
    ),
}
"""What each needs, has of the checkout, runs, and has in its environment."""


def make(name: str) -> Path:
    """Make an image that is not there, or is older than its sources."""
    require, copies, command, env = IMAGES[name]
    out = FOLDER / f"{name}.tar"
    sources = [ROOT / "pyproject.toml", *(file for each in copies for file in (ROOT / each).rglob("*"))]
    newest = max(each.stat().st_mtime for each in sources if "__pycache__" not in each.parts)
    if not out.exists() or out.stat().st_mtime < newest:
        out.parent.mkdir(parents=True, exist_ok=True)
        layer = out.with_suffix(".layer")
        write_layer(layer, require, [f"{ROOT / each}:{target}" for each, target in copies.items()])
        write_image(out, f"{name}:latest", layer, "/app", command, more=env)
        layer.unlink()
    return out


for each in sys.argv[1:] or IMAGES:
    sys.stdout.write(f"{make(each)}\n")
