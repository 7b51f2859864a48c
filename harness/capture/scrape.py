"""Asks the agents for `/metrics` and `/ping` while a load lasts."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Self

import httpx
from prometheus_client.parser import text_string_to_metric_families

from harness.clock import Clock
from harness.contract import HEALTHY, HEALTHY_BUSY, METRICS, PING, PING_BUSY, PING_CHANGED
from harness.outside.http import control_client
from harness.outside.text import parse_json
from harness.records.seen import MetricPoint

Fetch = Callable[[str], str]
"""Returns the text at an URL; raises `httpx.HTTPError` when there is none."""
Sample = tuple[str, float, Mapping[str, str]]
"""Name, value and labels."""

TIMEOUT_S: Final = 1.0
INSTANT_S: Final = 0.05
"""What `/ping` says after longer is true of no known instant, and is not kept."""


class Scraper:
    """A thread that scrapes every target at an interval, and once more at the end.

    A target that fails, or that tells too late what was true, is noted and tried again the next time. What
    `/ping` says becomes samples as well: `PING_BUSY`, 1 for `HealthyBusy` and 0 for `Healthy`, and
    `PING_CHANGED`, the stamp of the last change, where it is one.

    Args:
        targets: returns the base URL of each process, by the process's name; asked each round.
        experiment, arm: what the points are marked with.
        prefixes: only samples whose names begin with one of these are kept.
        interval_s: seconds between two rounds.
        clock: says when a round began.
        fetch: gets the text; over HTTP by default.
    """

    def __init__(
        self,
        targets: Callable[[], Mapping[str, str]],
        *,
        experiment: str,
        arm: str,
        prefixes: tuple[str, ...],
        interval_s: float,
        clock: Clock,
        fetch: Fetch | None = None,
    ) -> None:
        self._targets = targets
        self._experiment = experiment
        self._arm = arm
        self._prefixes = prefixes
        self._interval_s = interval_s
        self._clock = clock
        self._client = control_client(TIMEOUT_S)
        self._fetch: Fetch = fetch or self._get
        self._points: list[MetricPoint] = []
        self._failures: Counter[str] = Counter()
        self._last_failure: dict[str, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scraper", daemon=True)

    def __enter__(self) -> Self:
        """Begin to scrape."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Scrape a last time and end."""
        self._stop.set()
        self._thread.join()
        self._client.close()

    def points(self) -> tuple[MetricPoint, ...]:
        """Return what was scraped so far."""
        return tuple(self._points)

    def failures(self) -> dict[str, str]:
        """Return, for each target that failed, how often and why the last time."""
        return {
            name: f"{times} x, at last: {self._last_failure[name]}" for name, times in self._failures.items()
        }

    def scrape(self) -> None:
        """Scrape every target once."""
        for name, url in self._targets().items():
            for path, read in ((PING, self._read_ping), (METRICS, self._read_metrics)):
                time_s = self._clock.now()
                try:
                    text = self._fetch(url + path)
                    took_s = self._clock.now() - time_s
                    if path == PING and took_s > INSTANT_S:
                        raise ValueError(f"the answer took more than {INSTANT_S:g} s")  # noqa: TRY301 - noted below
                    for sample, value, labels in read(text):
                        self._points.append(self._point((time_s, took_s), name, sample, value, labels))
                except (httpx.HTTPError, ValueError) as error:
                    self._failures[name] += 1
                    self._last_failure[name] = f"{path}: {type(error).__name__}: {error}"

    def _read_metrics(self, text: str) -> Iterator[Sample]:
        kept = [line for line in text.splitlines() if line.startswith(self._prefixes)]
        for family in text_string_to_metric_families("\n".join(kept) + "\n"):
            for sample in family.samples:
                yield sample.name, sample.value, sample.labels

    def _read_ping(self, text: str) -> Iterator[Sample]:
        body = parse_json(text)
        status = body.get("status") if isinstance(body, dict) else None
        if status not in (HEALTHY, HEALTHY_BUSY):
            raise ValueError(f"status is neither {HEALTHY} nor {HEALTHY_BUSY}")
        yield PING_BUSY, float(status == HEALTHY_BUSY), {}
        stamp = body.get("time_of_last_update")
        if isinstance(stamp, int) and not isinstance(stamp, bool):
            yield PING_CHANGED, float(stamp), {}

    def _point(
        self, at_s: tuple[float, float], source: str, name: str, value: float, labels: Mapping[str, str]
    ) -> MetricPoint:
        """Make a point of a sample, asked for at an instant, and told so many seconds later."""
        time_s, took_s = at_s
        return MetricPoint(
            experiment=self._experiment,
            arm=self._arm,
            time_s=time_s,
            source=source,
            name=name,
            value=value,
            labels=labels,
            took_s=took_s,
        )

    def _run(self) -> None:
        stopped = False
        while not stopped:
            stopped = self._stop.wait(self._interval_s)
            self.scrape()

    def _get(self, url: str) -> str:
        return self._client.get(url).raise_for_status().text
