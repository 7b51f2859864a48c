"""Conversations over a fleet that keeps none: any container may get the next turn."""

from harness.load.scenario import OpenUser, Poisson


class Conversations(OpenUser):
    """Six turns a session, at least two seconds apart, from many people at once."""

    arrivals = Poisson(rate_rps=10.0)
    turns = 6
