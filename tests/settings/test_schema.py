"""vidd.toml, the environment and credentials, and every fault by its path."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from vidd.model.check_policy import Policy, policy_of
from vidd.model.publication import failure_notices
from vidd.pipelines.registry import STEPS
from vidd.pipelines.resolve import resolve
from vidd.pipelines.validation import make_ready
from vidd.settings.schema import NOT_SETTINGS, SettingsFault, read_settings
from vidd.settings.types import parse_duration, time_in_file

SECRET = "hunter2-and-more"


def written(tmp_path, text):
    path = tmp_path / "vidd.toml"
    path.write_text(text)
    return path


def faults(tmp_path, text):
    with pytest.raises(SettingsFault) as fault:
        make_ready(read_settings(written(tmp_path, text)))
    return fault.value.faults


WHOLE = """
[sources.in]
kind = "folder"
path = "in"
pipeline = "talks"
[accounts.library]
kind = "s3"
access_key = "AK"
[[pipelines.talks.steps]]
kind = "trim"
fade = "2s"
[[pipelines.talks.publish]]
kind = "s3"
account = "library"
bucket = "b"
[[pipelines.talks.publish]]
kind = "folder"
path = "a"
[[pipelines.talks.publish]]
kind = "folder"
path = "b"
required = false
[[pipelines.talks.notify]]
kind = "mail"
label = "speakers"
[[pipelines.talks.notify]]
kind = "webhook"
label = "hook"
account = "page"
[accounts.page]
kind = "webhook"
url = "https://page.example.org/hook"
"""


def test_the_environment_goes_before_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDD_DAEMON__LISTEN", "127.0.0.1:9")
    monkeypatch.setenv("VIDD_LIMITS__ENCODES", "7")
    monkeypatch.setenv("VIDD_ACCOUNTS__LIBRARY__SECRET_KEY", SECRET)
    settings = read_settings(written(tmp_path, WHOLE + '[daemon]\nlisten = "127.0.0.1:1"\n'))
    assert settings.daemon.address == ("127.0.0.1", 9)
    assert settings.limits.encodes == 7
    assert make_ready(settings).accounts["library"].secret_key == SecretStr(SECRET)


def test_a_credential_goes_before_the_file_and_a_secret_may_lie_in_a_file(tmp_path, monkeypatch):
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "accounts__library__secret_key").write_text(SECRET + "\n")
    (credentials / "daemon__tokens").write_text("one\ntwo\n")
    (credentials / "something-else").write_text("not ours")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    ready = make_ready(read_settings(written(tmp_path, WHOLE)))
    assert ready.accounts["library"].secret_key == SecretStr(SECRET)
    assert [token.get_secret_value() for token in ready.settings.daemon.tokens] == ["one", "two"]
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    (tmp_path / "key").write_text("from a file\n")
    text = WHOLE.replace('access_key = "AK"', f'access_key = "AK"\nsecret_key_file = "{tmp_path / "key"}"')
    assert make_ready(read_settings(written(tmp_path, text))).accounts["library"].secret_key == SecretStr("from a file")


def test_relative_paths_of_an_account_are_taken_from_the_state_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDD_DAEMON__STATE", str(tmp_path / "state"))
    monkeypatch.setenv("VIDD_ACCOUNTS__CHANNEL__REFRESH_TOKEN_FILE", "channel.token")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "channel.token").write_text("from a file\n")
    person = 'kind = "youtube"\nclient_id = "c"\nclient_secret = "s"\n'
    page = '[accounts.page]\nkind = "facebook"\ntoken = "t"\nca = "/etc/own.pem"\n'
    text = f'[accounts.channel]\n{person}ca = "own.pem"\n{page}'
    accounts = make_ready(read_settings(written(tmp_path, text))).accounts
    assert accounts["channel"].ca == tmp_path / "state" / "own.pem"
    assert accounts["channel"].refresh_token == SecretStr("from a file")
    assert accounts["page"].ca == Path("/etc/own.pem")


@pytest.mark.parametrize(
    ("named", "why"), [("5", "cannot be read"), ('"binary"', "no text"), ('"absent"', "cannot be read")]
)
def test_a_file_of_a_secret_that_cannot_be_used_is_a_fault(tmp_path, monkeypatch, named, why):
    monkeypatch.setenv("VIDD_DAEMON__STATE", str(tmp_path))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    text = f'[accounts.library]\nkind = "s3"\naccess_key = "AK"\nsecret_key_file = {named}\n'
    with pytest.raises(SettingsFault, match=rf"accounts.library.secret_key_file: .*{why}"):
        make_ready(read_settings(written(tmp_path, text)))


def test_every_fault_is_named_by_its_path_at_once(tmp_path):
    found = faults(
        tmp_path,
        """
        [daemon]
        listen = "everywhere"
        colour = "red"
        [limits]
        encodes = 0
        [retry]
        first = "soon"
        """,
    )
    assert [fault.partition(":")[0] for fault in found] == [
        "daemon.listen",
        "daemon.colour",
        "limits.encodes",
        "retry.first",
    ]
    assert "there is no such key" in found[1]
    assert "write it like 90s" in found[3]


@pytest.mark.parametrize("value", ["0", "101", "-1", "2.5", "true", '"many"', '""'])
def test_a_number_of_encodes_is_a_number_or_auto(tmp_path, value):
    (fault,) = faults(tmp_path, f"[limits]\nencodes = {value}\n")
    assert fault.startswith("limits.encodes: ")
    assert fault.endswith(' is neither a number from 1 to 100 nor "auto"')


def test_faults_inside_kinds_are_named_by_their_path_too(tmp_path):
    found = faults(
        tmp_path,
        """
        [sources.in]
        kind = "folder"
        pipeline = "nowhere"
        [sources.mystery]
        kind = "carrier-pigeon"
        [[pipelines.talks.steps]]
        kind = "trim"
        fades = "3s"
        [[pipelines.talks.publish]]
        kind = "s3"
        account = "library"
        bucket = "b"
        [[pipelines.talks.notify]]
        kind = "mail"
        subject = "{{ unclosed"
        """,
    )
    paths = {fault.partition(":")[0] for fault in found}
    assert paths == {
        "sources.in.path",
        "sources.in.pipeline",
        "sources.mystery.kind",
        "pipelines.talks.steps[0].fades",
        "pipelines.talks.publish[0].account",
        "pipelines.talks.notify[0].subject",
    }
    assert any(
        "there are cms, data_sets, folder, pretalx, process_content, published, schedule, sheet, sqs" in fault
        for fault in found
    )


def test_templates_and_labels_that_name_what_there_is_not_are_faults(tmp_path):
    found = faults(
        tmp_path,
        """
        [accounts.library]
        kind = "s3"
        [[pipelines.talks.steps]]
        kind = "describe"
        title = "{{ talk.titel }}"
        tags = ["{{ talk.stage }}", "{{ tags }}"]
        [[pipelines.talks.publish]]
        kind = "folder"
        label = "library"
        path = "out"
        name = "{{ tags | first }}{{ sufix }}"
        [[pipelines.talks.notify]]
        kind = "mail"
        subject = "{{ titel }}"
        [[pipelines.talks.notify]]
        kind = "sheet"
        path = "p.csv"
        link_of = "libary"
        library_of = "library"
        [[pipelines.talks.notify]]
        kind = "sqs"
        account = "library"
        queue = "q"
        format = "template"
        body = '{"at": "{{ urls.youtube }}", "start": {{ start }}}'
        [[pipelines.talks.notify]]
        kind = "sqs"
        account = "library"
        queue = "q"
        format = "talkbot"
        urls = { s3_url = "library", youtube_url = "youtube" }
        """,
    )
    assert [fault.partition(":")[0] for fault in found] == [
        "pipelines.talks.steps[0].title",
        "pipelines.talks.steps[0].tags[1]",
        "pipelines.talks.publish[0].name",
        "pipelines.talks.notify[0].subject",
        "pipelines.talks.notify[1].link_of",
        "pipelines.talks.notify[2].body",
        "pipelines.talks.notify[2].body",
        "pipelines.talks.notify[3].urls.youtube_url",
    ]
    assert found[0].endswith("names talk.titel, which does not exist (did you mean title?)")
    assert found[4].endswith("the pipeline has no publisher labelled 'libary', it has library")


def test_the_documents_of_tasks_are_told_of_files_that_somebody_puts_out(tmp_path):
    (fault,) = faults(
        tmp_path,
        """
        [accounts.base]
        kind = "mongodb"
        uri = "mongodb://127.0.0.1/base"
        [[pipelines.annotation.steps]]
        kind = "frames"
        [[pipelines.annotation.publish]]
        kind = "folder"
        path = "out"
        [[pipelines.annotation.publish]]
        kind = "mongo_tasks"
        account = "base"
        files = "film"
        """,
    )
    assert fault == (
        "pipelines.annotation.publish[1].files: the pipeline has no publisher labelled 'film', it has folder, mongo_tasks"
    )


FOLLOWED = """
[sources.captions]
kind = "published"
of = "talks"
pipeline = "captions"
[[pipelines.talks.publish]]
kind = "folder"
label = "{label}"
path = "out"
[[pipelines.captions.publish]]
kind = "youtube_captions"
[[pipelines.captions.publish]]
kind = "facebook_captions"
video_of = "youtube"
"""


def test_captions_go_to_the_video_of_a_publisher_that_the_followed_pipeline_has(tmp_path):
    assert faults(tmp_path, FOLLOWED.format(label="out")) == [
        f"pipelines.captions.publish[{number}].video_of: the pipeline 'talks' has no publisher labelled 'youtube', it has out"
        for number in range(2)
    ]
    make_ready(read_settings(written(tmp_path, FOLLOWED.format(label="youtube"))))


def test_a_programme_is_a_source_that_reads_one(tmp_path):
    text = '[sources.in]\nkind = "{}"\npath = "x.csv"\npipeline = "talks"\n[pipelines.talks]\nprogramme = "in"\n'
    assert faults(tmp_path, text.format("folder")) == [
        "pipelines.talks.programme: [sources.in] reads no programme: name a source of kind pretalx or schedule or sheet"
    ]
    make_ready(read_settings(written(tmp_path, text.format("sheet"))))
    (fault,) = faults(tmp_path, text.format("heron"))
    assert fault.startswith("sources.in.kind: there is no kind 'heron' here")


def test_a_role_is_one_that_the_steps_before_make(tmp_path):
    made = ("manifest", "rendition-720p", "rendition-small", "source", "talk", "task_list", "tasks")
    assert faults(
        tmp_path,
        """
        [[pipelines.talks.steps]]
        kind = "frames"
        source = "talk"
        [[pipelines.talks.steps]]
        kind = "trim"
        [[pipelines.talks.steps]]
        kind = "transcode"
        renditions = [{ height = 720, video_bitrate = "2M" }, { height = 360, video_bitrate = "1M", name = "small" }]
        [[pipelines.talks.publish]]
        kind = "folder"
        path = "out"
        files = ["talk", "rendition-720p", "rendition-small", "rendition-360p", "tasks", "boxes"]
        """,
    ) == [
        "pipelines.talks.steps[0].source: the steps before it make no 'talk' (they make source)",
        "pipelines.talks.publish[0].files[3]: the steps before it make no 'rendition-360p' (did you mean rendition-720p?)",
        f"pipelines.talks.publish[0].files[5]: the steps before it make no 'boxes' (they make {', '.join(made)})",
    ]


def test_the_roles_of_captions_are_known_where_the_settings_name_the_languages(tmp_path):
    text = """
    [[pipelines.talks.steps]]
    kind = "captions"
    engine = {{ kind = "pocketsphinx" }}
    {}
    [[pipelines.talks.publish]]
    kind = "folder"
    path = "out"
    files = ["srt-en", "vtt-pt-BR", "{}"]
    """
    languages = 'languages = ["English", "pt_br"]'
    made = "source, srt-en, srt-pt-BR, text-en, text-pt-BR, vtt-en, vtt-pt-BR, words-en, words-pt-BR"
    make_ready(read_settings(written(tmp_path, text.format(languages, "words-en"))))
    assert faults(tmp_path, text.format(languages, "ssa-fr")) == [
        f"pipelines.talks.publish[0].files[2]: the steps before it make no 'ssa-fr' (they make {made})"
    ]
    assert faults(tmp_path, text.format(languages, "srt-de")) == [
        "pipelines.talks.publish[0].files[2]: the steps before it make no 'srt-de' (did you mean srt-en?)"
    ]
    # The programme may ask for any language.
    make_ready(read_settings(written(tmp_path, text.format("", "srt-de"))))


def test_the_roles_of_a_data_set_are_known(tmp_path):
    text = """
    [accounts.base]
    kind = "mongodb"
    uri = "mongodb://127.0.0.1/base"
    [accounts.store]
    kind = "s3"
    [[pipelines.sets.steps]]
    kind = "data_set"
    database = "base"
    account = "store"
    bucket = "sets"
    [[pipelines.sets.publish]]
    kind = "folder"
    path = "out"
    files = ["objects", "{}"]
    """
    make_ready(read_settings(written(tmp_path, text.format("plan"))))
    assert faults(tmp_path, text.format("plans")) == [
        "pipelines.sets.publish[0].files[1]: the steps before it make no 'plans' (did you mean plan?)"
    ]


def test_a_role_after_a_step_that_does_not_say_what_it_makes_is_not_judged(tmp_path):
    text = """
    [[pipelines.talks.steps]]
    kind = "results"
    path = "results"
    each = true
    [[pipelines.talks.publish]]
    kind = "folder"
    path = "out"
    files = ["2d_poses"]
    """
    make_ready(read_settings(written(tmp_path, text)))
    kept = text.replace("each = true", "keep_files = true").replace('"2d_poses"', '"annotations", "analysis"')
    make_ready(read_settings(written(tmp_path, kept)))
    slip = text.replace("each = true", "eech = true")
    assert faults(tmp_path, slip) == ["pipelines.talks.steps[0].eech: there is no such key"]


def test_what_a_step_of_somebody_else_leaves_is_not_judged(tmp_path, monkeypatch):
    monkeypatch.setitem(STEPS, "describe", replace(STEPS["describe"], facts=None))
    text = """
        [[pipelines.talks.steps]]
        kind = "describe"
        [[pipelines.talks.publish]]
        kind = "folder"
        path = "out"
        name = "{{ anything }}"
        [[pipelines.talks.notify]]
        kind = "sqs"
        account = "library"
        queue = "q"
        format = "talkbot"
        [accounts.library]
        kind = "s3"
        """
    assert make_ready(read_settings(written(tmp_path, text))).pipelines["talks"]["publish"]


def test_secrets_of_an_account_that_the_settings_do_not_have_say_so(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDD_ACCOUNTS__CHANNEL__REFRESH_TOKEN", SECRET)
    (sentence,) = faults(tmp_path, "[daemon]\n")
    assert sentence.startswith("accounts.channel: there is no such account in the settings, only a part of it")
    assert SECRET not in sentence
    monkeypatch.delenv("VIDD_ACCOUNTS__CHANNEL__REFRESH_TOKEN")
    assert faults(tmp_path, "[accounts.channel]\n") == ["accounts.channel.kind: Field required"]


def test_an_environment_variable_that_is_no_setting_is_a_fault(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDD_DEAMON__LISTEN", "127.0.0.1:9")
    assert faults(tmp_path, WHOLE) == ["VIDD_DEAMON__LISTEN: no setting begins like this environment variable"]


@pytest.mark.parametrize("name", sorted(NOT_SETTINGS))
def test_a_variable_that_vidd_reads_elsewhere_is_no_fault(tmp_path, monkeypatch, name):
    monkeypatch.setenv(name, "a value")
    assert read_settings(written(tmp_path, WHOLE)).daemon


def test_a_file_that_is_no_toml_or_not_there_is_a_fault(tmp_path):
    assert "is not TOML" in faults(tmp_path, "[daemon\n")[0]
    with pytest.raises(SettingsFault, match="No such file"):
        read_settings(tmp_path / "nothing.toml")


def test_a_secret_is_in_no_fault_and_in_no_stored_setting(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDD_ACCOUNTS__LIBRARY__SECRET_KEY", SECRET)
    ready = make_ready(read_settings(written(tmp_path, WHOLE)))
    assert SECRET not in str(ready.pipelines)
    assert SECRET not in repr(ready.accounts["library"])
    text = WHOLE.replace('access_key = "AK"', f'access_key = "AK"\nsecret_key = ["{SECRET}"]')
    monkeypatch.delenv("VIDD_ACCOUNTS__LIBRARY__SECRET_KEY")
    assert SECRET not in " ".join(faults(tmp_path, text))


def test_a_pipeline_is_stored_with_every_default_and_comes_back_as_a_plan(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDD_ACCOUNTS__LIBRARY__SECRET_KEY", SECRET)
    stored = make_ready(read_settings(written(tmp_path, WHOLE))).pipelines["talks"]
    assert stored["steps"][1]["options"]["fade"] == 2.0
    plan = resolve(stored)
    assert [step.name for step in plan.steps] == ["fetch", "trim"]
    assert [step.pool for step in plan.steps] == ["fetches", "encodes"]
    assert [(publisher.name, publisher.required) for publisher in plan.publishers] == [
        ("s3", True),
        ("folder", True),
        ("folder-2", False),
    ]
    assert [(notice.name, notice.is_email, notice.tells_retraction) for notice in plan.notices] == [
        ("speakers", True, False),
        ("hook", False, True),
    ]


def test_a_changed_option_changes_the_steps_fingerprint_and_no_other(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDD_ACCOUNTS__LIBRARY__SECRET_KEY", SECRET)

    def prints(text):
        plan = resolve(make_ready(read_settings(written(tmp_path, text))).pipelines["talks"])
        return [step.fingerprint for step in plan.steps]

    before, after = prints(WHOLE), prints(WHOLE.replace('fade = "2s"', 'fade = "4s"'))
    assert before[0] == after[0]
    assert before[1] != after[1]


CHECKED = """
[pipelines.talks.check]
black = "refuse"
black_for = "5s"
"""


def test_a_steps_own_check_goes_over_its_pipelines_and_both_are_kept_with_the_job(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDD_ACCOUNTS__LIBRARY__SECRET_KEY", SECRET)
    own = WHOLE.replace('fade = "2s"', 'fade = "2s"\ncheck = { silent = "note", silent_for = "1m" }')
    stored = make_ready(read_settings(written(tmp_path, own + CHECKED))).pipelines["talks"]
    assert policy_of(stored, "trim") == Policy(black="refuse", black_for=5.0, silent="note", silent_for=60.0)
    assert policy_of(stored, "fetch") == Policy(black="refuse", black_for=5.0)


def test_another_policy_has_nothing_made_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDD_ACCOUNTS__LIBRARY__SECRET_KEY", SECRET)
    own = WHOLE.replace('fade = "2s"', 'fade = "2s"\ncheck = { silent = "note" }')
    plans = [
        resolve(make_ready(read_settings(written(tmp_path, text))).pipelines["talks"])
        for text in (WHOLE, WHOLE + CHECKED, own)
    ]
    assert len({tuple(step.fingerprint for step in plan.steps) for plan in plans}) == 1


@pytest.mark.parametrize(
    ("check", "fault"),
    [
        ('black = "maybe"', "pipelines.talks.check.black: Input should be 'refuse', 'hold' or 'note'"),
        ('blakc = "note"', "pipelines.talks.check.blakc: there is no such key"),
        ('silent_for = "soon"', "pipelines.talks.check.silent_for: 'soon' is not a duration"),
        ("loudness_from = -5", "pipelines.talks.check: loudness_from (-5) must be below loudness_to (-9)"),
    ],
)
def test_a_faulty_policy_is_named_by_its_path(tmp_path, monkeypatch, check, fault):
    monkeypatch.setenv("VIDD_ACCOUNTS__LIBRARY__SECRET_KEY", SECRET)
    (found,) = faults(tmp_path, f"{WHOLE}\n[pipelines.talks.check]\n{check}\n")
    assert found.startswith(fault)


@pytest.mark.parametrize(
    ("check", "fault"),
    [
        ('{ frozen = "yes" }', "pipelines.talks.steps[0].check.frozen: Input should be"),
        ('"note"', "pipelines.talks.steps[0].check: must be a table, like { frozen = "),
    ],
)
def test_a_steps_faulty_policy_is_named_by_its_path(tmp_path, monkeypatch, check, fault):
    monkeypatch.setenv("VIDD_ACCOUNTS__LIBRARY__SECRET_KEY", SECRET)
    (found,) = faults(tmp_path, WHOLE.replace('fade = "2s"', f'fade = "2s"\ncheck = {check}'))
    assert found.startswith(fault)


def test_what_a_publisher_takes_is_known_from_its_options(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDD_ACCOUNTS__LIBRARY__SECRET_KEY", SECRET)
    text = WHOLE.replace('path = "a"', 'path = "a"\nfiles = ["talk"]')
    plan = resolve(make_ready(read_settings(written(tmp_path, text))).pipelines["talks"])
    assert [tuple(publisher.roles) for publisher in plan.publishers] == [(), ("talk",), ()]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("250ms", 0.25), ("1.5m", 90), ("2d", 172800), (7, 7)]
)
def test_durations_are_written_as_people_write_them(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "3 parsecs", "s", "1h and a bit"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="write it like 90s"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1:02:30.5", 3750.5), ("2:30", 150), ("0:07", 7), ("100", 100), ("7.25", 7.25), ("1m30s", 90), (" 90s ", 90)],
)
def test_a_time_in_a_file_is_written_as_players_show_it_or_as_a_duration(text, seconds):
    assert time_in_file(text) == seconds


@pytest.mark.parametrize("text", ["1:75", "1:2:3:4", ":30", "-5", "1:30s", "1:70:00"])
def test_what_is_no_time_in_a_file_is_refused(text):
    with pytest.raises(ValueError, match="write it like 90s"):
        time_in_file(text)


def test_the_state_directory_is_a_path(tmp_path):
    assert read_settings(written(tmp_path, WHOLE)).daemon.state == Path("/var/lib/vidd")


def test_only_a_notice_can_wait_for_a_failure(tmp_path):
    found = faults(
        tmp_path,
        '[accounts.hook]\nkind = "webhook"\nurl = "https://example.org/h"\n'
        '[[pipelines.x.publish]]\nkind = "webhook"\naccount = "hook"\non = "failed"\n'
        '[[pipelines.x.notify]]\nkind = "webhook"\naccount = "hook"\non = "failed"\n'
        '[[pipelines.x.notify]]\nkind = "mail"\non = "failed"\n',
    )
    assert [fault.partition(":")[0] for fault in found] == [
        "pipelines.x.publish[0].on", "pipelines.x.notify[1]",
    ]  # fmt: skip


def test_a_plan_keeps_the_notices_of_failures_apart(tmp_path):
    path = written(
        tmp_path,
        '[[pipelines.x.notify]]\nkind = "mail"\n[[pipelines.x.notify]]\nkind = "mail"\non = "failed"\nto = ["a@b.example"]\n',
    )
    stored = make_ready(read_settings(path)).pipelines["x"]
    plan = resolve(stored)
    assert ([notice.name for notice in plan.notices], [failure.name for failure in plan.failures]) == (
        ["mail"],
        ["mail-2"],
    )
    assert failure_notices(stored) == {"mail-2"}


def test_a_step_takes_its_place_among_the_limit_that_its_options_name(tmp_path):
    path = written(
        tmp_path,
        '[[pipelines.x.steps]]\nkind = "command"\nargv = ["true"]\n'
        '[[pipelines.x.steps]]\nkind = "command"\nargv = ["true"]\nslot = "gpus"\n',
    )
    plan = resolve(make_ready(read_settings(path)).pipelines["x"])
    assert [step.pool for step in plan.steps] == ["fetches", "commands", "gpus"]
