"""Agents of Node, as `agentrig init` reads them."""

import json
from pathlib import Path

import pytest

from harness.own.config import read
from harness.own.detect import DetectedAgent, detect
from harness.own.write import text_of, write

EXPRESS = """
import express from "express";
import OpenAI from "openai";
app.get("/health", (_req, res) => res.json({ status: "ok" }));
app.post("/api/chat", async (req, res) => {
  const { message, conversationId = "default" } = req.body;
  res.json({ id, reply });
});
app.listen(process.env.PORT || 3000);
"""
BY_HAND = """
const server = http.createServer(async (req, res) => {
  if (req.url === "/ping" && req.method === "GET") return res.end(JSON.stringify({ status: "Healthy" }));
  if (req.method !== "POST") return res.writeHead(405).end();
  if (req.method === "POST" && req.url === "/invocations") {
    const { prompt } = JSON.parse(body);
    const session = req.headers["x-session-id"];
    res.end(JSON.stringify({ result: await generateText({ model: openai("gpt-5-mini"), prompt }) }));
  }
});
const { PORT = 8080, SESSIONS_DB } = process.env;
server.listen(PORT);
"""
STREAM = """
// app.post("/old", handler);
app.post("/threads/:threadId/messages", auth, async (request: Request, reply) => {
  const { text }: Body = request.body;
  if (!request.headers.authorization) return;
  res.setHeader("Content-Type", "text/event-stream");
  res.write(`data: ${JSON.stringify({ type: "text", delta: part })}\\n\\n`);
});
app.listen({ port: 3000 });
"""
NO_PING = "No /ping was found: give `ready` a path that answers 200 once it can work, or add one."


def project(folder: Path, name: str, code: str, **package: object) -> DetectedAgent:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(code, "utf-8")
    (folder / "package.json").write_text(json.dumps({"dependencies": {"openai": "^6"}, **package}), "utf-8")
    return detect(folder)


def test_express_is_told_by_its_package_and_its_code(tmp_path: Path) -> None:
    found = project(tmp_path, "server.js", EXPRESS, scripts={"start": "node server.js"})
    assert (found.command, found.path, found.ready) == (("node", "server.js"), "/api/chat", "/health")
    assert found.body == {"message": "{prompt}", "conversationId": "{session}"}
    assert (found.answer, found.models, found.notes) == ("reply", ("OpenAI",), ())


def test_nodes_own_server_is_told_by_what_it_compares(tmp_path: Path) -> None:
    found = project(tmp_path, "main.mjs", BY_HAND)
    assert (found.command, found.path, found.ready) == (("node", "main.mjs"), "/invocations", "/ping")
    assert (found.prompt_field, found.answer) == ("prompt", "result")
    assert found.session_header == "x-session-id"
    assert found.env["SESSIONS_DB"] == "{sessions}"


def test_what_is_parameter_stream_and_token_is_told_and_what_is_commented_out_is_not(tmp_path: Path) -> None:
    found = project(tmp_path, "src/app.ts", STREAM, scripts={"start": "tsx src/app.ts"})
    assert found.path == "/threads/{session}/messages"
    assert (found.prompt_field, found.stream, found.answer) == ("text", True, "delta")
    assert found.notes == (
        "Let it listen on process.env.PORT: a fleet needs a port for each container.",
        NO_PING,
        "It looks for a bearer token: give it in `headers`.",
    )
    assert read(write(tmp_path, text_of(found, "x"), force=False)).request.stream


@pytest.mark.parametrize(
    ("package", "command"),
    [
        ({"main": "index.js"}, ("node", "app.js")),  # npm's default, and no such file
        ({"main": "app.js"}, ("node", "app.js")),
        ({"scripts": {"start": "tsx app.js"}}, ("node_modules/.bin/tsx", "app.js")),
        ({"scripts": {"start": "npm run build && node dist/x.js"}}, ("npm", "start")),
        ({"scripts": {"start": "vite-node app.js"}}, ("npm", "start")),
        ({"scripts": "none", "main": 3}, ("node", "app.js")),
    ],
)
def test_it_is_started_as_its_package_says_where_that_can_be(
    tmp_path: Path, package: dict[str, object], command: tuple[str, ...]
) -> None:
    (tmp_path / "node_modules" / ".bin").mkdir(parents=True)
    (tmp_path / "node_modules" / ".bin" / "tsx").touch()
    found = project(tmp_path, "app.js", EXPRESS, **package)
    assert (found.command, found.notes) == (command, ())


def test_what_is_not_built_yet_is_said(tmp_path: Path) -> None:
    found = project(tmp_path, "src/server.ts", EXPRESS, scripts={"start": "node dist/server.js"})
    assert found.command == ()
    assert found.notes == (
        "package.json starts dist/server.js, which is not there: is it built first?",
        "Say in `command` how one container is started.",
    )


def test_a_package_that_is_no_json_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "app.js").write_text(EXPRESS, "utf-8")
    (tmp_path / "package.json").write_text("{", "utf-8")
    assert detect(tmp_path).command == ("node", "app.js")


@pytest.mark.parametrize(
    ("call", "said"),
    [('dotenv.config({ path: ".env", override: true });', 1), ("dotenv.config();", 0), ("override: true", 0)],
)
def test_a_dotenv_that_goes_before_what_is_set_is_told(tmp_path: Path, call: str, said: int) -> None:
    found = project(tmp_path, "app.js", f"{call}\n{EXPRESS}", main="app.js")
    assert len([each for each in found.notes if "override" in each]) == said
