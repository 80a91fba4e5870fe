"""What `vidd check` finds."""

import os
import socket
from functools import partial

import pytest

from vidd.daemon import preflight
from vidd.daemon.preflight import inspect
from vidd.pipelines.validation import make_ready
from vidd.processes.cpus import usable_cpus
from vidd.settings import schema
from vidd.settings.schema import SettingsFault, read_settings
from vidd.transcription import faster_whisper

ABROAD = """
[accounts.library]
kind = "s3"
endpoint_url = "http://127.0.0.1:{port}"
access_key = "AK"
secret_key = "SK-and-more"
[accounts.post]
kind = "smtp"
host = "127.0.0.1"
port = {port}
[sources.queue]
kind = "sqs"
account = "library"
queue_url = "http://127.0.0.1:{port}/q"
pipeline = "talks"
[[pipelines.talks.publish]]
kind = "s3"
account = "library"
bucket = "talks"
[[pipelines.talks.notify]]
kind = "mail"
account = "post"
"""


async def findings(path, *, online, **over):
    ready = make_ready(read_settings(path, over))
    return {one.about: one async for one in inspect(ready, online=online)}


async def test_the_embedded_settings_are_fit_to_run(tmp_path):
    found = await findings(None, online=True, state=str(tmp_path / "state"), listen="127.0.0.1:0")
    assert [one.sentence for one in found.values() if not one.ok] == []
    assert {
        "daemon.state",
        "ffmpeg",
        "pipelines.talks",
        "sources.recordings",
        "sources.programme",
        "daemon.listen",
    } <= found.keys()
    assert "fetch → trim → describe" in found["pipelines.talks"].sentence
    assert not (tmp_path / "state" / "journal.sqlite").exists()


@pytest.mark.parametrize(("processors", "encodes"), [(1, 1), (2, 1), (3, 1), (4, 2), (16, 14)])
async def test_as_many_encodes_run_as_there_are_processors_less_two(tmp_path, monkeypatch, processors, encodes):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(processors)))
    monkeypatch.setattr(schema, "usable_cpus", partial(usable_cpus, tmp_path))
    monkeypatch.setattr(preflight, "usable_cpus", partial(usable_cpus, tmp_path))
    found = await findings(None, online=False, state=str(tmp_path / "state"))
    expected = f"At once: encodes {encodes} (auto; processors that vidd may use: {processors}), gpus 1, "
    assert found["limits"].sentence.startswith(expected)
    path = tmp_path / "vidd.toml"
    path.write_text("[limits]\nencodes = 7\n")
    found = await findings(path, online=False, state=str(tmp_path / "state"))
    assert found["limits"].sentence.startswith("At once: encodes 7, gpus 1, ")


@pytest.mark.slow
async def test_each_side_that_does_not_answer_is_named_and_no_secret_with_it(tmp_path):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        path = tmp_path / "vidd.toml"
        path.write_text(ABROAD.format(port=nobody.getsockname()[1]))
        over = {"state": str(tmp_path), "listen": "127.0.0.1:0"}
        asked = await findings(path, online=True, **over)
        unasked = await findings(path, online=False, **over)
    assert {about for about, one in asked.items() if not one.ok} == {
        "sources.queue",
        "pipelines.talks.publish.s3",
        "pipelines.talks.notify.mail",
    }
    assert "SK-and-more" not in str(asked)
    assert all(one.ok for one in unasked.values())


async def test_settings_without_a_source_and_a_state_that_cannot_be_written_are_faults(tmp_path):
    path = tmp_path / "vidd.toml"
    path.write_text("")
    (tmp_path / "file").touch()
    found = await findings(path, online=False, state=str(tmp_path / "file"), listen="127.0.0.1:0")
    assert {about for about, one in found.items() if not one.ok} == {"sources", "daemon.state"}


async def test_files_that_a_step_needs_are_looked_at_without_asking_anybody_outside(tmp_path):
    path = tmp_path / "vidd.toml"
    path.write_text(
        "[sources.in]\nkind = 'folder'\npath = 'in'\npipeline = 'talks'\n[[pipelines.talks.steps]]\nkind = 'trim'\n"
        "sting_before = 'sting.mp4'\n[pipelines.talks.steps.watermark]\nimage = 'logo.png'\n"
    )
    (tmp_path / "state").mkdir()
    found = (await findings(path, online=False, state=str(tmp_path / "state")))["pipelines.talks.steps.trim"]
    assert not found.ok
    wanted = f"The watermark {tmp_path}/state/logo.png cannot be opened (No such file or directory): correct its path"
    assert found.sentence.startswith(wanted)


@pytest.mark.parametrize(
    ("engine", "missing"),
    [
        ("kind = 'program'\nargv = ['no-such-recogniser', '{{ audio }}']", "There is no program 'no-such-recogniser'"),
        ("kind = 'faster_whisper'\nmodel = 'models/none'", "There is no model in "),
    ],
    ids=["program", "model"],
)
async def test_a_recogniser_that_is_missing_is_found_without_asking_anybody_outside(
    tmp_path, monkeypatch, engine, missing
):
    monkeypatch.setattr(faster_whisper, "require", lambda *_: None)
    path = tmp_path / "vidd.toml"
    path.write_text(f"[[pipelines.captions.steps]]\nkind = 'captions'\n[pipelines.captions.steps.engine]\n{engine}\n")
    found = (await findings(path, online=False, state=str(tmp_path)))["pipelines.captions.steps.captions"]
    assert not found.ok
    assert found.sentence.startswith(missing)


async def test_a_recogniser_behind_a_queue_is_asked_for_online_only(tmp_path):
    path = tmp_path / "vidd.toml"
    path.write_text(
        "[accounts.library]\nkind = 's3'\nendpoint_url = 'http://127.0.0.1:9'\n"
        "[[pipelines.captions.steps]]\nkind = 'captions'\n[pipelines.captions.steps.engine]\nkind = 'sqs'\n"
        "account = 'library'\nqueue = 'q'\nbucket = 'b'\n"
    )
    assert (await findings(path, online=False, state=str(tmp_path)))["pipelines.captions.steps.captions"].ok


NOTICES = """
[sources.lab]
kind = "cms"
account = "cms"
pipeline = "cms"
recording = "http://127.0.0.1/{{ file_id }}"
[sources.by_hand]
kind = "folder"
path = "in"
pipeline = "cms"
[accounts.cms]
kind = "cms"
url = "http://127.0.0.1/"
[[pipelines.cms.steps]]
kind = "command"
label = "process"
argv = ["true"]
[[pipelines.cms.steps]]
kind = "results"
path = "out"
[[pipelines.cms.publish]]
kind = "folder"
path = "out"
name = "{{ facts.id }}"
[[pipelines.cms.notify]]
kind = "mail"
to = ["lab@example.org"]
subject = "{{ facts.id | default(name) }} {{ facts.scenes }} {{ process.exit }} {{ facts.size | default(0) }}"
text = "{{ facts.foldr_id }} {{ facts.foldr_id | default('none') }} {{ video.megabits }} {{ rework.edition }} {{ video.rate }}"
[[pipelines.cms.notify]]
kind = "mail"
label = "failed"
on = "failed"
to = ["lab@example.org"]
text_file = "failed.txt"
"""


async def test_a_template_that_names_a_fact_which_its_jobs_will_not_have_is_found_and_nothing_else(tmp_path):
    path, state = tmp_path / "vidd.toml", tmp_path / "state"
    path.write_text(NOTICES)
    state.mkdir()
    (state / "failed.txt").write_text(
        "{{ job.reason }} {{ scenes }} {{ people | default(0) }} {{ failure.said }} {{ bodys }}"
    )
    ready = make_ready(read_settings(path, {"state": str(state)}))
    found = [(one.about, one.sentence) async for one in inspect(ready, online=False) if not one.ok]
    named = "The template names"
    known = "there are bodies, frames, made, mtime_ns, people, process, renamed, scenes, size, video"
    mend = "correct it, or write {{ facts.%s | default('') }}."
    assert found == [
        (
            "pipelines.cms.publish.folder.name",
            f"{named} facts.id, which jobs of the source 'by_hand' do not have; {known}: {mend % 'id'}",
        ),
        (
            "pipelines.cms.notify.mail.text",
            f"{named} facts.foldr_id, which jobs of the source 'lab' do not have (did you mean folder_id?): {mend % 'foldr_id'}",
        ),
        (
            "pipelines.cms.notify.mail.text",
            f"{named} facts.foldr_id, which jobs of the source 'by_hand' do not have; {known}: {mend % 'foldr_id'}",
        ),
        ("pipelines.cms.notify.mail.text", f"{named} video.megabits, which does not exist (did you mean megabytes?)."),
        ("pipelines.cms.notify.failed.text_file", f"{named} an unknown field bodys (did you mean bodies?)."),
        (
            "pipelines.cms.notify.failed.text_file",
            f"{named} scenes, which a job that failed before its step 'results' does not have: write {{{{ scenes | default('') }}}}.",
        ),
    ]


async def test_a_template_file_that_cannot_be_read_is_told_of_once_and_jobs_handed_in_by_hand_may_have_any_fact(
    tmp_path,
):
    path, state = tmp_path / "vidd.toml", tmp_path / "state"
    path.write_text(
        "[[pipelines.cms.notify]]\nkind = 'mail'\nsubject = '{{ facts.anything }}'\ntext_file = 'none.txt'\n"
        "[[pipelines.cms.notify]]\nkind = 'mail'\ntext_file = 'broken.txt'\n"
    )
    state.mkdir()
    (state / "broken.txt").write_text("{{ facts.")
    ready = make_ready(read_settings(path, {"state": str(state)}))
    found = [one.about async for one in inspect(ready, online=False) if not one.ok]
    assert found == ["sources", "pipelines.cms.notify.mail", "pipelines.cms.notify.mail-2"]


PROXIED = """
[accounts.near]
kind = "pcloud"
token = "T"
proxy = "none"
[accounts.far]
kind = "smtp"
host = "mail.example.org"
proxy = "http://lab:s3cr3t@proxy.lab:3128"
[accounts.cms]
kind = "cms"
url = "https://cms.example.org/graphql"
"""


async def test_each_account_says_through_which_proxy_it_goes_without_its_login(tmp_path, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://me:s3cr3t@house.lab:8080")
    path = tmp_path / "vidd.toml"
    path.write_text(PROXIED)
    found = await findings(path, online=True, state=str(tmp_path))
    assert {about: one.sentence for about, one in found.items() if about.startswith("accounts.")} == {
        "accounts.near": "vidd connects to api.pcloud.com:443 directly.",
        "accounts.far": "vidd connects to mail.example.org:587 through the proxy http://proxy.lab:3128 of the account.",
        "accounts.cms": "vidd connects to cms.example.org:443 through the proxy http://house.lab:8080 of HTTPS_PROXY.",
    }


async def test_an_environment_that_names_no_proxy_is_found_without_asking_anybody(tmp_path, monkeypatch):
    monkeypatch.setenv("https_proxy", "socks5://me:s3cr3t@house.lab:1080")
    path = tmp_path / "vidd.toml"
    path.write_text(PROXIED)
    found = await findings(path, online=False, state=str(tmp_path))
    (bad,) = (one for one in found.values() if one.about.startswith("accounts."))
    assert bad.about == "accounts.cms"
    assert not bad.ok
    assert "https_proxy cannot be used" in bad.sentence
    assert "s3cr3t" not in bad.sentence


@pytest.mark.parametrize("proxy", ["socks5://lab:s3cr3t@proxy.lab:1", "http://lab:s3cr3t@:1", "http://"])
def test_an_option_that_names_no_proxy_is_a_fault_of_the_settings_without_its_login(tmp_path, proxy):
    path = tmp_path / "vidd.toml"
    path.write_text(PROXIED.replace("none", proxy))
    with pytest.raises(SettingsFault) as caught:
        make_ready(read_settings(path, {"state": str(tmp_path)}))
    (fault,) = caught.value.faults
    assert fault.startswith("accounts.near.proxy: ")
    assert "s3cr3t" not in fault
