from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import flask
import pytest

from harness.load.kit.picked import equalise_weights, install, scenarios, users_needed


def user(name: str, **attributes: object) -> type:
    return type(name, (), {"weight": 1, "fixed_count": 0} | attributes)


OTHER = user("Other", weight=7)


def test_a_user_that_is_no_scenario_is_left_as_it_is() -> None:
    heavy, fixed = user("A", throttling=None, weight=50), user("B", throttling=None, fixed_count=3)
    equalise_weights([heavy, fixed, OTHER])
    assert scenarios([heavy, OTHER, fixed]) == [heavy, fixed]
    assert [(it.weight, it.fixed_count) for it in (heavy, fixed, OTHER)] == [(1, 0), (1, 0), (7, 0)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [((None, 6), 6), ((1, 6), 6), ((1, 6, 2), 12), ((9, 6), 9), ((6, 6, 2), 12), ((4, 1), 4)],
)
def test_each_scenario_has_a_user_on_each_worker(asked: tuple[int, ...], expected: int) -> None:
    assert users_needed(*asked) == expected


@pytest.mark.parametrize(("users", "told"), [(5, ["5 users for 6 scenarios"]), (6, []), (None, [])])
def test_fewer_users_than_scenarios_are_told(
    users: int | None, told: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    users_needed(users, 6)
    assert [message.partition(":")[0] for message in caplog.messages] == told


class Page:
    """Locust's web page, as far as it starts tests."""

    def __init__(self) -> None:
        self.app = flask.Flask("page")
        self.forms: list[dict[str, list[str]]] = []
        self.others: list[type] = []
        self.app.add_url_rule("/base/swarm", view_func=self.swarm, methods=["POST"])
        install(cast("Any", SimpleNamespace(app=self.app)), self.classes)

    def classes(self, names: Sequence[str]) -> list[type]:
        return [*[user("A", throttling=None)] * (len(names) or 6), *self.others]

    def swarm(self) -> dict[str, object]:
        self.forms.append(flask.request.form.to_dict(flat=False))
        return {"success": True}

    def post(self, **form: object) -> dict[str, list[str]]:
        self.app.test_client().post("/base/swarm", data=form)
        return self.forms[-1]


@pytest.mark.parametrize(
    ("names", "asked", "users"),
    [([], 1, "6"), (["A", "B"], 1, "2"), (["A"], 1, "1"), (["A", "B"], 8, "8"), (["A", "B"], 0, "2")],
)
def test_the_form_starts_a_user_for_each_scenario_that_it_picks(
    names: list[str], asked: int, users: str
) -> None:
    form = Page().post(user_count=asked, user_classes=names, run_time="3s")
    assert form["user_count"] == [users]
    assert (form.get("user_classes", []), form["run_time"]) == (names, ["3s"])


@pytest.mark.parametrize("asked", ["many", "-1", ""])
def test_a_number_that_is_none_is_left_for_locust_to_refuse(asked: str) -> None:
    assert Page().post(user_count=asked)["user_count"] == [asked]


def test_drivers_are_spawned_at_once_where_nobody_else_is() -> None:
    page = Page()
    assert page.post(user_count=6, spawn_rate=1)["spawn_rate"] == ["6"]
    page.others = [OTHER]
    assert page.post(user_count=6, spawn_rate=1)["spawn_rate"] == ["1"]
