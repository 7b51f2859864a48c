"""A rising load: does each container that is added carry its part?"""

from harness.load.scenario import OpenUser, Step, Steps


class ScaleOut(OpenUser):
    """Four levels of half a minute; the last one stays until the test is stopped."""

    arrivals = Steps((Step(4.0, 30.0), Step(8.0, 30.0), Step(16.0, 30.0), Step(32.0, 30.0)))
