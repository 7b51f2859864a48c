"""A short experiment for one agent, with the reference agent in the control arm."""

REQUESTS = 96
"""About: enough of them meet the fault, and have a turn before them, in either arm."""


def short_run(*, rate_rps: float, turn_gap_s: float) -> str:
    """Return the experiment as TOML.

    Args:
        rate_rps: slower for an agent that takes long; the number of requests stays.
        turn_gap_s: within which a turn has to be over, where a session takes no two at once.
    """
    return f"""
name = "short"
title = "Short"
claim = "a used-up quota costs one call, and a conversation is known to both containers"
min_requests = 10
[fleet]
agents = 2
policy = "busy-aware"
[simulator]
latency = {{ ttft = {{ median_s = 0.01 }}, tokens = 1 }}
faults = [{{ kind = "quota_exhausted", probability = 0.2 }}]
[load]
rate_rps = {rate_rps}
duration_s = {REQUESTS / rate_rps}
turns = 3
turn_gap_s = {turn_gap_s}
canaries = true
[arms.yours]
title = "yours"
agent = "yours"
[arms.retry-everything]
title = "retries everything"
control = true
env = {{ AGENT_CONTROLS = "retry-everything" }}
[[checks]]
id = "permanent-once"
holds_in = ["yours"]
caught_in = ["retry-everything"]
[[checks]]
id = "errors-explained"
holds_in = ["yours"]
[[checks]]
id = "turns-kept"
holds_in = ["yours"]
"""
