"""Everything that can be wrong with a recording, all in one folder at once with some good ones."""

import os

import pytest
from footage.clips import GREY, ffmpeg, recording
from peers.daemon import until
from peers.daemon_texts import talk

pytestmark = pytest.mark.daemon

GOOD = {
    "plain": "Main_plain_000000_000001.mp4",
    "dash": "-i_-y_dash_000000_000001.mp4",
    "quotes": "a\"b'c`$(reboot);&|<b>\\n%2e%2e%2f_quotes_000000_000001.mp4",
    "newline": "two\nlines\t\x1b[2J_newline_000000_000001.mp4",
    "bytes": b"caf\xe9\xff_bytes_000000_000001.mp4",
    "emoji": "\U0001f3a5\u202e_emoji_000000_000001.mp4",
    "long": f"{'x' * 226}_long_000000_000001.mp4",
}
REFUSED = {
    "Main_empty_000000_000001.mp4": "is empty: send it again.",
    "Main_text_000000_000001.mp4": "is a text and no video: send the recording itself.",
    "Main_cutshort_000000_000003.mp4": "was cut off: its index lists",
    "Main_noindex_000000_000001.mp4": "was cut off: its index (moov), written last, is missing; send it again, whole.",
    "Main_soundonly_000000_000001.mp4": "has no video stream (streams: 1 audio): send the recording with its video.",
    "Main_backwards_000003_000001.mp4": "says that the talk ends (000001) before it starts (000003): swap them.",
    "Main_late_000000_000100.mp4": "ends at 60 s, but the recording is only 4.00 s long: correct the end",
    "Main_nobody_000000_000001.mp4": "has no talk 'nobody': add it there or correct the file's name, then retry.",
    "Main_twice_000000_000001.mp4": "The sheet has the talk 'twice' in row 2 and row 18: leave one of them",
    "holiday.mp4": "does not say which talk it is: name it <anything>_<talk id>_<HHMMSS>_<HHMMSS>.mp4.",
    "Main__000000_000001.mp4": "has an empty talk id before the times: put the talk's id there.",
    "Main_t_000061_000001.mp4": "'000061' is no time HHMMSS: correct the name and send it again.",
    f"{'é' * 115}_{'y' * 14}.mp4": "does not say which talk it is",
    "-rf \"'\n\x07.mp4": "does not say which talk it is",
}


@pytest.fixture(scope="session")
def wrong(clip, tmp_path_factory):
    """What is wrong inside, by the talk's name; everything else holds the clip."""
    folder = tmp_path_factory.mktemp("wrong")
    index_last = recording(folder / "last.mp4", size="160x90", picture=GREY, output=("-f", "mp4"))
    ffmpeg("-f", "lavfi", "-i", "sine=duration=2", "-c:a", "aac", folder / "sound.mp4")
    contents = {
        "empty": b"",
        "text": b"This is a letter and no film.\n" * 2000,
        "cutshort": clip.read_bytes()[: clip.stat().st_size // 2],
        "noindex": index_last.read_bytes()[: index_last.stat().st_size // 2],
        "soundonly": (folder / "sound.mp4").read_bytes(),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def test_each_bad_recording_is_refused_with_a_sentence_and_the_good_ones_are_published(place, clip, wrong):
    talks = ["twice", "empty", "text", "cutshort", "noindex", "soundonly", "backwards", "late", "t", *GOOD, "twice"]
    place.programme(*map(talk, talks))
    for name in REFUSED:
        content = next((path for path in wrong.iterdir() if f"_{path.name}_" in name), clip)
        place.drop(content, name)
    for name in GOOD.values():
        place.drop(clip, name)
    with place.daemon() as daemon:
        resting = {"published", "refused"}
        total = len(REFUSED) + len(GOOD)
        jobs = until(
            lambda: len(found := [job for job in daemon.jobs() if job["state"] in resting]) == total and found,
            "every job rests",
            deadline=120,
        )
        status, health = daemon.ask("/health")
        assert (status, health["ok"]) == (200, True)
        for job in jobs:
            assert daemon.ask(f"/api/jobs/{job['id']}/explain")[0] == 200
        daemon.stopped()
    published = {job["talk"]: job for job in jobs if job["state"] == "published"}
    assert set(published) == set(GOOD)
    videos = {video.name for video in (place.root / "out").iterdir()}
    assert videos == {f"Talk-{name}-{name}.mp4" for name in GOOD}
    reasons = {job["name"]: job["reason"] for job in jobs if job["state"] == "refused"}
    for name, sentence in REFUSED.items():
        shown = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in name)
        assert sentence in reasons[shown]
        assert reasons[shown].isprintable()
    statuses = {name: row["status"] for name, row in place.rows().items()}
    # Two rows are one too many to write into.
    failed = dict.fromkeys(talks, "failed") | {"twice": ""}
    assert statuses == failed | dict.fromkeys(GOOD, "published")
    assert {os.fsencode(path.name) for path in (place.root / "in").iterdir()} == {
        os.fsencode(name) for name in (*REFUSED, *GOOD.values())
    }
