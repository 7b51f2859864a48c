"""Sends each path to who serves it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from harness.errors import AgentrigError
from harness.outside.plugins import PluginError
from harness.outside.text import parse_json
from harness.simulator import draws
from harness.simulator.control import build_control
from harness.simulator.delivery import Connection, Receive, Scope, Send
from harness.simulator.metrics import Metrics
from harness.simulator.models_page import models_page
from harness.simulator.serve import MAX_BODY_BYTES, ModelSimulator, read_body
from harness.simulator.unserved import NOT_FOUND, not_found
from harness.simulator.wire.openai_responses import OpenAIResponses
from harness.simulator.wire.protocol import Headers

FLUSH_S = 0.5
DEFAULT_LIFETIME_S = 3600.0
MAX_FORM_BYTES = 16_384
TOKEN_PATH = "/oauth/token"  # noqa: S105 - a path


class Router:
    """The server's application.

    Args:
        simulator: serves model calls.
        token: of the control API, None on loopback.
        failed: is told when the journal can't be written any more.
    """

    def __init__(
        self, simulator: ModelSimulator, token: str | None, failed: Callable[[AgentrigError], None]
    ) -> None:
        self.simulator = simulator
        self._control: Any = build_control(simulator, token)
        self._metrics = Metrics(simulator)
        self._failed = failed
        simulator.broken = failed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the server's life cycle."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if scope["method"] == "POST":
            wire = self.simulator.wire_of(scope["raw_path"].decode("latin-1"))
            if wire is not None:
                try:
                    await self.simulator.serve(wire, scope, receive, send)
                except PluginError:  # who is told ends the server: there is no answer
                    await scope["state"]["connection"].reset()
                return
            if path == TOKEN_PATH:
                await self._give_token(scope, receive, send)
                return
        if (found := self._kept(scope)) is not None:
            await _json(send, *found)
        elif path.startswith("/sim/"):
            await self._take_control(scope, receive, send)
        elif path == "/healthz":
            await _json(send, 200, {"status": "ready"})
        elif path == "/metrics":
            kind = b"text/plain; version=0.0.4; charset=utf-8"
            await _whole(send, 200, self._metrics.text(), [(b"content-type", kind)])
        else:
            self.simulator.journal.not_served(_named(scope["method"], path, await read_body(receive)))
            headers, body = not_found(scope["method"], path, dict(scope["headers"]))
            await _whole(send, NOT_FOUND, body, headers)

    async def _take_control(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on to the control API, which would take a body of any size."""
        body = await read_body(receive)
        if len(body) > MAX_BODY_BYTES:
            await _json(send, 413, {"detail": f"the body is larger than {MAX_BODY_BYTES} bytes"})
            return
        pending = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> dict[str, Any]:
            return pending.pop() if pending else await receive()

        await self._control(scope, replay, send)

    async def _give_token(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give a token for client credentials, as OAuth 2 has it."""
        config = self.simulator.config
        body = await read_body(receive)
        form = dict(parse_qsl(body[:MAX_FORM_BYTES].decode("latin-1")))
        if form.get("grant_type") != "client_credentials":
            await _json(send, 400, {"error": "unsupported_grant_type"})
            return
        client, secret = _credentials(scope, form)
        if config.auth is not None:
            latency_s = draws.duration_s(config.auth.token_latency, config.seed, client, "token")
            connection: Connection = scope["state"]["connection"]
            await connection.wait(latency_s)
            if secret not in config.auth.keys:
                await _json(send, 401, {"error": "invalid_client"})
                return
        lifetime_s = config.auth.token_lifetime_s if config.auth else DEFAULT_LIFETIME_S
        token = self.simulator.tokens.issue(lifetime_s)
        await _json(send, 200, {"access_token": token, "token_type": "Bearer", "expires_in": int(lifetime_s)})

    def _kept(self, scope: Scope) -> tuple[int, Any] | None:
        """Return what is known of models and of remembered responses; None when nothing was asked of them."""
        if scope["method"] not in {"GET", "DELETE"}:
            return None
        path = scope["raw_path"].decode("latin-1")
        if scope["method"] == "GET" and (
            page := models_page(path, scope["headers"], self.simulator.config.models)
        ):
            return page
        above, _, name = path.rpartition("/")
        wire = self.simulator.wire_of(above)
        if not isinstance(wire, OpenAIResponses):
            return None
        name = unquote(name)
        if scope["method"] == "GET" and (kept := wire.store.get(name)) is not None:
            return 200, json.loads(kept.response)
        if scope["method"] == "DELETE" and wire.store.forget(name):
            return 200, {"id": name, "object": "response", "deleted": True}
        message = f"Response with id '{name:.80}' not found."
        problem = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
        return 404, {"error": problem}

    async def _live(self, receive: Receive, send: Send) -> None:
        flushing = asyncio.create_task(self._flush())
        try:
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        finally:
            flushing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await flushing

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            try:
                self.simulator.journal.flush()
            except AgentrigError as error:
                self._failed(error)
                return


def _credentials(scope: Scope, form: Mapping[str, str]) -> tuple[str, str]:
    """Return the client's name and secret: of HTTP's Basic, else of the form."""
    scheme, _, told = dict(scope["headers"]).get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"basic":
        try:
            name, _, secret = base64.b64decode(told, validate=True).decode().partition(":")
        except ValueError:
            return "", ""
        return unquote(name), unquote(secret)
    return form.get("client_id", ""), form.get("client_secret", "")


def _named(method: str, path: str, body: bytes) -> str:
    """Say what was asked for: method, path, and the model where the body names one."""
    try:
        asked = parse_json(body)
    except ValueError:
        asked = None
    model = asked.get("model") if isinstance(asked, dict) else None
    return f"{method} {path} for {model}" if isinstance(model, str) and model else f"{method} {path}"


async def _json(send: Send, status: int, value: Any) -> None:
    await _whole(send, status, json.dumps(value).encode(), [(b"content-type", b"application/json")])


async def _whole(send: Send, status: int, body: bytes, headers: Headers) -> None:
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
