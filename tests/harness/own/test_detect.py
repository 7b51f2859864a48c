"""What `agentrig init` finds in a project, and the file that it writes."""

import tomllib
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.own.config import FILE, OwnAgent, read
from harness.own.detect import DetectedAgent, detect
from harness.own.write import text_of, write

AGENTCORE = """
import os
from bedrock_agentcore.runtime import BedrockAgentCoreApp
from strands import Agent
app = BedrockAgentCoreApp()
agent = Agent()
@app.entrypoint
def invoke(payload): return str(agent(payload["prompt"]))
app.run(port=int(os.environ["PORT"]))
"""
WEB = '''
from fastapi import FastAPI, Header
from openai import AsyncOpenAI
from pydantic import BaseModel
api = FastAPI()
class Asked(BaseModel):
    """What a user says."""
    question: str
@api.get("/healthz")
def health(): return {}
@api.post("/feedback")
def feedback(): ...
@api.post("/v1/chat")
def chat(asked: Asked, x_session_id: str = Header()): ...
'''


def project(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        file = folder / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.with_suffix(".py").write_text(text, "utf-8")
    return folder


def test_an_agentcore_app_is_recognised_and_strands_asks_bedrock_when_told_nothing(tmp_path: Path) -> None:
    found = detect(project(tmp_path, main=AGENTCORE))
    assert found.command == ("python3", "main.py")
    assert (found.path, found.ready, found.prompt_field) == ("/invocations", "/ping", "prompt")
    assert found.models == ("Bedrock",)
    assert found.env["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"] == "{simulator}"
    assert found.notes == ()


def test_a_fixed_port_is_pointed_out(tmp_path: Path) -> None:
    found = detect(project(tmp_path, main=AGENTCORE.replace('port=int(os.environ["PORT"])', "")))
    assert "has a fixed port" in found.notes[0]


def test_a_web_application_is_started_by_uvicorn_and_asked_at_its_own_path(tmp_path: Path) -> None:
    found = detect(project(tmp_path, service__web=WEB, tests__web="app = FastAPI()"))
    assert found.command == ("python3", "-m", "uvicorn", "service.web:api", "--port", "{port}")
    assert (found.path, found.ready, found.prompt_field) == ("/v1/chat", "/healthz", "question")
    assert found.session_header == "X-Session-Id"
    assert found.env == {"OPENAI_BASE_URL": "{simulator}/v1", "OPENAI_API_KEY": "{api_key}"}


def test_a_project_without_an_agent_says_what_to_fill_in(tmp_path: Path) -> None:
    found = detect(project(tmp_path, tool="print('hello')"))
    assert found.command == ()
    assert len(found.notes) == 2


@pytest.mark.parametrize("source", [AGENTCORE, WEB, ""])
def test_what_is_written_is_read_again(tmp_path: Path, source: str) -> None:
    found = detect(project(tmp_path, main=source))
    agent = read(write(tmp_path, text_of(found, 'a "quoted" name'), force=False))
    assert agent.agent.name == 'a "quoted" name'
    assert agent.agent.command == (found.command or ("./start", "--port", "{port}"))
    assert agent.request.path == found.path
    assert agent.agent.env == found.env


def test_every_key_of_the_file_is_in_what_is_written() -> None:
    text = text_of(DetectedAgent(), "bot")
    bare = tomllib.loads(
        "\n".join(
            line.removeprefix("# ")
            for line in text.splitlines()
            if " = " in line or line.removeprefix("# ").startswith("[")
        )
    )
    for table, model in OwnAgent.model_fields.items():
        keys = set(model.annotation.model_fields)  # type: ignore[union-attr]  # each is a table
        rare = {"allow_remote", "simulator_port", "env", "request_header"}
        assert keys - rare <= set(bare[table])


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("mine", "utf-8")
    with pytest.raises(InputError, match="--force"):
        write(tmp_path, "new", force=False)
    assert (tmp_path / FILE).read_text("utf-8") == "mine"
    write(tmp_path, "new", force=True)
    assert (tmp_path / FILE).read_text("utf-8") == "new"
