"""`vidd run`: when it ends by itself, and what it refuses to start with."""

import shutil
import socket

import pytest
from peers.daemon_texts import talk

from vidd.pipelines.registry import PUBLISHERS

pytestmark = pytest.mark.daemon


def ended(place, *words, **environment):
    """The exit code and the lines for people of a daemon that ends by itself."""
    with place.daemon(*words, **environment) as daemon:
        code = daemon.ended()
    return code, [line for line in daemon.log.read_text().splitlines() if not line.startswith("{")]


def test_until_idle_drains_what_is_there_and_ends_well(place, clip):
    place.programme(talk("t1"), talk("t2"))
    place.drop(clip, "Main_t1_000000_000003.mp4")
    place.drop(clip, "Main_t2_000000_000003.mp4")
    place.drop(clip, "holiday.mp4")
    assert ended(place, "--until-idle") == (0, [])
    states = sorted(job.state for job in place.journal(lambda store: store.jobs()))
    assert states == ["published", "published", "refused"]


def test_until_idle_says_what_it_could_not_look_at_and_lets_jobs_come_to_rest(place, clip):
    place.settings(('path = "programme.csv"\nrefresh', 'path = "lost.csv"\ncreate = false\nrefresh'))
    place.drop(clip)
    vain = "vidd: The watcher programme cannot look at what there is:"
    assert ended(place, "--until-idle") == (
        1,
        [f"{vain} There is no sheet {place.root}/lost.csv: put it there, or correct its path."],
    )
    assert {job.state for job in place.journal(lambda store: store.jobs())} <= {"waiting", "ready"}


def test_a_run_for_a_time_ends_by_itself_and_gives_back_what_it_did_not_finish(place, clip):
    place.settings(('grace = "20s"', 'grace = "0s"'))
    place.slow(0.02)
    place.drop(clip)
    assert ended(place, "--for", "3s") == (0, [])
    (job,) = place.journal(lambda store: store.jobs())
    assert job.state == "ready"
    place.quick()
    assert ended(place, "--until-idle") == (0, [])
    assert place.rows()["t1"]["status"] == "published"


def test_a_second_daemon_on_the_same_state_is_refused(place):
    with place.daemon() as first:
        first.ready()
        assert ended(place) == (
            1,
            [f"vidd: Another vidd runs on {place.root}: stop it first, or choose another [daemon] state."],
        )
        assert place.vidd("run", "--for", "5s", "--if-free")[:2] == (
            0,
            f"Another vidd runs on {place.root}; there is nothing to do.\n",
        )
        assert first.ask("/health")[0] == 200
        first.stopped()
    assert place.vidd("run", "--for", "100ms", "--if-free")[:2] == (0, "")


def test_a_daemon_runs_whatever_becomes_of_its_log_file(place, clip):
    for log_file, written in (("/dev/full", False), ("clip.mp4/gql_proxy.log", False), ("log/gql_proxy.log", True)):
        (place.root / "clip.mp4").touch()
        place.settings(('grace = "20s"', f'grace = "20s"\nlog_file = "{log_file}"'))
        assert ended(place, "--until-idle") == (0, [])
        code, said, _ = place.vidd("check")
        assert (code == 0, ("FAIL daemon.log_file" in said)) == (written, not written)
    lines = (place.root / "log/gql_proxy.log").read_text().splitlines()
    assert [line.split()[2] for line in lines][-1] == "stopped"


def test_all_faults_of_the_settings_are_listed_with_their_places(place):
    place.settings(
        ('grace = "20s"', 'grace = "a while"\nlog = "loud"'),
        ('fade = "500ms"', 'fad = "500ms"'),
        ('kind = "mail"', 'kind = "pigeon"'),
        ('pipeline = "talks"', 'pipeline = "walks"'),
        more="\n[surprise]\nx = 1\n",
    )
    code, lines = ended(place, VIDD_LIMITZ__ENCODES="3")
    assert code == 2
    assert lines == [
        "vidd: VIDD_LIMITZ__ENCODES: no setting begins like this environment variable",
        "vidd: daemon.grace: 'a while' is not a duration; write it like 90s, 15m, 6h or 1h30m",
        "vidd: daemon.log: 'loud' is not a level; use debug, info, warning or error",
        "vidd: surprise: there is no such key",
        "vidd: pipelines.talks.steps[0].fad: there is no such key",
        f"vidd: pipelines.talks.notify[0].kind: there is no kind 'pigeon' here; there are {', '.join(sorted(PUBLISHERS))}",
        "vidd: sources.recordings.pipeline: there is no [pipelines.walks]",
    ]


@pytest.mark.parametrize(
    ("listen", "sentence"),
    [
        (
            "0.0.0.0:0",
            "vidd: Other machines can reach 0.0.0.0: add [daemon] tokens, or listen on 127.0.0.1, before vidd can start.",
        ),
        ("127.0.0.1", "vidd: daemon.listen: '127.0.0.1' is not an address; write it like 127.0.0.1:8080"),
    ],
)
def test_an_address_that_is_none_or_open_to_others_is_refused(place, listen, sentence):
    code, lines = ended(place, VIDD_DAEMON__LISTEN=listen)
    assert (code, lines) == (2 if "daemon.listen" in sentence else 1, [sentence])


def test_a_port_that_is_taken_is_refused_and_leaves_the_socket_to_nobody(place):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        code, (line,) = ended(place, VIDD_DAEMON__LISTEN=f"127.0.0.1:{port}")
    assert code == 1
    assert line.startswith(
        f"vidd: vidd cannot listen on 127.0.0.1:{port}: something else listens there; choose another"
    )
    assert not (place.root / "vidd.sock").exists()


def test_a_row_that_is_ready_goes_to_the_only_pipeline_of_its_sheet(place, clip):
    shutil.copy(clip, place.root / "talk.mp4")
    place.sheet.write_text(
        "id,title,ready,recording,cut start,cut end\nt1,One,1,talk.mp4,00:00:00,00:00:02\nt2,Two,,,,\n"
    )
    assert ended(place, "--until-idle") == (0, [])
    (job,) = place.journal(lambda store: store.jobs())
    assert (job.talk, job.pipeline, job.state) == ("t1", "talks", "published")
