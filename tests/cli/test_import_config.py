import shutil
import subprocess
import tomllib

import pytest
from typer.testing import CliRunner

from vidd.__main__ import app
from vidd.cli import import_config
from vidd.cli.importers import annotation
from vidd.cli.importers.output import toml
from vidd.cli.importers.premiere import translate
from vidd.settings.schema import SettingsFault

PREMIERE = """
email:
  from_addr: "sample@univ-st-etienne.fr"
  to_addrs:
    - "one@univ-st-etienne.fr"
    - "Two <two@example.com>"
  smtp_server: "smtp.example.org"
  smtp_port: 587
  password: "s3cret word"
"""


SECRETS = {
    "VIDD_ACCOUNTS__POST__PASSWORD": "s3cret word",
    "VIDD_ACCOUNTS__PCLOUD__TOKEN": "s3cret token",
    "DO_SPACES_KEY": "key",
    "DO_SPACES_SECRET": "s3cret",
    "DO_SPACES_REGION": "ams3",
    "DO_SPACES_ENDPOINT": "https://ams3.digitaloceanspaces.com",
    "DO_SPACES_BUCKET": "annotated",
}
CRON = (
    "*/1 * * * * cd /home/user/PMTOOLV2/PREMIERETOOLV2/ && /home/user/miniconda3/bin/conda run -n premiere python"
    " gql_client_proxy_v3.py"
)


def imported(tmp_path, text, kind="premiere"):
    file = tmp_path / "config.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return CliRunner().invoke(app, ["import-config", kind, str(file)])


def test_premieres_settings_become_a_mail_server_and_a_notice_to_each_receiver(tmp_path):
    ended = imported(tmp_path, PREMIERE)
    assert ended.exit_code == 0
    table = tomllib.loads(ended.stdout)
    assert table["accounts"]["post"] == {
        "kind": "smtp",
        "host": "smtp.example.org",
        "port": 587,
        "security": "starttls",
        "user": "sample@univ-st-etienne.fr",
    }
    notices = table["pipelines"]["cms"]["notify"]
    assert [(notice["kind"], notice["account"], notice.get("on")) for notice in notices] == [
        ("mail", "post", None),
        ("mail", "post", "failed"),
    ]
    for notice in notices:
        assert notice["to"] == ["one@univ-st-etienne.fr", "two@example.com"]
        assert notice["sender"] == "PREMIERE <sample@univ-st-etienne.fr>"


def test_the_password_is_named_and_not_told(tmp_path):
    ended = imported(tmp_path, PREMIERE)
    assert "s3cret" not in ended.output
    assert "#   VIDD_ACCOUNTS__POST__PASSWORD   the password of sample@univ-st-etienne.fr" in ended.stdout


def test_what_is_printed_can_be_used_once_the_password_is_set(tmp_path, monkeypatch):
    settings = tmp_path / "vidd.toml"
    (tmp_path / "tools").mkdir()
    settings.write_text(translate(PREMIERE, f"* * * * * cd {tmp_path}/tools && python gql_client_proxy_v3.py").document)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VIDD_DAEMON__LISTEN", "127.0.0.1:0")
    ended = CliRunner().invoke(app, ["check", "--config", str(settings), "--state-dir", str(tmp_path)])
    assert ended.exit_code == 0, ended.output


def test_one_receiver_a_port_as_text_and_no_password_are_understood():
    text = PREMIERE.replace("587", '"465"').replace('  password: "s3cret word"\n', "")
    text = text.replace('\n    - "one@univ-st-etienne.fr"\n    - "Two <two@example.com>"', " one@example.org")
    made = translate(text)
    made.check()
    table = tomllib.loads(made.document)
    assert table["accounts"]["post"]["security"] == "tls"
    assert "user" not in table["accounts"]["post"]
    assert table["pipelines"]["cms"]["notify"][0]["to"] == ["one@example.org"]
    assert "VIDD_ACCOUNTS__POST__PASSWORD" not in made.secrets


def test_the_whole_pipeline_is_written_with_the_places_of_the_crontab(tmp_path):
    (tmp_path / "crontab").write_text(f"MAILTO=lab\n# gql_client_proxy_v2.py\n{CRON} >> log 2>&1\n")
    (tmp_path / "config.yaml").write_text(PREMIERE)
    words = ["import-config", "premiere", str(tmp_path / "config.yaml"), "--crontab", str(tmp_path / "crontab")]
    ended = CliRunner().invoke(app, [*words, "--units", str(tmp_path / "units")])
    assert ended.exit_code == 0, ended.output
    table = tomllib.loads(ended.stdout)
    cms = table["pipelines"]["cms"]
    assert [step.get("label", step["kind"]) for step in cms["steps"]] == [
        "process",
        "floor",
        "arrange",
        "mesh",
        "results",
    ]
    assert [publisher["kind"] for publisher in cms["publish"]] == ["s3", "pcloud"]
    conda = ["/home/user/miniconda3/bin/conda", "run", "--no-capture-output", "-n", "premiere"]
    for step in cms["steps"][:4]:
        assert (step["prefix"], step["directory"]) == (conda, "/home/user/PMTOOLV2/PREMIERETOOLV2")
    assert cms["steps"][0]["environment"] == {"MODELS_PATH": "/home/user/PMTOOLV2/PREMIERETOOLV2/models"}
    assert table["sources"]["uploads"]["begin"].year >= 2026
    (unit,) = (tmp_path / "units").rglob("*.*f")
    assert unit.relative_to(tmp_path / "units").as_posix() == "vidd.service.d/premiere.conf"
    for line in (
        "ProtectHome=tmpfs", "BindReadOnlyPaths=/home/user/PMTOOLV2/PREMIERETOOLV2", "BindReadOnlyPaths=/home/user/miniconda3",
        "PrivateDevices=no", "LoadCredential=accounts__pcloud__token:/etc/vidd/credentials/pcloud-token",
    ):  # fmt: skip
        assert line in unit.read_text().splitlines()
    ended = CliRunner().invoke(app, [*words, "--units", str(tmp_path / "units")])
    assert (ended.exit_code, "cannot be written (File exists)" in ended.stderr) == (2, True)
    assert CliRunner().invoke(app, words).exit_code == 2
    assert CliRunner().invoke(app, ["import-config", "annotation", *words[2:], "--units", "x"]).exit_code == 2


@pytest.mark.parametrize(
    ("schedule", "calendar"),
    [
        ("*/1 * * * *", None),
        ("* * * * *", None),
        ("*/5 * * * *", None),
        ("@reboot", None),
        ("@hourly", ["*-*-* *:00:00"]),
        ("30 22 * * 1-5", ["Mon,Tue,Wed,Thu,Fri *-*-* 22:30:00"]),
        ("0 */8 1,15 * sun", ["*-*-01,15 00,08,16:00:00", "Sun *-*-* 00,08,16:00:00"]),
        ("15 3 * jan-mar 7", ["Sun *-01,02,03-* 03:15:00"]),
        ("5/20 1 * * *", ["*-*-* 01:05,25,45:00"]),
    ],
)
def test_times_of_a_crontab_become_a_timer_unless_the_script_runs_all_the_time(schedule, calendar):
    made = translate(PREMIERE, f"{schedule} cd /opt/premiere && python3 -u gql_client_proxy_v1.py")
    made.check()
    assert "prefix" not in tomllib.loads(made.text)["pipelines"]["cms"]["steps"][0]
    timer = made.units.get("vidd.timer")
    times = (
        None
        if timer is None
        else [row.partition("=")[2] for row in timer.splitlines() if row.startswith("OnCalendar=")]
    )
    assert times == calendar
    assert ("vidd run --until-idle --if-free" in made.units["vidd.service.d/premiere.conf"]) is (timer is not None)
    if timer is not None and shutil.which("systemd-analyze"):
        subprocess.run(["systemd-analyze", "calendar", *times], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("crontab", "fault"),
    [
        ("", "crontab: 0 lines start gql_client_proxy"),
        (f"{CRON}\n{CRON}", "crontab: 2 lines start gql_client_proxy"),
        ("* * * * * python /x/gql_client_proxy_v3.py", "does not go into a directory"),
        ("* * * * * cd premiere && python gql_client_proxy_v3.py", "not absolute"),
        ("* * * * * cd '/a b%h' && python gql_client_proxy_v3.py", "that a unit cannot name"),
        ("61 * * * * cd /x && python gql_client_proxy_v3.py", "the times of the line cannot be read"),
        ("* * * * mondays cd /x && python gql_client_proxy_v3.py", "the times of the line cannot be read"),
        ("5-1 * * * * cd /x && python gql_client_proxy_v3.py", "the times of the line cannot be read"),
        ("*/0 * * * * cd /x && python gql_client_proxy_v3.py", "the times of the line cannot be read"),
        ("@noon cd /x && python gql_client_proxy_v3.py", "does not begin with five fields"),
        ("* * * * * cd '/x && PASSWORD=s3cret gql_client_proxy_v3.py", "cannot be split into words"),
        ("gql_client_proxy", "crontab: "),
        ("* * * * * gql_client_proxy", "does not go into a directory"),
    ],
)
def test_a_crontab_that_cannot_be_taken_over_is_refused_without_its_line(crontab, fault):
    with pytest.raises(SettingsFault) as refused:
        translate(PREMIERE, crontab)
    assert any(fault in sentence for sentence in refused.value.faults), refused.value.faults
    assert "s3cret" not in refused.value.sentence


def test_what_is_not_known_is_said(tmp_path):
    ended = imported(tmp_path, PREMIERE + '  "colour\\nof": blue\nother: 1\n')
    assert "# Not taken over: other\n" in ended.stdout
    assert "# Not taken over: email.colour\\nof\n" in ended.stdout
    tomllib.loads(ended.stdout)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (PREMIERE.replace("587", "<port for your smtp server>"), "email.smtp_port: is no number of a port"),
        (PREMIERE.replace("587", "70000"), "email.smtp_port: is no number of a port"),
        (PREMIERE.replace('"smtp.example.org"', ""), "email.smtp_server: is no name of a server"),
        (PREMIERE.replace("sample@", ""), "email.from_addr: is no e-mail address"),
        (PREMIERE.replace("one@univ-st-etienne.fr", "{{ x }}@a.b"), "email.to_addrs[0]: is no e-mail address"),
        (PREMIERE.replace("email:", "mail:"), "email: is not there"),
        ("", "email: is not there"),
        ("email: [1, 2]", "email: is not there"),
        ("email:\n\tpassword: s3cret", "config.yaml: is no YAML: found character"),
        ("email: !!python/object:os.system {}", "config.yaml: is no YAML"),
        ("[" * 100_000, "config.yaml: is no YAML"),
        ("email: 2026-99-99", "config.yaml: is no YAML"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_what_is_wrong_in_it(text, fault):
    with pytest.raises(SettingsFault) as refused:
        translate(text)
    assert any(fault in sentence for sentence in refused.value.faults)
    assert "s3cret" not in refused.value.sentence


def test_all_faults_are_told_at_once(tmp_path):
    ended = imported(tmp_path, PREMIERE.replace("587", "x").replace("sample@", ""))
    assert ended.exit_code == 2
    assert len(ended.stderr.splitlines()) == 2


def test_a_file_that_is_no_text_or_not_there_is_refused(tmp_path):
    ended = imported(tmp_path, b"\xff\xfe\x00")
    assert (ended.exit_code, "is not UTF-8 text" in ended.stderr) == (2, True)
    ended = CliRunner().invoke(app, ["import-config", "premiere", str(tmp_path / "nowhere.yaml")])
    assert (ended.exit_code, "cannot be read" in ended.stderr) == (2, True)
    assert imported(tmp_path, b"#" * (2**20 + 1)).exit_code == 2


def test_a_kind_that_is_not_known_is_refused_with_those_that_are(tmp_path):
    ended = imported(tmp_path, PREMIERE, kind="nobody")
    assert ended.exit_code == 2
    assert "premiere" in ended.stderr


@pytest.mark.parametrize("value", ['a"b\\c', "tab\tline\nend", "ü\x7f\x00", "", ["a", 'b"'], 587])
def test_values_are_written_as_toml_reads_them(value):
    assert tomllib.loads(f"x = {toml(value)}")["x"] == value


ANNOTATION = """
[MongoDB]
# the one of production
user_name = layers
password = s3cret%(word
db_name = annotate
port = 27017

[IP]
server_ip = 10.0.0.7

[S3]
region = us-east-2
access_key_id = AKIDEXAMPLE
secret_access_key = s3cret/key
bucket_name = tasks
[Folders]
task_base = ./tasks/
content_base = ./contents/
content_base_s3 = contents/
content_upload = ./contents/uploads/

[Cores]
cpu_cores = 4

[Augmentation]
aug = {
        'rotate': [{'augmentation_type': 'CLOCKWISE'}],
      }

[Content]
frames_per_task = 120

[App]
API_key = s3cret of callers
"""


def test_the_content_processors_settings_become_a_database_a_bucket_and_the_call(tmp_path):
    ended = imported(tmp_path, ANNOTATION, kind="annotation")
    assert ended.exit_code == 0, ended.stderr
    assert "s3cret" not in ended.output
    table = tomllib.loads(ended.stdout)
    assert table["accounts"]["base"] == {
        "kind": "mongodb", "uri": "mongodb://10.0.0.7:27017/annotate", "database": "annotate", "user": "layers",
    }  # fmt: skip
    assert table["accounts"]["contents"] == {
        "kind": "s3", "bucket": "tasks", "region": "us-east-2", "access_key": "AKIDEXAMPLE",
    }  # fmt: skip
    call, steps = table["sources"]["calls"], table["pipelines"]["annotation"]["steps"]
    assert (call["root"], call["prefix"]) == ("./contents/uploads/", "./contents/uploads/")
    assert steps[0]["per_task"] == 120
    assert table["sources"]["data_sets"] == {"kind": "data_sets", "account": "base", "pipeline": "datasets"}
    assert table["pipelines"]["datasets"]["steps"] == table["pipelines"]["datasets"]["publish"]
    files, told = table["pipelines"]["annotation"]["publish"]
    assert (files["prefix"], told["kind"]) == ("contents/{{ facts.upload_dir }}", "mongo_tasks")
    assert table["limits"]["encodes"] == 4
    for name in ("CALLER__VALUE", "BASE__PASSWORD", "CONTENTS__SECRET_KEY"):
        assert f"#   VIDD_ACCOUNTS__{name}   " in ended.stdout
    assert "# Not taken over: Augmentation\n" in ended.stdout
    assert "# Not taken over: Folders.task_base\n" in ended.stdout


INFERENCE = """
[Inference]

type = opencv-inference
gpu_device_id = 0
objectness_confidance = 0.24
nms_threshold = 0.6
labels_file = ./model_data/obj.names
weight_file = ./model_data/yolo-obj_best.weights
config_file = ./model_data/yolo-obj.cfg
default_net_width = 416
default_net_height = 320
weight_tf = ./checkpoints/yolov4
"""


def test_the_model_of_a_config_cfg_becomes_the_first_detector(tmp_path):
    ended = imported(tmp_path, ANNOTATION + INFERENCE, kind="annotation")
    assert ended.exit_code == 0, ended.stderr
    step = tomllib.loads(ended.stdout)["pipelines"]["annotation"]["steps"][1]
    assert step == {
        "kind": "annotate",
        "versions": {
            "1": {
                "kind": "darknet", "config": "./model_data/yolo-obj.cfg",
                "weights": "./model_data/yolo-obj_best.weights", "labels_file": "./model_data/obj.names",
                "confidence": 0.24, "overlap": 0.6, "width": 416, "height": 320,
            }
        },
    }  # fmt: skip
    notes = [line for line in ended.stdout.splitlines() if "Inference" in line]
    assert notes == ["# Not taken over: Inference.gpu_device_id", "# Not taken over: Inference.weight_tf"]


def test_a_model_of_tensorflow_is_not_taken_over(tmp_path):
    text = ANNOTATION + INFERENCE.replace("opencv-", "tensorflow-")
    ended = imported(tmp_path, text, kind="annotation")
    assert [step["kind"] for step in tomllib.loads(ended.stdout)["pipelines"]["annotation"]["steps"]] == ["frames"]
    assert "config.cfg names no model for OpenCV" in ended.stdout


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("weight_file = ./model_data/yolo-obj_best.weights", "", "Inference.weight_file: is not there"),
        ("nms_threshold = 0.6", "nms_threshold = s3cret", "Inference.nms_threshold: is no number from 0 to 1"),
        ("objectness_confidance = 0.24", "", "Inference.objectness_confidance: is no number from 0 to 1"),
        (
            "default_net_width = 416",
            "default_net_width = 0",
            "Inference.default_net_width: is no number from 32 to 4096",
        ),
    ],
)
def test_a_detector_of_a_config_cfg_that_cannot_be_used_is_refused(old, new, fault):
    assert old in INFERENCE
    with pytest.raises(SettingsFault) as refused:
        annotation.translate(ANNOTATION + INFERENCE.replace(old, new))
    assert refused.value.faults == [fault]


def test_a_content_processor_without_logins_needs_the_callers_key_alone():
    names = ("user_name", "password", "access_key_id", "secret_access_key", "region")
    made = annotation.translate("\n".join(line for line in ANNOTATION.splitlines() if not line.startswith(names)))
    made.check()
    assert list(made.secrets) == ["VIDD_ACCOUNTS__CALLER__VALUE"]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("port = 27017", "port = s3cret", "MongoDB.port: is no number from 1 to 65535"),
        ("frames_per_task = 120", "frames_per_task = 0", "Content.frames_per_task: is no number from 1 to 100000"),
        ("cpu_cores = 4", "", "Cores.cpu_cores: is no number"),
        ("server_ip = 10.0.0.7", "", "IP.server_ip: is not there"),
        ("bucket_name = tasks", "bucket_name = ta\n sks", "S3.bucket_name: is no line of text"),
        ("content_base_s3 = contents/", "content_base_s3 = {{ x }}", "Folders.content_base_s3: has a brace"),
        ("[IP]", "[IP", "config.cfg: is not of sections with names and values"),
        ("[IP]", "[S3]", "config.cfg: is not of sections with names and values"),
        ("\n[MongoDB]", "s3cret", "config.cfg: is not of sections with names and values"),
    ],
)
def test_a_config_cfg_that_cannot_be_used_is_refused_with_what_is_wrong_in_it(old, new, fault):
    assert old in ANNOTATION
    with pytest.raises(SettingsFault) as refused:
        annotation.translate(ANNOTATION.replace(old, new, 1))
    assert any(fault in sentence for sentence in refused.value.faults), refused.value.faults
    assert "s3cret" not in refused.value.sentence


def test_the_environment_of_whoever_imports_neither_matters_nor_is_printed(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDD_ACCOUNTS__PCLOUD__TOKEN", "OAUTHTOKEN4711SECRET")
    monkeypatch.setenv("VIDD_DAEMON__LISTEN", "nowhere")
    ended = imported(tmp_path, PREMIERE)
    assert (ended.exit_code, "4711" in ended.output) == (0, False)


TIMELINE = {
    "EC500_TWITTER_API_KEY": "key-of-env",
    "EC500_TWITTER_SECRET_KEY": "secret-of-env",
    "EC500_GMAIL_EMAIL": "timelines@gmail.com",
    "EC500_GMAIL_PASSWORD": "hunter2",
    "EC500_SECRET_KEY": "dev_key",
}


def timeline(tmp_path, monkeypatch, environment=None, secrets=None, keys=None):
    """What is printed, where the service's settings are here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(import_config, "_SECRETS", tmp_path / "secrets")
    for name, value in (environment or {}).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "secrets").mkdir()
    for name, value in (secrets or {}).items():
        (tmp_path / "secrets" / name).write_text(f"{value}\n")
    if keys is not None:
        (tmp_path / "keys").write_text(keys)
    return CliRunner().invoke(app, ["import-config", "timeline"])


def test_the_timeline_services_variables_become_its_pipeline_and_no_secret_is_told(tmp_path, monkeypatch):
    ended = timeline(tmp_path, monkeypatch, TIMELINE)
    assert ended.exit_code == 0, ended.output
    table = tomllib.loads(ended.stdout)
    assert table["daemon"]["listen"] == "127.0.0.1:5000"
    assert table["accounts"]["post"] == {
        "kind": "smtp", "host": "smtp.gmail.com", "security": "starttls", "user": "timelines@gmail.com",
    }  # fmt: skip
    [notice] = table["pipelines"]["timelines"]["notify"]
    assert notice["sender"] == "Timeline videos <timelines@gmail.com>"
    assert "#   VIDD_ACCOUNTS__BIRDS__TOKEN " in ended.stdout
    assert "#   VIDD_ACCOUNTS__POST__PASSWORD " in ended.stdout
    assert "# Not taken over: EC500_SECRET_KEY\n" in ended.stdout
    for name in set(TIMELINE) - {"EC500_GMAIL_EMAIL"}:
        assert TIMELINE[name] not in ended.output


def test_dockers_secrets_are_read_before_the_environment_and_are_referred_to(tmp_path, monkeypatch):
    secrets = {"EC500_GMAIL_EMAIL": "docker@gmail.com", "EC500_GMAIL_PASSWORD": "hunter3"}
    ended = timeline(tmp_path, monkeypatch, TIMELINE, secrets)
    post = tomllib.loads(ended.stdout)["accounts"]["post"]
    assert (post["user"], post["password_file"]) == (
        "docker@gmail.com", str(tmp_path / "secrets/EC500_GMAIL_PASSWORD"),
    )  # fmt: skip
    assert "VIDD_ACCOUNTS__POST__PASSWORD" not in ended.stdout
    assert "hunter" not in ended.output


def test_without_mail_there_is_no_notice_and_the_file_keys_is_enough(tmp_path, monkeypatch):
    ended = timeline(tmp_path, monkeypatch, keys="[auth]\nconsumer_key = 100%key\nconsumer_secret = s\n")
    table = tomllib.loads(ended.stdout)
    assert ("post" in table["accounts"], "notify" in table["pipelines"]["timelines"]) == (False, False)
    assert "# Not taken over: EC500_TWITTER_API_KEY\n" in ended.stdout
    assert "100%key" not in ended.output


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "there is no file keys"),
        ({"environment": {"EC500_GMAIL_EMAIL": "no address"}}, "EC500_GMAIL_EMAIL: is no e-mail address"),
        ({"keys": "consumer_key = hunter4"}, "keys: is not of sections with names and values (line 1)"),
    ],
)
def test_timeline_settings_that_cannot_be_used_are_named(tmp_path, monkeypatch, given, sentence):
    ended = timeline(tmp_path, monkeypatch, **given)
    assert ended.exit_code == 2
    assert sentence in ended.output
    assert "hunter" not in ended.output


def test_a_file_that_must_be_there_is_asked_for():
    ended = CliRunner().invoke(app, ["import-config", "annotation"])
    assert (ended.exit_code, "missing" in ended.output) == (2, True)
