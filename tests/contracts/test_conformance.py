"""Every kind of the table keeps the Protocols of `vidd.ports.kinds`, and mypy was told so."""

import ast
import inspect
from importlib import import_module
from pathlib import Path

import pytest

from vidd.errors import FaultCode, Refused
from vidd.pipelines import conformance, registry
from vidd.pipelines.registry import ACCOUNTS, PUBLISHERS, QUEUES, SOURCES, STEPS, STORES
from vidd.ports import kinds

FAMILIES = {
    "SOURCES": (SOURCES, kinds.Source),
    "STEPS": (STEPS, kinds.Step),
    "PUBLISHERS": (PUBLISHERS, kinds.Publisher),
    "STORES": (STORES, kinds.StoreModule),
    "QUEUES": (QUEUES, kinds.QueueModule),
    "ACCOUNTS": (ACCOUNTS, kinds.AccountModule),
}
KINDS = [
    pytest.param(family, kind, entry, id=f"{family.lower()}.{kind}")
    for family, (table, _) in FAMILIES.items()
    for kind, entry in table.items()
]
HELPERS = {
    "vidd.integrations.aws.sqs_source": {"is_wanted", "arrival_of"},
    "vidd.steps.describe": {"title_of"},
    "vidd.steps.fetch": {"local_name"},
}
"""Functions of kinds' modules that others use and that are no capability."""
CAPABILITIES = {
    "SOURCES": {
        kinds.Checks, kinds.ChecksHere, kinds.Creates, kinds.ServesRoutes, kinds.Audits, kinds.FollowsPipeline,
    },
    "STEPS": {
        kinds.Checks, kinds.ChecksHere, kinds.NamesRoles, kinds.ChoosesPool, kinds.RevalidatesOutcome, kinds.NeedsFiles,
    },
    "PUBLISHERS": {
        kinds.Checks, kinds.ChecksHere, kinds.Creates, kinds.Amends, kinds.Replaces, kinds.Retracts, kinds.Gates, kinds.Mirrors, kinds.ResumesAfterPerson,
    },
    "STORES": {kinds.Checks, kinds.ChecksHere},
}  # fmt: skip


def listed():
    """The modules that `conformance` lists, by the Protocol they are checked against."""
    modules, found = {}, {}
    for node in ast.walk(ast.parse(Path(conformance.__file__).read_text())):
        if isinstance(node, ast.ImportFrom):
            modules |= {name.asname or name.name: f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.AnnAssign):
            protocol = node.annotation.slice.elts[0].id
            found[protocol] = [element.id for element in node.value.elts]
    return {protocol: [modules[name] for name in names] for protocol, names in found.items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_mypy_checks_exactly_the_kinds_of_the_table(family):
    table, protocol = FAMILIES[family]
    assert listed()[protocol.__name__] == [entry.module for entry in table.values()]


@pytest.mark.parametrize("capability", kinds.OPTIONAL, ids=lambda protocol: protocol.__name__)
def test_mypy_checks_exactly_the_modules_that_have_a_capability(capability):
    having = [
        entry.module
        for family, capabilities in CAPABILITIES.items()
        if capability in capabilities
        for entry in FAMILIES[family][0].values()
        if isinstance(import_module(entry.module), capability)
    ]
    assert sorted(listed()[capability.__name__]) == sorted(having)


def methods(protocol):
    return {name for name in vars(protocol) if inspect.isfunction(getattr(protocol, name)) and name[0] != "_"}


# An account's module is its API client: its functions are its own.
@pytest.mark.parametrize(("family", "kind", "entry"), [kind for kind in KINDS if kind.values[0] != "ACCOUNTS"])
def test_a_kind_has_no_function_that_nobody_calls_such_as_a_misspelt_one(family, kind, entry):
    module = import_module(entry.module)
    functions = {
        name
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == entry.module and not name.startswith("_")
    }
    promised = methods(FAMILIES[family][1]).union(*(methods(protocol) for protocol in CAPABILITIES.get(family, ())))
    assert functions - promised == HELPERS.get(entry.module, set())


@pytest.mark.parametrize(("family", "kind", "entry"), KINDS)
def test_an_entry_says_in_a_sentence_or_two_what_the_kind_does(family, kind, entry):
    assert entry.summary.endswith(".")
    assert 20 < len(entry.summary) < 400
    assert registry.entry_of(family.lower(), kind) is entry
    assert issubclass(registry.model_of(family.lower(), kind), object)


class Point:
    def __init__(self, name, value):
        self.name, self.value = name, value


@pytest.fixture
def foreign(monkeypatch, tmp_path):
    """Registers a module of another package as a publisher."""
    monkeypatch.syspath_prepend(tmp_path)

    def register(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.setattr(registry, "_foreign", {"publishers": {name: name}, "steps": {}, "sources": {}}.__getitem__)

    return register


PUBLISHER = '''"""Uploads to PeerTube."""
from pydantic import BaseModel
from vidd.ports.kinds import PublisherEntry, StepEntry
class Options(BaseModel): ...
async def publish(options, context): ...
async def reconcile(options, context): ...
'''


def test_a_publisher_of_another_package_may_bring_its_entry(foreign):
    foreign("tube_a", PUBLISHER + 'ENTRY = PublisherEntry(module=__name__, summary="Uploads.", pool="uploads")\n')
    assert registry.publisher_entry("tube_a").pool == "uploads"
    assert registry.publisher_module("tube_a").Options.__module__ == "tube_a"
    assert "tube_a" in registry.kinds("publishers")


def test_a_publisher_of_another_package_without_an_entry_has_no_capability(foreign):
    foreign("tube_b", PUBLISHER)
    entry = registry.publisher_entry("tube_b")
    assert entry == kinds.PublisherEntry(module="tube_b", summary="Uploads to PeerTube.")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (PUBLISHER.replace("reconcile", "reconsile"), "no Publisher"),
        (PUBLISHER + 'ENTRY = StepEntry(module=__name__, summary="Uploads.")\n', "no PublisherEntry"),
        ("import a_package_that_is_not_there\n", "not installed"),
    ],
)
def test_a_module_of_another_package_that_breaks_the_contract_is_refused(foreign, text, sentence):
    name = f"tube_{abs(hash(text))}"
    foreign(name, text)
    with pytest.raises(Refused, match=sentence) as refused:
        registry.publisher_entry(name), registry.publisher_module(name)
    assert refused.value.code is FaultCode.NOT_INSTALLED
