"""CloudWatch's log group `aws/spans` as it runs: AgentCore's spans are there, an event each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from harness.errors import InputError, StartError
from harness.observe.sources import documents
from harness.observe.sources.patience import NotNowError, patiently
from harness.observe.sources.source import AHEAD_S, Time
from harness.records.seen import Span

GROUP: Final = "aws/spans"
MS: Final = 1_000
DAY_S: Final = 86_400
EARLIER_S: Final = 600
"""An event's time is that of its span, about: of a trace that began before the time looked at, all is to be
seen, or what is left of it would be taken for a whole one."""
THROTTLED: Final = ("Throttl", "LimitExceeded", "ServiceUnavailable", "InternalFailure", "RequestTimeout")


class LogGroup:
    """A log group.

    Args:
        client: boto3's, of `logs`, which tries nothing again by itself.
        group: its name.
        sleep: waits until it is asked again, where it throttles.
    """

    live = True
    listens_since_s: float | None = None

    def __init__(self, client: Any, group: str, sleep: Callable[[float], None]) -> None:
        self.notes: list[str] = []
        self._client, self._group, self._sleep = client, group, sleep

    def spans(self, time: Time) -> Iterator[Span]:
        """Yield the spans of the time that is looked at.

        Raises:
            StartError: it does not answer, or says that something is wrong.
        """
        self.notes, none = [], 0
        from_s = time.to_s - DAY_S if time.from_s is None else time.from_s
        asked = {
            "logGroupName": self._group,
            "startTime": int((from_s - EARLIER_S) * MS),
            "endTime": int((time.to_s + AHEAD_S) * MS),
        }
        token: str | None = None
        while True:  # a page may be empty, and others follow all the same
            page = self._page(asked | ({"nextToken": token} if token else {}))
            found, left_out = documents.read({"events": page.get("events") or []})
            none += left_out
            yield from found
            following = page.get("nextToken")
            if not following or following == token:
                break
            token = following
        if none:
            self.notes.append(f"{none} events of {self._group} are no whole spans")

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def _page(self, asked: dict[str, Any]) -> dict[str, Any]:
        from botocore.exceptions import (  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra without types
            BotoCoreError,
            ClientError,
            HTTPClientError,
        )

        def once() -> dict[str, Any]:
            try:
                page: dict[str, Any] = self._client.filter_log_events(**asked)
            except ClientError as error:
                if any(word in error.response["Error"]["Code"] for word in THROTTLED):
                    raise NotNowError(str(error)) from error
                raise StartError(f"cloudwatch:{self._group}: {error}") from error
            except HTTPClientError as error:  # no connection, or one that broke in the middle
                raise NotNowError(str(error)) from error
            except BotoCoreError as error:
                raise StartError(
                    f"cloudwatch:{self._group}: {error}. Set AWS_PROFILE and AWS_REGION."
                ) from error
            return page

        try:
            return patiently(once, self._sleep)
        except NotNowError as error:
            raise StartError(f"cloudwatch:{self._group}: does not answer: {error}") from error


def open_group(group: str, sleep: Callable[[float], None]) -> LogGroup:
    """Return the source of a log group, with the credentials that the environment has.

    Raises:
        InputError: boto3 is not installed.
        StartError: the environment names no region.
    """
    try:
        import boto3  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra; it has no types
        from botocore.config import Config  # type: ignore[import-untyped]  # noqa: PLC0415 - likewise
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415 - likewise
    except ImportError as error:
        raise InputError("cloudwatch: needs boto3: pip install 'agentrig[bedrock]'.") from error
    try:
        client = boto3.client("logs", config=Config(retries={"total_max_attempts": 1}))
    except BotoCoreError as error:
        raise StartError(f"cloudwatch:{group}: {error} Set AWS_PROFILE and AWS_REGION.") from error
    return LogGroup(client, group or GROUP, sleep)
