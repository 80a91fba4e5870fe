"""One slug in many places of the settings."""

import pytest
from builders.engine import job

from vidd.pipelines.resolve import resolve
from vidd.pipelines.validation import make_ready, with_faults_of_kinds
from vidd.settings.schema import SettingsFault, read_settings
from vidd.settings.templates import fields_of, render

SETTINGS = """
[daemon]
state = "/tmp/vidd"
{slug}
[accounts.library]
kind = "s3"
endpoint_url = "https://{{{{ conference }}}}.objects.example.org"
[accounts.channel]
kind = "youtube"
client_id = "x"
client_secret = "y"
refresh_token = "z"
[sources.recordings]
kind = "sqs"
account = "library"
queue_url = "https://sqs.eu-west-1.amazonaws.com/1/{{{{conference}}}}-recordings"
pipeline = "talks"
[sources.programme]
kind = "sheet"
path = "/srv/{{{{ conference }}}}/programme.xlsx"
tab = "{{{{ conference }}}}"
[sources.programme.addresses]
path = "/srv/{{{{ conference }}}}/speakers.xlsx"
[pipelines.talks]
programme = "programme"
[[pipelines.talks.steps]]
kind = "describe"
title = "{{{{ conference | upper }}}}: {{{{ talk.title }}}}"
[[pipelines.talks.publish]]
kind = "s3"
account = "library"
bucket = "{{{{ conference }}}}-talks"
[[pipelines.talks.publish]]
kind = "youtube"
account = "channel"
playlists = ["{{{{ conference }}}}: {{{{ talk.stage }}}}"]
[[pipelines.talks.notify]]
kind = "sheet"
path = "/srv/{{{{ conference }}}}/programme.xlsx"
"""


def settings(tmp_path, slug):
    path = tmp_path / "vidd.toml"
    path.write_text(SETTINGS.format(slug=slug))
    return read_settings(path)


def names(ready):
    """All places that the slug names."""
    (library, channel), body = ready.pipelines["talks"]["publish"], ready.pipelines["talks"]
    programme = ready.sources["programme"][1]
    return [
        ready.accounts["library"].endpoint_url,
        ready.sources["recordings"][1].queue_url,
        str(programme.path),
        programme.tab,
        str(programme.addresses.path),
        library["options"]["bucket"],
        channel["options"]["playlists"][0],
        body["notify"][0]["options"]["path"],
    ]


WANTED = [
    "https://ws19.objects.example.org",
    "https://sqs.eu-west-1.amazonaws.com/1/ws19-recordings",
    "/srv/ws19/programme.xlsx",
    "ws19",
    "/srv/ws19/speakers.xlsx",
    "ws19-talks",
    "ws19: {{ talk.stage }}",
    "/srv/ws19/programme.xlsx",
]


def test_the_slug_names_buckets_queues_playlists_and_sheets(tmp_path):
    ready = make_ready(settings(tmp_path, 'conference = "ws19"'))
    assert names(ready) == WANTED
    resolve(ready.pipelines["talks"])


def test_the_environment_names_the_conference(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDD_DAEMON__CONFERENCE", "ws20")
    ready = make_ready(settings(tmp_path, 'conference = "ws19"'))
    assert names(ready) == [text.replace("ws19", "ws20") for text in WANTED]


def test_a_job_keeps_the_conference_of_its_arrival_also_for_other_uses_in_templates(tmp_path):
    ready = make_ready(settings(tmp_path, 'conference = "ws19"'))
    old = job(settings=ready.pipelines["talks"])
    title = ready.pipelines["talks"]["steps"][1]["options"]["title"]
    assert render(title, fields_of(old, None, {})) == "WS19: "
    assert render("{{ conference }}", fields_of(job(), None, {})) == ""


def test_settings_without_a_slug_are_stored_with_a_job_as_ever(tmp_path):
    text = SETTINGS.format(slug="").replace("{{ conference }}", "x").replace("{{conference}}", "x")
    (tmp_path / "vidd.toml").write_text(text)
    assert "conference" not in make_ready(read_settings(tmp_path / "vidd.toml")).pipelines["talks"]


def test_a_slug_that_is_not_set_is_missed_wherever_it_is_named(tmp_path):
    with pytest.raises(SettingsFault) as fault:
        settings(tmp_path, "")
    why = "names the conference, but [daemon] conference is not set: set it"
    assert sorted(fault.value.faults) == sorted(
        f"{where}: {why}"
        for where in (
            "accounts.library.endpoint_url",
            "sources.recordings.queue_url",
            "sources.programme.path",
            "sources.programme.tab",
            "sources.programme.addresses.path",
            "pipelines.talks.publish[0].bucket",
            "pipelines.talks.publish[1].playlists[0]",
            "pipelines.talks.notify[0].path",
        )
    )


@pytest.mark.parametrize(
    ("kind", "more"),
    [("schedule", 'path = "/srv/{{ conference }}.xml"'), ("sheet", 'path = "{{ conference }}.csv"'),
     ("schedule", 'url = "https://{{ conference }}.example.org/s.ics"')],
)  # fmt: skip
def test_a_slug_that_is_not_set_is_the_only_fault_of_its_table(tmp_path, kind, more):
    path = tmp_path / "vidd.toml"
    path.write_text(f'[sources.programme]\nkind = "{kind}"\n{more}\n[sources.in]\nkind = "folder"\n')
    with pytest.raises(SettingsFault) as fault:
        read_settings(path)
    key = more.partition(" ")[0]
    assert [line.partition(":")[0] for line in with_faults_of_kinds(fault.value).faults] == [
        f"sources.programme.{key}",
        "sources.in.path",
    ]


@pytest.mark.parametrize("slug", ["WS 19", "ws_19", "-ws", "ws--19", "../ws19", "{{ talk.id }}", "w" * 41])
def test_what_is_no_slug_is_refused(tmp_path, slug):
    with pytest.raises(SettingsFault) as fault:
        settings(tmp_path, f'conference = "{slug}"')
    assert fault.value.faults[0].startswith("daemon.conference: ")
