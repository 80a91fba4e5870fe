"""Every kind of source that knows a programme, with two talks in it, for the suite of the promises."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from peers.pretalx import EVENT, TOKEN, Pretalx, a_submission
from peers.schedules import Schedules
from pydantic import SecretStr

from vidd.pipelines.registry import account_module


@dataclass
class Case:
    """A programme with the talks LOOPS1, by Ada in Main, and KNOTS2, which must not be published.

    `show` puts it there with this title of LOOPS1; with None, without any talk. `hide` makes it unreadable until the
    next `show`.
    """

    kind: str
    options: dict[str, Any]
    show: Callable[[str | None], None]
    hide: Callable[[], None]
    accounts: dict[str, Any] = field(default_factory=dict)


@asynccontextmanager
async def sheet(directory):
    path = directory / "programme.csv"

    def show(title):
        rows = "" if title is None else f'LOOPS1,"{title}",Ada,Main,\nKNOTS2,Knots,Alan,Side,yes\n'
        path.write_text(f"uuid,title,speakers,stage,exclude\n{rows}")
        os.utime(path, (0, 0))

    yield Case("sheet", {"path": str(path), "refresh": "20ms"}, show, path.unlink)


@asynccontextmanager
async def pretalx_api(_directory, token=TOKEN, **options):
    far = Pretalx()

    def show(title):
        far.missteps.clear()
        far.submissions.clear()
        if title is not None:
            far.put(
                a_submission("LOOPS1", title, ("Ada", "ada@example.org")),
                a_submission("KNOTS2", "Knots", ("Alan", "alan@example.org"), do_not_record=True),
            )

    def hide():
        far.misstep("GET", "submissions|schedule", "status", status=401, times=10**6, body={"detail": "Invalid token."})

    with far.serving(None):
        account = account_module("pretalx").Account(url=far.url, token=SecretStr(token) if token else None)
        yield Case(
            "pretalx", {"account": "far", "event": EVENT, "refresh": "20ms", **options}, show, hide, {"far": account}
        )


def pretalx_export(directory):
    return pretalx_api(directory, token=None)


def pretalx_widget(directory):
    return pretalx_api(directory, token=None, read="widget")


XML = """<schedule><conference><time_zone_name>Europe/Berlin</time_zone_name></conference><day date="2026-11-20"><room name="R">
<event id="LOOPS1"><room>Main</room><title>{title}</title><start>10:00</start><persons><person>Ada</person></persons></event>
<event id="KNOTS2"><room>Side</room><title>Knots</title><recording><optout>true</optout></recording></event>
</room></day></schedule>"""

CALENDAR = """BEGIN:VCALENDAR
BEGIN:VEVENT
UID:LOOPS1
SUMMARY:{title} - Ada
LOCATION:Main
DTSTART:20261120T090000Z
END:VEVENT
BEGIN:VEVENT
UID:KNOTS2
SUMMARY:Knots
STATUS:CANCELLED
END:VEVENT
END:VCALENDAR
"""


@asynccontextmanager
async def _schedule(path, talks, none, **options):
    far = Schedules()

    def show(title):
        far.put(path, none if title is None else talks(title))

    def hide():
        far.documents.pop(path)

    with far.serving(None):
        yield Case("schedule", {"url": f"{far.url}{path}", "refresh": "20ms", **options}, show, hide)


def schedule_xml(_directory):
    return _schedule("/schedule.xml", lambda title: XML.format(title=title), "<schedule/>")


def icalendar(_directory):
    none = "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"
    talks = lambda title: CALENDAR.format(title=title).replace("\n", "\r\n")  # noqa: E731
    return _schedule("/schedule.ics", talks, none, speakers_after=" - ")


def schedule_json(_directory):
    def document(events):
        return json.dumps({"schedule": {"conference": {"days": [{"rooms": {"Main": events}}]}}})

    def talks(title):
        return document(
            [
                {"id": "LOOPS1", "title": title, "persons": [{"public_name": "Ada"}]},
                {"id": "KNOTS2", "title": "Knots", "do_not_record": True},
            ]
        )

    return _schedule("/schedule.json", talks, document([]))


def field_map(_directory):
    def talks(title):
        return json.dumps(
            {
                "talks": [
                    {"id": "LOOPS1", "title": title, "who": ["Ada"], "where": "Main", "no": False},
                    {"id": "KNOTS2", "title": "Knots", "no": True},
                ]
            }
        )

    fields = {"items": "talks", "speakers": "who[]", "stage": "where", "do_not_record": "no"}
    return _schedule("/talks", talks, json.dumps({"talks": []}), format="json", fields=fields)


CASES = {
    "pretalx": pretalx_api,
    "pretalx (export)": pretalx_export,
    "pretalx (widget)": pretalx_widget,
    "schedule (schedule.xml)": schedule_xml,
    "schedule (schedule.json)": schedule_json,
    "schedule (iCalendar)": icalendar,
    "schedule (JSON by a map)": field_map,
    "sheet": sheet,
}
"""By kind, with the variant in brackets."""
