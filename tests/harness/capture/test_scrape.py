import httpx
import pytest

from harness.capture.scrape import Scraper
from harness.capture.watch import Watching
from harness.clock import FakeClock
from harness.contract import PING_BUSY, PING_CHANGED, PING_MUTE
from harness.records.seen import MetricPoint

TEXT = """# HELP agentrig_inflight requests in work
# TYPE agentrig_inflight gauge
agentrig_inflight{limit="4",kind="a b"} 2.0
# TYPE agentrig_rejections_total counter
agentrig_rejections_total 7.0
python_gc_objects_collected_total{generation="0"} 541.0
"""


def how(clock: FakeClock) -> Watching:
    return Watching(experiment="e", arm="a", interval_s=0.5, clock=clock)


def scraper(pages: dict[str, str], clock: FakeClock, names: tuple[str, ...] = ("agent-1",)) -> Scraper:
    def fetch(url: str) -> str:
        if url == "http://agent-1/ping" and url not in pages:
            return '{"status": "Healthy"}'
        if url not in pages:
            raise httpx.ConnectError("refused")
        return pages[url]

    return Scraper(
        lambda: {name: f"http://{name}" for name in names},
        how(clock),
        prefixes=("agentrig_",),
        fetch=fetch,
    )


def point(name: str, value: float, time_s: float, **labels: str) -> MetricPoint:
    return MetricPoint(
        experiment="e", arm="a", time_s=time_s, source="agent-1", name=name, value=value, labels=labels
    )


def test_samples_with_the_prefixes_are_kept_and_others_are_not() -> None:
    rig = scraper({"http://agent-1/metrics": TEXT}, FakeClock(start_s=10.0))
    rig.scrape()
    assert rig.points() == (
        point(PING_BUSY, 0.0, 10.0),
        point("agentrig_inflight", 2.0, 10.0, limit="4", kind="a b"),
        point("agentrig_rejections_total", 7.0, 10.0),
    )
    assert rig.failures() == {}


def test_each_round_is_stamped_with_its_own_time() -> None:
    clock = FakeClock(start_s=10.0)
    rig = scraper({"http://agent-1/metrics": "agentrig_busy 1.0\n"}, clock)
    rig.scrape()
    clock.advance(0.5)
    rig.scrape()
    assert [p.time_s for p in rig.points() if p.name == "agentrig_busy"] == [10.0, 10.5]


@pytest.mark.parametrize(("took_s", "kept"), [(0.04, 1), (0.06, 0)])
def test_what_ping_said_too_late_to_tell_of_an_instant_is_not_kept(took_s: float, kept: int) -> None:
    clock = FakeClock()

    def fetch(url: str) -> str:
        clock.advance(took_s)
        return '{"status": "HealthyBusy"}' if url.endswith("/ping") else ""

    rig = Scraper(lambda: {"agent-1": "http://agent-1"}, how(clock), prefixes=(), fetch=fetch)
    rig.scrape()
    assert [point.name for point in rig.points()] == [PING_BUSY] * kept
    assert ("agent-1" in rig.failures()) is not kept


def test_a_ping_that_is_answered_no_more_is_a_sample_of_its_own() -> None:
    clock, answers = FakeClock(start_s=10.0), iter(['{"status": "Healthy"}', None, "Internal Server Error"])

    def fetch(url: str) -> str:
        if not url.endswith("/ping"):
            return ""
        if (text := next(answers)) is None:
            clock.advance(1.0)
            raise httpx.ReadTimeout("nothing came")
        return text

    rig = Scraper(lambda: {"agent-1": "http://agent-1"}, how(clock), prefixes=(), fetch=fetch)
    for _ in range(3):
        rig.scrape()
    told = [(point.name, point.value, point.time_s, point.took_s) for point in rig.points()]
    assert told == [(PING_BUSY, 0.0, 10.0, 0.0), (PING_MUTE, 1.0, 10.0, 1.0), (PING_MUTE, 1.0, 11.0, 0.0)]


def test_a_target_that_fails_is_noted_and_the_others_are_scraped() -> None:
    rig = scraper({"http://agent-1/metrics": "agentrig_busy 1.0\n"}, FakeClock(), ("agent-2", "agent-1"))
    rig.scrape()
    rig.scrape()
    assert {p.source for p in rig.points()} == {"agent-1"}
    assert rig.failures() == {"agent-2": "4 x, at last: /metrics: ConnectError: refused"}


@pytest.mark.parametrize("text", ["agentrig_busy one\n", "agentrig_busy\n", 'agentrig_busy{a="b} 1\n'])
def test_a_page_that_is_no_metrics_is_noted(text: str) -> None:
    rig = scraper({"http://agent-1/metrics": text}, FakeClock())
    rig.scrape()
    assert [p.name for p in rig.points()] == [PING_BUSY]
    assert "agent-1" in rig.failures()


def test_an_empty_page_gives_no_points_and_is_no_failure() -> None:
    rig = scraper({"http://agent-1/metrics": ""}, FakeClock())
    rig.scrape()
    assert ([p.name for p in rig.points()], rig.failures()) == ([PING_BUSY], {})


def test_the_last_state_is_scraped_when_the_load_ends() -> None:
    with scraper({"http://agent-1/metrics": "agentrig_busy 1.0\n"}, FakeClock()) as rig:
        pass
    assert [p.name for p in rig.points()] == [PING_BUSY, "agentrig_busy"]


@pytest.mark.parametrize(("status", "value"), [("Healthy", 0.0), ("HealthyBusy", 1.0)])
def test_what_ping_says_is_a_sample(status: str, value: float) -> None:
    pages = {"http://agent-1/ping": f'{{"status": "{status}"}}', "http://agent-1/metrics": ""}
    rig = scraper(pages, FakeClock(start_s=10.0))
    rig.scrape()
    assert rig.points() == (point(PING_BUSY, value, 10.0),)


@pytest.mark.parametrize("page", ["", "[]", '{"status": "fine"}', "{", '{"status": []}', "[" * 100_000])
def test_a_ping_that_says_neither_is_noted(page: str) -> None:
    rig = scraper({"http://agent-1/ping": page, "http://agent-1/metrics": ""}, FakeClock())
    rig.scrape()
    assert rig.points() == ()
    assert rig.failures()["agent-1"].startswith("1 x, at last: /ping: ")


def test_the_stamp_of_a_ping_is_kept_where_it_is_one() -> None:
    rig = scraper(
        {"http://agent-1/ping": '{"status": "HealthyBusy", "time_of_last_update": 17}'}, FakeClock()
    )
    rig.scrape()
    assert [(p.name, p.value) for p in rig.points()] == [(PING_BUSY, 1.0), (PING_CHANGED, 17.0)]


@pytest.mark.parametrize("stamp", ['"17"', "17.5", "true", "null", f"1{'0' * 400}"])
def test_what_is_no_stamp_is_none(stamp: str) -> None:
    rig = scraper(
        {"http://agent-1/ping": f'{{"status": "Healthy", "time_of_last_update": {stamp}}}'}, FakeClock()
    )
    rig.scrape()
    assert [p.name for p in rig.points()] == [PING_BUSY]


def test_a_sample_says_how_long_its_answer_took() -> None:
    clock = FakeClock(start_s=10.0)

    def fetch(url: str) -> str:
        clock.advance(0.02)
        return '{"status": "Healthy"}' if url.endswith("/ping") else "agentrig_inflight 1.0\n"

    rig = Scraper(
        lambda: {"agent-1": "http://agent-1"},
        how(clock),
        prefixes=("agentrig_",),
        fetch=fetch,
    )
    rig.scrape()
    assert [(p.time_s, p.took_s) for p in rig.points()] == [
        (10.0, pytest.approx(0.02)),
        (pytest.approx(10.02), pytest.approx(0.02)),
    ]
