import json
from datetime import timedelta
from xml.etree import ElementTree as ET

import aiohttp
import pytest
from builders.web import NOON, FakeControl, a_job, open_port

from vidd.model.day_totals import ENCODED, ENCODING, PUBLISHED, space_of
from vidd.model.job import State
from vidd.web.charts import Chart, charts_of, draw, in_words
from vidd.web.history import read_days

SVG = "{http://www.w3.org/2000/svg}"
TODAY = NOON.date()


async def read(url, path="/api/history"):
    async with aiohttp.ClientSession() as session, session.get(url + path) as response:
        return response.status, json.loads(await response.text())


@pytest.fixture
async def control():
    control = FakeControl()
    yesterday = NOON - timedelta(days=1)
    control.store.put(
        a_job(State.PUBLISHED), a_job(State.PUBLISHED), a_job(State.REFUSED), a_job(State.UNSURE, changed=yesterday),
        a_job(State.PUBLISHED, changed=NOON - timedelta(days=9)),
    )  # fmt: skip
    measured = {ENCODED: "90000", ENCODING: "60000", PUBLISHED: "2700000"}
    await control.store.remember(space_of(TODAY), measured)
    return control


async def test_a_week_of_days_tells_jobs_failures_encode_speed_and_minutes(control):
    async with open_port(control) as (_, url):
        status, history = await read(url)
    assert status == 200
    assert [day["day"] for day in history["days"]] == [f"2026-11-{day}" for day in range(15, 22)]
    assert history["days"][-2:] == [
        {"day": "2026-11-20", "published": 0, "failed": 1, "encode_speed": None, "minutes": None},
        {"day": "2026-11-21", "published": 2, "failed": 1, "encode_speed": 1.5, "minutes": 45.0},
    ]
    assert sum(day["published"] for day in history["days"]) == 2


async def test_more_days_can_be_asked_for_but_not_any_number(control):
    async with open_port(control) as (_, url):
        assert len((await read(url, "/api/history?days=90"))[1]["days"]) == 90
        assert (await read(url, "/api/history?days=91"))[0] == 422


def bars(svg):
    return svg.iter(f"{SVG}rect")


def a_chart(*values, **more):
    days = [(TODAY + timedelta(days=number), value) for number, value in enumerate(values)]
    return Chart(**{"name": "n", "title": "T", "unit": "jobs", "days": days, **more})


async def test_the_charts_are_drawn_with_a_title_and_all_numbers_as_text(control):
    charts = charts_of(await read_days(control.store, NOON))
    drawn = {chart.name: ET.fromstring(draw(chart)) for chart in charts}
    assert list(drawn) == ["published", "failed", "speed", "minutes"]
    for svg in drawn.values():
        title, text = svg.find(f"{SVG}title"), svg.find(f"{SVG}desc")
        assert (svg.get("role"), svg.get("aria-labelledby"), svg.get("aria-describedby")) == (
            "img", title.get("id"), text.get("id"),
        )  # fmt: skip
    assert drawn["minutes"].find(f"{SVG}desc").text.endswith("2026-11-20: not measured; 2026-11-21: 45 minutes.")
    assert drawn["speed"].find(f"{SVG}desc").text.endswith("2026-11-21: 1.5 times real time.")
    assert len(list(bars(drawn["published"]))) == 1


def test_a_bar_is_as_high_as_its_number_and_stays_inside():
    svg = ET.fromstring(draw(a_chart(1, 2, 4, 0, None)))
    heights = [float(bar.get("height")) for bar in bars(svg)]
    assert heights == [pytest.approx(heights[2] / 4, abs=0.1), pytest.approx(heights[2] / 2, abs=0.1), heights[2]]
    assert all(float(bar.get("y")) >= 0 for bar in bars(svg))
    assert [text.text for text in svg.iter(f"{SVG}text") if text.get("class") == "chart-none"] == ["?"]


@pytest.mark.parametrize("values", [(), (0, 0), (None, None), (1e9, 1), (0.001,), (999,), (1000,)])
def test_any_numbers_can_be_drawn(values):
    svg = ET.fromstring(draw(a_chart(*values)))
    for bar in bars(svg):
        assert 0 < float(bar.get("height")) <= 116


def test_names_are_no_markup_and_nothing_of_a_chart_needs_a_script_or_a_style():
    drawn = draw(a_chart(1, title="<b>&", unit='"><script>'))
    assert "<b>" not in drawn
    assert "<script" not in drawn
    assert "style=" not in drawn
    ET.fromstring(drawn)


def test_numbers_are_told_in_words():
    assert (
        in_words(a_chart(1234, 0.25, None)) == "2026-11-21: 1,234 jobs; 2026-11-22: 0.2 jobs; 2026-11-23: not measured."
    )
