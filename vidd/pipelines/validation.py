"""Settings whose every table has been given to its kind: nothing in them can be wrong any more but the outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vidd.media.ffmpeg.process import default_ffmpeg
from vidd.pipelines.registry import Faults, accounts_of, module_of, pipeline_to_json
from vidd.ports import Queue, Store
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


def make_ready(settings: Settings) -> Ready:
    """Give every table to its kind; SettingsFault with every fault found."""
    faults = Faults()
    accounts = accounts_of(settings, faults)
    pipelines = {
        name: pipeline_to_json(pipeline, faults, ("pipelines", name)) for name, pipeline in settings.pipelines.items()
    }
    sources = {
        name: (table.kind, faults.model("sources", table.kind, table.rest, ("sources", name)))
        for name, table in settings.sources.items()
    }
    store = faults.model("stores", settings.store.kind, settings.store.rest, ("store",), name="Settings")
    queue = faults.model("queues", settings.queue.kind, settings.queue.rest, ("queue",), name="Settings")
    _check_names(settings, faults)
    faults.check()
    return Ready(
        settings,
        accounts,
        sources,
        pipelines,
        lambda: module_of("stores", settings.store.kind).make(settings.daemon.state, store, accounts),
        lambda: module_of("queues", settings.queue.kind).make(queue),
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


def _check_accounts(settings: Settings, faults: Faults, table: Any, where: tuple[int | str, ...]) -> None:
    one, by_stage = table.rest.get("account"), table.rest.get("accounts")
    named = {("account",): one} | {
        ("accounts", stage): name for stage, name in (by_stage if isinstance(by_stage, dict) else {}).items()
    }
    for key, name in named.items():
        if isinstance(name, str) and name not in settings.accounts:
            faults.add((*where, *key), f"there is no [accounts.{name}]")


def _check_names(settings: Settings, faults: Faults) -> None:
    _check_accounts(settings, faults, settings.store, ("store",))
    for name, table in settings.sources.items():
        _check_accounts(settings, faults, table, ("sources", name))
        pipeline = table.rest.get("pipeline")
        if isinstance(pipeline, str) and pipeline not in settings.pipelines:
            faults.add(("sources", name, "pipeline"), f"there is no [pipelines.{pipeline}]")
    for name, pipeline in settings.pipelines.items():
        if pipeline.programme is not None and pipeline.programme not in settings.sources:
            faults.add(("pipelines", name, "programme"), f"there is no [sources.{pipeline.programme}]")
        for part in ("steps", "publish", "notify"):
            for at, table in enumerate(getattr(pipeline, part)):
                _check_accounts(settings, faults, table, ("pipelines", name, part, at))
