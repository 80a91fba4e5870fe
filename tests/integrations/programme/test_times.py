from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from vidd.integrations.programme.times import NoZone, on_day, parse_duration, parse_time, parse_zone

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("00:30", 30), ("1:05", 65), ("12:00", 720), ("45", 45), ("01:30:00", 90), ("00:00:30", 0.5),
        ("1:02:30", 24 * 60 + 150), ("PT45M", 45), ("PT1H30M", 90), ("P1DT1H", 25 * 60), (" 00:30 ", 30),
    ],
)  # fmt: skip
def test_durations_as_schedules_write_them(text, minutes):
    assert parse_duration(text) == timedelta(minutes=minutes)


@pytest.mark.parametrize("text", ["", "half an hour", "00:75", "P", "PT", "-1:00", "٣٠", "99999", "999:00"])
def test_what_is_no_duration_is_said(text):
    with pytest.raises(ValueError, match=r"is no duration|longer than a month"):
        parse_duration(text)


def test_a_time_has_its_own_zone_before_that_of_the_conference():
    assert parse_time("2026-11-20T10:00:00+00:00", BERLIN) == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert parse_time("2026-11-20T10:00:00Z", BERLIN) == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert parse_time("2026-11-20T10:00:00", BERLIN) == datetime(2026, 11, 20, 9, tzinfo=UTC)
    with pytest.raises(NoZone, match="set `time_zone`"):
        parse_time("2026-11-20T10:00:00", None)


def test_a_clock_before_the_days_change_is_after_midnight():
    day = date(2026, 12, 27)
    assert on_day(day, time(23, 30), time(4), BERLIN) == datetime(2026, 12, 27, 23, 30, tzinfo=BERLIN)
    assert on_day(day, time(0, 15), time(4), BERLIN) == datetime(2026, 12, 28, 0, 15, tzinfo=BERLIN)
    assert on_day(day, time(4), time(4), BERLIN) == datetime(2026, 12, 27, 4, tzinfo=BERLIN)


@pytest.mark.parametrize("name", ["Europe/Nowhere", "", "../etc/passwd", "\0"])
def test_a_zone_that_is_none_is_said(name):
    with pytest.raises(ValueError, match="there is no time zone"):
        parse_zone(name)
