"""Requests of one session go to one container, while that is not full."""

from harness.contract import SESSION_HEADER
from harness.fleet.envoy_parts import Json, typed
from harness.fleet.policies import BalancerPolicy, Setting
from harness.records.spec import Policy


def maglev(_setting: Setting) -> Json:
    """Return the extension of Envoy's load balancing that picks a container."""
    return typed(
        "envoy.load_balancing_policies.maglev", "extensions.load_balancing_policies.maglev.v3.Maglev"
    )


POLICY = BalancerPolicy(name="acme-sticky", like=Policy.BUSY_503, picks=maglev, hashed_by=SESSION_HEADER)
