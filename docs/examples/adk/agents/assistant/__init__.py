"""What Google's ADK serves: the mended agent."""

from . import agent  # noqa: F401 - ADK looks for it here
