"""The one style sheet: of the report, and of pictures that stand by themselves."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"


def style() -> Markup:
    """Return the style sheet, to be put into a `style` element."""
    return Markup((TEMPLATES / "report.css").read_text("utf-8"))  # noqa: S704 - our own file
