"""`python -m reference_agent`: serve until SIGTERM, then finish what is in work and exit."""

from __future__ import annotations

import gc
import os
import signal
import sys

# Python's own action would end the process by the signal while it still imports, 1.5 s or more.
# Nothing is in work yet, and an exception could be swallowed by whatever is being imported.
# uvicorn puts its own handler in place of this one.
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
# What is imported stays: to collect meanwhile finds nothing, and is a fifth of the CPU time of a start.
gc.disable()

from pydantic import ValidationError  # noqa: E402 - see above

from reference_agent.settings import Settings  # noqa: E402 - see above
from reference_agent.telemetry.logs import log_as_json  # noqa: E402 - see above

INVALID_SETTINGS = 3


def main() -> None:
    """Serve."""
    try:
        settings = Settings()
    except ValidationError as error:
        for item in error.errors():
            name = ".".join(str(part) for part in item["loc"]).upper()
            sys.stderr.write(f"{name}: {item['msg']}\n")
        sys.exit(INVALID_SETTINGS)
    words = settings.agent_capture_message_content
    log_as_json(words=words)
    # Whatever these log or trace while they are imported comes after the lines above.
    from reference_agent import after_answer, controls  # noqa: PLC0415 - see above
    from reference_agent.app import build_app, compose  # noqa: PLC0415 - see above
    from reference_agent.server import serve  # noqa: PLC0415 - see above
    from reference_agent.telemetry.detail import Detail  # noqa: PLC0415 - see above
    from reference_agent.telemetry.providers import Telemetry  # noqa: PLC0415 - see above
    from reference_agent.telemetry.strands_spans import keep_words_from_strands  # noqa: PLC0415 - see above

    telemetry = Telemetry(words=words)
    telemetry.install()
    if not words:
        keep_words_from_strands(Detail(settings.agent_detail_spans_share))
    try:
        parts = compose(settings)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(INVALID_SETTINGS)
    if settings.agent_controls:
        controls.apply(parts, settings.agent_controls)
    if settings.agent_after_answer_share:
        after_answer.apply(parts)
    # What is there by now stays to the end: no collection has to look through it again. Nor does one look for
    # what does not: that is 2,000 small objects of 300,000, and a tenth of the start.
    gc.freeze()
    gc.enable()
    try:
        serve(build_app(parts), settings, parts.health, parts.busy)
    finally:
        telemetry.shutdown()


main()
