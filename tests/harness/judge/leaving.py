"""Arms in which containers leave: each is told to stop a while after it was taken from the list."""

from harness.records.setup import FleetEvent
from tests.harness.histories import BEGIN_S, Arm


def arm_of(told: str, *events: tuple[str, float, int]) -> Arm:
    """Return an arm with events of (action, second, container): those called `told` tell one to stop."""
    arm = Arm()
    arm.set(
        events=tuple(
            FleetEvent(time_s=BEGIN_S + at_s, action=action, container=f"agent-{number}")
            for action, at_s, number in events
        )
    )
    for action, at_s, number in events:
        if action == told:
            arm.moved(number, left_s=at_s, told_s=at_s + 0.6)
    return arm
