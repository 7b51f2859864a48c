"""`agentrig locustfiles`: where the scenarios for Locust are."""

from __future__ import annotations

from pathlib import Path

from harness.commands.console import out
from harness.errors import StartError

PACKAGE = Path(__file__).parents[1]


def locustfiles() -> None:
    """Print the folder of the scenarios that came with the program, for Locust.

    Example: `locust -f "$(agentrig locustfiles)"`
    """
    out.print(str(folder(PACKAGE)), highlight=False, markup=False, soft_wrap=True)


def folder(package: Path) -> Path:
    """Return the folder of the scenarios: beside the dashboards, in what is installed as in a checkout.

    Args:
        package: where `harness` is imported from.

    Raises:
        StartError: there is none.
    """
    places = (package / "shipped" / "locustfiles", package.parent / "locustfiles")
    for place in places:
        if place.is_dir():
            return place
    raise StartError(f"there is no {' and no '.join(map(str, places))}. Install agentrig again.")
