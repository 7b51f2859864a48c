"""Rows as a load would have recorded them."""

from harness.load.identity import identify
from harness.records.sent import RequestRow

START_S = 1_700_000_000.0


def row(index: int, latency_s: float = 0.1, **changed: object) -> RequestRow:
    identity = identify("r", "x", "a", index)
    about = {
        "experiment": "x",
        "arm": "a",
        "index": index,
        "phase": "steady",
        "session_id": f"session-{index}",
        "request_id": identity.request_id,
        "trace_id": identity.trace_id,
        "span_id": identity.span_id,
        "due_s": START_S + index,
        "sent_s": START_S + index + 0.001,
        "end_s": START_S + index + latency_s,
        "status": 200,
        "upstream": "127.0.0.1:9001",
        "body_bytes": 42,
    }
    return RequestRow(**(about | changed))
