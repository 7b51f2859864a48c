"""The model API throttles: is it survived, and does no herd come back?"""

from harness.load.scenario import FaultRule, OpenUser, Poisson, Quota, Throttling


class ThrottlingStorm(OpenUser):
    """A tight quota, an outage of four seconds, and a few errors that no retry can mend."""

    arrivals = Poisson(rate_rps=30.0)
    throttling = Throttling(
        quota=Quota(rpm=6000, burst=100),
        faults=(
            FaultRule(kind="overloaded", window_s=(4.0, 8.0), retry_after_s="until_clear"),
            FaultRule(kind="rate_limit_requests", probability=0.05, retry_after_s=1.0),
            FaultRule(kind="conn_reset", probability=0.03),
        ),
    )
