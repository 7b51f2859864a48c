"""The part of GitHub's API that knows the comments of one pull request, refusing as the real one does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

BOT = {"type": "Bot", "login": "github-actions[bot]"}


@dataclass
class GitHubApi:
    """Its state.

    Attributes:
        url: where it listens.
        comments: of the pull request, the oldest first.
        may_write: whether the token may; a fork's may not.
        limited: so many of the next calls meet a rate limit.
        tokens: that were seen.
    """

    url: str = ""
    comments: list[dict[str, Any]] = field(default_factory=list)
    may_write: bool = True
    limited: int = 0
    tokens: set[str] = field(default_factory=set)

    def answer(self, method: str, path: str, body: Any) -> tuple[int, dict[str, str], Any]:
        """Answer a call: status, headers, content."""
        parts = urlsplit(path)
        if self.limited:
            self.limited -= 1
            return 429, {"retry-after": "1"}, {"message": "You have exceeded a secondary rate limit"}
        if method == "GET":
            asked = parse_qs(parts.query)
            size, page = int(asked["per_page"][0]), int(asked["page"][0])
            return 200, {}, self.comments[size * (page - 1) : size * page]
        if not self.may_write:
            return 403, {}, {"message": "Resource not accessible by integration"}
        if method == "POST":
            self.comments.append({"id": 1000 + len(self.comments), "user": BOT, "body": body["body"]})
            return 201, {}, {"html_url": f"https://github.test/comment/{self.comments[-1]['id']}"}
        wanted = int(parts.path.rsplit("/", 1)[1])
        found = next((each for each in self.comments if each["id"] == wanted), None)
        if found is None:
            return 404, {}, {"message": "Not Found"}
        found["body"] = body["body"]
        return 200, {}, {"html_url": f"https://github.test/comment/{wanted}"}


@contextmanager
def github_api() -> Iterator[GitHubApi]:
    """Yield an API that listens."""
    api = GitHubApi()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            api.tokens.add(self.headers.get("authorization", ""))
            status, headers, content = api.answer(self.command, self.path, body)
            said = json.dumps(content).encode()
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(said))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - so it is called

        def log_message(self, *_: object) -> None:
            """Keep still."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
