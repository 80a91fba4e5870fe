"""What a tested daemon is given: its settings, a sheet, and an ffmpeg that can be slowed down."""

HEADINGS = ("id", "title", "description", "speakers", "emails", "stage", "exclude", "status", "link")
SETTINGS = """
[daemon]
state = "{root}"
listen = "127.0.0.1:0"
grace = "20s"

[limits]
encodes = 2
disk_reserve = "1MiB"

[ffmpeg]
path = "{root}/ffmpeg"
threads = 1

[retry]
first = "200ms"

[sources.recordings]
kind = "folder"
path = "in"
pipeline = "talks"
settle = "100ms"
rescan = "500ms"

[sources.programme]
kind = "sheet"
path = "programme.csv"
refresh = "500ms"
settle = "0s"

[pipelines.talks]
programme = "programme"

[[pipelines.talks.steps]]
kind = "trim"
fade = "500ms"
preset = "ultrafast"

[[pipelines.talks.steps]]
kind = "describe"

[[pipelines.talks.publish]]
kind = "folder"
path = "out"

[[pipelines.talks.notify]]
kind = "mail"
outbox = "outbox"

[[pipelines.talks.notify]]
kind = "sheet"
path = "programme.csv"
"""
# Reads its input at the speed that the file `slow` says, and tells by a file named after its pid that it started.
FFMPEG = """#!{python} -IS
import os, sys
words = sys.argv[1:]
if "-i" in words:
    at = words.index("-i")
    if os.path.exists("{root}/slow"):
        words[at:at] = ["-readrate", *open("{root}/slow").read().split()]
    open("{root}/encodes/%d" % os.getpid(), "w").close()
os.execv("{ffmpeg}", ["ffmpeg", *words])
"""


def talk(talk_id: str, **more: str) -> dict[str, str]:
    """A row of the programme with two speakers."""
    usual = {
        "title": f"Talk {talk_id}",
        "speakers": "Ada; Grace",
        "emails": f"ada@{talk_id}.example; grace@{talk_id}.example",
    }
    return {"id": talk_id, **usual, **more}
