"""The first requests of fresh containers arrive together: who pays for the clients?"""

from harness.load.scenario import Burst, OpenUser, Poisson


class ColdStart(OpenUser):
    """A burst at an idle fleet, a pause, then calm traffic: only the burst may find cold clients."""

    arrivals = Burst(size=24, quiet_s=2.0, then=Poisson(rate_rps=8.0))
