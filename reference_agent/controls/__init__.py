"""Deliberately wrong behaviours, for the control arms of experiments. Never on by default.

An experiment proves something only if it fails where it has to. `AGENT_CONTROLS` names what is
to be wrong in this container; `apply` then replaces the right parts by these, from outside: none of
the files that work in a right agent knows of them.

- `per-request-clients`: every request builds its own clients and closes them after.
- `naive-cache`: clients in a cache that is checked and then filled, with a race between.
- `queue-at-limit`: requests over the limit wait inside; `/ping` says only that the process lives.
- `queue-and-tell`: the same, and `/ping` says when no slot is free.
- `no-jitter`: retries come back exactly when the server asked for them.
- `no-retry`: one attempt.
- `retry-everything`: permanent errors are retried as well.
- `sdk-retries`: the SDK's own retries stay on.
- `shared-agent`: one Agent object for all requests, which then keeps everybody's messages.
- `ignore-retry-after`: retries come after the agent's own backoff, whatever the server asked for.
- `pause-after-outage`: a model that was overloaded is left alone by the whole container, for too long.
- `cut-is-whole`: a stream that ends without its finish reason is taken for an answer (OpenAI).
- `fails-at-times`: every so many requests one is answered 500, for no reason.
- `slow-at-times`: every so many requests one waits, for no reason.
- `tools-rebuilt`: every so many requests the tool client is given up and built again, for no reason.
- `tools-rebuilt-untold`: the same, and no span tells of it.
- `saves-late`: the turn is saved after its answer has gone out.
- `slow-loads`: three loads of a session of a hundred take 15 ms longer.
- `slot-twice`: after an error, a slot is given back twice.
- `keeps-slots`: of six readers who leave in mid-answer, one keeps the slot for good.
- `stays-busy`: `/ping` says that the container is busy from the first reader on who leaves in mid-answer.
- `ping-constant`: `/ping` says that the process lives, whatever it has in work.
- `stamp-at-poll`: while the container is busy, the stamp of `/ping` is the time at which it is asked.
- `seeded-jitter`: the backoff is drawn from Python's own generator.
- `spans-from-random`: so are the ids of spans and traces.
- `sessions-from-random`: so are the ids of sessions that a caller gave none for.
- `trusts-its-sockets`: restored from a snapshot, the container goes on as if nothing had been.
- `renews-often`: restored, it builds its clients anew for each of its next requests.
- `stamp-kept`: restored, it keeps the stamp of `/ping`.
- `last-write-wins`: a turn is added whatever came before it (Redis).
- `never-reconnects`: after an error of a connection, the store is given up for good (Redis).
- `store-no-jitter`: a command that failed is tried again after pauses that are always the same (Redis).
- `pays-first`: a session is read by a command that no store refuses, and the model is paid (Redis).
- `waits-for-store`: a request waits for the store however long it takes (Redis).
- `ready-constant`: `/readyz` says that the container can work, whatever the store says.
- `keeps-its-tools`: a tool session is used on and on, and its list of tools, however often its calls fail.
- `gives-model-up`: once no connection to the model could be opened, none is tried for a minute (OpenAI).
- `leaks`: the container keeps some memory of each request.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from reference_agent.agent import AgentService
from reference_agent.app import Parts
from reference_agent.controls import clients, restored, retries, stores
from reference_agent.controls.handlers import HANDLERS, QUEUES, SIGNALS, QueueingHandler
from reference_agent.controls.services import SERVICES
from reference_agent.health import Health
from reference_agent.invocations import InvocationHandler
from reference_agent.patterns.busy_signal import BusySignal

NO_LIMIT = 1_000_000
logger = logging.getLogger(__name__)


def apply(parts: Parts, names: frozenset[str], clock: Callable[[], float] = time.monotonic) -> None:
    """Replace right parts by wrong ones.

    Args:
        parts: the right ones; changed.
        names: what is to be wrong.
        clock: seconds since any origin.
    """
    logger.warning("deliberately wrong, for a control arm: %s", ", ".join(sorted(names)))
    if names & clients.NAMES:
        parts.clients = clients.wrong_clients(parts, names, clock)
    if names & retries.NAMES:
        parts.make_hook = retries.wrong_hooks(parts, names, clock)
    if "queue-at-limit" in names:
        parts.busy = BusySignal(NO_LIMIT, hook=parts.instruments.busy)
        parts.instruments.busy(parts.busy.state)
        parts.health = Health(parts.busy, parts.clients, parts.store)
    for name, kind in SIGNALS.items():
        if name in names:
            parts.busy = kind(parts.settings.agent_concurrency_limit, hook=parts.instruments.busy)
            parts.instruments.busy(parts.busy.state)
            parts.health = Health(parts.busy, parts.clients, parts.store)
    if names & stores.NAMES:
        stores.make_wrong(parts, names)
    if names & restored.NAMES:
        restored.make_wrong(parts, names, clock)
    make_service = next((made for name, made in SERVICES.items() if name in names), AgentService)
    service = make_service(parts.settings, parts.clients, parts.store, parts.make_hook)
    if names & QUEUES:
        limit = parts.settings.agent_concurrency_limit
        parts.handler = QueueingHandler(
            parts.settings, service, parts.busy, parts.health, limit=limit, clock=clock
        )
    else:
        make_handler = next((made for name, made in HANDLERS.items() if name in names), InvocationHandler)
        parts.handler = make_handler(parts.settings, service, parts.busy, parts.health)
