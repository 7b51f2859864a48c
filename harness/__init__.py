"""agentrig's harness: experiments on a fleet of agent containers, and a verdict with its evidence."""

__version__ = "0.1.0"
