"""The contract of a kind: what its module must have, what it may have, and what its registry entry says.

A kind is a module. A source has `Options` and `watch`, a step has `Options` and `run`, a publisher (a notice is one too)
has `Options`, `publish` and `reconcile`. `Options` is a pydantic model of the kind's table in the settings; every function
of a kind gets its options first. The other Protocols here are optional capabilities: a module has one by having its
function. What can be said without code (the pool, whether it writes e-mail) is a field of the kind's entry.

The kinds of vidd are listed in `vidd.pipelines.registry`, and mypy checks them in `vidd.pipelines.conformance`. A kind of
another package is an entry point of the group `vidd.sources`, `vidd.steps` or `vidd.publishers` whose value is the
module's name. Such a module may say what it can in an entry of its own:

    ENTRY = PublisherEntry(module=__name__, summary="Uploads the talk to PeerTube.", pool="uploads")

and its author checks it with mypy the way vidd does: `if TYPE_CHECKING: _: Publisher = peertube`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from vidd.model.media import Outcome, Tree
from vidd.model.publication import Receipt
from vidd.model.talk import TalkStatus
from vidd.ports.contexts import Listed, PublishContext, SourceContext, StepContext
from vidd.ports.http_routes import SourceRoute
from vidd.ports.store import Queue, Store
from vidd.ports.tools import Tools

Pool = Literal["encodes", "gpus", "commands", "captions", "uploads", "fetches", "mails"]
"""A limit of `[limits]`: how many calls of this sort may run at once on the machine."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A kind in the registry: its module, and what it does in one or two sentences.

    offline_check: `check` looks at files and programs of this machine only, so `vidd check` calls it without `--online`.
    """

    module: str
    summary: str
    offline_check: bool = False


@dataclass(frozen=True, kw_only=True)
class SourceEntry(Entry):
    """A source in the registry.

    facts: the facts that its arrivals may have; None where the source does not say.
    programme: whether it hands in talks, so that pipelines may name it as their programme; None where it does not say.
    """

    facts: frozenset[str] | None = None
    programme: bool | None = None


@dataclass(frozen=True, kw_only=True)
class StepEntry(Entry):
    """A step in the registry.

    pool: the engine holds a slot of this pool while the step runs; None where the step crowds nothing, or chooses its
        pool by its options (`ChoosesPool`).
    takes_own_slot: the step takes the slot itself, by `async with context.slot():` around the part that crowds the machine.
    always_rerun: the step makes only text and runs on every attempt, because the programme may have changed.
    is_fetcher: the step fetches what it works on, so vidd puts no `fetch` before it.
    facts: the names of the facts that the step leaves; None where they are not known beforehand, so that templates
        after it are not checked for them.
    own_fact: the step leaves a fact under its own name in the pipeline as well.
    """

    pool: Pool | None = None
    takes_own_slot: bool = False
    always_rerun: bool = False
    is_fetcher: bool = False
    facts: frozenset[str] | None = None
    own_fact: bool = False


@dataclass(frozen=True, kw_only=True)
class PublisherEntry(Entry):
    """A publisher in the registry.

    pool: the engine holds a slot of this pool while the publisher sends.
    is_email: it writes to people, who may ask for the message once more (`vidd resend`).
    runs_last: it runs once the job's other publishers have their receipts, and gets those.
    """

    pool: Pool | None = None
    is_email: bool = False
    runs_last: bool = False


@dataclass(frozen=True, kw_only=True)
class StoreEntry(Entry):
    """A store in the registry."""


@dataclass(frozen=True, kw_only=True)
class QueueEntry(Entry):
    """A queue in the registry."""


@dataclass(frozen=True, kw_only=True)
class AccountEntry(Entry):
    """An account in the registry."""


class Kind(Protocol):
    """What every source, step and publisher has."""

    @property
    def Options(self) -> type[Any]:  # noqa: N802 - a class of the module
        """The pydantic model of the kind's table in the settings."""


@runtime_checkable
class Source(Kind, Protocol):
    """Watches an outside system and hands in what arrives there."""

    async def watch(self, options: Any, context: SourceContext, /) -> None:
        """Watch until cancelled; vidd starts a watcher again that returns or raises.

        An arrival is acknowledged to the other side (a message deleted, a mark set) only after `context.admit` or
        `context.take` has returned: what vidd has not recorded must arrive again. The same thing seen again has the same
        `key`. The watcher reports by `context.mark_up`, `context.mark_down`, `context.mark_caught_up`, and sleeps by `context.pause`.
        """


@runtime_checkable
class Step(Kind, Protocol):
    """Works on a job's files in the job's directory."""

    async def run(self, options: Any, context: StepContext, /) -> Outcome:
        """Make the step's files below `context.directory` and return them, with facts for later steps.

        A run that is cancelled or killed at any moment and run again gives the same outcome: a file is made under a
        temporary name and renamed when it is whole. An artifact may be a directory tree
        (`vidd.files.tree.tree_artifact`); later steps find it by `context.tree(role)`. No artifact changes after it is
        returned. A recorded step runs again after a restart only if its files are no longer there as recorded. Symbolic
        links are not followed.
        """


@runtime_checkable
class Publisher(Kind, Protocol):
    """Brings a job's files or facts to an outside system, or tells somebody about them (a notice)."""

    async def publish(self, options: Any, context: PublishContext, /) -> Receipt:
        """Send, and return the receipt once the other side has confirmed.

        Before anything goes out that cannot be repeated, `context.checkpoint(token)` saves what a resume and
        `reconcile` need; `context.publication.token` has what an earlier attempt saved, and this attempt goes on from
        there. `context.sent(token)` says that everything went out and only the answer is outstanding. Files that may
        be published are chosen by `context.chosen`.

        Raises OutcomeUnknown if the request went out and no answer came, RetryLater if nothing was done, Refused if it
        cannot be done.
        """

    async def reconcile(self, options: Any, context: PublishContext, /) -> Receipt | None:
        """Ask the other side whether an earlier attempt arrived: its receipt, or None if it provably did not.

        vidd calls this before it sends again. Raises OutcomeUnknown if the other side cannot tell; the publication is
        then `unsure`, and a person must look. Harmless to repeat.
        """


@runtime_checkable
class NamesRoles(Protocol):
    """A step that says beforehand what it makes, so that vidd finds a role that nothing makes in the settings."""

    def roles(self, options: Any, /) -> frozenset[str] | None:
        """The roles of the artifacts it makes, at most; None where that is not known beforehand."""


@runtime_checkable
class Creates(Protocol):
    """Can make what the settings name at the other side, such as a bucket, for `vidd check --create`."""

    async def create(self, options: Any, tools: Tools, /) -> str | None:
        """Make what is missing; returns a sentence about it, None if all is there. Leaves alone what is there."""


@runtime_checkable
class ChecksHere(Protocol):
    """Has a self-test of what is on this machine, such as files and programs, besides that of the other side."""

    async def check_here(self, options: Any, tools: Tools, /) -> None:
        """Raise a Fault where it would not work; changes nothing, and asks nobody."""


@runtime_checkable
class Checks(Protocol):
    """Has a self-test for `vidd check`."""

    async def check(self, options: Any, tools: Tools, /) -> str:
        """Ask the other side whether it would work now; returns one sentence, raises a Fault with what is wrong."""


@runtime_checkable
class ServesRoutes(Protocol):
    """A source that answers HTTP requests."""

    def routes(self, options: Any, context: SourceContext, /) -> Sequence[SourceRoute]:
        """The routes that the web port serves while the source is watched. The source decides who may call them."""


@runtime_checkable
class Audits(Protocol):
    """A source that can list what the other side has, for `vidd audit`."""

    async def audit(self, options: Any, tools: Tools, name: str, /) -> Sequence[Listed]:
        """All that is there now, whether or not it was handed in before; `name` is the source's in the settings."""


@runtime_checkable
class FollowsPipeline(Protocol):
    """A source whose arrivals are what a pipeline of vidd itself published."""

    def followed(self, options: Any, /) -> tuple[str, str]:
        """The pipeline, and the role of the file that vidd keeps for the source when a job of it is published."""


@runtime_checkable
class ChoosesPool(Protocol):
    """A step whose options say which pool it needs."""

    def pool(self, options: Any, /) -> str:
        """The name of the pool."""


@runtime_checkable
class RevalidatesOutcome(Protocol):
    """A step whose recorded outcome may not serve the job as it is now."""

    def is_still_valid(self, options: Any, context: StepContext, outcome: Outcome, /) -> bool:
        """Whether the recorded outcome still serves; if not, the step runs again. Without this, it does."""


@runtime_checkable
class NeedsFiles(Protocol):
    """A step that needs files which earlier steps left in the job's directory, and may use them up."""

    def find_needed(self, options: Any, context: StepContext, /) -> Mapping[str, Tree]:
        """What is there of the files that it needs, by their names in sentences; of 0 files where nothing is. Blocks.

        vidd calls this before the step runs, and around the steps before it. Where the files are not as a step left them,
        vidd runs that step again. Raises Refused if the facts to name the files are not there yet.
        """


@runtime_checkable
class Amends(Protocol):
    """A publisher that can change the text of what is published."""

    async def amend(self, options: Any, context: PublishContext, /) -> Receipt:
        """Bring the published text up to the talk's of now; `context.publication.receipt` says where. Harmless to repeat."""


@runtime_checkable
class Replaces(Protocol):
    """A publisher that can change the files of what is published."""

    async def replace_files(self, options: Any, context: PublishContext, /) -> Receipt:
        """Replace the files that changed, remove those that `context.gone` names, leave the rest. Harmless to repeat."""


@runtime_checkable
class Retracts(Protocol):
    """A publisher that can take back what is published."""

    async def retract(self, options: Any, context: PublishContext, /) -> str:
        """Take it back; returns a sentence about what was done. Harmless to repeat."""


@runtime_checkable
class Gates(Protocol):
    """A publisher that can tell beforehand that it will refuse a job."""

    async def allow(self, options: Any, context: PublishContext, /) -> None:
        """Raise Refused, before any publisher of the job sends, if this one would refuse."""


@runtime_checkable
class Mirrors(Protocol):
    """A notice that shows the state of every talk while jobs are under way, such as a sheet."""

    async def follow(self, options: Any, statuses: Sequence[TalkStatus], tools: Tools, /) -> None:
        """Show these. A status that is shown already costs nothing. Harmless to repeat."""


@runtime_checkable
class ResumesAfterPerson(Protocol):
    """A publisher of which something remains after a person said that an attempt did not arrive."""

    def resend_state(self, token: Mapping[str, Any], /) -> Mapping[str, Any]:
        """What remains of the token for the next attempt; without this, nothing does. Not called twice for an attempt."""


OPTIONAL: tuple[type, ...] = (
    Checks,
    ChecksHere,
    Creates,
    NamesRoles,
    ServesRoutes,
    Audits,
    FollowsPipeline,
    ChoosesPool,
    RevalidatesOutcome,
    NeedsFiles,
    Amends,
    Replaces,
    Retracts,
    Gates,
    Mirrors,
    ResumesAfterPerson,
)
"""The Protocols of the optional capabilities."""


@runtime_checkable
class StoreModule(Protocol):
    """The module of a store kind."""

    @property
    def Settings(self) -> type[Any]:  # noqa: N802 - a class of the module
        """The pydantic model of `[store]`."""

    def make(self, state: Path, options: Any, accounts: Mapping[str, Any], /) -> Store:
        """A store that is not open yet; `state` is the state directory."""


@runtime_checkable
class QueueModule(Protocol):
    """The module of a queue kind."""

    @property
    def Settings(self) -> type[Any]:  # noqa: N802 - a class of the module
        """The pydantic model of `[queue]`."""

    def make(self, options: Any, /) -> Queue:
        """An empty queue."""


@runtime_checkable
class AccountModule(Protocol):
    """The module of an account kind."""

    @property
    def Account(self) -> type[Any]:  # noqa: N802 - a class of the module
        """The pydantic model of `[accounts.<name>]`."""
