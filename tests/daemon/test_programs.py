"""Programs of the operator's own in the real daemon: ended with it, told of when they fail, once."""

import json
import signal
import sys
from email import message_from_bytes, policy

import pytest
from peers.analysis import install
from peers.daemon import until
from peers.processes import alive

pytestmark = pytest.mark.daemon

STORE = "vidd.stores.sqlite.store:SqliteStore"
STEP = """
[[pipelines.talks.steps]]
kind = "command"
label = "analyse"
argv = ["{python}", "premiereFullVideoProcessing.py", "--video", "{{{{ file }}}}", "--directory", "{{{{ directory }}}}/found"]
directory = "{tools}"
environment = {{ ANALYSIS_FAULT = "{fault}" }}
outputs = [{{ path = "found", role = "found" }}]
progress = {{ pattern = '(?P<percent>\\d+)%\\|' }}
grace = "300ms"
{more}
[[pipelines.talks.publish]]
"""
FAILED = """
[[pipelines.talks.notify]]
kind = "mail"
label = "failed"
on = "failed"
to = ["ops@lab.example", "boss@lab.example"]
outbox = "outbox"
"""


@pytest.fixture
def analysing(place):
    """Settings with an analysis in them that has this fault."""
    tools = install(place.root / "site" / "tools")

    def write(fault: str = "", more: str = "") -> None:
        step = STEP.format(python=sys.executable, tools=tools, fault=fault, more=more)
        place.settings(("[[pipelines.talks.publish]]\n", step), more=FAILED)

    return write


def mails(place, recipient: str):
    found = [
        message_from_bytes(path.read_bytes(), policy=policy.default) for path in (place.root / "outbox").glob("*.eml")
    ]
    return [mail for mail in found if recipient in mail["To"]]


def family(place) -> list[int]:
    """The processes of a runaway analysis, once it has said who they are."""

    def look():
        for path in place.root.glob("jobs/*/pids.json"):
            if path.read_text().endswith("]"):
                return json.loads(path.read_text())
        return None

    return until(look, "the analysis runs")


def test_a_cancelled_job_leaves_no_process_of_a_deaf_program_with_runaway_children(place, clip, analysing):
    analysing("runaway")
    place.drop(clip)
    with place.daemon() as daemon:
        job = daemon.job("working")
        pids = family(place)
        assert all(map(alive, pids))
        status, cancelled = daemon.ask(f"/api/jobs/{job['id']}/cancel", {})
        assert (status, cancelled["state"]) == (200, "cancelled")
        assert [pid for pid in pids if alive(pid)] == []
        assert not list(place.root.glob("jobs/*"))
        daemon.stopped()
    assert mails(place, "ops@") == []


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_daemon_that_ends_takes_a_deaf_program_and_its_runaway_children_with_it_and_runs_it_again(
    place, clip, analysing, end
):
    analysing("runaway")
    place.drop(clip)
    with place.daemon(VIDD_DAEMON__GRACE="500ms") as daemon:
        daemon.job("working")
        pids = family(place)
        daemon.signal(end)
        daemon.ended()
        until(lambda: not any(map(alive, pids)), "none of them is alive")
    analysing("", "")
    job = place.journal(lambda store: store.jobs())[0]
    with place.daemon() as daemon:
        # The job keeps the settings of its admission; those of now are asked for.
        daemon.ask(f"/api/jobs/{job.id}/cancel", {})
        assert daemon.ask(f"/api/jobs/{job.id}/retry", {"fresh_settings": True})[0] == 200
        done = daemon.job("published")
        daemon.stopped()
    assert [step["name"] for step in done["steps"]] == ["fetch", "trim", "describe", "analyse"]


WALK = {
    "before the failure is saved": {"target": f"{STORE}.save", "when": "before", "where": "args[1].state == 'refused'"},
    "after the failure is saved": {"target": f"{STORE}.save", "when": "after", "where": "args[1].state == 'refused'"},
    "before the notice is begun": {
        "target": f"{STORE}.save_publication", "when": "after", "where": "args[1].name == 'failed' and args[1].state == 'pending'",
    },
    "between the first mail and its record": {"target": "vidd.integrations.mail.delivery:post", "when": "after"},
    "before the second mail": {
        "target": "vidd.integrations.mail.delivery:post", "when": "before", "where": "'boss' in args[1].recipient.address",
    },
    "between the mails and their record": {
        "target": f"{STORE}.save_publication", "when": "before", "where": "args[1].name == 'failed' and args[1].state == 'done'",
    },
}  # fmt: skip


def test_a_failure_is_told_once_however_often_the_daemon_is_killed_while_it_tells(place, clip, analysing):
    analysing("crash")
    place.drop(clip)
    for point, fate in WALK.items():
        with place.daemon(fate=fate) as daemon:
            assert daemon.ended() == -signal.SIGKILL, f"{point} was not reached: {daemon.log.read_text()}"
    place.drain()
    place.drain()
    for recipient in ("ops@", "boss@"):
        (mail,) = mails(place, recipient)
        text = mail.get_body(("plain",)).get_content()
        assert mail["Subject"] == "Failed: Talk t1"
        assert "Step:  analyse" in text
        assert "RuntimeError: no frames could be decoded" in text
        assert "vidd retry" in text
    assert mails(place, "ada@") == []
    job = place.journal(lambda store: store.jobs())[0]
    assert (job.state, job.facts["failure"]["step"]) == ("refused", "analyse")
    assert job.facts["failure"]["said"].endswith("RuntimeError: no frames could be decoded")
