"""The options that the scenarios add to Locust's own, on its command line and in its web page."""

from __future__ import annotations

import math
import os
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from harness.asking.described import find, shape_of
from harness.contract import SIMULATOR_TOKEN
from harness.errors import InputError
from harness.load.job import DEFAULT_SHAPE
from harness.load.kit.limits import LoadLimits, require
from harness.records.up_state import UpState
from harness.under_test import RequestShape

if TYPE_CHECKING:  # importing Locust patches the process
    from locust.argument_parser import LocustArgumentParser

Value = TypeVar("Value")
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSettings:
    """How a test is made.

    Attributes:
        limits: what it is held against.
        rate_factor: multiplies the rates of every scenario.
        seed: the same seed sends the same requests at the same instants.
        call_timeout_s: a call that takes longer is given up.
        max_in_flight: above it an arrival is dropped, and counted; per driver.
        simulator_url: base URL of the model API simulator, None when there is none.
        simulator_token: of its control API, None on loopback.
        traces_url: address of Jaeger's page, or else of the fleet's own page of traces, for links.
        otlp_url: base URL of the OTLP/HTTP receiver that gets the callers' spans, None for nobody.
        results: folder for rows and histogram, None to keep none.
        request: how the service is asked, by scenarios that don't say it themselves.
        containers: the names of the fleet's, by their addresses.

    Raises:
        ValueError: of a rate, a timeout or a number with which nothing can be sent.
    """

    limits: LoadLimits
    rate_factor: float
    seed: int
    call_timeout_s: float
    max_in_flight: int
    simulator_url: str | None
    simulator_token: str | None
    traces_url: str | None
    otlp_url: str | None
    results: Path | None
    request: RequestShape = DEFAULT_SHAPE
    containers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what nothing can be sent with."""
        require(0 < self.rate_factor < math.inf, "--rate-factor", self.rate_factor, "above 0")
        require(0 < self.call_timeout_s < math.inf, "--call-timeout-s", self.call_timeout_s, "above 0")
        require(self.max_in_flight >= 1, "--max-in-flight", self.max_in_flight, "from 1")


def add_options(parser: LocustArgumentParser) -> None:
    """Add the options to Locust's parser; it shows them in its web page as well.

    Where nothing else is said, scenarios are picked on the page, and this machine alone can open it and send
    workers: Locust would run all of them at once, and listen to everybody.
    """
    parser.set_defaults(class_picker=True, web_host=LOOPBACK, master_bind_host=LOOPBACK)
    add = parser.add_argument
    add("--p99-ms", type=float, help="Fail above this p99 of all calls, from their intended start")
    add("--ttft-ms", type=float, help="Fail above this p99 of the time to first token, of the successes")
    add("--max-error-ratio", type=float, default=0.01, help="Fail above this share of failed calls")
    add(
        "--max-late-ratio",
        type=float,
        default=0.2,
        help="Above this share of calls sent late nothing is known of the service",
    )
    add("--max-amplification", type=float, help="Fail above this many attempts per call at the model API")
    add("--min-requests", type=int, help="Fewer calls prove nothing; never less than 299 with --p99-ms")
    add("--rate-factor", type=float, default=1.0, help="Multiplies the rates of the scenarios")
    add("--seed", type=int, default=1, help="The same seed sends the same requests at the same instants")
    add("--call-timeout-s", type=float, default=60.0, help="A call that takes longer is given up")
    add("--max-in-flight", type=int, default=1000, help="Above it an arrival is dropped, and counted")
    add(
        "--simulator-url",
        env_var="AGENTRIG_SIMULATOR_URL",
        help="Model API simulator to inject the scenario's throttling into; found when `agentrig up` runs",
    )
    add("--jaeger-url", help="Jaeger's page, for links to traces")
    add(
        "--otlp-url",
        env_var="OTEL_EXPORTER_OTLP_ENDPOINT",
        help="OTLP/HTTP receiver of a span per call, the root of its trace; found when `agentrig up` runs",
    )
    add("--agent", help="agentrig.toml whose [request] says how the service is asked; the one in this folder")
    add("--results-dir", help="Folder that gets a row per call and the exact histogram")


def read_options(options: Namespace, up: UpState | None, folder: Path, *, of_fleet: bool) -> LoadSettings:
    """Return the settings; what is not given comes from the fleet that is up.

    The web page hands in texts, and empty ones for what was left out.

    Args:
        options: as Locust has them.
        up: the fleet that is up, None for none.
        folder: whose agentrig.toml says how the service is asked, where no other is named.
        of_fleet: whether it is that fleet which is asked: it is known how.

    Raises:
        ValueError: an option is wrong.
    """
    try:
        request = _request(options, up if of_fleet else None, folder)
    except InputError as error:
        raise ValueError(str(error)) from error
    results = _given(options.results_dir, Path)
    mine = _given(options.simulator_url, str)
    return LoadSettings(
        limits=LoadLimits(
            p99_ms=_given(options.p99_ms, float),
            ttft_ms=_given(options.ttft_ms, float),
            max_error_ratio=float(options.max_error_ratio),
            max_late_ratio=float(options.max_late_ratio),
            max_amplification=_given(options.max_amplification, float),
            min_requests=_given(options.min_requests, int),
        ),
        rate_factor=float(options.rate_factor),
        seed=int(options.seed),
        call_timeout_s=float(options.call_timeout_s),
        max_in_flight=int(options.max_in_flight),
        simulator_url=mine or (up.simulator_url if up else None),
        simulator_token=os.environ.get(SIMULATOR_TOKEN) or (up.simulator_token if up and not mine else None),
        traces_url=_given(options.jaeger_url, str) or ((up.jaeger_url or up.traces_url) if up else None),
        otlp_url=_given(options.otlp_url, str) or (up.otlp_url if up else None),
        results=results,
        request=request,
        containers={each.address: each.name for each in up.containers} if up else {},
    )


def _request(options: Namespace, up: UpState | None, folder: Path) -> RequestShape:
    file = _given(options.agent, Path)
    if file is None and up is not None:
        return up.request or DEFAULT_SHAPE
    file = file or find(folder)
    return shape_of(file) if file else DEFAULT_SHAPE


def _given(value: object, kind: Callable[[str], Value]) -> Value | None:
    return None if value is None or value == "" else kind(str(value))
