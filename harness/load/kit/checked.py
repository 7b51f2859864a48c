"""What is looked at before a test begins: with something wrong in it, nothing would be sent, or ever end."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from harness.asking.described import shape_in_code
from harness.errors import InputError
from harness.under_test import RequestShape

if TYPE_CHECKING:  # importing Locust patches the process
    from locust import User

NO_SERVICE = "no service to send to: give --host URL, or run `agentrig up` in another terminal"


def shape_of(scenario: type) -> RequestShape | None:
    """Return how a scenario says that its service is asked, None when it doesn't.

    Raises:
        InputError: what it says is wrong.
    """
    request = getattr(scenario, "request", None)
    if request is None:
        return None
    return shape_in_code(request, f"{scenario.__name__}.request", Path())


def problems(
    classes: Iterable[type[User]], host: str | None, options: Namespace, gone: Collection[str]
) -> Iterator[str]:
    """Yield what is wrong with a test, but for the options that are ours.

    Args:
        classes: that are to run.
        host: of all of them, None or empty for each one's own.
        options: Locust's.
        gone: addresses of fleets that are no more.
    """
    picked = list(classes)
    for address in dict.fromkeys([host] if host else [user.host for user in picked]):
        yield from _of_host(address, gone)
    for user in picked:
        if not user.tasks:
            yield (
                f"--tags and --exclude-tags leave nothing of {user.__name__}: "
                "name the classes that are to run"
            )
        try:
            shape_of(user)
        except InputError as error:
            yield str(error)
    users, rate = getattr(options, "num_users", None), getattr(options, "spawn_rate", None)
    if users is not None and users < 0:
        yield f"--users must be a number from 0, not {users}"
    if rate is not None and not 0 < rate < math.inf:
        yield f"--spawn-rate must be a number above 0, not {rate:g}"


def _of_host(address: str | None, gone: Collection[str]) -> Iterator[str]:
    if not address:
        yield NO_SERVICE
        return
    if address in gone:
        yield f"the fleet that `agentrig up` held at {address} is gone: start it again, or name another host"
        return
    with suppress(ValueError):
        parts = urlsplit(address)
        if parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0):
            return
    yield f"{address!r} is no address of a service, such as http://127.0.0.1:8080"
