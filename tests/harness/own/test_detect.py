"""What `agentrig init` finds in a project, and the file that it writes."""

import os
import tomllib
from pathlib import Path

import pytest

from harness.asking.described import FILE
from harness.errors import InputError
from harness.own.config import OwnAgent, read
from harness.own.detect import FILL_IN, MOST_BYTES, DetectedAgent, detect
from harness.own.write import text_of, write

AGENTCORE = """
import os
from bedrock_agentcore.runtime import BedrockAgentCoreApp
from strands import Agent
app = BedrockAgentCoreApp()
agent = Agent()
@app.entrypoint
def invoke(payload): return str(agent(payload["prompt"]))
if __name__ == "__main__":
    app.run()
"""
PORT = ("--port", "{port}", "--log-level", "warning")
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


NO_PING = """
from fastapi import FastAPI
app = FastAPI()
@app.post("/chat")
def chat(body: dict): return {"answer": body["message"], "of": body["session_id"]}
"""


@pytest.mark.parametrize(
    ("code", "ready", "said"),
    [
        (NO_PING, "/openapi.json", "`ready` is /openapi.json"),
        (f"{NO_PING}@app.get('/')\ndef home(): ...", "/openapi.json", "`ready` is /openapi.json"),
        (NO_PING.replace("FastAPI()", "FastAPI(openapi_url=None)"), "/ping", "or add one"),
        (f"{NO_PING}@app.get('/')\ndef home(): ...".replace("FastAPI", "Starlette"), "/", "`ready` is /,"),
        (f"{NO_PING}@app.get('/items')\ndef items(): ...".replace("FastAPI", "Starlette"), "/ping", "or add"),
        (f"{NO_PING}@app.get('/ready')\ndef ready(): ...", "/ready", ""),
    ],
)
def test_without_a_path_that_says_ready_one_that_answers_is_taken_and_told(
    tmp_path: Path, code: str, ready: str, said: str
) -> None:
    found = detect(project(tmp_path, main=f"import openai\n{code}"))
    assert found.ready == ready
    assert [said in note for note in found.notes] == ([True] if said else [])


def test_a_factory_of_fastapi_is_known_by_its_page_too(tmp_path: Path) -> None:
    routes = ROUTES.replace("health", "state")
    assert detect(project(tmp_path, svc__main=FACTORY, svc__routes=routes)).ready == "/openapi.json"


def test_an_agentcore_app_is_recognised_and_strands_asks_bedrock_when_told_nothing(tmp_path: Path) -> None:
    found = detect(project(tmp_path, main=AGENTCORE))
    assert found.command == (*("python3", "-m", "uvicorn", "main:app"), *PORT)
    assert (found.path, found.ready, found.prompt_field) == ("/invocations", "/ping", "prompt")
    assert found.models == ("Bedrock",)
    assert found.env["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"] == "{simulator}"
    assert found.notes == ()


def test_one_that_starts_when_it_is_imported_is_pointed_out(tmp_path: Path) -> None:
    found = detect(project(tmp_path, main=AGENTCORE.replace('if __name__ == "__main__":\n    ', "")))
    assert found.command == ("python3", "main.py")
    assert "starts when it is imported" in found.notes[0]


def test_a_web_application_is_started_by_uvicorn_and_asked_at_its_own_path(tmp_path: Path) -> None:
    found = detect(project(tmp_path, service__web=WEB, tests__web="app = FastAPI()"))
    assert found.command == ("python3", "-m", "uvicorn", "service.web:api", *PORT)
    assert (found.path, found.ready, found.prompt_field) == ("/v1/chat", "/healthz", "question")
    assert found.session_header == "X-Session-Id"
    assert found.env == {"OPENAI_BASE_URL": "{simulator}/v1", "OPENAI_API_KEY": "{api_key}"}


@pytest.mark.filterwarnings("error")
def test_what_python_would_warn_of_in_their_code_is_not_told(tmp_path: Path) -> None:
    text = 'app = FastAPI()\nPATTERN = "\\d"\n@app.post("/chat")\ndef chat(): pass\n'
    assert detect(project(tmp_path, main=text)).path == "/chat"


WEB_HEAD = "app = FastAPI()\n@app.post('/chat')\n"


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        WEB_HEAD + "x_" + "a_" * 60,
        WEB_HEAD + "x-" + "a-" * 140_000,
        WEB_HEAD + 'class A(BaseModel): """' * 13_000,
        WEB_HEAD + "class A(BaseModel):" + " " * 290_000,
        "\n" * 299_000,
        " " * 299_000,
        "a" * 299_000,
        "app = " + "b" * 299_000,
        "@a.post(" * 37_000,
        "@a.post('/" * 29_000,
    ],
)
def test_no_text_takes_longer_than_its_length(tmp_path: Path, text: str) -> None:
    assert len(text) <= MOST_BYTES
    detect(project(tmp_path, main=text))


def test_a_pipe_is_not_waited_for_and_a_link_not_followed_round(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "round").symlink_to(tmp_path)
    assert detect(tmp_path).command == ()


def test_a_folder_whose_name_is_no_text_is_described_all_the_same(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 \x7f")
    assert read(write(tmp_path, text_of(DetectedAgent(), name), force=False)).agent.name == "caf? \x7f"


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
    assert agent.request.answer == found.answer
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


# --- as their frameworks' documents write them -----------------------------------------
ADK = """
from google.adk.cli.fast_api import get_fast_api_app
app = get_fast_api_app(agents_dir=".", web=False)
"""
BODY_SESSION = """
from agents import Agent, Runner
from fastapi import FastAPI
from pydantic import BaseModel
app: FastAPI = FastAPI(title="x")
class Question(BaseModel):
    question: str
    session_id: str = "anonymous"
class Reply(BaseModel):
    reply: str
@app.post("/ask", response_model=Reply)
async def ask(q: Question) -> Reply: ...
@app.get("/healthz")
async def healthz(): ...
"""
FACTORY = """
from fastapi import FastAPI
from .routes import router
def create_app():
    app = FastAPI()
    app.include_router(router, prefix="/v1")
    return app
"""
ROUTES = """
from fastapi import APIRouter
router = APIRouter(prefix="/agents")
@router.post("/threads/{thread_id}/messages")
def send(thread_id: str, body: dict):
    return {"answer": model(body["text"])}
@router.get("/health")
def health(): ...
"""
FLASK = """
from flask import Flask, jsonify, request
import anthropic
app = Flask(__name__)
@app.route("/chat", methods=["POST"])
def chat():
    body = request.get_json()
    return jsonify({"response": ask(body["message"], body.get("conversation_id"))})
@app.route("/health")
def health(): ...
"""
STREAM = """
import json, os
from fastapi import Depends, FastAPI
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPBearer
from openai import AsyncAzureOpenAI
from pydantic import BaseModel
app = FastAPI()
TOKEN = os.environ["APP_TOKEN"]
class Prompt(BaseModel):
    prompt: str
async def tokens(prompt):
    yield f"data: {json.dumps({'delta': prompt})}"
@app.post("/stream", dependencies=[Depends(HTTPBearer())])
async def stream(body: Prompt):
    return StreamingResponse(tokens(body.prompt), media_type="text/event-stream")
"""


def test_googles_own_server_is_asked_as_it_wants_and_its_session_is_opened(tmp_path: Path) -> None:
    found = detect(project(tmp_path, main=ADK, capital__agent="root_agent = LlmAgent(model='gemini')"))
    assert found.models == ("Gemini",)
    assert (found.path, found.opens) == ("/run", "/apps/capital/users/agentrig/sessions/{session}")
    assert found.body["appName"] == "capital"
    assert found.answer == "[-1].content.parts[0].text"
    described = read(write(tmp_path, text_of(found, "x"), force=False))
    shape = described.under_test(tmp_path).request
    assert shape.request.body["newMessage"] == {"role": "user", "parts": [{"text": "{prompt}"}]}
    assert shape.opening is not None


def test_a_session_in_the_body_goes_there_and_the_answers_field_is_found(tmp_path: Path) -> None:
    found = detect(project(tmp_path, app=BODY_SESSION))
    assert found.body == {"question": "{prompt}", "session_id": "{session}"}
    assert (found.session_header, found.answer, found.ready) == ("", "reply", "/healthz")
    assert found.notes == ()


def test_a_factory_and_routers_with_prefixes_are_followed(tmp_path: Path) -> None:
    found = detect(project(tmp_path, svc__main=FACTORY, svc__routes=ROUTES))
    assert found.command == ("python3", "-m", "uvicorn", "--factory", "svc.main:create_app", *PORT)
    assert found.path == "/v1/agents/threads/{session}/messages"
    assert (found.prompt_field, found.answer, found.session_header) == ("text", "answer", "")


ADDED = {
    "fastapi": """
from fastapi import FastAPI
app = FastAPI()
async def chat(body: dict): return {"answer": body["message"], "of": body["session_id"]}
def health(): ...
app.add_api_route("/chat", chat, methods=["POST"])
app.add_api_route("/health", endpoint=health, methods=["GET"])
""",
    "starlette": """
from starlette.applications import Starlette
from starlette.routing import Route
async def chat(request):
    body = await request.json()
    return JSONResponse({"answer": body["message"], "of": body["session_id"]})
async def health(request): ...
app = Starlette(routes=[Route("/chat", chat, methods=["POST"]), Route("/health", health)])
""",
    "flask": """
from flask import Flask, request
app = Flask(__name__)
def chat():
    body = request.get_json()
    return {"answer": body["message"], "of": body["session_id"]}
app.add_url_rule("/chat", view_func=chat, methods=["POST"])
app.add_url_rule("/health", "health", lambda: "")
""",
}


@pytest.mark.parametrize("code", ADDED.values(), ids=list(ADDED))
def test_routes_that_a_call_adds_are_found_as_those_of_decorators(tmp_path: Path, code: str) -> None:
    found = detect(project(tmp_path, main=code))
    assert (found.path, found.ready, found.answer) == ("/chat", "/health", "answer")
    assert found.body == {"message": "{prompt}", "session_id": "{session}"}


def test_an_application_that_a_function_of_any_name_makes_is_found(tmp_path: Path) -> None:
    made = FACTORY.replace("create_app", "application")
    found = detect(project(tmp_path / "a", svc__main=f"{made}\nasgi = application()\n", svc__routes=ROUTES))
    assert found.command == ("python3", "-m", "uvicorn", "svc.main:asgi", *PORT)
    found = detect(project(tmp_path / "b", svc__main=made, svc__routes=ROUTES))
    assert found.command == ("python3", "-m", "uvicorn", "--factory", "svc.main:application", *PORT)
    needs = made.replace("application()", "application(settings)")
    assert detect(project(tmp_path / "c", svc__main=needs, svc__routes=ROUTES)).command == ()


@pytest.mark.parametrize(
    ("folder", "lists"), [("src", "pyproject.toml"), ("backend", "backend/requirements.txt")]
)
def test_imports_begin_where_the_project_of_the_application_does(
    tmp_path: Path, folder: str, lists: str
) -> None:
    project(tmp_path, **{f"{folder}__bot__main": WEB})
    (tmp_path / lists).write_text("")
    start = ("python3", "-m", "uvicorn", "--app-dir", folder, "bot.main:api", *PORT)
    assert detect(tmp_path).command == start
    venv = tmp_path / folder / ".venv" / "bin"
    venv.mkdir(parents=True)
    (venv / "python").touch()
    assert detect(tmp_path).command == (f"{folder}/.venv/bin/python", *start[1:])


def test_flask_is_started_by_flask(tmp_path: Path) -> None:
    found = detect(project(tmp_path, app=FLASK))
    assert found.command == ("python3", "-m", "flask", "--app", "app:app", "run", "--port", "{port}")
    assert found.body == {"message": "{prompt}", "conversation_id": "{session}"}
    assert (found.answer, found.ready, found.models) == ("response", "/health", ("Anthropic",))


def test_a_stream_behind_a_token_says_what_has_to_be_filled_in(tmp_path: Path) -> None:
    found = detect(project(tmp_path, main=STREAM))
    assert (found.stream, found.answer, found.models) == (True, "delta", ("Azure OpenAI",))
    assert found.env["APP_TOKEN"] == FILL_IN
    said = " ".join(found.notes)
    for word in ("APP_TOKEN", "bearer token", "session's id", "/ping"):
        assert word in said
    assert read(write(tmp_path, text_of(found, "x"), force=False)).request.stream


def test_a_projects_own_python_starts_it(tmp_path: Path) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert detect(project(tmp_path, main=AGENTCORE)).command[0] == ".venv/bin/python"


@pytest.mark.parametrize(
    ("code", "models"),
    [
        ("from langchain_aws import ChatBedrockConverse\nx = 'us.anthropic.claude-3-7'", ("Bedrock",)),
        ("import anthropic", ("Anthropic",)),
        ("from langchain_openai import ChatOpenAI", ("OpenAI",)),
        ("from openai import AzureOpenAI\nc = AzureOpenAI()", ("Azure OpenAI",)),
        (
            "from openai import AzureOpenAI, OpenAI\na = AzureOpenAI()\nb = OpenAI()",
            ("Azure OpenAI", "OpenAI"),
        ),
        ("from google import genai", ("Gemini",)),
        ("import litellm\nlitellm.completion(model='bedrock/us.anthropic.claude')", ("LiteLLM",)),
        ("from google.adk.models.lite_llm import LiteLlm", ("LiteLLM", "Gemini")),
        ("print('hello')", ()),
    ],
)
def test_models_are_told_by_their_sdk_and_not_by_the_name_of_a_model(
    tmp_path: Path, code: str, models: tuple[str, ...]
) -> None:
    found = detect(project(tmp_path, main=code))
    assert found.models == models
    if models == ("Bedrock",):
        assert found.env["AWS_DEFAULT_REGION"] == found.env["AWS_REGION"]


def test_code_that_is_none_is_passed_over(tmp_path: Path) -> None:
    assert detect(project(tmp_path, main="def (", deep="(" * 5000)).kind == "no agent was recognised"


READS_ITS_BODY = '''
"""Written for AsyncOpenAI at first."""
import os
from agents.support import reply
from fastapi import FastAPI, Header
SESSION = "X-Chat"
# client = OpenAI()
app = FastAPI()
store = os.environ["SESSION_DB"]
limit = int(os.getenv("MAX_CONCURRENT_REQUESTS", "4"))
workers = os.environ.get("WEB_CONCURRENCY")
class Asked(BaseModel):
    question: str
@app.get("/ping")
def ping(): return {}
@app.post("/ask")
async def ask(http, session_id: str = Header(alias=SESSION)):
    asked = Asked.model_validate_json(await http.body())
    return JSONResponse({"reply": reply(asked)})
'''


def test_a_body_that_the_handler_reads_and_what_its_variables_stand_for_are_found(tmp_path: Path) -> None:
    found = detect(project(tmp_path, main=READS_ITS_BODY))
    assert (found.prompt_field, found.session_header, found.answer) == ("question", "X-Chat", "reply")
    assert found.env == {"SESSION_DB": "{sessions}", "MAX_CONCURRENT_REQUESTS": "{limit}"}
    assert [note for note in found.notes if "SESSION_DB is taken for a file" in note]


def test_what_only_a_docstring_a_comment_or_a_folder_of_theirs_names_is_no_sdk(tmp_path: Path) -> None:
    assert detect(project(tmp_path, main=READS_ITS_BODY)).models == ()


def test_an_entrypoint_tells_its_prompt_and_its_answer(tmp_path: Path) -> None:
    text = AGENTCORE.replace(
        'return str(agent(payload["prompt"]))', 'return {"reply": str(agent(payload.get("question")))}'
    )
    found = detect(project(tmp_path, main=text))
    assert (found.prompt_field, found.answer) == ("question", "reply")


ADMIN = """
from fastapi import FastAPI
admin = FastAPI()
@admin.post("/run-migrations")
def migrate(body: dict): return body["target"]
@admin.get("/health")
def health(): return {}
"""


def test_of_several_applications_that_which_is_asked_is_taken_and_it_is_said(tmp_path: Path) -> None:
    quiet = "from fastapi import FastAPI\nmetrics = FastAPI()\n"
    found = detect(project(tmp_path, a_admin=quiet, api__server=WEB))
    assert found.command == ("python3", "-m", "uvicorn", "api.server:api", *PORT)
    assert found.path == "/v1/chat"
    (note,) = [each for each in found.notes if "Several" in each]
    assert "api in api/server.py, metrics in a_admin.py" in note


def test_routes_of_another_application_are_not_asked(tmp_path: Path) -> None:
    mine = WEB.replace("/v1/chat", "/v1/talk").replace("/feedback", "/v1/rate")
    found = detect(
        project(tmp_path, admin=ADMIN, server=mine.replace('@api.get("/healthz")', '@api.get("/up")'))
    )
    assert found.command[3] == "admin:admin"  # the likelier one by its path, which is said
    assert (found.path, found.ready) == ("/run-migrations", "/health")
    assert "admin in admin.py, api in server.py" in " ".join(found.notes)


def test_an_application_within_another_is_not_started_alone(tmp_path: Path) -> None:
    outer = (
        "from fastapi import FastAPI\nfrom inner import api\nroot = FastAPI()\nroot.mount('/agents', api)\n"
    )
    found = detect(project(tmp_path, inner=WEB, outer=outer))
    assert found.command == ("python3", "-m", "uvicorn", "outer:root", *PORT)
    assert found.path == "/agents/v1/chat"
    assert not [each for each in found.notes if "Several" in each]


def test_a_factory_that_has_to_be_told_something_is_a_line_to_fill_in(tmp_path: Path) -> None:
    needs = FACTORY.replace("create_app()", "create_app(settings)")
    found = detect(project(tmp_path, svc__main=needs, svc__routes=ROUTES))
    assert found.command == ()
    assert found.path == "/v1/agents/threads/{session}/messages"
    assert any("create_app in svc/main.py can't be called without arguments" in each for each in found.notes)
    told = FACTORY.replace("create_app()", "create_app(settings=None)")
    assert "svc.main:create_app" in detect(project(tmp_path, svc__main=told, svc__routes=ROUTES)).command


@pytest.mark.parametrize(
    ("call", "said"),
    [("load_dotenv(override=True)", 1), ("load_dotenv()", 0), ("load_dotenv(override=False)", 0)],
)
def test_a_dotenv_that_goes_before_what_is_set_is_told(tmp_path: Path, call: str, said: int) -> None:
    found = detect(project(tmp_path, main=f"from dotenv import load_dotenv\n{call}\n{WEB}"))
    assert len([each for each in found.notes if "override" in each]) == said
