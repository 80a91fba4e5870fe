"""Finds the module of a kind and gives its table to its own model. Third parties register through entry points."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import SecretStr, ValidationError

from vidd.errors import Refused
from vidd.ports import Plan, PlannedPublisher, PlannedStep, nothing_remains
from vidd.settings.schema import Check, Pipeline, Settings, SettingsFault, Table, faults_of, toml_path
from vidd.settings.template_check import USUAL, templates_in, unknown_in

Where = tuple[int | str, ...]
SOURCES = {
    "cms": "vidd.integrations.graphql_cms.source",
    "data_sets": "vidd.integrations.datasets.source",
    "folder": "vidd.integrations.local_folder.source",
    "process_content": "vidd.integrations.annotation_service.source",
    "sheet": "vidd.integrations.sheet.source",
    "sqs": "vidd.integrations.aws.sqs_source",
}
STEPS = {
    "annotate": "vidd.steps.annotate",
    "command": "vidd.steps.command",
    "data_set": "vidd.integrations.datasets.step",
    "describe": "vidd.steps.describe",
    "fetch": "vidd.steps.fetch",
    "frames": "vidd.steps.frames",
    "results": "vidd.integrations.analysis_results.step",
    "scenes": "vidd.steps.scenes",
    "transcode": "vidd.steps.transcode",
    "trim": "vidd.steps.trim",
}
PUBLISHERS = {
    "data_set": "vidd.integrations.datasets.publisher",
    "facebook": "vidd.integrations.facebook.publisher",
    "folder": "vidd.integrations.local_folder.publisher",
    "mail": "vidd.integrations.mail.publisher",
    "mongo_tasks": "vidd.integrations.annotation_service.publisher",
    "pcloud": "vidd.integrations.pcloud.publisher",
    "s3": "vidd.integrations.aws.s3_publisher",
    "sheet": "vidd.integrations.sheet.publisher",
    "sqs": "vidd.integrations.aws.sqs_publisher",
    "webhook": "vidd.integrations.webhook.publisher",
    "youtube": "vidd.integrations.youtube.publisher",
}
STORES = {
    "memory": "vidd.stores.memory",
    "mongo": "vidd.stores.mongodb.store",
    "sqlite": "vidd.stores.sqlite.store",
}
QUEUES = {"local": "vidd.queues.local"}
ACCOUNTS = {
    "cms": "vidd.integrations.graphql_cms.account",
    "facebook": "vidd.integrations.facebook.api",
    "google": "vidd.integrations.sheet.backends.google.api",
    "mongodb": "vidd.integrations.mongodb.account",
    "pcloud": "vidd.integrations.pcloud.api",
    "s3": "vidd.integrations.aws.account",
    "secret": "vidd.settings.secret",
    "smtp": "vidd.integrations.mail.account",
    "webhook": "vidd.integrations.webhook.receiver",
    "youtube": "vidd.integrations.youtube.api",
}
_TABLES: Mapping[str, Mapping[str, str]] = {
    "sources": SOURCES,
    "steps": STEPS,
    "publishers": PUBLISHERS,
    "stores": STORES,
    "queues": QUEUES,
    "accounts": ACCOUNTS,
}


@lru_cache
def known(family: str) -> dict[str, str]:
    """The kinds of a family (`sources`, `steps`, …) and their modules."""
    foreign = {one.name: one.value for one in entry_points(group=f"vidd.{family}")}
    return {**foreign, **_TABLES[family]}


def module_of(family: str, kind: str) -> ModuleType:
    """The module of a kind; Refused where there is none or what it needs is not installed."""
    # Looking for third parties reads the metadata of everything installed; our own need not wait for it.
    name = _TABLES[family].get(kind) or known(family).get(kind)
    if name is None:
        raise Refused(f"there is no kind {kind!r} here; there are {', '.join(sorted(known(family)))}")
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise Refused(f"the kind {kind!r} needs {error.name!r}, which is not installed") from error


@dataclass
class Faults:
    """Collects every fault, so that an operator sees all of them at once."""

    found: list[str] = field(default_factory=list)

    def add(self, where: Where, sentence: str) -> None:
        """One more."""
        self.found.append(f"{toml_path(where)}: {sentence}")

    def model(self, family: str, kind: str, values: Mapping[str, Any], where: Where, *, name: str = "Options") -> Any:
        """The kind's options, or None with the faults noted."""
        try:
            return getattr(module_of(family, kind), name).model_validate(values)
        except Refused as refused:
            self.add((*where, "kind"), refused.sentence)
        except ValidationError as error:
            self.found += faults_of(error, where)
        return None

    def check_of(self, pipeline: Pipeline, own: Any, where: Where) -> dict[str, Any]:
        """A step's policy: what it says itself over what its pipeline says."""
        try:
            return Check.model_validate({**pipeline.check.model_dump(), **dict(own)}).model_dump(mode="json")
        except ValidationError as error:
            self.found += faults_of(error, where)
        except (TypeError, ValueError):
            self.add(where, 'must be a table, like { frozen = "hold" }')
        return {}

    def check(self) -> None:
        """SettingsFault if there was any."""
        if self.found:
            raise SettingsFault(self.found)


def accounts_of(settings: Settings, faults: Faults) -> dict[str, Any]:
    """The accounts by name; a secret may also be named by `<key>_file`. Relative paths are from the state directory."""
    accounts, state = {}, settings.daemon.state
    for name, table in settings.accounts.items():
        where: Where = ("accounts", name)
        values = {"kind": table.kind, **table.rest}
        for key in [key for key in values if key.endswith("_file")]:
            model = _account_model(table.kind)
            secret = key.removesuffix("_file")
            if model is None or "SecretStr" not in str(model.model_fields.get(secret)):
                continue
            named = values.pop(key)
            try:
                values[secret] = SecretStr((state / str(named)).read_text().strip())
            except OSError as error:
                faults.add((*where, key), f"cannot be read ({error.strerror})")
            except ValueError:
                faults.add((*where, key), "names a file that is no text")
        account = faults.model("accounts", table.kind, values, where, name="Account")
        accounts[name] = account and _placed(account, state)
    return accounts


def _placed(account: Any, state: Path) -> Any:
    paths = {name: state / value for name, value in account if isinstance(value, Path)}
    return account.model_copy(update=paths) if paths else account


def _account_model(kind: str) -> Any:
    return import_module(ACCOUNTS[kind]).Account if kind in ACCOUNTS else None


def _named(tables: tuple[Table, ...]) -> list[tuple[str, Table]]:
    """A table's `label`, or its kind, numbered where the kind comes again."""
    named: list[tuple[str, Table]] = []
    for table in tables:
        wanted = str(table.rest.get("label", table.kind))
        taken = {name for name, _ in named}
        number = 2
        name = wanted
        while name in taken:
            name, number = f"{wanted}-{number}", number + 1
        named.append((name, table))
    return named


def pipeline_to_json(pipeline: Pipeline, faults: Faults, where: Where) -> dict[str, Any]:
    """A pipeline with every default resolved, as it is stored with a job."""
    steps = pipeline.steps
    if not steps or not _begins(steps[0].kind):
        # Nearly every pipeline works on a file of its own; naming the step is only needed to set its options.
        steps = (Table(kind="fetch"), *steps)
    shift = len(steps) - len(pipeline.steps)
    words = _Words(faults)

    def rows(part: str, family: str, tables: tuple[Table, ...], back: int = 0) -> list[dict[str, Any]]:
        resolved = []
        for at, (name, table) in enumerate(_named(tables)):
            values = table.rest
            values.pop("label", None)
            required = values.pop("required", True) if family == "publishers" else True
            own = values.pop("check", None) if family == "steps" else None
            options = faults.model(family, table.kind, values, (*where, part, at - back))
            if options is not None:
                words.heard(family, table.kind, options, (*where, part, at - back), name)
                row = {"name": name, "kind": table.kind, "options": options.model_dump(mode="json")}
                if part == "publish" and getattr(options, "on", "published") != "published":
                    faults.add(
                        (*where, part, at, "on"), "a publisher is what makes a job published: this is for notices"
                    )
                if own is not None:
                    row["check"] = faults.check_of(pipeline, own, (*where, part, at - back, "check"))
                resolved.append(row if required is True else {**row, "required": False})
        return resolved

    resolved = {
        "programme": pipeline.programme,
        "review": pipeline.review,
        **({"keep": pipeline.keep} if pipeline.keep is not None else {}),
        "check": pipeline.check.model_dump(mode="json"),
        "steps": rows("steps", "steps", steps, shift),
        "publish": rows("publish", "publishers", pipeline.publish),
        "notify": rows("notify", "publishers", pipeline.notify),
    }
    words.check([name for name, _ in _named(pipeline.publish)])
    return resolved


def _begins(kind: str) -> bool:
    """Whether a step of this kind fetches what it works on."""
    try:
        return kind == "fetch" or getattr(module_of("steps", kind), "BEGINS", False)
    except Refused:
        return False


@dataclass
class _Words:
    """What the tables of a pipeline name of one another: fields of templates, and publishers by their labels."""

    faults: Faults
    facts: set[str] | None = field(default_factory=set)
    said: list[tuple[Where, Any, set[str] | None]] = field(default_factory=list)

    def heard(self, family: str, kind: str, options: Any, where: Where, name: str) -> None:
        """One table, in the order of the pipeline: it may name what the steps before it leave."""
        self.said.append((where, options, None if self.facts is None else set(self.facts)))
        if family == "steps":
            # What a step leaves that does not say so cannot be told from a slip.
            leaves = getattr(module_of(family, kind), "FACTS", None)
            own = {name} if getattr(module_of(family, kind), "OWN_FACT", False) else set()
            self.facts = None if leaves is None or self.facts is None else self.facts | leaves | own

    def check(self, labels: Sequence[str]) -> None:
        """Note what is named and not there."""
        for where, options, facts in self.said:
            for more, template, may in templates_in(options):
                known = None if facts is None else facts | USUAL | may.names
                for sentence in unknown_in(template, known, labels):
                    self.faults.add((*where, *more), sentence)
            for more, label in getattr(options, "labels_named", dict)().items():
                if label not in labels:
                    there = ", ".join(labels) or "none"
                    self.faults.add(
                        (*where, *more), f"the pipeline has no publisher labelled {label!r}, it has {there}"
                    )


def _fingerprint(row: Mapping[str, Any]) -> str:
    """Stands for what the step makes; what is thought of it afterwards must not have it made anew."""
    made = {key: value for key, value in row.items() if key != "check"}
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:16]


def _publisher(row: Mapping[str, Any]) -> PlannedPublisher:
    module = module_of("publishers", row["kind"])
    options = module.Options.model_validate(row["options"])
    optional = {
        name: partial(getattr(module, name), options)
        for name in ("follow", "amend", "replace", "retract", "allow")
        if hasattr(module, name)
    }
    return PlannedPublisher(
        name=row["name"],
        kind=row["kind"],
        slot=module.SLOT,
        required=row.get("required", True),
        publish=partial(module.publish, options),
        reconcile=partial(module.reconcile, options),
        again=getattr(module, "again", nothing_remains),
        letter=getattr(module, "LETTER", False),
        on=getattr(options, "on", "published"),
        tells_retraction=getattr(options, "tells_retraction", False),
        last=getattr(module, "LAST", False),
        takes=_roles(options),
        **optional,
    )


def _roles(options: Any) -> tuple[str, ...]:
    """The roles that a publisher's `files` or `file` name."""
    files = getattr(options, "files", None) or (getattr(options, "file", None),)
    return tuple(one for one in files if one)


def _step(row: Mapping[str, Any]) -> PlannedStep:
    module = module_of("steps", row["kind"])
    options = module.Options.model_validate(row["options"])
    return PlannedStep(
        row["name"],
        row["kind"],
        module.slot(options) if hasattr(module, "slot") else module.SLOT,
        _fingerprint(row),
        partial(module.run, options),
        own_place=getattr(module, "OWN_PLACE", False),
        fresh=getattr(module, "FRESH", False),
        still=partial(module.still, options) if hasattr(module, "still") else None,
    )


@lru_cache(maxsize=64)
def _resolved(text: str) -> Plan:
    settings = json.loads(text)
    try:
        notices = [_publisher(row) for row in settings["notify"]]
        return Plan(
            programme=settings["programme"],
            review=settings["review"],
            keep=settings.get("keep"),
            steps=tuple(_step(row) for row in settings["steps"]),
            publishers=tuple(_publisher(row) for row in settings["publish"]),
            notices=tuple(one for one in notices if one.on == "published"),
            failures=tuple(one for one in notices if one.on == "failed"),
        )
    except ValidationError as error:
        faults = "; ".join(faults_of(error))
        raise Refused(
            f"The settings this job was admitted with no longer fit ({faults}): retry it with the present settings (--fresh-settings)."
        ) from error


def resolve(settings: Mapping[str, Any]) -> Plan:
    """`ports.Resolve` over the tables of kinds."""
    return _resolved(json.dumps(settings, sort_keys=True))
