import logging
from argparse import Namespace
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import flask
import pytest

from harness.clock import FakeClock
from harness.load.kit.run_time import NO_LIMIT, RunTime, install

LEAD_S = 0.5


@pytest.fixture(autouse=True)
def locust_speaks_as_before() -> Iterator[None]:
    yield
    logging.getLogger("locust.main").filters.clear()


class Bench:
    """A runner whose users take as long to make as the test says, and greenlets that are run by hand."""

    def __init__(
        self,
        *,
        headless: bool = False,
        autostart: bool = False,
        autoquit: int = -1,
        run_time: int | None = 4,
        longest_sleep_s: float = 1e9,
    ) -> None:
        self.clock = FakeClock(start_s=0.0)
        self.done: list[tuple[str, float]] = []
        self.waiting: list[Callable[[], None]] = []
        self._longest_sleep_s = longest_sleep_s
        self.options = Namespace(headless=headless, autostart=autostart, autoquit=autoquit, run_time=run_time)
        self.run_time = RunTime(
            self.options,
            self,
            lambda: self._add_unknown("page closed"),
            now=self.clock.now,
            sleep=self._sleep,
            spawn=self.waiting.append,
        )

    def start(self, spawning_s: float = 0.0) -> float:
        """Make the users; return when the first arrival is due."""
        self.run_time.test_starts()
        self.clock.advance(spawning_s)
        start_s = self.clock.now() + LEAD_S
        self.run_time.begin(start_s)
        return start_s

    def wait(self) -> None:
        while self.waiting:
            self.waiting.pop(0)()

    def stop(self) -> None:
        self._add_unknown("stopped")
        self.run_time.test_stopped()

    def quit(self) -> None:
        self._add_unknown("quit")

    def _add_unknown(self, what: str) -> None:
        self.done.append((what, self.clock.now()))

    def _sleep(self, seconds: float) -> None:
        self.clock.sleep(min(seconds, self._longest_sleep_s))


@pytest.mark.parametrize("spawning_s", [0.0, 10.0])
def test_a_test_lasts_from_its_first_arrival_however_long_its_users_take(spawning_s: float) -> None:
    bench = Bench(headless=True)
    start_s = bench.start(spawning_s)
    bench.wait()
    assert bench.done == [("quit", start_s + 4)]
    assert bench.run_time.over


def test_a_sleep_that_ends_early_as_the_loop_had_the_time_of_long_ago_ends_no_test() -> None:
    bench = Bench(headless=True, longest_sleep_s=0.006)
    start_s = bench.start()
    bench.wait()
    ((_, ended_s),) = bench.done
    assert ended_s == pytest.approx(start_s + 4)
    assert len(bench.clock.slept) > 600


@pytest.mark.parametrize("how", [{"headless": True}, {"autostart": True}])
def test_locust_sets_no_timer_and_does_not_say_that_there_is_no_limit(
    how: dict[str, bool], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    bench = Bench(**how)
    assert bench.options.run_time is None
    logging.getLogger("locust.main").info(NO_LIMIT)
    logging.getLogger("locust.main").info("Shutting down")
    assert caplog.messages == ["run time: 4 s, counted from the first arrival that is due", "Shutting down"]
    bench.start()
    assert bench.options.run_time == 4, "the name of a report and the form of the page still have it"


def test_without_a_run_time_locust_says_so_and_the_test_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    bench = Bench(headless=True, run_time=None)
    logging.getLogger("locust.main").info(NO_LIMIT)
    bench.start()
    assert caplog.messages == [NO_LIMIT]
    assert bench.waiting == []


def test_a_run_time_on_the_command_line_of_the_web_page_alone_stays_what_its_form_begins_with() -> None:
    bench = Bench()
    bench.start()
    assert (bench.options.run_time, bench.waiting) == (4, [])


def test_an_automatic_start_leaves_the_page_open() -> None:
    bench = Bench(autostart=True)
    start_s = bench.start(10.0)
    bench.wait()
    assert bench.done == [("stopped", start_s + 4)]
    assert not bench.run_time.unattended


@pytest.mark.parametrize("autoquit", [0, 3])
def test_autoquit_leaves_so_long_after_the_end(autoquit: int) -> None:
    bench = Bench(autostart=True, autoquit=autoquit)
    end_s = bench.start(10.0) + 4
    bench.wait()
    quit_s = end_s + autoquit
    assert bench.done == [("stopped", end_s), ("quit", quit_s), ("page closed", quit_s)]
    assert bench.run_time.unattended


def test_autoquit_leaves_after_a_stop_by_hand_as_well_once() -> None:
    bench = Bench(autostart=True, autoquit=3)
    bench.start()
    bench.clock.advance(1.0)
    bench.stop()
    bench.wait()
    assert [what for what, _ in bench.done] == ["stopped", "quit", "page closed"]


def test_who_begins_another_test_by_hand_is_not_left_alone_in_the_middle_of_it() -> None:
    bench = Bench(autostart=True, autoquit=3)
    bench.start()
    bench.waiting.pop(0)()
    bench.run_time.choose(None)
    bench.start()
    bench.wait()
    assert [what for what, _ in bench.done] == ["stopped"]


def test_a_stop_by_hand_and_a_new_test_each_let_go_of_the_old_timer() -> None:
    bench = Bench()
    bench.run_time.choose(4)
    bench.start()
    bench.stop()
    bench.wait()
    bench.start()
    second_s = bench.start()
    bench.wait()
    assert bench.done == [("stopped", 0.0), ("stopped", second_s + 4)]


def test_headless_a_test_that_ended_early_still_ends_its_process() -> None:
    bench = Bench(headless=True)
    bench.start()
    bench.stop()  # Locust does so when its last worker went missing
    bench.wait()
    assert [what for what, _ in bench.done] == ["stopped", "quit"]


def test_ctrl_c_while_what_was_due_is_sent_lets_nothing_more_be_sent() -> None:
    bench = Bench(autostart=True, autoquit=0)
    bench.start()
    bench.waiting.pop(0)()
    bench.run_time.quitting()
    bench.wait()
    assert not bench.run_time.over
    assert [what for what, _ in bench.done] == ["stopped"]


class Page:
    """Locust's web page, as far as it starts tests."""

    def __init__(self) -> None:
        self.app = flask.Flask("page")
        self.forms: list[dict[str, str]] = []
        self.chosen: list[int | None] = []
        self.app.add_url_rule("/base/swarm", view_func=self.swarm, methods=["POST"])
        install(cast("Any", SimpleNamespace(app=self.app)), self.parse, self.chosen.append)

    def swarm(self) -> dict[str, object]:
        self.forms.append(dict(flask.request.form))
        return {"success": flask.request.form.get("run_time") != "soon", "message": "m"}

    @staticmethod
    def parse(text: str) -> int:
        return int(text.removesuffix("s"))

    def post(self, **form: object) -> Any:
        return self.app.test_client().post("/base/swarm", data=form).json


def test_the_run_time_of_the_form_is_taken_before_locust_sees_it() -> None:
    page = Page()
    answer = page.post(user_count=1, run_time="7s", user_classes=["A", "B"])
    assert page.chosen == [7]
    assert page.forms == [{"user_count": "1", "user_classes": "A"}]
    assert answer == {"success": True, "message": "m", "run_time": 7}


@pytest.mark.parametrize("form", [{}, {"run_time": ""}, {"run_time": "0"}])
def test_a_form_without_a_run_time_starts_a_test_that_goes_on(form: dict[str, str]) -> None:
    page = Page()
    page.post(user_count=1, **form)
    assert page.chosen == [None]


def test_a_run_time_that_cannot_be_read_is_left_for_locust_to_refuse() -> None:
    page = Page()
    assert page.post(run_time="soon")["success"] is False
    assert page.forms == [{"run_time": "soon"}]
    assert page.chosen == []
