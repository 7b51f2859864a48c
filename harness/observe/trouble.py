"""What kind of trouble an attempt met, by what its caller tells: may a retry mend it?"""

from __future__ import annotations

import re
from typing import Final

from harness.records.seen import FaultClass

TRANSIENT: Final = {0, 408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529}
FAILED_FROM: Final = 400
TOO_MANY: Final = 429
SPENT: Final = re.compile(r"insufficient_quota|quota_exceeded|per.?day|daily|billing|credit", re.IGNORECASE)
"""How a 429 says that no wait helps."""
PERMANENT_WORDS: Final = re.compile(
    r"authenti|permission|accessdenied|forbidden|unauthorized|unrecognizedclient|expiredtoken|invalidsignature"
    r"|badrequest|bad_request|validation|invalid_request|notfound|not_found|unprocessable|content_filter"
    r"|contentfilter|context_length|guardrail|api.key",
    re.IGNORECASE,
)
TRANSIENT_WORDS: Final = re.compile(
    r"rate.?limit|throttl|too.?many|timeout|timed?.?out|connect|overloaded|unavailable|internalserver"
    r"|reset|apierror|modelnotready|servererror|server_error|protocolerror|incompleteread",
    re.IGNORECASE,
)


def fault_class(status: int | None, error: str | None, words: str = "") -> FaultClass | None:
    """Return the class of an attempt's trouble, None where it had none, or where its kind can't be told.

    Args:
        status: of HTTP, 0 for no answer, None where nothing tells.
        error: its kind, as the span names it.
        words: what else the span says of it.
    """
    if error is not None and error.isdigit() and not status:
        status, error = int(error), None
    all_words = f"{error or ''} {words}"
    if status is not None and status >= FAILED_FROM:
        spent = status == TOO_MANY and SPENT.search(all_words)
        return "transient" if status in TRANSIENT and not spent else "permanent"
    if status == 0:
        return "transient"
    if error is None:
        return None
    for said in (error, words):  # its kind tells more than its words
        if SPENT.search(all_words) or PERMANENT_WORDS.search(said):
            return "permanent"
        if TRANSIENT_WORDS.search(said):
            return "transient"
    return None
