from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import flask
import pytest

from harness.errors import ExitCode
from harness.load.kit import metrics, panel
from harness.load.kit.board import NO_ROWS, Board, install
from harness.load.kit.limits import LimitFinding
from harness.load.kit.tally import Tally
from harness.load.open_loop import ArrivalCounts
from tests.harness.load.rows import row


class Page:
    """Locust's page, as far as it goes, with the board on it."""

    def __init__(self, *, rows: Path | None = None, login: bool = False) -> None:
        self.app = flask.Flask("page")
        self.factors: list[float] = []
        self.rows, self.login = rows, login
        self.app.add_url_rule("/", endpoint="page", view_func=lambda: "<html><body>Locust</body></html>")
        self.app.add_url_rule("/raw", endpoint="raw", view_func=lambda: "<body></body>")
        self.web_ui: Any = SimpleNamespace(
            app=self.app, template_args={}, auth_required_if_enabled=self.behind_login
        )
        install(self.web_ui, self.board, self.change_rate)

    def behind_login(self, view: Callable[..., Any]) -> Callable[..., Any]:
        def guarded() -> Any:
            return ("log in", 401) if self.login else view()

        guarded.__name__ = view.__name__
        return guarded

    def board(self) -> Board:
        tally = Tally(counts=ArrivalCounts(due=3, sent=2, late=1, dropped=1))
        tally.add(row(0, 0.1))
        findings = (LimitFinding(ExitCode.HELD, "p99"), LimitFinding(ExitCode.UNKNOWN, "too few"))
        return Board(
            running=True, findings=findings, rate_factor=2.0, problem="gone", tally=tally, rows=self.rows
        )

    def change_rate(self, factor: float) -> None:
        if factor <= 0:
            raise ValueError("the rate factor must be a number above 0")
        self.factors.append(factor)

    def get(self, path: str) -> Any:
        return self.app.test_client().get(path)


def test_the_board_stands_on_the_page_and_its_files_among_the_downloads() -> None:
    page = Page()
    assert 'id="agentrig-verdict"' in page.get("/").text
    assert "agentrig" not in page.get("/raw").text
    offered = [each["href"] for each in page.web_ui.template_args["extended_csv_files"]]
    assert [page.get(path).status_code for path in offered] == [404, 200, 200]


def test_the_state_tells_the_worst_of_what_was_found_and_each_of_it() -> None:
    told = Page().get("/agentrig/state").json
    assert (told["verdict"], told["problem"], told["rate_factor"]) == ("unknown", "gone", 2.0)
    assert told["findings"] == [{"verdict": "held", "text": "p99"}, {"verdict": "unknown", "text": "too few"}]
    assert (told["due"], told["sent"], told["late"], told["dropped"]) == (3, 2, 1, 1)


def test_the_rate_is_changed_and_a_wrong_one_is_told() -> None:
    page = Page()
    client = page.app.test_client()
    assert client.post("/agentrig/rate", data={"factor": "2.5"}).status_code == 200
    for wrong in ("0", "fast", ""):
        assert client.post("/agentrig/rate", data={"factor": wrong}).status_code == 400
    assert page.factors == [2.5]


def test_the_rows_of_all_workers_are_one_file(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"requests-{number}.jsonl").write_text(f"{number}\n")
    answer = Page(rows=tmp_path).get("/agentrig/requests.jsonl")
    assert (answer.text, answer.headers["content-disposition"]) == (
        "0\n1\n",
        "attachment; filename=requests.jsonl",
    )
    assert Page().get("/agentrig/requests.jsonl").text == NO_ROWS


@pytest.mark.parametrize("path", ["state", "requests.jsonl", "latency.hgrm", "verdict.json"])
def test_with_a_login_nothing_is_told_before_it(path: str) -> None:
    assert Page(login=True).get(f"/agentrig/{path}").status_code == 401


@pytest.mark.parametrize(("login", "status"), [(True, 401), (False, 200)])
def test_with_a_login_all_of_ours_is_behind_it(login: bool, status: int) -> None:  # noqa: FBT001 - a case
    page = Page(login=login)
    others: Any = SimpleNamespace(
        app=flask.Flask("others"), template_args={}, auth_required_if_enabled=page.behind_login
    )
    panel.install(others, lambda: None, lambda: None)
    metrics.install(others, lambda: None)
    for path in (panel.PATH, metrics.PATH):
        assert others.app.test_client().get(path).status_code == status
    changed = page.app.test_client().post("/agentrig/rate", data={"factor": "2"})
    assert (changed.status_code, page.factors) == (status, [] if login else [2.0])
