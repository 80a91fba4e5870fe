"""The findings of `vidd check`: the settings, the pipelines, ffmpeg, and with `--online` the outside systems."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidd.daemon.app import SOCKET
from vidd.daemon.state_directory import check_state_directory
from vidd.engine.clock import SystemClock
from vidd.errors import Fault, Refused
from vidd.media.ffmpeg.process import capabilities
from vidd.pipelines.fact_check import find_missing_facts
from vidd.pipelines.registry import entry_of, model_of, module_of
from vidd.pipelines.resolve import resolve
from vidd.pipelines.validation import Ready
from vidd.ports import Encoder, Tools
from vidd.ports.kinds import Checks, ChecksHere, Creates
from vidd.processes.cpus import usable_cpus
from vidd.settings.proxied import ProxiedAccount
from vidd.settings.schema import Daemon, Limits
from vidd.web.server import check_port

_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `about` names the part of the settings."""

    about: str
    ok: bool
    sentence: str


async def inspect(ready: Ready, *, online: bool, create: bool = False) -> AsyncIterator[Finding]:
    """Yield the findings one by one; with `online` also those of outside systems. `create` makes what is missing there."""
    encoder = Encoder(**ready.encoder)
    tools = Tools(ready.settings.daemon.state, encoder, SystemClock(), ready.accounts)
    try:
        for finding in await _start(ready.settings.daemon):
            yield finding
        if ready.settings.daemon.log_file is not None:
            yield _log_file(ready.settings.daemon.state / ready.settings.daemon.log_file)
        yield await _ffmpeg(encoder)
        yield _limits(ready.settings.limits)
        for name, body in ready.pipelines.items():
            plan = resolve(body)
            steps = " → ".join(step.name for step in plan.steps)
            out = ", ".join(publisher.name for publisher in plan.publishers) or "nothing"
            notices = ", ".join(notice.name for notice in plan.notices) or "nobody"
            yield Finding(f"pipelines.{name}", True, f"{steps}; publishes to {out}; tells {notices}.")
        for about, sentence in find_missing_facts(ready):
            yield Finding(about, False, f"{sentence[0].upper()}{sentence[1:]}.")
        if not ready.sources:
            yield Finding("sources", False, "There is no source, so nothing can arrive: add [sources.<name>].")
        for name, account in ready.accounts.items():
            if isinstance(account, ProxiedAccount):
                finding = _route(name, account)
                if online or not finding.ok:
                    yield finding
        for about, check in _list_checks(ready, tools, online=online or create, create=create):
            yield await _run_check(about, check)
    finally:
        await encoder.shared.close()


def _route(name: str, account: ProxiedAccount) -> Finding:
    try:
        return Finding(f"accounts.{name}", True, account.describe_proxies())
    except Fault as fault:
        return Finding(f"accounts.{name}", False, fault.sentence)


async def _start(daemon: Daemon) -> list[Finding]:
    """Whether the daemon could start: its state directory, its address and its socket."""
    try:
        running = check_state_directory(daemon.state)
    except Refused as refused:
        return [Finding("daemon.state", False, refused.sentence)]
    if running:
        return [Finding("daemon.state", True, f"A vidd runs on {daemon.state}, and listens.")]
    state = Finding("daemon.state", True, f"{daemon.state} can be written.")
    try:
        await check_port(daemon.listen, daemon.state / SOCKET, [token.get_secret_value() for token in daemon.tokens])
    except Refused as refused:
        return [state, Finding("daemon.listen", False, refused.sentence)]
    return [state, Finding("daemon.listen", True, f"vidd can listen on {daemon.listen}.")]


def _limits(limits: Limits) -> Finding:
    slots = {name: str(size) for name, size in limits.slots().items()}
    if limits.encodes == "auto":
        slots["encodes"] += f" (auto; processors that vidd may use: {usable_cpus()})"
    return Finding("limits", True, f"At once: {', '.join(f'{name} {size}' for name, size in slots.items())}.")


def _log_file(path: Path) -> Finding:
    nearest = next(parent for parent in (path, *path.parents) if parent.exists())
    usable = os.access(nearest, os.W_OK) and (path.is_file() if nearest == path else nearest.is_dir())
    if usable:
        return Finding("daemon.log_file", True, f"{path} can be written.")
    return Finding(
        "daemon.log_file",
        False,
        f"{path} cannot be written: correct its rights or choose another. vidd runs without it meanwhile.",
    )


async def _ffmpeg(encoder: Encoder) -> Finding:
    try:
        found = await capabilities(encoder)
    except Fault as fault:
        return Finding("ffmpeg", False, fault.sentence)
    if found.missing:
        return Finding("ffmpeg", False, " ".join(found.missing))
    return Finding("ffmpeg", True, f"{found.version} at {encoder.path} has what vidd needs.")


@dataclass(frozen=True)
class _Check:
    """A kind with its options, and what it is to be asked: of the other side, and to make what is missing there."""

    module: object
    options: Any
    tools: Tools
    online: bool
    create: bool

    async def check(self) -> str:
        """What it says of itself."""
        module, said = self.module, "Fits its kind; --online asks the other side."
        if isinstance(module, ChecksHere):
            await module.check_here(self.options, self.tools)
        made = await module.create(self.options, self.tools) if self.create and isinstance(module, Creates) else None
        if self.online and isinstance(module, Checks):
            said = await module.check(self.options, self.tools)
        return f"{made} {said}" if made else said


def _list_checks(ready: Ready, tools: Tools, *, online: bool, create: bool) -> list[tuple[str, _Check]]:
    """The kinds that have a check, by the part of the settings."""
    checks: list[tuple[str, _Check]] = []

    def add(about: str, family: str, kind: str, options: Any) -> None:
        module: object = module_of(family, kind)
        if isinstance(module, Checks | ChecksHere):
            ask = online or entry_of(family, kind).offline_check
            checks.append((about, _Check(module, options, tools, ask, create)))

    add("store", "stores", ready.settings.store.kind, ready.store)
    for name, (kind, options) in ready.sources.items():
        add(f"sources.{name}", "sources", kind, options)
    for name, body in ready.pipelines.items():
        for part, family in (("steps", "steps"), ("publish", "publishers"), ("notify", "publishers")):
            for row in body[part]:
                options = model_of(family, row["kind"]).model_validate(row["options"])
                add(f"pipelines.{name}.{part}.{row['name']}", family, row["kind"], options)
    return checks


async def _run_check(about: str, check: _Check) -> Finding:
    try:
        async with asyncio.timeout(_TIMEOUT):
            return Finding(about, True, await check.check())
    except Fault as fault:
        return Finding(about, False, fault.sentence)
    except TimeoutError:
        return Finding(about, False, f"It did not answer within {_TIMEOUT:.0f} s: check its address and the network.")
