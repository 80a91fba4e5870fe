import io
import json
import logging
import os
import time
from pathlib import Path

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
    for handler in root.handlers:
        handler.close()
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


def events(stream):
    return [json.loads(line)["event"] for line in stream.getvalue().splitlines()]


def test_a_log_file_gets_every_line_with_its_date_and_without_secrets(logged, tmp_path):
    path = tmp_path / "not/there/gql_proxy.log"
    stream = logged(file=log.LogFile(path, 1 << 20, 3))
    structlog.get_logger("vidd").info("job moved", job="j1", token="s3cret", name="a b")
    logging.getLogger("foreign").warning("at %s", "https://ada:s3cret@example.org")
    first, second = path.read_text().splitlines()
    assert first.partition(" ")[0] == f"{json.loads(stream.getvalue().splitlines()[0])['time'][:19]}Z"
    assert first.partition(" ")[2] == 'info    job moved job=j1 token=[hidden] name="a b" logger=vidd'
    assert second.endswith("at https://[hidden]@example.org logger=foreign")
    assert events(stream) == ["job moved", "at https://[hidden]@example.org"]


def test_a_log_file_is_bounded_by_its_size_and_count(logged, tmp_path):
    path = tmp_path / "gql_proxy.log"
    logged(file=log.LogFile(path, 5000, 2))
    for number in range(300):
        structlog.get_logger().info("line", number=number, text="x" * 40)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["gql_proxy.log", "gql_proxy.log.1", "gql_proxy.log.2"]
    assert all(file.stat().st_size <= 5000 for file in tmp_path.iterdir())
    assert "number=299 " in path.read_text().splitlines()[-1]


def test_a_log_file_on_a_full_disk_costs_one_line_and_nothing_else(logged):
    stream = logged(file=log.LogFile(Path("/dev/full"), 5000, 2))
    for _ in range(50):
        structlog.get_logger().info("line")
    assert events(stream).count("line") == 50
    assert [line for line in stream.getvalue().splitlines() if "not written" in line] == [
        line for line in stream.getvalue().splitlines() if "/dev/full" in line and "No space left on device" in line
    ]
    assert events(stream).count("log file not written") == 1


def test_a_log_file_is_written_again_once_it_can_be(logged, tmp_path, monkeypatch):
    (tmp_path / "logs").write_text("This is no directory.")
    path = tmp_path / "logs/gql_proxy.log"
    stream = logged(file=log.LogFile(path, 5000, 2))
    structlog.get_logger().info("lost")
    structlog.get_logger().info("lost as well")
    (tmp_path / "logs").unlink()
    now = time.monotonic()
    monkeypatch.setattr("vidd.log.time.monotonic", lambda: now + 61)
    structlog.get_logger().info("kept")
    assert [line.split()[2] for line in path.read_text().splitlines()] == ["kept", "log"]
    assert events(stream) == ["lost", "log file not written", "lost as well", "kept", "log file written again"]
    assert last(stream)["lines_lost"] == 3


def test_a_log_file_that_another_log_took_the_place_of_is_closed(logged, tmp_path):
    logged(file=log.LogFile(tmp_path / "one.log", 5000, 2))
    structlog.get_logger().info("line")
    (_, handler) = logging.getLogger().handlers
    logged()
    assert handler.stream is None
