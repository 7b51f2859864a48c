import flask
import pytest

from harness.load.kit import strangers


class Page:
    """Locust's page, as far as it goes."""

    def __init__(self) -> None:
        self.app = flask.Flask("page")
        self.started = 0

        @self.app.route("/swarm", methods=["POST"])
        def swarm() -> str:
            self.started += 1
            return "started"

        @self.app.route("/")
        @self.app.route("/stop")
        def stop() -> str:
            return "stopped"


@pytest.fixture
def page() -> Page:
    made = Page()
    strangers.install(made)  # type: ignore[arg-type]  # as far as it goes
    return made


@pytest.mark.parametrize(
    "host",
    ["localhost:8089", "127.0.0.1:8089", "[::1]:8089", "192.0.2.7", "locust:8089", "locust.load.svc:8089"],
)
def test_its_own_page_may_start_a_test(page: Page, host: str) -> None:
    own = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    assert page.app.test_client().post("/swarm", headers=own).status_code == 200
    assert page.app.test_client().post("/swarm", headers={"Host": host}).status_code == 200, "a program"
    assert page.started == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost:8089", "Origin": "http://evil.example"},
        {"Host": "localhost:8089", "Origin": "null"},
        {"Host": "localhost:8089", "Origin": "http://localhost:8090"},
        {"Host": "localhost:8089", "Sec-Fetch-Site": "cross-site"},
        {"Host": "localhost:8089", "Sec-Fetch-Site": "same-site"},
        {"Host": "localhost:8089", "Origin": "http://["},
        {"Host": "evil.example:8089"},
        {"Host": "evil.example:8089", "Origin": "http://evil.example:8089"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": ""},
        {"Host": "[::1"},
    ],
)
def test_a_page_of_somebody_else_may_not(page: Page, headers: dict[str, str]) -> None:
    assert page.app.test_client().post("/swarm", headers=headers).status_code == 403
    assert page.started == 0


def test_a_picture_of_somebody_elses_page_stops_no_test_but_a_link_opens_the_page(page: Page) -> None:
    across = {"Host": "localhost", "Sec-Fetch-Site": "cross-site"}
    assert page.app.test_client().get("/stop", headers=across).status_code == 403
    assert page.app.test_client().get("/", headers=across).status_code == 200
