"""A metronome: nothing in the load varies, so whatever varies is the service."""

from harness.load.scenario import Constant, OpenUser


class Steady(OpenUser):
    """Ten requests a second, evenly spaced."""

    arrivals = Constant(rate_rps=10.0)
