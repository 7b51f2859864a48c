"""The file that describes a user's agent."""

import re
from pathlib import Path

import pytest

from harness.asking.described import FILE, find, shape_of
from harness.asking.request_table import remember_shape
from harness.errors import InputError
from harness.outside.secrets import forget, hidden
from harness.own.config import LimitsTable, read
from harness.under_test import HttpRequest

LEAST = '[agent]\ncommand = ["python", "agent.py"]\n'


def written(folder: Path, text: str, name: str = FILE) -> Path:
    file = folder / name
    file.write_text(text, "utf-8")
    return file


def test_a_command_is_enough(tmp_path: Path) -> None:
    agent = read(written(tmp_path, LEAST)).under_test(tmp_path)
    assert agent.argv == ("python", "agent.py")
    assert agent.name == tmp_path.name
    assert agent.env == {"PORT": "{port}"}
    assert (agent.ready, agent.request.request) == (
        "/ping",
        HttpRequest(path="/invocations", body={"prompt": "{prompt}"}),
    )
    assert agent.killable
    assert agent.workdir == tmp_path


def test_all_that_is_given_is_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM_TOKEN", "x")
    text = """
    [agent]
    name = "bot"
    command = ["./run"]
    workdir = "service"
    port_env = "HTTP_PORT"
    ready = "/healthz"
    concurrency_limit = 7
    [agent.env]
    OPENAI_BASE_URL = "{simulator}/v1"
    [request]
    path = "/chat"
    prompt_field = "message"
    answer_field = "reply"
    session_header = "X-Session"
    headers = { Authorization = "Bearer ${TEAM_TOKEN}" }
    [limits]
    p99_ms = 900
    """
    described = read(written(tmp_path, text))
    agent = described.under_test(tmp_path)
    assert agent.workdir == tmp_path / "service"
    assert agent.env == {"HTTP_PORT": "{port}", "OPENAI_BASE_URL": "{simulator}/v1"}
    assert (agent.name, agent.ready, agent.concurrency_limit) == ("bot", "/healthz", 7)
    assert agent.request.headers == {"Authorization": "Bearer ${TEAM_TOKEN}"}, "never the secret itself"
    assert agent.request.answer == '["reply"]'
    assert agent.request.request.body == {"message": "{prompt}"}
    assert described.limits == LimitsTable(p99_ms=900)


def test_an_image_runs_by_docker_and_is_not_killed(tmp_path: Path) -> None:
    text = '[agent]\nimage = "bot:1.4"\nenv = { KEY = "{api_key}" }\n'
    agent = read(written(tmp_path, text)).under_test(tmp_path)
    assert agent.argv[:6] == ("docker", "run", "--rm", "--init", "--network", "host")
    assert agent.argv[-1] == "bot:1.4"
    passed = {name for flag, name in zip(agent.argv, agent.argv[1:], strict=False) if flag == "--env"}
    assert {"KEY", "PORT", "OTEL_EXPORTER_OTLP_ENDPOINT", "HTTPS_PROXY", "AWS_ENDPOINT_URL"} <= passed
    assert "HOME" not in passed, "an image has its own"
    assert agent.home == Path.home(), "docker finds its settings there, and hands it to nobody"
    assert not any("api_key" in word for word in agent.argv), "values go by the environment, not the command"
    assert not agent.killable


def test_containers_that_run_already_have_addresses(tmp_path: Path) -> None:
    text = '[agent]\nurls = ["http://127.0.0.1:8080", "http://localhost:8081/", "http://[0:0::1]:8082"]\n'
    agent = read(written(tmp_path, text)).under_test(tmp_path)
    assert agent.addresses == ("127.0.0.1:8080", "127.0.0.1:8081", "[::1]:8082"), "as the balancer writes it"
    assert agent.argv == ()
    assert not agent.killable


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "agent: is missing; add it"),
        ("[agent]\n", "agent: give one of command, image and urls, not none of them"),
        ('[agent]\ncommand = ["x"]\nimage = "y"\n', "not command and image"),
        *(
            (f'[agent]\nimage = "{image}"\n', "that is no image, such as my-agent")
            for image in ("../containers", "a/../b", "a//b", "a?b", "a b", " a", "--privileged", "a#b", "%2e")
        ),
        ('[agent]\ncomand = ["x"]\n', "agent.comand: there is no such key; did you mean 'command'?"),
        (LEAST + "concurrency_limit = 0\n", "agent.concurrency_limit: "),
        (LEAST + '[request]\npath = "chat"\n', "request.path: "),
        (LEAST + "[limits]\np99_ms = -1\n", "limits.p99_ms: "),
        ('[agent]\nurls = ["127.0.0.1:80"]\n', "is one such as http://127.0.0.1:8080"),
        ('[agent]\nurls = ["http://192.0.2.1:80"]\n', "loads go there only with allow_remote = true"),
        ('[agent]\nurls = ["http://0.0.0.0:80"]\n', "loads go there only with allow_remote = true"),
        (
            '[agent]\nurls = ["http://agents.example:80"]\nallow_remote = true\n',
            "is a name, and the balancer takes",
        ),
        ('[agent]\nurls = ["http://user:marked@127.0.0.1:80"]\n', "with nothing before it or behind"),
        ('[agent]\nurls = ["http://127.0.0.1:80/v1"]\n', "with nothing before it or behind"),
        ('[agent]\nurls = ["http://127.0.0.1:0"]\n', "is one such as http://127.0.0.1:8080"),
        (LEAST + '[request]\nheaders = { A = "${NOT_SET_HERE}" }\n', "needs the variable NOT_SET_HERE"),
        ("[agent\n", "is not valid TOML"),
        ("agent = " + "[" * 100_000, "is nested too deeply"),
        ('[agent]\ncommand = ["x", "\\u0000"]\n', "agent.command[1]: no program can be given"),
        ('[agent]\ncommand = ["x"]\nworkdir = "\\u0000"\n', "agent.workdir: no program can be given"),
        (LEAST + '[agent.env]\nA = "\\u0000"\n', "agent.env.A: no program can be given"),
        (LEAST + '[agent.env]\n"A=B" = "1"\n', "can't name a variable"),
        (LEAST + '[agent.env]\n"" = "1"\n', "can't name a variable"),
        (
            f"{LEAST}[request]\nbody = '''\n{{\"a\": \"{{prompt}}\",\n 1}}'''\n",
            ":6: request.body: is not JSON",
        ),
        (
            LEAST + '[request]\nbody = { a = "{prot}" }\n',
            ":4: request.body: there is no place {prot}; did you",
        ),
        (LEAST + '[request]\npath = "/x"\nbody = { a = 1 }\n', ":3: request: nothing in it holds {prompt}"),
        (LEAST + '[request]\nmethod = "GET"\n', "request: nothing in it holds {prompt}"),
        (
            LEAST + '[request]\nprompt_field = "p"\nform = { p = "{prompt}" }\n',
            "prompt_field is for the usual",
        ),
        (
            LEAST + '[request]\nform = { p = "{prompt}" }\nbody = { p = "{prompt}" }\n',
            "body or form, not both",
        ),
        (LEAST + '[request]\nanswer = "a..b"\n', ":4: request.answer: is no path"),
        (LEAST + '[request]\nanswer = "a"\nanswer_field = "a"\n', "give one of them"),
        (LEAST + '[request]\nerror_when = "a ^= "\n', "request.error_when: 'a ^= ' says nothing after ^="),
        (LEAST + '[request.open]\npath = "/s/{sesion}"\n', "request.open.path: there is no place {sesion}"),
        (LEAST + "[agent.x]\n", ":3: agent.x: there is no such key"),
        (LEAST + 'outside = ["http://example.com/"]\n', "agent.outside[0]: "),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        read(written(tmp_path, text))
    assert said in str(error.value)
    assert str(error.value).startswith(str(tmp_path / FILE))
    assert "marked" not in str(error.value)


@pytest.mark.parametrize(
    ("header", "value", "said"),
    [
        (
            "Authorization",
            "marked-secret\n",
            "Authorization ends in a newline; it is from TEAM_TOKEN",
        ),
        ("Authorization", "marked\x00secret", "has a character that no header can have"),
        ("Authorization", "marked-secret€", "has a character that no header can have"),
        ("Not a name", "marked-secret", "can't name a header"),
        ("Content-Length", "marked-secret", "Content-Length is for the load to say"),
    ],
)
def test_a_header_that_cannot_be_sent_is_told_before_anything_starts_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: str, value: str, said: str
) -> None:
    monkeypatch.setattr("os.environ", {"TEAM_TOKEN": value})
    text = LEAST + f'[request]\nheaders = {{ "{header}" = "Bearer ${{TEAM_TOKEN}}" }}\n'
    with pytest.raises(InputError) as error:
        read(written(tmp_path, text))
    assert said in str(error.value)
    assert "marked" not in str(error.value)


def test_a_value_of_the_environment_is_never_shown(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read(written(tmp_path, LEAST + '[agent.env]\nKEY = "marked\\u0000"\nN = 7\n'))
    assert "agent.env.KEY" in str(error.value)
    assert "marked" not in str(error.value)
    assert "7" not in str(error.value).replace(str(tmp_path), "")


@pytest.mark.parametrize("name", ["session_header", "request_header"])
def test_a_name_that_no_header_has_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="can't name a header"):
        read(written(tmp_path, LEAST + f'[request]\n{name} = "X\\nY"\n'))


def test_what_was_handed_in_as_a_secret_is_shown_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAM_TOKEN", "marked-header-91c2")
    text = (
        LEAST
        + 'env = { OPENAI_API_KEY = "marked-key-7f3a", AWS_REGION = "us-east-1", K_KEY = "{api_key}" }\n'
    )
    try:
        read(written(tmp_path, text + '[request]\nheaders = { Authorization = "Bearer ${TEAM_TOKEN}" }\n'))
        assert (
            hidden("marked-header-91c2 marked-key-7f3a us-east-1 {api_key}")
            == "[secret] [secret] us-east-1 {api_key}"
        )
    finally:
        forget()


def test_a_secret_in_an_address_a_command_a_query_or_a_body_is_one_too(tmp_path: Path) -> None:
    text = """[agent]
command = ["python3", "agent.py", "--api-key", "marked-1a2b", "--db=redis://:marked-2b3c@c", "{port}"]
env = { DATABASE_URL = "postgres://me:marked-3c4d@db", HOOK = "http://h/?token=marked-4d5e" }
[request]
query = { api_key = "marked-5e6f", session_token = "{session}" }
headers = { X-Callback = "http://me:marked-6f7a@h/" }
body = { prompt = "{prompt}", auth = { token = ["marked-0d1e", "marked-7a8b"] }, author = "marked-9c0d" }
[request.open]
path = "/open?key=marked-8b9c"
"""
    try:
        described = read(written(tmp_path, text))
        shown = hidden(text)
        assert re.findall(r"marked-....", shown) == ["marked-9c0d"]
        assert "{session}" in shown
        assert "redis://:[secret]@c" in shown
        forget()
        remember_shape(described.under_test(tmp_path).request)
        assert re.findall(r"marked-....", hidden(text)) == [f"marked-{each}" for each in LEFT]
    finally:
        forget()


LEFT = ("1a2b", "2b3c", "3c4d", "4d5e", "9c0d")
"""What is none of the request's."""


def test_who_reads_the_request_alone_has_its_secrets_and_prompts_hidden_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAM_TOKEN", "marked-header-91c2")
    (tmp_path / "prompts.txt").write_text("marked-prompt-5d1e: what is it?\nhello\n")
    told = '[request]\nprompts = "prompts.txt"\nheaders = { Authorization = "Bearer ${TEAM_TOKEN}" }\n'
    assert shape_of(written(tmp_path, LEAST + told)).prompts[1] == "hello"
    assert hidden("marked-header-91c2: marked-prompt-5d1e: what is it? (3)") == "[secret]: [prompt] (3)"


def test_a_value_that_the_fence_makes_up_is_no_secret_and_stays_in_every_name_that_has_it(
    tmp_path: Path,
) -> None:
    try:
        read(written(tmp_path, LEAST + 'env = { AWS_ACCESS_KEY_ID = "agentrig" }\n'))
        assert hidden("agentrig.ping.busy") == "agentrig.ping.busy"
    finally:
        forget()


def test_a_file_that_is_not_there_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`agentrig init` writes one"):
        read(tmp_path / FILE)


@pytest.mark.parametrize("text", ["tool = 1", "tool = []", "[tool]", "a = " + "[" * 100_000, "["])
def test_a_project_file_without_an_agent_is_none_however_odd(tmp_path: Path, text: str) -> None:
    written(tmp_path, text, "pyproject.toml")
    assert find(tmp_path) is None


def test_an_agent_that_is_no_table_is_told(tmp_path: Path) -> None:
    project = written(tmp_path, "[tool]\nagentrig = 1", "pyproject.toml")
    assert find(tmp_path) == project
    with pytest.raises(InputError, match="pyproject"):
        read(project)


def test_it_may_stand_in_the_projects_own_file(tmp_path: Path) -> None:
    assert find(tmp_path) is None
    project = written(tmp_path, "[project]\nname = 'x'\n", "pyproject.toml")
    assert find(tmp_path) is None
    written(tmp_path, "[tool.agentrig.agent]\ncommand = ['./run']\n", "pyproject.toml")
    assert find(tmp_path) == project
    assert read(project).agent.command == ("./run",)
    own = written(tmp_path, LEAST)
    assert find(tmp_path) == own


def test_containers_have_a_folder_each_unless_they_are_to_share_one(tmp_path: Path) -> None:
    assert read(written(tmp_path, LEAST)).under_test(tmp_path).own_folder
    assert not read(written(tmp_path, LEAST + "own_folder = false\n")).under_test(tmp_path).own_folder
    image = '[agent]\nimage = "bot:1"\n'
    assert not read(written(tmp_path, image)).under_test(tmp_path).own_folder, "it has its own"


@pytest.mark.parametrize("program", ["uv", "/opt/bin/poetry"])
def test_who_finds_an_environment_by_the_folder_cannot_be_started_in_a_copy(
    tmp_path: Path, program: str
) -> None:
    text = f'[agent]\ncommand = ["{program}", "run", "agent.py"]\n'
    with pytest.raises(InputError, match="own_folder = false"):
        read(written(tmp_path, text))
    assert read(written(tmp_path, text + "own_folder = false\n")).agent.command[0] == program


def test_a_request_may_have_any_shape(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text('Which way?\n\n"Two\\nlines."\n', "utf-8")
    text = """
    [request]
    path = "/apps/a/users/{session}/run"
    query = { v = "1" }
    body = '{"newMessage": {"parts": [{"text": "{prompt}"}]}, "sessionId": "{session}", "n": 1}'
    answer = "[-1].content.parts[0].text"
    error_when = ["a = 1", "b"]
    stream = true
    prompts = "prompts.txt"
    [request.open]
    path = "/apps/a/users/u/sessions"
    body = {}
    session = "id"
    """
    shape = read(written(tmp_path, LEAST + text)).under_test(tmp_path).request
    assert shape.request.body == {
        "newMessage": {"parts": [{"text": "{prompt}"}]},
        "sessionId": "{session}",
        "n": 1,
    }
    assert (shape.request.query, shape.stream, shape.error_when) == ({"v": "1"}, True, ("a = 1", "b"))
    assert shape.opening is not None
    assert (shape.opening.request.body, shape.opening.session) == ({}, "id")
    assert shape.prompts == ("Which way?", "Two\nlines.")


def test_prompts_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    described = read(written(tmp_path, LEAST + '[request]\nprompts = "none.txt"\n'))
    with pytest.raises(InputError, match=r"none\.txt: cannot be read"):
        described.under_test(tmp_path)
    (tmp_path / "none.txt").write_text('fine\n"not closed\n', "utf-8")
    with pytest.raises(InputError, match=r"none\.txt:2: begins as a JSON string"):
        described.under_test(tmp_path)


def test_its_home_is_an_empty_one_unless_it_is_asked_otherwise(tmp_path: Path) -> None:
    assert read(written(tmp_path, LEAST)).under_test(tmp_path).home is None
    own = read(written(tmp_path, LEAST + 'home = "state"\noutside = ["api.example.com"]\n'))
    assert own.under_test(tmp_path).home == tmp_path / "state"
    assert own.under_test(tmp_path).outside == ("api.example.com",)
