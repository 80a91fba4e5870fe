"""Settings whose every table has been given to its kind: nothing in them can be wrong any more but the outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from vidd.errors import Refused
from vidd.media.ffmpeg.process import default_ffmpeg
from vidd.pipelines.faults import Faults, Where
from vidd.pipelines.registry import (
    SOURCES,
    account_module,
    kinds,
    queue_module,
    source_entry,
    source_module,
    store_module,
)
from vidd.pipelines.resolve import labels_of, pipeline_to_json
from vidd.ports import Queue, Store
from vidd.ports.kinds import FollowsPipeline
from vidd.settings.conference import CONFERENCE
from vidd.settings.schema import Settings, SettingsFault


@dataclass(frozen=True)
class Ready:
    """`sources` are (kind, options) by name; `pipelines` are as they are stored with jobs, `store` the store's options."""

    settings: Settings
    accounts: dict[str, Any]
    sources: dict[str, tuple[str, Any]]
    pipelines: dict[str, dict[str, Any]]
    make_store: Callable[[], Store]
    make_queue: Callable[[], Queue]
    store: Any

    @property
    def encoder(self) -> dict[str, Any]:
        """The fields of `ports.Encoder`."""
        values = self.settings.ffmpeg.model_dump()
        return {
            **values,
            "path": self.settings.ffmpeg.path or default_ffmpeg(),
            "disk_reserve": int(self.settings.limits.disk_reserve),
        }


def accounts_of(settings: Settings, faults: Faults) -> dict[str, Any]:
    """The accounts by name. A secret may also be named by `<key>_file`; relative paths are taken from the state directory."""
    accounts, state = {}, settings.daemon.state
    for name, table in settings.accounts.items():
        where: Where = ("accounts", name)
        values = {"kind": table.kind, **table.rest}
        for key in [key for key in values if key.endswith("_file")]:
            secret = key.removesuffix("_file")
            if secret not in _secrets(table.kind):
                continue
            path = values.pop(key)
            try:
                values[secret] = SecretStr((state / str(path)).read_text().strip())
            except OSError as error:
                faults.add((*where, key), f"cannot be read ({error.strerror})")
            except ValueError:
                faults.add((*where, key), "names a file that is no text")
        account = faults.model("accounts", table.kind, values, where)
        accounts[name] = account and _with_absolute_paths(account, state)
    return accounts


def _with_absolute_paths(account: Any, state: Path) -> Any:
    paths = {name: state / value for name, value in account if isinstance(value, Path)}
    return account.model_copy(update=paths) if paths else account


def _secrets(kind: str) -> set[str]:
    """The names of the fields of an account that are secret."""
    if kind not in kinds("accounts"):
        return set()
    fields = account_module(kind).Account.model_fields
    return {name for name, field in fields.items() if "SecretStr" in str(field)}


def make_ready(settings: Settings) -> Ready:
    """Give every table to its kind; SettingsFault with every fault found."""
    faults = Faults()
    faults.accounts = accounts = accounts_of(settings, faults)
    sources = {
        name: (table.kind, faults.model("sources", table.kind, table.rest, ("sources", name)))
        for name, table in settings.sources.items()
    }
    pipelines = {
        name: pipeline_to_json(pipeline, faults, ("pipelines", name), _followed(name, settings, sources))
        for name, pipeline in settings.pipelines.items()
    }
    if settings.daemon.conference:
        pipelines = {name: {**body, CONFERENCE: settings.daemon.conference} for name, body in pipelines.items()}
    for name, (_, options) in sources.items():
        faults.accounts_of(options, ("sources", name))
    store = faults.model("stores", settings.store.kind, settings.store.rest, ("store",))
    faults.accounts_of(store, ("store",))
    queue = faults.model("queues", settings.queue.kind, settings.queue.rest, ("queue",))
    _check_names(settings, sources, faults)
    faults.check()
    return Ready(
        settings,
        accounts,
        sources,
        pipelines,
        lambda: store_module(settings.store.kind).make(settings.daemon.state, store, accounts),
        lambda: queue_module(settings.queue.kind).make(queue),
        store,
    )


def with_faults_of_kinds(fault: SettingsFault) -> SettingsFault:
    """The same, with what the kinds have against the rest of these settings: an operator sees all faults at once."""
    if fault.rest is not None:
        try:
            make_ready(fault.rest)
        except SettingsFault as more:
            return SettingsFault(fault.faults + more.faults)
    return fault


def _check_accounts(settings: Settings, faults: Faults, table: Any, where: Where) -> None:
    account, by_stage = table.rest.get("account"), table.rest.get("accounts")
    named = {("account",): account} | {
        ("accounts", stage): name for stage, name in (by_stage if isinstance(by_stage, dict) else {}).items()
    }
    for key, name in named.items():
        if isinstance(name, str) and name not in settings.accounts:
            faults.add((*where, *key), f"there is no [accounts.{name}]")


def _followed(pipeline: str, settings: Settings, sources: Mapping[str, tuple[str, Any]]) -> dict[str, list[str]]:
    """The pipelines that this one follows, each with the labels of its publishers."""
    followed: dict[str, list[str]] = {}
    for kind, options in sources.values():
        module = source_module(kind) if options is not None else None
        if isinstance(module, FollowsPipeline) and getattr(options, "pipeline", None) == pipeline:
            name = module.followed(options)[0]
            if name in settings.pipelines:
                followed[name] = labels_of(settings.pipelines[name])
    return followed


def _check_followers(settings: Settings, sources: Mapping[str, tuple[str, Any]], faults: Faults) -> None:
    """Check the sources that follow a pipeline: it exists, is another one, and the follow-ups look up no talk of their own."""
    for name, (kind, options) in sources.items():
        module = source_module(kind) if options is not None else None
        if not isinstance(module, FollowsPipeline):
            continue
        followed, own = module.followed(options)[0], getattr(options, "pipeline", "")
        if followed not in settings.pipelines:
            faults.add(("sources", name), f"it follows [pipelines.{followed}], which does not exist")
        if followed == own:
            faults.add(("sources", name), f"the pipeline {own} cannot follow itself")
        if own in settings.pipelines and settings.pipelines[own].programme is not None:
            faults.add(
                ("pipelines", own, "programme"),
                f"the source {name} says which talk each job belongs to: leave the programme to [pipelines.{followed}]",
            )


def _may_be_programme(kind: str) -> bool:
    """Whether a source of this kind hands in talks, as far as that is known."""
    try:
        return source_entry(kind).programme is not False
    except Refused:
        return True  # the kind's own fault is told of where the source stands


def _check_names(settings: Settings, sources: Mapping[str, tuple[str, Any]], faults: Faults) -> None:
    _check_accounts(settings, faults, settings.store, ("store",))
    for name, table in settings.sources.items():
        _check_accounts(settings, faults, table, ("sources", name))
        pipeline = table.rest.get("pipeline")
        if isinstance(pipeline, str) and pipeline not in settings.pipelines:
            faults.add(("sources", name, "pipeline"), f"there is no [pipelines.{pipeline}]")
    _check_followers(settings, sources, faults)
    for name, pipeline in settings.pipelines.items():
        if pipeline.programme is not None and pipeline.programme not in settings.sources:
            faults.add(("pipelines", name, "programme"), f"there is no [sources.{pipeline.programme}]")
        elif pipeline.programme is not None and not _may_be_programme(settings.sources[pipeline.programme].kind):
            having = [kind for kind, entry in SOURCES.items() if entry.programme]
            faults.add(
                ("pipelines", name, "programme"),
                f"[sources.{pipeline.programme}] reads no programme: name a source of kind {' or '.join(having)}",
            )
        for part in ("steps", "publish", "notify"):
            for at, table in enumerate(getattr(pipeline, part)):
                _check_accounts(settings, faults, table, ("pipelines", name, part, at))
