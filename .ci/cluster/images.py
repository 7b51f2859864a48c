"""Makes the reference agent's image, where it is older than what it is made of, and prints where it is."""

import os
import sys
import tomllib
from pathlib import Path

from image import write_image, write_layer

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentrig" / "cluster"
out = Path(os.environ.get("AGENTRIG_CLUSTER") or CACHE) / "images" / "agentrig-agent.tar"
sources = [ROOT / "pyproject.toml", *ROOT.joinpath("reference_agent").rglob("*.py")]
if not out.exists() or out.stat().st_mtime < max(each.stat().st_mtime for each in sources):
    extras = tomllib.loads(sources[0].read_text("utf-8"))["project"]["optional-dependencies"]
    out.parent.mkdir(parents=True, exist_ok=True)
    layer = out.with_suffix(".layer")
    write_layer(layer, extras["agent"], [f"{ROOT / 'reference_agent'}:/app/reference_agent"])
    write_image(out, "agentrig-agent:latest", layer, "/app", ["python3", "-m", "reference_agent"])
    layer.unlink()
sys.stdout.write(f"{out}\n")
