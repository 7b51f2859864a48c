"""Reads a request: its body and headers become an `Invocation`, or an error that says what is wrong."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import Request

from reference_agent import contract


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """A valid request."""

    prompt: str
    session_id: str
    request_id: str


class InvalidRequestError(Exception):
    """The request is not valid; the message says why.

    Attributes:
        status: to answer with.
    """

    def __init__(self, details: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(details)
        self.status = status


async def read_invocation(request: Request) -> Invocation:
    """Read and validate a request.

    Raises:
        InvalidRequestError: it is not valid.
        ClientDisconnect: the caller disconnected before the end of the body.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in contract.UNASKED_TYPES:
        raise InvalidRequestError(
            f"the body is {kind}: send application/json", HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        )
    try:
        body = json.loads(await _read_body(request))
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError("the body is not JSON") from error
    if not isinstance(body, Mapping):
        raise InvalidRequestError('the body is not a JSON object: send {"prompt": "..."}')
    prompt = body.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise InvalidRequestError('"prompt" is missing, empty, or not a string')
    return Invocation(
        prompt=prompt,
        session_id=_identifier(request, contract.SESSION_HEADER),
        request_id=_identifier(request, contract.REQUEST_HEADER),
    )


async def _read_body(request: Request) -> bytes:
    chunks = bytearray()
    try:
        async with asyncio.timeout(contract.MAX_BODY_S):
            async for chunk in request.stream():
                chunks += chunk
                if len(chunks) > contract.MAX_BODY_BYTES:
                    raise InvalidRequestError(
                        f"the body is over {contract.MAX_BODY_BYTES} bytes",
                        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                    )
    except TimeoutError:
        raise InvalidRequestError(
            f"the body took over {contract.MAX_BODY_S:g} s", HTTPStatus.REQUEST_TIMEOUT
        ) from None
    return bytes(chunks)


def _identifier(request: Request, header: str) -> str:
    value = request.headers.get(header)
    if value is None:
        return str(uuid.uuid4())
    if not value or len(value) > contract.MAX_ID_CHARS or not value.isascii() or not value.isprintable():
        raise InvalidRequestError(
            f"{header} is empty, over {contract.MAX_ID_CHARS} characters, or not plain ASCII"
        )
    return value
