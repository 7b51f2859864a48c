"""What GitHub is told: annotations, how the job ends, and one comment that is edited."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from harness.clock import FakeClock
from harness.errors import ExitCode
from harness.gate.ending import Ending
from harness.gate.github import (
    LONGEST_WAIT_S,
    MOST_CHARS,
    CommentError,
    OnUnknown,
    PullRequest,
    annotated,
    exit_code,
    mark,
    marked,
)

BOT = {"type": "Bot"}
Answer = Callable[[httpx.Request], httpx.Response | None]


class GitHub:
    """Comments of one pull request, and who refuses what."""

    def __init__(self, comments: list[dict[str, Any]], answer: Answer = lambda _: None) -> None:
        self.comments = comments
        self.asked: list[str] = []
        self._answer = answer

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url.raw_path.decode()}")
        if (said := self._answer(request)) is not None:
            return said
        if request.method == "GET":
            page = int(request.url.params["page"])
            return httpx.Response(200, json=self.comments[100 * (page - 1) : 100 * page])
        body = json.loads(request.content)["body"]
        if request.method == "POST":
            self.comments.append({"id": len(self.comments), "user": BOT, "body": body})
            return httpx.Response(201, json={"html_url": f"new {len(self.comments) - 1}"})
        wanted = int(request.url.path.rsplit("/", 1)[1])
        found = [each for each in self.comments if each["id"] == wanted]
        if not found:
            return httpx.Response(404, json={"message": "Not Found"})
        found[0]["body"] = body
        return httpx.Response(200, json={"html_url": f"edited {wanted}"})


def pull_request(github: GitHub, clock: FakeClock | None = None) -> PullRequest:
    client = httpx.Client(base_url="https://api.test", transport=httpx.MockTransport(github))
    return PullRequest(client=client, repository="o/r", number=7, clock=clock or FakeClock())


def test_a_comment_is_written_once_and_then_edited() -> None:
    github = GitHub([{"id": 0, "user": {"type": "User"}, "body": "hello"}])
    assert pull_request(github).say("gate", marked("gate", "one")) == "new 1"
    assert pull_request(github).say("gate", marked("gate", "two")) == "edited 1"
    assert [each["body"] for each in github.comments] == ["hello", f"{mark('gate')}\ntwo"]


def test_it_is_found_on_a_later_page() -> None:
    many = [{"id": number, "user": {"type": "User"}, "body": "+1"} for number in range(250)]
    github = GitHub([*many, {"id": 250, "user": BOT, "body": marked("gate", "one")}])
    assert pull_request(github).say("gate", marked("gate", "two")) == "edited 250"
    assert [path.split("page=")[-1] for path in github.asked[:3]] == ["1", "2", "3"]


def test_neither_another_gates_nor_a_persons_comment_is_edited() -> None:
    github = GitHub(
        [
            {"id": 0, "user": BOT, "body": marked("other", "x")},
            {"id": 1, "user": {"type": "User"}, "body": marked("gate", "a person's")},
            {"id": 2, "user": None, "body": None},
        ]
    )
    assert pull_request(github).say("gate", marked("gate", "mine")) == "new 3"


def test_one_that_was_deleted_meanwhile_is_written_anew() -> None:
    gone = httpx.Response(404, json={"message": "Not Found"})
    github = GitHub(
        [{"id": 0, "user": BOT, "body": marked("gate", "one")}],
        lambda request: gone if request.method == "PATCH" else None,
    )
    assert pull_request(github).say("gate", marked("gate", "two")) == "new 1"


def test_a_forks_token_is_refused_and_says_why() -> None:
    refused = httpx.Response(403, json={"message": "Resource not accessible by integration"})
    github = GitHub([], lambda request: refused if request.method == "POST" else None)
    clock = FakeClock()
    with pytest.raises(CommentError, match=r"from a fork it never may.*`permissions: pull-requests: write`"):
        pull_request(github, clock).say("gate", "x")
    assert [path.split()[0] for path in github.asked] == ["GET", "POST"]


@pytest.mark.parametrize(
    ("status", "headers", "wait_s"),
    [
        (429, {"retry-after": "7"}, 7.0),
        (403, {"retry-after": "3"}, 3.0),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "{now+20}"}, 20.0),
        (502, {}, 1.0),
    ],
)
def test_a_limit_is_waited_for_as_long_as_it_says(
    status: int, headers: dict[str, str], wait_s: float
) -> None:
    clock = FakeClock()
    told = {name: value.replace("{now+20}", str(int(clock.now()) + 20)) for name, value in headers.items()}
    answers = [httpx.Response(status, headers=told, json={"message": "slow down"})]
    github = GitHub([], lambda request: answers.pop() if answers and request.method == "POST" else None)
    before_s = clock.monotonic()
    assert pull_request(github, clock).say("gate", "x") == "new 0"
    assert clock.monotonic() - before_s == pytest.approx(wait_s, abs=1.0)


def test_a_limit_that_lasts_an_hour_is_not_waited_for() -> None:
    clock = FakeClock()
    limited = httpx.Response(403, headers={"retry-after": "3600"}, json={"message": "rate limit"})
    with pytest.raises(CommentError, match="HTTP 403 rate limit"):
        pull_request(GitHub([], lambda _: limited), clock).say("gate", "x")
    assert clock.monotonic() <= LONGEST_WAIT_S


def test_a_network_that_breaks_is_tried_again_and_then_told() -> None:
    def broken(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")

    github = GitHub([], broken)
    with pytest.raises(CommentError, match="ConnectError: no route"):
        pull_request(github).say("gate", "x")
    assert len(github.asked) == 3


def test_what_is_too_long_is_cut_and_keeps_the_link() -> None:
    body = marked("gate", "x" * 100_000, "https://report.test")
    assert MOST_CHARS < len(body) < 65_536
    assert body.endswith("[The whole report](https://report.test)\n")


def test_no_name_ends_the_mark_early() -> None:
    assert mark("a --> b/c") == "<!-- agentrig gate a-b-c -->"


HELD = Ending(exit_code=ExitCode.HELD, title="head is not worse")
WORSE = Ending(exit_code=ExitCode.FELL_SHORT, title="100% worse\nreally", reasons=("a: b",))
UNKNOWN = Ending(exit_code=ExitCode.UNKNOWN, title="can't tell")
NO_BASE = Ending(exit_code=ExitCode.NOT_STARTED, title="base did not start", side="base")
NO_HEAD = Ending(exit_code=ExitCode.NOT_STARTED, title="head did not start", side="head")
WRONG = Ending(exit_code=ExitCode.BAD_INPUT, title="wrong")


@pytest.mark.parametrize(
    ("ending", "neutral", "fail", "kind"),
    [
        (HELD, 0, 0, "notice"),
        (WORSE, 1, 1, "error"),
        (UNKNOWN, 0, 2, "warning"),
        (NO_BASE, 0, 2, "warning"),
        (NO_HEAD, 4, 4, "error"),
        (WRONG, 3, 3, "error"),
    ],
)
def test_how_the_job_ends(ending: Ending, neutral: int, fail: int, kind: str) -> None:
    assert exit_code(ending, OnUnknown.NEUTRAL) == neutral
    assert exit_code(ending, OnUnknown.FAIL) == fail
    first = next(annotated(ending, OnUnknown.NEUTRAL))
    assert first.startswith(f"::{kind} title=agentrig gate::")


def test_an_annotation_is_one_line_whatever_it_says() -> None:
    said = list(annotated(WORSE, OnUnknown.NEUTRAL))
    assert said == [
        "::error title=agentrig gate::100%25 worse%0Areally",
        "::error title=agentrig gate::a: b",
    ]
