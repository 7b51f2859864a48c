"""`python -m dashboards.grafana`: write the dashboards anew."""

from __future__ import annotations

import json
from pathlib import Path

from dashboards.grafana.cold_and_warm import COLD_AND_WARM
from dashboards.grafana.fleet import FLEET
from dashboards.grafana.load import LOAD
from dashboards.grafana.production import PRODUCTION
from dashboards.grafana.render import dashboard
from dashboards.grafana.throttling import THROTTLING

FOLDER = Path(__file__).parent / "json"
ALL = (FLEET, COLD_AND_WARM, THROTTLING, LOAD, PRODUCTION)


def files() -> dict[Path, str]:
    """Return what is written, by path."""
    return {FOLDER / f"{told.name}.json": json.dumps(dashboard(told), indent=2) + "\n" for told in ALL}


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, "utf-8")
