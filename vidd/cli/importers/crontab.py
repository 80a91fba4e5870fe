"""Reads the line of a crontab that starts PREMIERE's script, and makes units of systemd that start vidd in its place."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vidd.settings.schema import SettingsFault

_SCRIPT = re.compile(r"(^|/)gql_client_proxy(_v(?P<version>\d+))?\.py$")
_PLAIN = re.compile(r"[\w./+@:=-]+")
_ALIASES = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0"}
_ALIASES |= {"@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *"}
_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


@dataclass(frozen=True)
class CronLine:
    """A line: the directory and the words that start Python there, and when.

    `times` are its minutes, hours, days of the month, months and days of the week (0 is Sunday), each None for all; None where the
    script runs all the time: started every few minutes while it runs, or at the start of the machine.
    """

    directory: str
    prefix: tuple[str, ...]
    times: tuple[Sequence[int] | None, ...] | None


def find_line(text: str) -> CronLine:
    """The line that starts the script. SettingsFault if there is none, or several, or if it cannot be read."""
    lines = [line.strip() for line in text.splitlines() if not line.lstrip().startswith("#")]
    found = [line for line in lines if "gql_client_proxy" in line]
    if len(found) != 1:
        raise SettingsFault([f"crontab: {len(found)} lines start gql_client_proxy, and there must be one"])
    # What else stands in the line is not repeated: it may hold a secret.
    parts = found[0].split(None, 1 if found[0].startswith("@") else 5)
    schedule, command = " ".join(parts[:-1]), parts[-1]
    try:
        words = shlex.split(command.replace("\\%", "%"))
    except ValueError:
        raise SettingsFault(["crontab: the command of the line cannot be split into words"]) from None
    script = next((at for at, word in enumerate(words) if _SCRIPT.search(word)), None)
    if script is None or "cd" not in words[:-1]:
        raise SettingsFault(["crontab: the line does not go into a directory (cd …) and start gql_client_proxy there"])
    directory = words[words.index("cd") + 1].rstrip(";").rstrip("/")
    names = [word.rpartition("/")[2] for word in words[:script]]
    python = next((at for at, name in enumerate(names) if name.startswith("python")), script)
    prefix: tuple[str, ...] = ()
    if "conda" in names[:python]:
        start = names.index("conda")
        prefix = (*words[start : start + 2], "--no-capture-output", *words[start + 2 : python])
    if not directory.startswith("/") or not all(_PLAIN.fullmatch(word) for word in (directory, *prefix)):
        raise SettingsFault(["crontab: the line names a path that is not absolute, or that a unit cannot name"])
    return CronLine(directory, prefix, _times(schedule))


def _times(schedule: str) -> tuple[Sequence[int] | None, ...] | None:
    if schedule == "@reboot":
        return None
    fields = _ALIASES.get(schedule, schedule).split()
    if len(fields) != len(_LIMITS):
        raise SettingsFault(
            ["crontab: the line does not begin with five fields of time, nor with @hourly and the like"]
        )
    try:
        times = tuple(_values(field, *limits) for field, limits in zip(fields, _LIMITS, strict=True))
    except ValueError:
        raise SettingsFault(["crontab: the times of the line cannot be read"]) from None
    runs_always = times[1:] == (None, None, None, None) and (times[0] is None or len(times[0]) > 1)
    return None if runs_always else times


def _values(field: str, low: int, high: int) -> Sequence[int] | None:
    """The numbers that a field stands for; None for all."""
    found: set[int] = set()
    for part in field.lower().split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        begin, end = (low, high) if span == "*" else (_number(first), _number(last or first))
        end = high if step and not last and span != "*" else end
        if not low <= begin <= end <= high or (step and int(step) < 1):
            raise ValueError(field)
        found |= set(range(begin, end + 1, int(step or 1)))
    return (
        None if field == "*" else sorted({0 if high == len(_DAYS) and number == high else number for number in found})
    )


def _number(text: str) -> int:
    names = {day.lower(): at for at, day in enumerate(_DAYS)} | {month: at for at, month in enumerate(_MONTHS, 1)}
    return names[text] if text in names else int(text)


def calendar_of(times: Sequence[Sequence[int] | None]) -> Iterator[str]:
    """The times as systemd.time(7) writes them. Of days of the month and of the week cron takes either, systemd both."""
    minutes, hours, days, months, weekdays = times
    clock = f"{_list(hours)}:{_list(minutes)}:00"
    named = ",".join(_DAYS[day] for day in weekdays or ())
    if days is not None or weekdays is None:
        yield f"*-{_list(months)}-{_list(days)} {clock}"
    if weekdays is not None:
        yield f"{named} *-{_list(months)}-* {clock}"


def _list(numbers: Sequence[int] | None) -> str:
    return "*" if numbers is None else ",".join(f"{number:02}" for number in numbers)


def units_of(line: CronLine) -> dict[str, str]:
    """The files for /etc/systemd/system, by their paths below it, that take the line's place beside vidd.service."""
    homes = [path for path in (line.directory, *line.prefix[:1]) if path.startswith(("/home/", "/root/"))]
    conda = [path.partition("/bin/")[0] if path.endswith("/bin/conda") else path for path in homes]
    service = [
        "# In place of the line of the crontab, which must go (crontab -e): vidd in place of gql_client_proxy.",
        "[Service]",
        *(
            ["# A home is hidden but for the programs and conda. vidd's user must be able to read them."]
            if homes
            else []
        ),
        *(["ProtectHome=tmpfs"] if homes else []),
        *(f"BindReadOnlyPaths={path}" for path in dict.fromkeys(conda)),
        "# A GPU, and machine code that PyTorch makes.",
        "PrivateDevices=no",
        "MemoryDenyWriteExecute=no",
        "# DO_SPACES_KEY, DO_SPACES_SECRET and so on, one a line; chmod 600.",
        "EnvironmentFile=/etc/vidd/spaces.env",
        "LoadCredential=accounts__pcloud__token:/etc/vidd/credentials/pcloud-token",
        "LoadCredential=accounts__post__password:/etc/vidd/credentials/post-password",
    ]
    if line.times is None:
        return {"vidd.service.d/premiere.conf": "\n".join([*service, ""])}
    run = "/opt/vidd/.venv/bin/vidd run --until-idle --if-free --config /etc/vidd/vidd.toml"
    service += ["# At the times of vidd.timer: works on what is there, then ends.", "ExecStart=", f"ExecStart={run}"]
    timer = ["[Unit]", "Description=vidd at the times of the crontab", "", "[Timer]"]
    timer += [*(f"OnCalendar={time}" for time in calendar_of(line.times)), "Persistent=yes"]
    timer += ["", "[Install]", "WantedBy=timers.target", ""]
    return {"vidd.service.d/premiere.conf": "\n".join([*service, ""]), "vidd.timer": "\n".join(timer)}
