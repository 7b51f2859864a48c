"""Long and short requests mixed: does a short one wait behind a long one while a neighbour idles?"""

from harness.load.scenario import OpenUser, Poisson


class BusyRouting(OpenUser):
    """Traffic that keeps four one-at-a-time containers about three quarters busy."""

    arrivals = Poisson(rate_rps=16.0)
