"""Ties a test to Locust's events, on whichever kind of process this is."""

from __future__ import annotations

import logging
import os
import sys
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast
from weakref import WeakKeyDictionary

import gevent
from locust import User
from locust.env import Environment
from locust.rpc import Message
from locust.runners import STATE_INIT, STATE_MISSING, LocalRunner, MasterRunner, Runner, WorkerRunner
from locust.user.task import filter_tasks_by_tags
from locust.util.timespan import parse_timespan
from werkzeug.datastructures import MultiDict

from harness.errors import ExitCode
from harness.load.caller import SteadyClock
from harness.load.kit import board, checked, form, metrics, panel, picked, results, run_time, strangers
from harness.load.kit.caller_spans import post_to
from harness.load.kit.leader import BEGIN, FINAL, RATE, RESET, STOP, Leader
from harness.load.kit.limits import LimitFinding, worst
from harness.load.kit.node import BeginMessage, Node, Part
from harness.load.kit.rates import RateChange
from harness.load.kit.settings import LOOPBACK, LoadSettings, read_options
from harness.load.kit.tally import Others, Tally
from harness.load.kit.throttling import RENEW_S, SimulatorControl, Throttling
from harness.outside.http import control_client
from harness.process.guard import scratch_folder
from harness.records import up_state
from harness.records.sent import RequestRow
from harness.records.up_state import UpState

LEAD_S = 0.5
"""The plan begins so long after the message goes out; a process that has it later sends what was due late."""
REPORTED_WITHIN_S = 30.0
"""A worker that has not said by then which users it runs, and that it listens, gets no share or misses it."""
POLL_S = 0.05
WATCH_S = 0.5
SIMULATOR_TIMEOUT_S = 10.0
LISTENS = "agentrig-listens"
"""What a worker says when it has its listeners: what is sent to it before is lost."""
LOCAL = "local"
"""What Locust calls the one worker when there is no other process."""
WRONG = "%s. Nothing is sent."
FIGURES = "agentrig"
"""The key of our figures in a worker's report."""
log = logging.getLogger("agentrig.load")
logging.getLogger("httpx").setLevel(logging.WARNING)  # the containers are asked every second
_wirings: WeakKeyDictionary[Environment, LocustListeners] = WeakKeyDictionary()


def install(environment: Environment, runner: Runner, **_: object) -> None:
    """Tie this process's Locust to open arrivals: a listener of its `init` event."""
    _wirings[environment] = LocustListeners(environment, runner)


def node_of(environment: Environment) -> Node | None:
    """Return this process's part in the test that runs; None when it could not begin.

    Waits for the listeners: Locust makes a worker's users as soon as its master asks, which may be earlier.
    """
    while environment not in _wirings:
        gevent.sleep(POLL_S)
    return _wirings[environment].node


class LocustListeners:
    """What listens to the events of one process.

    Attributes:
        node: this process's part in the test, None on a master and before the first test.
        leader: None on a worker, and before the first test.
    """

    def __init__(self, environment: Environment, runner: Runner) -> None:
        """Listen to the events of `environment`, whose runner is `runner`."""
        self.node: Node | None = None
        self.leader: Leader | None = None
        self._environment = environment
        self._runner = runner
        self._options = environment.parsed_options or Namespace()
        self._up: UpState | None = None
        self._fleets: set[str] = set()
        self._results_used: set[Path] = set()
        self._rows_folder: Path | None = None
        self._settings: LoadSettings | None = None
        self._running = self._handed_in = False
        self._verdicts: list[ExitCode] = []
        self._findings: tuple[LimitFinding, ...] = ()
        self._scratch = ExitStack()
        self._listening: set[str] = set()
        self._clock = SteadyClock()
        self._leads = not isinstance(runner, WorkerRunner)
        self._works = not isinstance(runner, MasterRunner)
        self._run_time = run_time.RunTime(
            self._options,
            runner,
            self._close_page,
            now=self._now,
            sleep=gevent.sleep,
            spawn=gevent.spawn,
        )
        self._listen()
        if self._leads:
            self._prepare_to_lead()
        elif isinstance(runner, WorkerRunner):
            if runner.worker_state != STATE_INIT:
                self._on_test_start()  # its master was faster than this process
            runner.send_message(LISTENS)

    def _listen(self) -> None:
        events, runner = self._environment.events, self._runner
        events.request.add_listener(self._on_request)
        events.user_error.add_listener(self._on_user_error)
        events.test_start.add_listener(self._on_test_start)
        events.spawning_complete.add_listener(self._on_spawning_complete)
        events.test_stopping.add_listener(self._on_test_stopping)
        events.test_stop.add_listener(self._on_test_stop)
        if self._leads:
            events.reset_stats.add_listener(self._on_reset_stats)
        events.quitting.add_listener(self._on_quitting)
        events.report_to_master.add_listener(self._on_report_to_master)
        events.worker_report.add_listener(self._on_worker_report)
        runner.register_message(BEGIN, self._on_begin)
        runner.register_message(STOP, self._on_stop, concurrent=True)
        runner.register_message(RATE, self._on_rate)
        runner.register_message(RESET, self._on_reset)
        runner.register_message(FINAL, self._on_final)
        runner.register_message(LISTENS, self._on_listens)

    def _prepare_to_lead(self) -> None:
        environment, options = self._environment, self._options
        self._look_for_fleet()
        if environment.web_ui is not None:
            strangers.install(environment.web_ui)
            form.install(environment.web_ui, self._look_for_fleet, self._host_for, self._problem_of_form)
            panel.install(environment.web_ui, self._figures, lambda: self._up)
            metrics.install(environment.web_ui, self._tally)
            run_time.install(environment.web_ui, parse_timespan, self._choose_run_time)
            picked.install(environment.web_ui, self._classes)
            board.install(environment.web_ui, self._board, self._change_rate)
            log.info("exact figures, containers and links to traces: at %s of the web page", panel.PATH)
        if self._run_time.unattended:
            self._exit_if_nothing_can_be_sent()
            environment.process_exit_code = ExitCode.UNKNOWN  # until a verdict proves otherwise
        if options.headless or options.autostart:
            workers = options.expect_workers if options.master else 1
            options.num_users = picked.users_needed(options.num_users, len(environment.user_classes), workers)
            alone = len(picked.scenarios(environment.user_classes)) == len(environment.user_classes)
            if alone or not options.spawn_rate:
                options.spawn_rate = options.num_users  # drivers begin together, and at once

    def _look_for_fleet(self) -> None:
        """Look again which fleet is up: one that was started anew has other addresses."""
        environment = self._environment
        self._up = up = up_state.read(up_state.default_file())
        if up is None:
            return
        if environment.host is None or environment.host in self._fleets:
            environment.host = up.url
        if environment.host == up.url:
            self._fleets.add(up.url)

    def _host_for(self, host: str) -> str:
        self._look_for_fleet()
        return self._up.url if self._up is not None and host in self._fleets else host

    def _gone(self) -> set[str]:
        """Return the addresses of fleets that are no more."""
        return self._fleets - ({self._up.url} if self._up else set())

    def _exit_if_nothing_can_be_sent(self) -> None:
        environment = self._environment
        if (why := self._problem(environment.user_classes, environment.host, self._options)) is not None:
            log.error(WRONG, why)
            sys.exit(ExitCode.BAD_INPUT)

    def _problem(self, classes: Sequence[type[User]], host: str | None, options: Namespace) -> str | None:
        """Say what is wrong with a test, None for nothing."""
        for user in classes:
            if options.tags or options.exclude_tags:
                filter_tasks_by_tags(
                    user, set(options.tags or ()) or None, set(options.exclude_tags or ()) or None
                )
        try:
            self._read_options(options, host)
        except ValueError as error:
            return str(error)
        return next(checked.problems(classes, host, options, self._gone()), None)

    def _problem_of_form(self, fields: MultiDict[str, str]) -> str | None:
        environment = self._environment
        available = environment.available_user_classes or {}
        names = fields.getlist(picked.CLASSES) or list(available)
        classes = cast("list[type[User]]", [available[name] for name in names if name in available])
        options = form.options_with(self._options, fields)
        options.num_users = options.spawn_rate = None  # Locust itself looks at these
        return self._problem(
            classes or environment.user_classes, fields.get(form.HOST, environment.host), options
        )

    def _read_options(self, options: Namespace, host: str | None) -> LoadSettings:
        of_fleet = self._up is not None and host == self._up.url
        return read_options(options, self._up, Path(), of_fleet=of_fleet)

    # --- a test begins -------------------------------------------------------------------
    def _on_test_start(self, **_: object) -> None:
        self.node = self.leader = None
        self._running, self._handed_in = True, False
        self._clock = SteadyClock()
        self._run_time.test_starts()
        if self._leads:
            self._verdicts.append(ExitCode.UNKNOWN)
            self._set_exit_code(ExitCode.UNKNOWN)
            picked.equalise_weights(self._environment.user_classes)
        self._end_if_users_cannot_be_made()
        self._look_for_fleet()
        try:
            self._settings = settings = self._read_options(self._options, self._environment.host)
        except ValueError as error:
            log.error(WRONG, error)  # noqa: TRY400 - no traceback
            return
        if self._works:
            post = post_to(settings.otlp_url) if settings.otlp_url else None
            self.node = Node(settings, self._environment.events.request, self._worker_index(), post)
        if self._leads:
            self.leader = self._lead(settings)

    def _lead(self, settings: LoadSettings) -> Leader:
        simulator = None
        run_id = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.urandom(2).hex()}"
        if settings.simulator_url is not None:
            token = settings.simulator_token
            client = control_client(
                SIMULATOR_TIMEOUT_S,
                base_url=settings.simulator_url,
                headers={"authorization": f"Bearer {token}"} if token else {},
            )
            simulator = SimulatorControl(client, run_id)
        return Leader(
            settings,
            run_id=run_id,
            results=self._results_folder(settings),
            send=self._send,
            alive=self._alive,
            simulator=simulator,
        )

    def _results_folder(self, settings: LoadSettings) -> Path | None:
        """Return where this test's files go: it overwrites those of no other."""
        folder = settings.results or self._scratch_folder()
        if folder is None:
            return None
        found = results.unused(folder, self._results_used)
        self._results_used.add(found)
        if settings.results is not None and found != folder:
            log.info("%s has the files of another test: those of this one go to %s", folder, found)
        return found

    def _scratch_folder(self) -> Path | None:
        """Return a folder for the rows that the page offers, None where they are on other machines."""
        if self._environment.web_ui is None:
            return None
        if isinstance(self._runner, MasterRunner) and self._options.master_bind_host != LOOPBACK:
            return None
        if self._rows_folder is None:
            self._rows_folder = self._scratch.enter_context(scratch_folder("locust"))
        return self._rows_folder

    def _end_if_users_cannot_be_made(self) -> None:
        """Where nobody is there to stop it, let a test end whose users cannot be made."""
        starting = gevent.getcurrent()
        if self._leads and self._run_time.unattended and isinstance(starting, gevent.Greenlet):
            starting.link_exception(lambda _: self._run_time.end())

    def _on_spawning_complete(self, **_: object) -> None:
        leader = self.leader
        if leader is None:
            if self._leads and self._run_time.unattended:
                gevent.spawn(self._run_time.end)
            return
        self._wait_for_reports()
        if not self._runs(leader):
            return  # it was stopped meanwhile
        again = leader.begun
        start_s = self._now() + LEAD_S
        leader.begin(self._drivers(), self._picked(), start_s, self._run_time.length_s)
        if not again and self._runs(leader):
            self._run_time.begin(start_s)
            gevent.spawn(self._watch, leader)

    def _watch(self, leader: Leader) -> None:
        """While a test lasts, keep its throttling in place, and notice workers that are not heard of."""
        renewed_s = self._now()
        while self._runs(leader):
            gevent.sleep(WATCH_S)
            leader.look_at_workers()
            if self._runs(leader) and self._now() - renewed_s >= RENEW_S:
                renewed_s = self._now()
                leader.renew()

    def _wait_for_reports(self) -> None:
        """Wait until all workers have said which users they run, and that they listen.

        Locust's master waits for a second only, and a worker says that it is ready before it listens.
        """
        runner = self._runner
        deadline_s = self._now() + REPORTED_WITHIN_S
        while isinstance(runner, MasterRunner):
            deaf = {client.id for client in runner.clients.all if self._alive(client.id)} - self._listening
            if runner.user_count >= runner.target_user_count and not deaf:
                return
            if self._now() >= deadline_s:
                log.warning(
                    "workers reported %d users of %d; %d workers never said that they listen: %s",
                    runner.user_count,
                    runner.target_user_count,
                    len(deaf),
                    ", ".join(sorted(deaf)) or "none",
                )
                return
            gevent.sleep(POLL_S)

    def _picked(self) -> dict[str, Throttling | None]:
        """Return the scenarios that are to run; those, too, that were named and that Locust left out."""
        environment = self._environment
        named = {user.__name__: user for user in picked.scenarios(environment.user_classes)}
        known = environment.available_user_classes or {}
        named |= {name: known[name] for name in self._options.user_classes or () if name in known}
        return {name: user.throttling for name, user in named.items() if picked.scenarios([user])}

    def _classes(self, names: Sequence[str]) -> list[type[User]]:
        """Return the classes that a form with these names runs: Locust takes none for all."""
        environment = self._environment
        available = environment.available_user_classes
        if environment.web_ui is None or not environment.web_ui.userclass_picker_is_active or not available:
            return list(environment.user_classes)
        return cast("list[type[User]]", [available[name] for name in names or available if name in available])

    def _on_begin(self, msg: Message, **_: object) -> None:
        if self.node is not None:
            self.node.begin(BeginMessage.from_wire(msg.data))

    def _on_rate(self, msg: Message, **_: object) -> None:
        if self.node is not None:
            self.node.change_rate(RateChange(msg.data["at_s"], msg.data["factor"]))

    def _on_reset(self, **_: object) -> None:
        if self.node is not None:
            self.node.reset()

    def _on_reset_stats(self, **_: object) -> None:
        if self.leader is not None and self._running:
            self.leader.reset()

    def _change_rate(self, factor: float) -> None:
        if self.leader is None or not self._running or not self.leader.begun:
            raise ValueError("no test runs whose rate could be changed")
        self.leader.change_rate(factor, self._now())

    def _board(self) -> board.Board:
        leader, tally = self.leader, self._tally()
        if not self._running:
            self._look_for_fleet()  # one that went since the page was opened is told there
        findings = self._findings
        if leader is not None and self._running:
            findings = leader.findings_so_far()
        problem = ""
        if self._environment.host in self._gone():
            problem = f"the fleet that `agentrig up` held at {self._environment.host} is gone: start it again"
        return board.Board(
            running=self._running,
            findings=findings,
            rate_factor=leader.rate_factor if leader else None,
            problem=problem,
            tally=tally or Tally(),
            rows=leader.results if leader else None,
        )

    def _choose_run_time(self, length_s: int | None) -> None:
        """Take what the web page's form asked for."""
        if length_s is not None:
            self._options.run_time = length_s  # the form shows it again
        if not self._running or self.leader is None or not self.leader.begun:
            self._run_time.choose(length_s)
        elif length_s != self._run_time.length_s:
            log.warning("the run time stays: it is part of the plan that the drivers have")

    # --- while it lasts --------------------------------------------------------------------
    def _on_request(
        self, context: Mapping[str, object] | None = None, exception: object = None, **_: object
    ) -> None:
        if self.node is not None and not isinstance((context or {}).get("row"), RequestRow):
            self.node.count_other(Others(ended=1, failed=int(bool(exception))))

    def _on_user_error(self, **_: object) -> None:
        if self.node is not None:
            self.node.count_other(Others(raised=1))

    def _on_report_to_master(self, data: dict[str, Any], **_: object) -> None:
        data[LISTENS] = True
        if self.node is not None:
            data[FIGURES] = self.node.part().to_wire()

    def _on_listens(self, msg: Message, **_: object) -> None:
        self._listening.add(msg.node_id)

    def _on_worker_report(self, client_id: str, data: dict[str, Any], **_: object) -> None:
        if LISTENS in data:  # again, for a master that had no listeners yet
            self._listening.add(client_id)
        if self.leader is not None and FIGURES in data:
            self.leader.receive(client_id, Part.from_wire(data[FIGURES]))

    def _figures(self) -> panel.Figures | None:
        tally = self._tally()
        if tally is None:
            return None
        return panel.Figures(tally, self._settings.traces_url if self._settings else None)

    def _tally(self) -> Tally | None:
        if self.leader is None:
            return None
        if self.node is not None:
            self.leader.receive(LOCAL, self.node.part())
        return self.leader.tally()

    # --- it ends -----------------------------------------------------------------------------
    def _on_test_stopping(self, **_: object) -> None:
        if self.leader is not None:
            self.leader.gather(self._now, gevent.sleep, whole=self._run_time.over)
        else:
            self._finish(whole=False)

    def _on_stop(self, msg: Message, **_: object) -> None:
        self._finish(whole=msg.data["whole"])

    def _finish(self, *, whole: bool) -> None:
        """Drain this process's part and hand its figures in, once."""
        if self.node is None or self._handed_in:
            return
        self.node.drain(whole=whole)
        if self._handed_in:
            return  # who was told to stop at once, while what was due was still sent, came first
        self._handed_in = True
        self._runner.send_message(FINAL, self.node.part().to_wire())

    def _on_final(self, msg: Message, **_: object) -> None:
        if self.leader is not None:
            self.leader.receive_final(msg.node_id, Part.from_wire(msg.data))

    def _on_test_stop(self, **_: object) -> None:
        if not self._leads or not self._running:
            return
        self._running = False
        try:
            if self.leader is not None:
                self._conclude(self.leader)
        finally:
            self._run_time.test_stopped()

    def _conclude(self, leader: Leader) -> None:
        if self.node is not None:
            leader.receive(LOCAL, self.node.part())  # users of other classes went on until now
        leader.clear_up()
        if leader.results is not None:
            results.write_histogram(leader.results, leader.tally())
        self._findings = leader.findings()
        self._set_exit_code(leader.verdict())

    def _set_exit_code(self, verdict: ExitCode) -> None:
        """Let the process end with the worst verdict of its tests, of which this is the newest one's."""
        self._verdicts[-1] = verdict
        self._environment.process_exit_code = worst(self._verdicts)

    def _on_quitting(self, **_: object) -> None:
        self._run_time.quitting()
        if not self._leads:
            self._finish(whole=False)
            self._environment.process_exit_code = 0  # the master decides
        elif self._running:
            self._runner.quit()
        self._scratch.close()

    def _close_page(self) -> None:
        if self._environment.web_ui is not None:
            self._environment.web_ui.stop()

    # --- the time, and who is there ---------------------------------------------------------
    def _now(self) -> float:
        return self._clock.now()

    def _runs(self, leader: Leader) -> bool:
        return self._running and leader is self.leader

    def _worker_index(self) -> int:
        return self._runner.worker_index if isinstance(self._runner, WorkerRunner | LocalRunner) else 0

    def _drivers(self) -> dict[str, dict[str, int]]:
        if isinstance(self._runner, MasterRunner):
            return {client.id: dict(client.user_classes_count) for client in self._runner.clients.all}
        return {LOCAL: self._runner.user_classes_count}

    def _send(self, kind: str, data: dict[str, Any], worker: str) -> None:
        if self._alive(worker):
            self._runner.send_message(kind, data, worker)

    def _alive(self, worker: str) -> bool:
        if not isinstance(self._runner, MasterRunner):
            return True
        clients = self._runner.clients
        return worker in clients and clients[worker].state != STATE_MISSING
