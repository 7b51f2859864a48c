"""What a locustfile imports: user class, rates and throttling.

Importing this adds options and limits to Locust, and with Locust patches the process for gevent.
"""

from locust import events

from harness.load.kit.profiles import Burst, Constant, Poisson, Profile, Step, Steps
from harness.load.kit.settings import add_options
from harness.load.kit.throttling import Throttling
from harness.load.kit.user import OpenUser
from harness.load.kit.wiring import install
from harness.simulator_config import FaultRule, Quota

__all__ = [
    "Burst",
    "Constant",
    "FaultRule",
    "OpenUser",
    "Poisson",
    "Profile",
    "Quota",
    "Step",
    "Steps",
    "Throttling",
]

events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(install)
