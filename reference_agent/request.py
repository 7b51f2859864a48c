"""Reads a request: its body and headers become an `Invocation`, or an error that says what is wrong."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from fastapi import Request

from reference_agent import contract
from reference_agent.history import mended

OWN_SESSIONS: Final = uuid.UUID("0f3a5a52-6e0e-4b3f-9f0c-0c7d6d1b7a11")
"""Where the session ids of requests without a session are made from their request ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """A valid request.

    Attributes:
        prompt: what the user says.
        session_id: whose turn it is.
        request_id: names the request, also when it is sent again.
        body_hash: of what was sent with that id.
        limit_s: seconds after which the caller has no use for the answer, infinite when it doesn't say.
    """

    prompt: str
    session_id: str
    request_id: str
    body_hash: str
    limit_s: float


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
    if kind in contract.UNASKED_TYPES or (not kind and "origin" in request.headers):
        raise InvalidRequestError(
            f"the body is {kind or 'of no type'}: send application/json", HTTPStatus.UNSUPPORTED_MEDIA_TYPE
        )
    try:
        body = json.loads(await _read_body(request))
        body_hash = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError("the body is not JSON") from error
    if not isinstance(body, Mapping):
        raise InvalidRequestError('the body is not a JSON object: send {"prompt": "..."}')
    prompt = body.get("prompt")
    if not isinstance(prompt, str) or not prompt.strip():
        raise InvalidRequestError('"prompt" is missing, empty, or not a string')
    if mended(prompt) != prompt:
        raise InvalidRequestError('"prompt" has half of a surrogate pair, which is no character')
    request_id = _identifier(request, contract.REQUEST_HEADER)
    return Invocation(
        prompt=prompt,
        # Without a session, one that is the same when the request is sent again.
        session_id=_identifier(request, contract.SESSION_HEADER)
        or str(uuid.uuid5(OWN_SESSIONS, request_id) if request_id else uuid.uuid4()),
        request_id=request_id or str(uuid.uuid4()),
        body_hash=body_hash,
        limit_s=_limit_s(request),
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
        return ""
    if not value or len(value) > contract.MAX_ID_CHARS or not value.isascii() or not value.isprintable():
        raise InvalidRequestError(
            f"{header} is empty, over {contract.MAX_ID_CHARS} characters, or not plain ASCII"
        )
    return value


def _limit_s(request: Request) -> float:
    limits_ms = [math.inf]
    for header in contract.DEADLINE_HEADERS:
        value = request.headers.get(header)
        if value is None:
            continue
        if not (value.isascii() and value.isdecimal() and float(value)):
            raise InvalidRequestError(f"{header} is no whole number of milliseconds above 0")
        limits_ms.append(float(value))
    return min(limits_ms) / 1000
