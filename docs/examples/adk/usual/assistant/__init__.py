"""What Google's ADK serves: the usual agent."""

from . import agent  # noqa: F401 - ADK looks for it here
