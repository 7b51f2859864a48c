"""What stands on Locust's page all the time: how the limits stand, the rate, and whether the fleet is there.

And what can be had there: the rows, the histogram and the verdict as files.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import flask

from harness.errors import ExitCode
from harness.load.kit.limits import LimitFinding, exit_code
from harness.load.kit.results import histogram_text
from harness.load.kit.strangers import behind_login
from harness.load.kit.tally import Tally

if TYPE_CHECKING:  # importing Locust patches the process
    from locust.web import WebUI

STATE: Final = "/agentrig/state"
RATE: Final = "/agentrig/rate"
ROWS, HISTOGRAM, VERDICT = "/agentrig/requests.jsonl", "/agentrig/latency.hgrm", "/agentrig/verdict.json"
DOWNLOADS: Final = (
    {"href": ROWS, "title": "Download a row per call (agentrig)"},
    {"href": HISTOGRAM, "title": "Download the exact histogram (agentrig)"},
    {"href": VERDICT, "title": "Download the verdict (agentrig)"},
)
NO_ROWS = "there are no rows here: no test was started, or its workers are on other machines\n"
BAD_REQUEST, NOT_FOUND = 400, 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """What there is to show.

    Attributes:
        running: whether a test runs.
        findings: how its limits stand, or those of the last test.
        rate_factor: by which its rates are multiplied, None before the first test.
        problem: what is wrong with the fleet, "" for nothing.
        tally: of the test.
        rows: folder of the rows, None for none.
    """

    running: bool
    findings: Sequence[LimitFinding]
    rate_factor: float | None
    problem: str
    tally: Tally
    rows: Path | None


def install(web_ui: WebUI, board: Callable[[], Board], change_rate: Callable[[float], None]) -> None:
    """Add the board to Locust's page, and its files to the downloads there.

    Args:
        web_ui: Locust's.
        board: returns what there is to show.
        change_rate: lets another factor hold for the test that runs; may raise `ValueError`.
    """
    web_ui.template_args["extended_csv_files"] = list(DOWNLOADS)
    app = web_ui.app
    if app is None:
        return

    @app.after_request
    def show(response: flask.Response) -> flask.Response:
        path, page = flask.request.path, response.mimetype == "text/html"
        if page and flask.request.method == "GET" and path.endswith("/"):
            response.set_data(response.get_data(as_text=True).replace("</body>", f"{BOARD}</body>", 1))
        return response

    def state() -> flask.Response:
        return flask.jsonify(told(board()))

    def rate() -> flask.Response | tuple[str, int]:
        try:
            change_rate(float(flask.request.form.get("factor", "")))
        except ValueError as error:
            return f"{error}\n", BAD_REQUEST
        return flask.jsonify(told(board()))

    app.add_url_rule(STATE, view_func=behind_login(web_ui, state))
    app.add_url_rule(RATE, view_func=behind_login(web_ui, rate), methods=["POST"])
    _add_files(web_ui, app, board)


def _add_files(web_ui: WebUI, app: flask.Flask, board: Callable[[], Board]) -> None:

    def rows() -> flask.Response:
        folder = board().rows
        files = sorted(folder.glob("requests-*.jsonl")) if folder else []
        if not files:
            return flask.Response(NO_ROWS, NOT_FOUND, content_type="text/plain")
        lines = "".join(file.read_text("utf-8") for file in files)
        return _file(lines, "requests.jsonl", "application/jsonl")

    def histogram() -> flask.Response:
        return _file(histogram_text(board().tally), "latency.hgrm", "text/plain")

    def verdict() -> flask.Response:
        return _file(json.dumps(told(board()), indent=1) + "\n", "verdict.json", "application/json")

    for path, view in ((ROWS, rows), (HISTOGRAM, histogram), (VERDICT, verdict)):
        app.add_url_rule(path, view_func=behind_login(web_ui, view))


def told(board: Board) -> dict[str, Any]:
    """Return the board as JSON has it."""
    counts = board.tally.counts
    return {
        "running": board.running,
        "verdict": words(exit_code(board.findings)) if board.findings else "",
        "findings": [{"verdict": words(each.code), "text": each.text} for each in board.findings],
        "rate_factor": board.rate_factor,
        "problem": board.problem,
        "due": counts.due,
        "sent": counts.sent,
        "late": counts.late,
        "dropped": counts.dropped,
        "failed": board.tally.errors,
    }


def words(code: ExitCode) -> str:
    """Return a verdict as it is told."""
    return code.name.lower().replace("_", " ")


def _file(text: str, name: str, kind: str) -> flask.Response:
    response = flask.Response(io.BytesIO(text.encode()), content_type=kind)
    response.headers["Content-Disposition"] = f"attachment; filename={name}"
    return response


BOARD: Final = (Path(__file__).parent / "board.html").read_text("utf-8")
