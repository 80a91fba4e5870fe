"""The schema of vidd.toml. A table with a `kind` stays open here; `vidd.pipelines` gives it to the kind's own model."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from vidd.errors import FaultCode, Refused
from vidd.model.check_policy import Action, Policy
from vidd.processes.cpus import usable_cpus
from vidd.settings.conference import CONFERENCE, SLUG, places_of, with_conference
from vidd.settings.types import Duration, Options, Size

PREFIX = "VIDD_"
NOT_SETTINGS = frozenset(
    {
        "VIDD_COMMAND",
        "VIDD_CONFIG",
        "VIDD_DATASET_KEY",
        "VIDD_FACEBOOK_USER_TOKEN",
        "VIDD_STATE",
        "VIDD_TOKEN",
        "VIDD_URL",
    }
)
"""Environment variables that begin like settings and are none: the command line's, and the mark of vidd's children."""


class SettingsFault(Refused):
    """Settings that cannot be used: every fault with its TOML path.

    `rest` are the settings without the keys whose shape is wrong, so that the kinds can check the others.
    """

    default_code = FaultCode.BAD_SETTINGS

    def __init__(self, faults: list[str], rest: Settings | None = None) -> None:
        super().__init__("The settings cannot be used: " + "; ".join(faults))
        self.faults = faults
        self.rest = rest


class Daemon(Options):
    """`[daemon]`: the process itself, and the address of its port."""

    state: Path = Field(
        Path("/var/lib/vidd"), description="The state directory: the journal, the jobs' directories, the socket."
    )
    listen: str = Field(
        "127.0.0.1:8080",
        description="The address of health, metrics, page and API. An address that other machines reach needs tokens.",
    )
    tokens: tuple[SecretStr, ...] = Field(
        (), description="Bearer tokens, of 16 characters or more, for those who act over TCP."
    )
    conference: str = Field(
        "", max_length=40, description="The conference's slug, such as ws19, for `{{ conference }}` in other settings."
    )
    grace: Duration = Field(60.0, description="How long running jobs may go on after SIGTERM.")
    log: str = Field("info", description="The least level that is logged: debug, info, warning or error.")
    log_file: Path | None = Field(
        None,
        description="A file that gets the log as well, such as gql_proxy.log; without it, only standard error does.",
    )
    log_file_size: Size = Field(
        ByteSize(10 * 1024**2), ge=4096, description="At this size vidd renames the file to <name>.1 and begins anew."
    )
    log_file_count: int = Field(default=5, ge=1, le=1000, description="How many renamed files vidd keeps.")

    @field_validator("listen")
    @classmethod
    def _host_and_port(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{value!r} is not an address; write it like 127.0.0.1:8080")
        return value

    @field_validator("conference")
    @classmethod
    def _slug(cls, value: str) -> str:
        if value and not SLUG.fullmatch(value):
            raise ValueError(f"{value!r} is no slug; write it in small letters, digits and hyphens, like ws19")
        return value

    @field_validator("log")
    @classmethod
    def _level(cls, value: str) -> str:
        if value.lower() not in {"debug", "info", "warning", "error"}:
            raise ValueError(f"{value!r} is not a level; use debug, info, warning or error")
        return value.lower()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


_SPARED = 2
"""Processors that `encodes = "auto"` leaves to the rest: fetching, checking, and the machine's other users."""


class Limits(Options):
    """`[limits]`: how much runs at once."""

    jobs: int = Field(
        default=16, ge=1, le=1000, description="Jobs under way, each in one of the slots below or between two."
    )
    background: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Of these, those with a priority below 0, such as captions; unset: half, and one at least.",
    )
    encodes: Annotated[int, Field(ge=1, le=100)] | Literal["auto"] = Field(
        default="auto",
        description="ffmpeg processes; auto: as many as there are processors that vidd may use, less two, at least one.",
    )
    gpus: int = Field(default=1, ge=1, le=100, description='Programs of steps with `slot = "gpus"`.')
    commands: int = Field(default=2, ge=1, le=100, description="Other programs of `command` steps.")
    captions: int = Field(default=1, ge=1, le=100, description="Recognisers of speech.")
    uploads: int = Field(default=4, ge=1, le=100, description="Publishers that send files.")
    fetches: int = Field(default=4, ge=1, le=100, description="Recordings being fetched.")
    mails: int = Field(default=2, ge=1, le=100, description="Mails being sent.")
    disk_reserve: Size = Field(
        ByteSize(5 * 1024**3), description="What must stay free where the state directory is; below it jobs wait."
    )

    @field_validator("encodes", mode="before")
    @classmethod
    def _number_or_auto(cls, value: Any) -> Any:
        if value != "auto" and not (str(value).isdecimal() and 1 <= int(value) <= 100):
            raise ValueError(f'{value!r} is neither a number from 1 to 100 nor "auto"')
        return value

    def slots(self) -> dict[str, int]:
        """The number of slots of each pool."""
        encodes = max(1, usable_cpus() - _SPARED) if self.encodes == "auto" else self.encodes
        return {
            "encodes": encodes,
            **self.model_dump(include={"gpus", "commands", "captions", "uploads", "fetches", "mails"}),
        }

    @property
    def background_jobs(self) -> int:
        """How many of the jobs under way may have a priority below 0."""
        return self.background if self.background is not None else max(1, self.jobs // 2)


class Ffmpeg(Options):
    """`[ffmpeg]`: which ffmpeg runs, and how."""

    path: Path | None = Field(None, description="The program; without it, the one of the imageio-ffmpeg wheel.")
    nice: int = Field(default=10, ge=0, le=19, description="How far it steps back behind other processes.")
    threads: int = Field(default=0, ge=0, le=256, description="Threads of one encode; 0 leaves it to the encoder.")
    stall: Duration = Field(120.0, description="After so long without progress, vidd ends it with an error.")
    memory: Size | None = Field(None, description="Address space of one process; without it, no limit.")


class Retry(Options):
    """`[retry]`: how often, and how long, vidd retries what failed and may succeed later."""

    attempts: int = Field(default=8, ge=1, description="Attempts before the job is refused.")
    first: Duration = Field(5.0, description="The first wait, doubled with each attempt.")
    longest: Duration = Field(3600.0, description="The longest wait.")
    total: Duration = Field(86400.0, description="After so long the job is refused, with the last reason.")


class Table(BaseModel):
    """A table whose `kind` decides what else may be in it."""

    model_config = ConfigDict(extra="allow", frozen=True)
    kind: str = Field(description="The kind, which decides what other keys there are.")

    @property
    def rest(self) -> dict[str, Any]:
        """Everything but the kind."""
        return dict(self.model_extra or {})


_DEFAULTS = Policy()


class Check(Options):
    """`[pipelines.<name>.check]`, and `check` of a step: the action for each finding, and the threshold at which it counts."""

    black: Action = Field(_DEFAULTS.black, description="Black frames for `black_for` or longer, at a stretch.")
    black_for: Duration = Field(
        _DEFAULTS.black_for,
        gt=0,
        description="How long, or nearly all of a shorter file; intro, outro and cards do not count.",
    )
    frozen: Action = Field(_DEFAULTS.frozen, description="The same frame for `frozen_for` or longer; slides are that.")
    frozen_for: Duration = Field(_DEFAULTS.frozen_for, gt=0, description="How long, or nearly all of a shorter file.")
    silent: Action = Field(
        _DEFAULTS.silent,
        description="The first audio track below -60 LUFS for `silent_for` or longer, or for nearly all of a shorter file.",
    )
    silent_for: Duration = Field(
        _DEFAULTS.silent_for, gt=0, description="How long, or nearly all (95 %) of a shorter file."
    )
    loudness: Action = Field(
        _DEFAULTS.loudness, description="Integrated loudness (EBU R128) outside `loudness_from` to `loudness_to`."
    )
    loudness_from: float = Field(_DEFAULTS.loudness_from, description="The lowest, in LUFS.")
    loudness_to: float = Field(_DEFAULTS.loudness_to, description="The highest, in LUFS.")
    peak: Action = Field(_DEFAULTS.peak, description="Sample peak above `peak_to`.")
    peak_to: float = Field(_DEFAULTS.peak_to, description="The highest, in dBFS.")
    offset: Action = Field(
        _DEFAULTS.offset, description="Audio and video moved apart since the source, by more than `offset_to`."
    )
    offset_to: Duration = Field(_DEFAULTS.offset_to, description="How far they may.")
    damage: Action = Field(
        _DEFAULTS.damage,
        description="Frames missing in the source, or damaged packets in a file that goes out as it came.",
    )
    soundless: Action = Field(_DEFAULTS.soundless, description="No audio track at all.")

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.loudness_from >= self.loudness_to:
            raise ValueError(f"loudness_from ({self.loudness_from:g}) must be below loudness_to ({self.loudness_to:g})")
        return self


class Pipeline(Options):
    """`[pipelines.<name>]`: what vidd does with an arrival, and where it goes."""

    programme: str | None = Field(
        None, description="The source that knows the talks, a sheet; without it no talk is looked up."
    )
    review: bool = Field(False, description="Every job waits for `vidd approve` before it goes out.")
    keep: Duration | None = Field(
        None, description="How long results are kept for `vidd rework` and its `--undo`; without it, not at all."
    )
    check: Check = Field(Check(), description="What happens when the check finds something in a file that goes out.")
    steps: tuple[Table, ...] = Field(
        (), description="The steps, in order. `fetch` comes first by itself; name it to set its options."
    )
    publish: tuple[Table, ...] = Field((), description="Where the results go; publishers run side by side.")
    notify: tuple[Table, ...] = Field(
        (), description='Who is told, once every required publisher has a receipt; or, on = "failed", of a failure.'
    )


class _Credentials(PydanticBaseSettingsSource):
    """Files of $CREDENTIALS_DIRECTORY, named like the environment variables: `accounts__library__secret_key`, `daemon__tokens`."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - pydantic's promise
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        directory = os.environ.get("CREDENTIALS_DIRECTORY")
        if not directory or not Path(directory).is_dir():
            return found
        for file in sorted(Path(directory).iterdir()):
            *tables, key = file.name.split("__")
            if not tables or tables[0] not in Settings.model_fields:
                continue
            text = file.read_text().strip()
            inner = found
            for table in tables:
                inner = inner.setdefault(table, {})
            inner[key] = text.split("\n") if key == "tokens" else text
        return found


class _LayeredSettings(BaseSettings):
    """Settings from the environment, over those of credentials, over those of the file."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, case_sensitive=False)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's promise
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, _Credentials(settings_cls), init_settings


class Settings(_LayeredSettings):
    """All of vidd.toml."""

    model_config = SettingsConfigDict(extra="forbid")

    daemon: Daemon = Field(Daemon(), description="The process itself, and the address of its port.")
    limits: Limits = Field(Limits(), description="How much runs at once.")
    ffmpeg: Ffmpeg = Field(Ffmpeg(), description="Which ffmpeg runs, and how.")
    retry: Retry = Field(Retry(), description="How often, and how long, vidd retries.")
    store: Table = Field(Table(kind="sqlite"), description="Where the journal is kept.")
    queue: Table = Field(Table(kind="local"), description="Where the ids of jobs wait for their turn.")
    accounts: dict[str, Table] = Field({}, description="Who vidd is at other systems, by names of your own.")
    sources: dict[str, Table] = Field({}, description="What brings videos in, by names of your own.")
    pipelines: dict[str, Pipeline] = Field({}, description="What vidd does with them, by names of your own.")

    @model_validator(mode="before")
    @classmethod
    def _put_in_conference(cls, values: Any) -> Any:
        daemon = values.get("daemon")
        slug = daemon.get("conference") if isinstance(daemon, Mapping) else getattr(daemon, "conference", "")
        if slug and isinstance(slug, str):
            return with_conference(values, slug)
        unset = PydanticCustomError("no_conference", "names the conference, but [daemon] conference is not set: set it")
        missing = [InitErrorDetails(type=unset, loc=where, input=text) for where, text in places_of(values)]
        if missing:
            raise ValidationError.from_exception_data(cls.__name__, missing)
        return values


class _DaemonOnly(_LayeredSettings):
    """`[daemon]`, and nothing else of vidd.toml."""

    model_config = SettingsConfigDict(extra="ignore")

    daemon: Daemon = Daemon()


def toml_path(where: tuple[int | str, ...]) -> str:
    """`("pipelines", "talks", "steps", 1, "fade")` as `pipelines.talks.steps[1].fade`."""
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def faults_of(error: ValidationError, where: tuple[int | str, ...] = ()) -> list[str]:
    """Each fault of a validation as `path: sentence`, never with the value of a secret."""
    return [
        f"{toml_path((*where, *detail['loc']))}: {_sentence_of(detail)}"
        for detail in error.errors(include_url=False, include_input=False)
    ]


def _sentence_of(detail: ErrorDetails) -> str:
    """A fault in words: our own where a validator raised it, else pydantic's."""
    if detail["type"] == "extra_forbidden":
        return "there is no such key"
    if detail["type"] in {"value_error", "assertion_error"}:
        return str(detail["ctx"]["error"])
    return detail["msg"]


def _unknown_variables() -> list[str]:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    return [
        f"{name}: no setting begins like this environment variable"
        for name in sorted(os.environ)
        if name.startswith(PREFIX) and name not in NOT_SETTINGS and name.split("__")[0].upper() not in known
    ]


def _read_toml(path: Path | None) -> dict[str, Any]:
    """The tables of a file, or of the embedded settings. SettingsFault if it cannot be read."""
    if path is None:
        return tomllib.loads(embedded())
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise SettingsFault([f"{path}: cannot be read ({error.strerror})"]) from error
    except UnicodeDecodeError as error:
        raise SettingsFault([f"{path}: is not UTF-8 text"]) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsFault([f"{path}: is not TOML ({error})"]) from error


def read_settings(path: Path | None, over: Mapping[str, Any] | None = None) -> Settings:
    """The settings of a file (or the embedded ones), overridden by the environment. SettingsFault with every fault."""
    table = _read_toml(path)
    for name, value in (over or {}).items():
        table.setdefault("daemon", {})[name] = value
    unknown = _unknown_variables()
    try:
        settings = Settings(**table)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        pairs = zip(details, faults_of(error), strict=True)
        found = [_account_elsewhere(detail, table) or fault for detail, fault in pairs]
        raise SettingsFault(unknown + found, _without_faults(table, error)) from None
    if unknown:
        raise SettingsFault(unknown, settings)
    return settings


def _account_elsewhere(detail: ErrorDetails, table: Mapping[str, Any]) -> str | None:
    """The sentence for an account that is in the environment or the credentials alone, and so has no kind."""
    match detail:
        case {"type": "missing", "loc": ("accounts", str(name), "kind")} if name not in table.get("accounts", {}):
            return (
                f"accounts.{name}: there is no such account in the settings, only a part of it in the environment or "
                "among the credentials: name the settings (--config), or take that away"
            )
    return None


def state_directory(path: Path | None) -> Path:
    """The state directory of these settings, where the socket is. Other tables may be faulty, or lack secrets that only the daemon has."""
    try:
        return _DaemonOnly(**_read_toml(path)).daemon.state
    except ValidationError as error:
        raise SettingsFault(faults_of(error)) from None


def _without_faults(table: dict[str, Any], error: ValidationError) -> Settings | None:
    """The settings without the faulty keys; None if they cannot be used without them."""
    for detail in error.errors(include_url=False, include_input=False, include_context=False):
        if detail["type"] == "no_conference":
            # With any slug the text is there: without its key, a table may seem to lack what it has.
            table = with_conference(table, CONFERENCE)
            continue
        *way, key = detail["loc"]
        inner: Any = table
        for part in way:
            inner = inner.get(part) if isinstance(inner, dict) else None
        if not isinstance(inner, dict):
            return None
        inner.pop(key, None)
    try:
        return Settings(**table)
    except ValidationError:
        return None


def embedded(name: str = "vidd.toml") -> str:
    """The text of the embedded settings, which is etc/vidd.toml, or of an example that comes with vidd."""
    return (Path(__file__).parents[1] / "data" / name).read_text("utf-8")
