"""How long a test lasts: from the first arrival that is due, however long the start of its users took.

Locust's own timer begins with the making of users: on a slow machine, it would end a test before a request.
"""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import flask

from harness.load.kit.form import starts_a_test, with_fields

if TYPE_CHECKING:  # importing Locust patches the process
    from locust.web import WebUI

FIELD = "run_time"
NO_LIMIT = "No run time limit set, use CTRL+C to interrupt"
"""What Locust says when it has no timer of its own."""
NO_AUTOQUIT = -1
log = logging.getLogger("agentrig.load")


class Runner(Protocol):
    """What is asked of Locust's runner."""

    def stop(self) -> None:
        """End the test that runs, if there is one."""
        ...

    def quit(self) -> None:
        """End the test that runs, and the runner."""
        ...


class RunTime:
    """The run time of the tests of one process, and what is done at their end.

    It takes the run time out of `options`, so that Locust sets no timer; a started test finds it there again.

    Args:
        options: Locust's.
        runner: ends a test.
        close: ends the web page, if there is one.
        now: seconds, of the same clock as a test's start.
        sleep: waits for seconds; may return early.
        spawn: runs a function with arguments concurrently, and returns at once.

    Attributes:
        length_s: seconds that the test lasts that runs or begins next, None for one that has to be stopped.
        over: whether the test that runs has had its time.
        unattended: whether nobody is there to stop a test: the process ends with it.
    """

    def __init__(
        self,
        options: Namespace,
        runner: Runner,
        close: Callable[[], None],
        *,
        now: Callable[[], float],
        sleep: Callable[[float], None],
        spawn: Callable[..., object],
    ) -> None:
        self.length_s: float | None = None
        self.over = False
        self._options = options
        self._runner = runner
        self._close = close
        self._now = now
        self._sleep = sleep
        self._spawn = spawn
        self._awaited: object = None
        self._autoquit_s: float | None = None
        if options.autostart and not options.headless and options.autoquit != NO_AUTOQUIT:
            self._autoquit_s = options.autoquit
        self.unattended = bool(options.headless or self._autoquit_s is not None)
        self._taken: float | None = None
        if (options.headless or options.autostart) and options.run_time:
            self._taken, options.run_time = options.run_time, None
            self.choose(self._taken)
            logging.getLogger("locust.main").addFilter(lambda record: record.msg != NO_LIMIT)

    def choose(self, length_s: float | None) -> None:
        """Let the test that comes next last `length_s` seconds, or until it is stopped."""
        self.length_s = length_s
        if length_s is not None:
            log.info("run time: %g s, counted from the first arrival that is due", length_s)

    def test_starts(self) -> None:
        """Take note that Locust begins to make users."""
        if self._taken is not None:  # for the name of a report, and the page's form
            self._options.run_time, self._taken = self._taken, None
        self.over = False
        self._awaited = None

    def begin(self, start_s: float) -> None:
        """Take note that the first arrivals are due at `start_s`; end the test when it has had its time."""
        if self.length_s is not None:
            self._at(start_s + self.length_s, self._time_is_up)

    def test_stopped(self) -> None:
        """Take note that a test has ended; leave some time after it where that was asked for."""
        if self._autoquit_s is not None:
            self._at(self._now() + self._autoquit_s, self._leave)
        elif not self._options.headless:
            self._awaited = None

    def quitting(self) -> None:
        """Take note that the process ends anyway."""
        self.over = False
        self._autoquit_s = self._awaited = None

    def end(self) -> None:
        """End the test, as Locust does when its time is up."""
        if self._options.headless:
            self._runner.quit()
        else:
            self._runner.stop()

    def _time_is_up(self) -> None:
        self.over = True
        log.info("the run time is over: what was due is still sent, and all answers are waited for")
        self.end()

    def _leave(self) -> None:
        log.info("the time of --autoquit is over")
        self._runner.quit()
        self._close()

    def _at(self, instant_s: float, do: Callable[[], None]) -> None:
        """Call `do` at `instant_s`, unless something else is awaited by then."""
        self._awaited = mark = object()

        def wait() -> None:
            while (left_s := instant_s - self._now()) > 0:
                self._sleep(left_s)
            if self._awaited is mark:
                do()

        self._spawn(wait)


def install(web_ui: WebUI, parse: Callable[[str], int], chosen: Callable[[int | None], None]) -> None:
    """Take the run time out of the form that starts a test in the web page, so that Locust sets no timer.

    Args:
        web_ui: Locust's.
        parse: returns the seconds that a text means; may raise `ValueError`, which Locust then tells.
        chosen: gets the run time of each test that was accepted, None for one without.
    """
    if web_ui.app is None:
        return

    @web_ui.app.before_request
    def take() -> None:
        form = flask.request.form
        if not starts_a_test() or not form.get(FIELD):
            return
        with suppress(ValueError):
            flask.g.run_time_s = parse(form[FIELD])
            with_fields({FIELD: None})

    @web_ui.app.after_request
    def start_answered(response: flask.Response) -> flask.Response:
        answer = response.json if starts_a_test() and response.is_json else None
        if answer and answer["success"]:
            run_time_s = flask.g.get("run_time_s") or None
            chosen(run_time_s)
            if run_time_s is not None:
                response.set_data(flask.json.dumps({**answer, FIELD: run_time_s}))
        return response
