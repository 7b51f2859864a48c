"""The scenarios that were picked all run: each has a driver, whatever the number of users."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import flask

from harness.load.kit.form import starts_a_test, with_fields

if TYPE_CHECKING:  # importing Locust patches the process
    from locust.web import WebUI

USERS, CLASSES, RATE = "user_count", "user_classes", "spawn_rate"
"""Fields of the form that starts a test."""
log = logging.getLogger("agentrig.load")


def scenarios(user_classes: Iterable[type]) -> list[Any]:
    """Return the classes that are scenarios: a locustfile may have other users as well."""
    return [user for user in user_classes if hasattr(user, "throttling")]


def equalise_weights(user_classes: Iterable[type]) -> None:
    """Let Locust give every scenario as many users: it would begin with the heavy ones, and may end there.

    The number of a scenario's users has no part in its load, and so has its weight.
    """
    for user in scenarios(user_classes):
        user.weight, user.fixed_count = 1, 0


def users_needed(users: int | None, classes: int, workers: int = 1) -> int:
    """Return how many users to start so that each class has one on each worker; warn of fewer than classes.

    Args:
        users: that were asked for, None for no wish.
        classes: that were picked.
        workers: processes that users are spread over.
    """
    if users is not None and users < classes:
        log.warning("%d users for %d scenarios: more are started, as each needs one", users, classes)
    return max(users or 1, classes * workers)


def install(web_ui: WebUI, classes: Callable[[Sequence[str]], Sequence[type]]) -> None:
    """Raise the number of users in the web page's form to that of the scenarios that it picks.

    Where these are all that runs, they start at once: no request waits for a driver to be spawned.

    Args:
        web_ui: Locust's.
        classes: returns the classes that run, by the names that the form picks.
    """
    if web_ui.app is None:
        return

    @web_ui.app.before_request
    def fill_up() -> None:
        form = flask.request.form
        if not starts_a_test():
            return
        wanted = form.get(USERS, "")
        if not wanted.isdecimal():
            return  # Locust refuses it
        running = classes(form.getlist(CLASSES))
        users = users_needed(int(wanted), len(running))
        at_once = {RATE: str(users)} if len(scenarios(running)) == len(running) else {}
        with_fields({USERS: str(users), **at_once})
