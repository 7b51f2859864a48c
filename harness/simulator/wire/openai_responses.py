"""OpenAI's Responses, which remember: an answer may go on from an earlier one by its id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json, to_json

from harness.simulator.wire.openai_http import (
    OpenAIHttp,
    check_says_json,
    check_strict,
    checked_name,
    schema_of_format,
    tools_by_choice,
)
from harness.simulator.wire.protocol import (
    BadRequestError,
    Finish,
    ModelAnswer,
    ModelRequest,
    Tool,
    WireProblem,
)
from harness.simulator.wire.reading import (
    MALFORMED,
    check_number,
    check_roles,
    checked_max_tokens,
    checked_model,
    checked_stream,
    name_of_call,
    texts_of,
)
from harness.simulator.wire.response_store import Remembered, ResponseStore

_ROLES = ("assistant", "system", "developer", "user")
_ECHOED: Mapping[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
}
"""Settings that a response repeats, and what they are when nothing is said."""
_INCOMPLETE = {Finish.LENGTH: "max_output_tokens", Finish.FILTERED: "content_filter"}
LEAST_TOKENS = 16
"""That an answer must be allowed to have."""
_REFUSED = ("background", "conversation", "top_logprobs")


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a request asks to go on from.

    Attributes:
        settings: of the request.
        items: of the input, with those of earlier responses first.
    """

    settings: Mapping[str, Any]
    items: Sequence[Mapping[str, Any]]


class OpenAIResponses(OpenAIHttp):
    """Responses: JSON, or server-sent events with names and numbers."""

    name = "openai-responses"
    paths = ("/v1/responses",)

    def __init__(self) -> None:
        self.store = ResponseStore()

    def read(self, record: dict[str, Any]) -> ModelRequest:
        """Read a request that is parsed.

        Raises:
            BadRequestError: it is not valid.
        """
        _check_settings(record)
        asked = self._conversation(record)
        try:
            items = asked.items
            roles = [item.get("role") for item in items]
            _check_results(items)
            texts = [*texts_of(record.get("instructions"))]
            texts += [text for item in items for text in _texts_of(item)]
            users = [number for number, role in enumerate(roles) if role == "user"]
            offered = [*_functions(record)]
            others = {tool["type"] for tool in record.get("tools") or ()} - {"function"}
            tools, must_call = tools_by_choice(offered, record.get("tool_choice"), others)
            form = (record.get("text") or {}).get("format")
            schema = schema_of_format(form, "text.format")
            if schema is not None:
                check_says_json(
                    form,
                    texts,
                    "Response input messages must contain the word 'json' in some form to use 'text.format' "
                    "of type 'json_object'.",
                    "input",
                )
            since = items[users[-1] + 1 if users else 0 :]
            model = checked_model(record.get("model"))
            return ModelRequest(
                model=model,
                stream=checked_stream(record),
                call_id=name_of_call(model, [record.get("instructions"), items]),
                texts=texts,
                user_texts=[text for number in users for text in _texts_of(items[number])],
                question=" ".join(_texts_of(items[users[-1]])) if users else "",
                tool_results=sum(item.get("type") == "function_call_output" for item in since),
                tools=tools,
                must_call=must_call,
                schema=schema,
                max_tokens=checked_max_tokens(record.get("max_output_tokens"), "max_output_tokens"),
                extra=asked,
            )
        except MALFORMED as error:
            raise BadRequestError(f"not a request for a response: {error!r:.200}") from error

    def _conversation(self, record: Mapping[str, Any]) -> Conversation:
        told = record.get("input")
        items = [{"role": "user", "content": told}] if isinstance(told, str) else told
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise BadRequestError("'input' must be a text or a list of items.", param="input")
        check_roles(
            [i["role"] for i in items if i.get("type", "message") == "message" and "role" in i],
            _ROLES,
            "input",
        )
        settings = {
            name: default if record.get(name) is None else record[name] for name, default in _ECHOED.items()
        }
        previous_id = record.get("previous_response_id")
        if previous_id is None:
            if not items:
                raise BadRequestError("'input' must not be empty.", param="input")
            return Conversation(settings, items)
        previous = self.store.get(previous_id)
        if previous is None:
            raise BadRequestError(
                f"Previous response with id '{previous_id!s:.80}' not found.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        return Conversation(settings, [*from_json(previous.items), *items])

    def _remember(self, answer: ModelAnswer, response: Mapping[str, Any]) -> bytes:
        """Keep a response for those that go on from it, where the caller lets it be kept."""
        written = to_json(response)
        asked: Conversation = answer.request.extra
        if asked.settings["store"]:
            items = to_json([*asked.items, *response["output"]])
            self.store.keep(response["id"], Remembered(items, written))
        return written

    def whole(self, answer: ModelAnswer) -> bytes:
        """Write an answer at once."""
        return self._remember(answer, _response(answer, [_item(answer)], _status(answer)))

    def chunks(self, answer: ModelAnswer) -> list[bytes]:
        """Write a streamed answer; events that differ in their text alone are cut to one pattern."""
        item, tool = _item(answer), answer.tool
        begun = _response(answer, [], "in_progress")
        nothing: dict[str, Any] = {"arguments": ""} if tool else {"content": []}
        started = item | {"status": "in_progress"} | nothing
        at = {"item_id": item["id"], "output_index": 0}
        opening: list[tuple[str, dict[str, Any]]] = [
            ("response.created", {"response": begun}),
            ("response.in_progress", {"response": begun}),
            ("response.output_item.added", {"output_index": 0, "item": started}),
        ]
        if tool:
            kind, delta = "response.function_call_arguments", at
            done = [(f"{kind}.done", at | {"arguments": answer.text, "name": tool.name})]
        else:
            part = item["content"][0]
            at |= {"content_index": 0}
            opening.append(("response.content_part.added", at | {"part": part | {"text": ""}}))
            kind, delta = "response.output_text", at | {"logprobs": []}
            done = [
                (f"{kind}.done", at | {"text": answer.text, "logprobs": []}),
                ("response.content_part.done", at | {"part": part}),
            ]
        first = len(opening)
        head = b'event: %b.delta\ndata: {"type":"%b.delta",%b,"sequence_number":' % (
            kind.encode(),
            kind.encode(),
            to_json(delta)[1:-1],
        )
        tokens = [
            b'%b%d,"delta":%b}\n\n' % (head, first + number, to_json(piece))
            for number, piece in enumerate(answer.pieces)
        ]
        status = _status(answer)
        response = _response(answer, [item], status)
        self._remember(answer, response)
        done += [
            ("response.output_item.done", {"output_index": 0, "item": item}),
            (f"response.{status}", {"response": response}),
        ]
        return [
            _events(opening, 0) + tokens[0],
            *tokens[1:],
            _events(done, first + len(tokens)),
        ]

    def error_event(self, problem: WireProblem) -> bytes:
        """Write an event that is an error, which the official clients hand on like any other."""
        told = {"code": problem.code or problem.type, "message": problem.message, "param": problem.param}
        return _events([("error", told)], 0)

    def failed_event(self, problem: WireProblem, answer: ModelAnswer) -> bytes:
        """Write the response, failed."""
        error = {"code": problem.code or problem.type, "message": problem.message}
        response = _response(answer, [], "failed") | {"error": error, "usage": None}
        return _events([("response.failed", {"response": response})], 0)

    def broken_event(self) -> bytes:
        """Write an event whose JSON breaks off."""
        return b'event: response.output_text.delta\ndata: {"type":"response.output_text.del\n\n'


def _functions(record: Mapping[str, Any]) -> Iterator[Tool]:
    for number, tool in enumerate(record.get("tools") or ()):
        if tool["type"] == "function":
            if tool.get("strict") is True:
                where = f"tools[{number}].parameters"
                check_strict(tool.get("parameters"), f"function '{tool['name']}'", where)
            yield Tool(checked_name(tool["name"], f"tools[{number}].name"), tool.get("parameters"))


def _check_settings(record: Mapping[str, Any]) -> None:
    """Refuse settings that the model doesn't take, and those that nothing here would come of."""
    check_number(record, "temperature", 2)
    check_number(record, "top_p", 1)
    limit = record.get("max_output_tokens")
    if type(limit) is int and limit < LEAST_TOKENS:
        message = (
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= "
            f"{LEAST_TOKENS}, but got {limit} instead."
        )
        raise BadRequestError(message, param="max_output_tokens", code="integer_below_min_value")
    for name in _REFUSED:
        if record.get(name):
            raise BadRequestError(f"This simulator has no '{name}'.", param=name)


def _check_results(items: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a tool's result that nothing asked for, and calls of tools that have none."""
    called = [item["call_id"] for item in items if item.get("type") == "function_call"]
    answered = [item["call_id"] for item in items if item.get("type") == "function_call_output"]
    calls, answers = set(called), set(answered)
    for name in answered:
        if name not in calls:
            message = f"No tool call found for function call output with call_id {name}."
            raise BadRequestError(message, param="input")
    for name in called:
        if name not in answers:
            message = f"No tool output found for function call {name}."
            raise BadRequestError(message, param="input")


def _texts_of(item: Mapping[str, Any]) -> list[str]:
    return [*texts_of(item.get("content")), *texts_of(item.get("output")), *texts_of(item.get("arguments"))]


def _item(answer: ModelAnswer) -> dict[str, Any]:
    if answer.tool:
        return {
            "type": "function_call",
            "id": f"fc_{answer.call_id}",
            "call_id": f"call_{answer.call_id}",
            "name": answer.tool.name,
            "arguments": answer.text,
            "status": _status(answer),
        }
    part = {"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}
    return {
        "type": "message",
        "id": f"msg_{answer.call_id}",
        "status": _status(answer),
        "role": "assistant",
        "content": [part],
    }


def _status(answer: ModelAnswer) -> str:
    return "incomplete" if answer.finish in _INCOMPLETE else "completed"


def _response(answer: ModelAnswer, output: list[dict[str, Any]], status: str) -> dict[str, Any]:
    asked: Conversation = answer.request.extra
    reason = _INCOMPLETE.get(answer.finish) if status == "incomplete" else None
    usage = {
        "input_tokens": answer.input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": answer.tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": answer.total_tokens,
    }
    return {
        "id": f"resp_{answer.call_id}",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": status,
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        "model": answer.model,
        "output": output,
        **asked.settings,
        "usage": None if status == "in_progress" else usage,
    }


def _events(events: list[tuple[str, dict[str, Any]]], first: int) -> bytes:
    """Write events, numbered from `first`."""
    return b"".join(
        b"event: %b\ndata: %b\n\n"
        % (kind.encode(), to_json({"type": kind} | told | {"sequence_number": first + number}))
        for number, (kind, told) in enumerate(events)
    )
