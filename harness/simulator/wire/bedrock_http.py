"""What all of Bedrock's protocols share: keys, errors, headers and frames."""

from __future__ import annotations

import math
import re
from typing import Any
from urllib.parse import unquote
from uuid import UUID

from pydantic_core import to_json

from harness.simulator import draws
from harness.simulator.quota import QuotaVerdict
from harness.simulator.wire import event_stream
from harness.simulator.wire.protocol import Headers, ModelAnswer, Received, WireProblem, http_date
from harness.simulator.wire.reading import bearer
from harness.simulator_config import RetryAfterForm

CREDENTIAL = re.compile(rb"^AWS4-\S+ Credential=([^/,\s]+)/")


class BedrockHttp:
    """Bedrock's way with paths, keys, errors and headers; a stream is frames of an event stream."""

    provider = "bedrock"
    operation = "chat"
    stream_type = b"application/vnd.amazon.eventstream"
    tells_when = False
    path: re.Pattern[str]

    def serves(self, path: str) -> bool:
        """Return whether a path is this protocol's."""
        return self.path.match(path) is not None

    def asked(self, path: str) -> tuple[str, bool]:
        """Return the model that a path names, and whether it asks for a stream."""
        found = self.path.match(path)
        return (unquote(found[1]), found[2] is not None) if found else ("", False)

    def key(self, headers: Received) -> str:
        """Return the access key id of the signature, or the bearer token."""
        signed = CREDENTIAL.match(headers.get(b"authorization", b""))
        return signed[1].decode("latin-1") if signed else bearer(headers)

    def answer_headers(self, _answer: ModelAnswer) -> Headers:
        """Say nothing of an answer that does not stand in it."""
        return []

    def error(
        self, problem: WireProblem, _request_id: str, _retry_after_s: float | None = None
    ) -> tuple[Headers, bytes]:
        """Write an error; its class stands in a header."""
        headers = [(b"content-type", b"application/json"), (b"x-amzn-errortype", problem.type.encode())]
        return headers, to_json({"message": problem.message})

    def error_event(self, problem: WireProblem) -> bytes:
        """Write an error inside a stream; there, its class begins with a small letter."""
        kind = problem.type[0].lower() + problem.type[1:]
        headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
        return event_stream.frame(event_stream.headers(headers), to_json({"message": problem.message}))

    def failed_event(self, problem: WireProblem, _answer: ModelAnswer) -> bytes:
        """Write the error: there is no other way to say it."""
        return self.error_event(problem)

    def broken_event(self) -> bytes:
        """Write a frame whose checksum is wrong."""
        return event_stream.broken(event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {}}))

    def id_headers(self, request_id: str) -> Headers:
        """Name the request, by a UUID made of its name."""
        return [(b"x-amzn-requestid", str(UUID(draws.call_id("uuid", request_id) * 2)).encode())]

    def retry_headers(self, seconds: float | None, form: RetryAfterForm, now_s: float) -> Headers:
        """Say when to come back, where botocore looks for it: in ms, of whole seconds or exactly."""
        if seconds is None:
            return []
        if form is RetryAfterForm.HTTP_DATE:
            return http_date(seconds, now_s)
        whole = form is RetryAfterForm.WHOLE
        delay_ms = math.ceil(seconds) * 1000 if whole else math.ceil(seconds * 1e3)
        return [(b"x-amz-retry-after", str(delay_ms).encode())]

    def quota_headers(self, _verdict: QuotaVerdict, _now_s: float) -> Headers:
        """Tell nothing of the quota, as Bedrock does."""
        return []


def event(name: str, payload: dict[str, Any]) -> bytes:
    """Write a frame that is an event."""
    return event_stream.frame(_EVENTS[name], to_json(payload))


_EVENTS = {
    name: event_stream.headers(
        {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    )
    for name in (
        "messageStart",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
        "chunk",
    )
}
