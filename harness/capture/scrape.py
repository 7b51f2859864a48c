"""Asks the agents for `/metrics` and `/ping` while a load lasts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from harness.capture.watch import Watch, Watching
from harness.contract import HEALTHY, HEALTHY_BUSY, METRICS, PING, PING_BUSY, PING_CHANGED, PING_MUTE
from harness.outside.http import control_client
from harness.outside.text import parse_json, whole_number

Fetch = Callable[[str], str]
"""Returns the text at an URL; raises `httpx.HTTPError` when there is none."""
Sample = tuple[str, float, Mapping[str, str]]
"""Name, value and labels."""

TIMEOUT_S: Final = 1.0
INSTANT_S: Final = 0.05
"""What `/ping` says after longer is true of no known instant, and is not kept."""


class _TooLateError(ValueError):
    """An answer that came, and too late to say of what instant it is true."""


class Scraper(Watch):
    """Scrapes every target at an interval, and once more at the end.

    A target that fails, or that tells too late what was true, is noted and tried again the next time. What
    `/ping` says becomes samples as well: `PING_BUSY`, 1 for `HealthyBusy` and 0 for `Healthy`, and
    `PING_CHANGED`, the stamp of the last change, where it is one. Of a target that has said it once,
    `PING_MUTE` is a look that got an error, or nothing in `TIMEOUT_S`.

    Args:
        targets: returns the base URL of each process, by the process's name; asked each round.
        how: it looks.
        prefixes: only samples whose names begin with one of these are kept.
        fetch: gets the text; over HTTP by default.
    """

    def __init__(
        self,
        targets: Callable[[], Mapping[str, str]],
        how: Watching,
        *,
        prefixes: tuple[str, ...],
        fetch: Fetch | None = None,
    ) -> None:
        super().__init__(how)
        self._targets = targets
        self._prefixes = prefixes
        self._client = control_client(TIMEOUT_S)
        self._fetch: Fetch = fetch or self._get
        self._pinged: set[str] = set()
        self._failures: Counter[str] = Counter()
        self._last_failure: dict[str, str] = {}

    def looks(self) -> list[Callable[[], None]]:
        """Return the one look at all of them."""
        return [self.scrape]

    def __exit__(self, *details: object) -> None:
        """Scrape a last time and end."""
        super().__exit__(*details)
        self.scrape()
        self._client.close()

    def failures(self) -> dict[str, str]:
        """Return, for each target that failed, how often and why the last time."""
        return {
            name: f"{times} x, at last: {self._last_failure[name]}" for name, times in self._failures.items()
        }

    def scrape(self) -> None:
        """Scrape every target once."""
        now = self._how.clock.now
        for name, url in self._targets().items():
            for path, read in ((PING, self._read_ping), (METRICS, self._read_metrics)):
                time_s = now()
                try:
                    text = self._fetch(url + path)
                    took_s = now() - time_s
                    samples = list(read(text))
                    if path == PING:
                        self._pinged.add(name)
                        if took_s > INSTANT_S:
                            raise _TooLateError(f"the answer took more than {INSTANT_S:g} s")
                    for sample, value, labels in samples:
                        self.note(name, sample, value, labels, at_s=time_s, took_s=took_s)
                except (httpx.HTTPError, ValueError) as error:
                    if path == PING and name in self._pinged and not isinstance(error, _TooLateError):
                        self.note(name, PING_MUTE, 1.0, {}, at_s=time_s, took_s=now() - time_s)
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
        stamp = whole_number(body.get("time_of_last_update"))
        if stamp is not None:
            yield PING_CHANGED, stamp, {}

    def _get(self, url: str) -> str:
        return self._client.get(url).raise_for_status().text
