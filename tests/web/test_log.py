import io
import json
import logging
import os

import pytest
import structlog
from pydantic import SecretStr

from vidd import log


@pytest.fixture
def logged():
    root = logging.getLogger()
    before = (root.handlers[:], root.level)

    def set_up(level="info", **more):
        stream = io.StringIO()
        log.set_up(level, stream=stream, **more)
        return stream

    yield set_up
    root.handlers[:], _ = before[0], root.setLevel(before[1])
    structlog.reset_defaults()


def last(stream):
    return json.loads(stream.getvalue().splitlines()[-1])


def test_a_line_of_json_has_time_level_logger_event_and_fields(logged):
    stream = logged()
    structlog.get_logger("vidd.engine").warning("job moved", job="j1", size=3)
    line = last(stream)
    assert line.pop("time").endswith("Z")
    assert line == {"level": "warning", "logger": "vidd.engine", "event": "job moved", "job": "j1", "size": 3}


@pytest.mark.parametrize(
    "fields",
    [
        {"token": "s3cr3t"},
        {"Authorization": "Bearer s3cr3t"},
        {"account": {"secret_access_key": "s3cr3t", "region": "eu"}},
        {"accounts": [{"password": "s3cr3t"}]},
        {"value": SecretStr("s3cr3t")},
        {"deep": {"value": [SecretStr("s3cr3t")]}},
        {"url": "https://user:s3cr3t@host/path"},
        {"url": "https://host/a.mp4?X-Amz-Signature=s3cr3t&x=1"},
        {"url": "https://host/a?access_token=s3cr3t"},
        {"said": "Authorization: Bearer s3cr3ts3cr3t"},
        {"password": SecretStr("s3cr3t")},
        {"secret": b"s3cr3t"},
    ],
)
@pytest.mark.parametrize("terminal", [True, False])
def test_a_secret_is_never_written(logged, fields, terminal):
    stream = logged(terminal=terminal)
    structlog.get_logger().info("seen", **fields)
    assert "s3cr3t" not in stream.getvalue()
    assert "hidden" in stream.getvalue()


def test_a_secret_in_a_traceback_is_not_written(logged):
    stream = logged()
    try:
        int("GET https://user:s3cr3t@host failed")
    except ValueError:
        structlog.get_logger().exception("defect")
    assert "ValueError" in last(stream)["exception"]
    assert "s3cr3t" not in stream.getvalue()


def test_what_only_sounds_secret_is_written(logged):
    stream = logged()
    structlog.get_logger().info("kept", tokens=3, key="bucket/key", url="https://host/a.mp4?v=1", has_token=True)
    assert last(stream) | {"tokens": 3, "key": "bucket/key", "url": "https://host/a.mp4?v=1"} == last(stream)


def test_a_terminal_gets_words_that_cannot_move_its_cursor(logged):
    stream = logged(terminal=True)
    structlog.get_logger("vidd").info("job moved", name="a\x1b[2J b\n", job="j1", size=3)
    line = stream.getvalue()
    assert line.endswith('info    job moved name="a\\\\x1b[2J b\\\\n" job=j1 size=3 logger=vidd\n')
    assert line[2] == line[5] == ":"


def test_libraries_come_out_the_same_way_and_only_their_warnings(logged):
    stream = logged("debug")
    logging.getLogger("botocore.auth").debug("signing with %s", "s3cr3t")
    logging.getLogger("aiohttp.server").error("Error handling %s", "https://u:s3cr3t@host/")
    assert len(stream.getvalue().splitlines()) == 1
    assert last(stream)["event"] == "Error handling https://[hidden]@host/"


def test_the_level_is_kept(logged):
    stream = logged("warning")
    structlog.get_logger().info("too quiet")
    assert stream.getvalue() == ""


def test_an_unknown_level_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="choose one of debug, info, warning, error"):
        log.set_up("loud")


def test_the_journal_gets_each_lines_level(logged, tmp_path, monkeypatch):
    with (tmp_path / "journal").open("w+") as stream:
        its = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{its.st_dev}:{its.st_ino}")
        logged()
        log.set_up("info", stream=stream)
        structlog.get_logger().error("failed")
        stream.seek(0)
        assert stream.read().startswith("<3>{")
