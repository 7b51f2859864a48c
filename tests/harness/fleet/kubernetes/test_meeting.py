"""Which addresses of this machine pods try."""

import pytest

from harness.errors import InputError, StartError
from harness.fleet.kubernetes import meeting as module
from harness.fleet.kubernetes.meeting import addresses


def test_the_address_that_is_given_is_the_only_one() -> None:
    assert addresses({"AGENTRIG_HOST_ADDRESS": "10.1.2.3"}) == ("10.1.2.3",)
    for odd in ("here", "::1", "10.1.2.3:80"):
        with pytest.raises(InputError, match="give an address of IPv4"):
            addresses({"AGENTRIG_HOST_ADDRESS": odd})


def test_loopback_is_nothing_that_a_pod_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.psutil, "net_if_addrs", dict)
    with pytest.raises(StartError, match="no address but its own loopback"):
        addresses({})
