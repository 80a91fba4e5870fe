"""The table of kinds: every source, step, publisher, store, queue and account, with its module and what it does.

To add a kind, write its module (`vidd.ports.kinds` says what it must have), add an entry here, and list it in
`vidd.pipelines.conformance`. Other packages register theirs through entry points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, TypeVar

from vidd.errors import FaultCode, Refused
from vidd.ports.kinds import (
    AccountEntry,
    AccountModule,
    Entry,
    Publisher,
    PublisherEntry,
    QueueEntry,
    QueueModule,
    Source,
    SourceEntry,
    Step,
    StepEntry,
    StoreEntry,
    StoreModule,
)

E = TypeVar("E", bound=Entry)
M = TypeVar("M")

SOURCES: Mapping[str, SourceEntry] = {
    "cms": SourceEntry(
        module="vidd.integrations.graphql_cms.source",
        summary="Takes videos uploaded to a GraphQL CMS: a subscription tells of them, and a query after each "
        "connection and now and then finds those it missed. An upload without its file waits for it.",
        facts=frozenset({"account", "file_id", "folder_id", "id", "object", "talk", "uploaded_at"}),
        programme=False,
    ),
    "data_sets": SourceEntry(
        module="vidd.integrations.datasets.source",
        summary="Starts building data sets on request (`POST /api/createDataSet`, `/api/editDataSet`, `vidd dataset`), "
        "and those whose documents say that they are pending. A running build is never started twice; if a "
        "build stops, the reason is in its document's `taskStatus.error`.",
        programme=False,
    ),
    "folder": SourceEntry(
        module="vidd.integrations.local_folder.source",
        summary="Watches a folder for recordings. A file counts once its size and time stood still for two looks, or "
        "once it was renamed into the folder.",
        facts=frozenset({"mtime_ns", "size"}),
        offline_check=True,
        programme=False,
    ),
    "pretalx": SourceEntry(
        module="vidd.integrations.pretalx.source",
        summary="Reads the programme of an event at pretalx: by the REST API with a token, speakers' e-mail addresses "
        "included, or by the public schedule export. A talk whose speakers do not want it recorded is excluded.",
        programme=True,
    ),
    "process_content": SourceEntry(
        module="vidd.integrations.annotation_service.source",
        summary="Answers the annotation service's call `POST /api/processContent`, checks it field by field, and starts "
        "a job. The upload's document in MongoDB shows progress and errors, and vidd takes up uploads that were "
        "left under way.",
        programme=False,
    ),
    "published": SourceEntry(
        module="vidd.integrations.published.source",
        summary="Starts a follow-up, such as captions, for each job that another pipeline published. A new edition of the "
        "job gets a new follow-up in place of the old one, and a retracted job's follow-up is taken back.",
        offline_check=True,
        programme=False,
    ),
    "schedule": SourceEntry(
        module="vidd.integrations.schedule.source",
        summary="Reads the programme from a schedule in a file or on the web: schedule.xml of frab and Pentabarf, "
        "schedule.json, iCalendar, or any JSON (REST or GraphQL) by a map of its fields.",
        programme=True,
    ),
    "sheet": SourceEntry(
        module="vidd.integrations.sheet.source",
        summary="Reads the programme from a .csv, .xlsx or Google sheet: talks, speakers, e-mail addresses, stages, "
        "flags. Rows that are marked ready and name a recording start work.",
        facts=frozenset({"end", "start", "talk"}),
        programme=True,
    ),
    "sqs": SourceEntry(
        module="vidd.integrations.aws.sqs_source",
        summary="Reads S3 event notifications from an SQS queue: plain, wrapped by SNS, or sent through EventBridge. A "
        "message is deleted once its jobs are recorded; what vidd cannot understand goes to the dead letters "
        "with its reason.",
        facts=frozenset({"account", "bucket", "etag", "key", "size", "version"}),
        programme=False,
    ),
    "timeline": SourceEntry(
        module="vidd.integrations.timeline.source",
        summary="Answers the calls of the timeline service: `/video?user=` starts a video of a user's posts, `/progress/{id}` "
        "says how far it is, `/display/{id}` shows it, `/video/{file}` has its files. Anybody may call, within "
        "limits.",
        facts=frozenset(
            {
                "account",
                "count",
                "email",
                "format",
                "formats",
                "network",
                "origin",
                "seconds",
                "talk",
                "user",
                "video_id",
            }
        ),
        programme=False,
    ),
}
"""What brings videos in."""

STEPS: Mapping[str, StepEntry] = {
    "annotate": StepEntry(
        module="vidd.steps.annotate",
        summary="Finds boxes in the frames with a detector, so that annotators have something to begin with: OpenCV's "
        "people or faces, an ONNX model of the YOLO family, or any program. After a kill it goes on after the "
        "last whole task.",
        takes_own_slot=True,
        offline_check=True,
        facts=frozenset({"annotated", "annotator", "boxes", "left_out", "unread"}),
    ),
    "captions": StepEntry(
        module="vidd.steps.captions",
        summary="Writes down what is said, as SubRip, WebVTT, text and word times, in each language wanted: by "
        "faster-whisper or PocketSphinx in a child, by any program, or by another system that is asked by SQS and "
        "answers later.",
        takes_own_slot=True,
        facts=frozenset({"cues", "engine", "languages", "title", "words"}),
    ),
    "cards": StepEntry(
        module="vidd.steps.cards",
        summary="Draws posts as cards, a picture for each post: avatar, name, text with colour emoji and every script, up to "
        "four pictures, the quoted post. What cannot be shown is named on the card and in the notes.",
        pool="encodes",
        facts=frozenset({"cards", "notes"}),
        offline_check=True,
    ),
    "command": StepEntry(
        module="vidd.steps.command",
        summary="Runs any program on the video, without a shell, with a limit on time, progress from its output, and a "
        "fate for each exit code. vidd checks the promised outputs before it hands them on, and ends every "
        "process that the program started.",
        takes_own_slot=True,
        facts=frozenset({"video"}),
        own_fact=True,
        offline_check=True,
    ),
    "data_set": StepEntry(
        module="vidd.integrations.datasets.step",
        summary="Builds a version of a data set from the annotated frames in MongoDB: images, thumbnails, label texts, "
        "augmentations, marks for training, validation and test, and COCO, CVAT and sample files. vidd makes "
        "only what differs from what is in the bucket.",
        pool="encodes",
        takes_own_slot=True,
        is_fetcher=True,
        facts=frozenset({"data_set", "faulty", "frames", "left_out", "tasks"}),
    ),
    "describe": StepEntry(
        module="vidd.steps.describe",
        summary="Writes title, description and tags from the programme, by templates. The step runs again on every "
        "attempt, because the programme may have changed.",
        always_rerun=True,
        facts=frozenset({"description", "speakers", "tags", "title"}),
    ),
    "fetch": StepEntry(
        module="vidd.steps.fetch",
        summary="Brings the recording into the job's directory from a file, S3, http(s) or pCloud, resumes an "
        "interrupted transfer, and compares size and checksum. Where only a cut of an MP4 or MOV file follows, "
        "vidd reads only the bytes that the cut needs.",
        pool="fetches",
        is_fetcher=True,
        facts=frozenset(),
    ),
    "frames": StepEntry(
        module="vidd.steps.frames",
        summary="Takes frames out of a recording at a rate and makes tasks of them: a task video that browsers play, "
        "JPEG files where wanted, and a manifest with the number, time and hash of each frame. Images, a zip "
        "file of them, or a directory become tasks likewise.",
        pool="encodes",
        facts=frozenset({"deinterlaced", "frame_rate", "frames", "left_out", "lost", "pruned", "tasks"}),
    ),
    "posts": StepEntry(
        module="vidd.integrations.timeline.step",
        summary="Reads the newest posts of a person from a social network, with avatars, pictures and custom emoji, for "
        "cards to be drawn from. vidd asks for no post twice, and waits where the network's rate limit says so. A "
        "picture that cannot be fetched is named in the notes.",
        pool="fetches",
        is_fetcher=True,
        facts=frozenset({"network", "notes", "posts", "user"}),
    ),
    "results": StepEntry(
        module="vidd.integrations.analysis_results.step",
        summary="Makes one directory of the results of an analysis of people: poses, boxes and bodies by scene, with "
        "the combined files and indexes that are missing. vidd checks every file by its schema and refuses a "
        "broken one by name.",
        facts=frozenset({"bodies", "frames", "made", "people", "renamed", "scenes"}),
        offline_check=True,
    ),
    "scenes": StepEntry(
        module="vidd.steps.scenes",
        summary="Splits the video into its scenes, found by ffmpeg's scdet or PySceneDetect, and lists their frame "
        "ranges in `scenes.json`. The files are encoded exactly at the cuts, or copied without loss from the "
        "nearest keyframes.",
        pool="encodes",
        takes_own_slot=True,
        facts=frozenset({"detector", "frames", "scenes", "threshold"}),
        offline_check=True,
    ),
    "slideshow": StepEntry(
        module="vidd.steps.slideshow",
        summary="Makes a video of a tree of pictures, so many seconds each, as MP4, WebM, Ogg and AV1: with crossfade, "
        "and with music that is quieter while a voice speaks. The pictures are decoded once, and each begins with a "
        "keyframe.",
        pool="encodes",
        takes_own_slot=True,
        facts=frozenset({"duration", "formats", "frames", "left_out", "slides"}),
        offline_check=True,
    ),
    "transcode": StepEntry(
        module="vidd.steps.transcode",
        summary="Makes renditions by height and bit rate, several from one decode, deinterlaced where the frames show combs, "
        "and of them an HLS ladder where asked for. A long one is encoded in segments, so that a kill costs no more than "
        "one segment.",
        pool="encodes",
        takes_own_slot=True,
        facts=frozenset({"deinterlaced", "left_out", "renditions", "scan"}),
        offline_check=True,
    ),
    "trim": StepEntry(
        module="vidd.steps.trim",
        summary="Cuts the talk out, exact to the frame, with fades of video and audio; where the recording allows it, "
        "vidd encodes only what fades and copies the rest. Intro, cards, outro, watermark and EBU R128 loudness "
        "are options.",
        pool="encodes",
        takes_own_slot=True,
        offline_check=True,
        facts=frozenset(
            {
                "cards",
                "duration",
                "end",
                "fade",
                "lane",
                "loudness",
                "notes",
                "parts",
                "start",
                "talk_at",
                "watermark",
                "why",
            }
        ),
    ),
}
"""What is done with a job's files, in order."""

PUBLISHERS: Mapping[str, PublisherEntry] = {
    "data_set": PublisherEntry(
        module="vidd.integrations.datasets.publisher",
        summary="Publishes a data set task by task: new objects, then the documents, then the removal of what is gone; "
        "at the very last the version is `complete`. A task with a fault stays `pending` with its error, and "
        "the others are published.",
        pool="uploads",
    ),
    "display": PublisherEntry(
        module="vidd.integrations.timeline.publisher",
        summary="Puts a timeline's video where the source `timeline` shows it, with its poster, renditions and stream: "
        "all at once, by rename. The receipt has the address of its page.",
        pool="uploads",
        offline_check=True,
    ),
    "facebook": PublisherEntry(
        module="vidd.integrations.facebook.publisher",
        summary="Uploads the talk to a Facebook page, resumably and never twice, and waits until Facebook has processed "
        "it. Each stage may have its own page; a bare 400 makes the job wait six hours.",
        pool="uploads",
    ),
    "facebook_captions": PublisherEntry(
        module="vidd.integrations.facebook.captions",
        summary="Adds captions to a video that another pipeline published on a Facebook page, one file for each "
        "language. Captions that people made there stay.",
        pool="uploads",
    ),
    "folder": PublisherEntry(
        module="vidd.integrations.local_folder.publisher",
        summary="Puts files and trees into a folder, each whole, by rename. vidd does not replace the file of another "
        'job unless `existing = "replace"`.',
        pool="uploads",
        offline_check=True,
    ),
    "mail": PublisherEntry(
        module="vidd.integrations.mail.publisher",
        summary="Writes one mail to each speaker, never twice, by SMTP or into an outbox directory. With `on = "
        '"failed"` it tells operators of jobs that were refused or are unsure.',
        pool="mails",
        is_email=True,
    ),
    "mongo_tasks": PublisherEntry(
        module="vidd.integrations.annotation_service.publisher",
        summary="Writes the annotation service's documents, all at once and after the other publishers, so that the "
        "front end sees whole tasks. New automatic boxes replace automatic ones, never what people drew.",
        pool="uploads",
        runs_last=True,
    ),
    "pcloud": PublisherEntry(
        module="vidd.integrations.pcloud.publisher",
        summary="Mirrors files and trees into a pCloud folder, given by its id or path: makes folders, replaces what "
        "changed, each file atomically, and leaves what is equal. With `delete` vidd also drops what a tree no "
        "longer has.",
        pool="uploads",
    ),
    "pretalx": PublisherEntry(
        module="vidd.integrations.pretalx.publisher",
        summary="Writes the link to the video back to pretalx: as a resource of the talk's submission, or as the answer to a "
        "question. What a person wrote there stays.",
    ),
    "s3": PublisherEntry(
        module="vidd.integrations.aws.s3_publisher",
        summary="Uploads files to S3 in parts, resumable, checked by ETag, with content type and metadata. A tree goes "
        "below a `prefix`, only what changed; with `delete` vidd drops objects that the tree no longer has, of "
        "those it marked.",
        pool="uploads",
    ),
    "sheet": PublisherEntry(
        module="vidd.integrations.sheet.publisher",
        summary="Writes status, link and library link into the talk's row of a .csv, .xlsx or Google sheet. What a "
        "person wrote stays, and so do all other cells.",
    ),
    "sqs": PublisherEntry(
        module="vidd.integrations.aws.sqs_publisher",
        summary="Sends the job's facts to an SQS queue, standard or FIFO, also in the shapes of Talkbot's own queues.",
    ),
    "webhook": PublisherEntry(
        module="vidd.integrations.webhook.publisher",
        summary="Posts the job's facts to an address, signed by Standard Webhooks; or a message to Slack or Matrix, or "
        "a body of your own.",
        offline_check=True,
    ),
    "youtube": PublisherEntry(
        module="vidd.integrations.youtube.publisher",
        summary="Uploads the talk to a YouTube channel, resumably and never twice, with playlists by stage, thumbnail, "
        "captions and a time of publication. vidd waits until YouTube has processed it, and for the next day "
        "where the quota is used up.",
        pool="uploads",
    ),
    "youtube_captions": PublisherEntry(
        module="vidd.integrations.youtube.captions",
        summary="Adds caption tracks to a video that another pipeline published on YouTube, one for each language, and "
        "updates them in place. Tracks that people made there stay.",
        pool="uploads",
    ),
}
"""Where results go and who is told: publishers and notices."""

STORES: Mapping[str, StoreEntry] = {
    "memory": StoreEntry(
        module="vidd.stores.memory",
        summary="Keeps the journal in memory, for trials: it is gone when the daemon ends.",
    ),
    "mongo": StoreEntry(
        module="vidd.stores.mongodb.store",
        summary="Keeps the journal in a MongoDB database, to be backed up with the others there. One vidd at a time "
        "uses it.",
    ),
    "sqlite": StoreEntry(
        module="vidd.stores.sqlite.store",
        summary="Keeps the journal in one SQLite file in the state directory. It needs no server and no settings.",
    ),
}
"""Where the journal is kept."""

QUEUES: Mapping[str, QueueEntry] = {
    "local": QueueEntry(
        module="vidd.queues.local",
        summary="Keeps the ids of waiting jobs in the daemon, most urgent first. After a restart they come from the "
        "journal.",
    ),
}
"""Where the ids of jobs wait for their turn."""

ACCOUNTS: Mapping[str, AccountEntry] = {
    "bluesky": AccountEntry(
        module="vidd.integrations.bluesky.account",
        summary="An AppView of Bluesky's network, such as the public one, which gives posts to anybody.",
    ),
    "cms": AccountEntry(
        module="vidd.integrations.graphql_cms.account",
        summary="A CMS that speaks GraphQL, and who vidd is there: nobody, the bearer of a token, or a user with a "
        "password.",
    ),
    "facebook": AccountEntry(
        module="vidd.integrations.facebook.account",
        summary="A Facebook page with its access token. `vidd accounts facebook` lists the pages of a user with theirs.",
    ),
    "feed": AccountEntry(
        module="vidd.integrations.feed.account",
        summary="RSS and Atom feeds: at an address with the user's name in it, in a file, or at any public address.",
    ),
    "google": AccountEntry(
        module="vidd.integrations.sheet.backends.google.account",
        summary="Who edits a Google sheet: best a service account with whose address the spreadsheet is shared.",
    ),
    "mastodon": AccountEntry(
        module="vidd.integrations.mastodon.account",
        summary="A Mastodon server whose users' public posts are read, and a token where it wants one.",
    ),
    "mongodb": AccountEntry(
        module="vidd.integrations.mongodb.account",
        summary="A MongoDB deployment and one database in it.",
    ),
    "pcloud": AccountEntry(
        module="vidd.integrations.pcloud.account",
        summary="A pCloud account, by the token of an app or by user and password.",
    ),
    "pretalx": AccountEntry(
        module="vidd.integrations.pretalx.account",
        summary="A pretalx server, and the token of an organiser there where there is one.",
    ),
    "s3": AccountEntry(
        module="vidd.integrations.aws.account",
        summary="An S3 account with its SQS: AWS itself, or with `endpoint_url` any other server.",
    ),
    "secret": AccountEntry(
        module="vidd.settings.secret",
        summary="One secret, such as the key to a model hub.",
    ),
    "smtp": AccountEntry(
        module="vidd.integrations.mail.account",
        summary="A mail server, and who vidd is there.",
    ),
    "webhook": AccountEntry(
        module="vidd.integrations.webhook.account",
        summary="A receiver of webhooks: its address, and the secret that signs what vidd posts.",
    ),
    "x": AccountEntry(
        module="vidd.integrations.x.account",
        summary="An app of X's developer console, by whose bearer token vidd reads posts of its plan.",
    ),
    "youtube": AccountEntry(
        module="vidd.integrations.youtube.account",
        summary="A YouTube channel, and who signed in for it.",
    ),
}
"""Who vidd is at another system."""

_TABLES: Mapping[str, Mapping[str, Entry]] = {
    "sources": SOURCES,
    "steps": STEPS,
    "publishers": PUBLISHERS,
    "stores": STORES,
    "queues": QUEUES,
    "accounts": ACCOUNTS,
}
_MODELS = {"stores": "Settings", "queues": "Settings", "accounts": "Account"}
"""The class that a family's tables in the settings are given to, where it is not `Options`."""


@lru_cache
def _foreign(family: str) -> dict[str, str]:
    """The modules of other packages' kinds, by kind."""
    return {point.name: point.value for point in entry_points(group=f"vidd.{family}")}


def kinds(family: str) -> list[str]:
    """The names of a family's kinds (`sources`, `steps`, …), those of other packages included, in order."""
    return sorted({*_TABLES[family], *_foreign(family)})


def module_of(family: str, kind: str) -> ModuleType:
    """The module of a kind. Refused if there is none, or a package it needs is not installed."""
    # The look-up of other packages reads the metadata of everything installed; vidd's own kinds need not wait for it.
    entry = _TABLES[family].get(kind)
    name = entry.module if entry is not None else _foreign(family).get(kind)
    if name is None:
        raise Refused(
            f"there is no kind {kind!r} here; there are {', '.join(kinds(family))}", code=FaultCode.BAD_SETTINGS
        )
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise Refused(
            f"the kind {kind!r} needs {error.name!r}, which is not installed", code=FaultCode.NOT_INSTALLED
        ) from error


def model_of(family: str, kind: str) -> type[Any]:
    """The pydantic model of a kind's table in the settings. Refused as by `module_of`."""
    module, name = module_of(family, kind), _MODELS.get(family, "Options")
    model: type[Any] | None = getattr(module, name, None)
    if model is None:
        raise Refused(f"the module {module.__name__} of the kind {kind!r} has no {name}", code=FaultCode.NOT_INSTALLED)
    return model


def _module(family: str, kind: str, protocol: type[M]) -> M:
    module: object = module_of(family, kind)
    if not isinstance(module, protocol):
        members = {name for base in protocol.__mro__ for name in vars(base) if not name.startswith("_")}
        missing = ", ".join(sorted(name for name in members if not hasattr(module, name)))
        raise Refused(
            f"the kind {kind!r} is no {protocol.__name__}: its module {getattr(module, '__name__', kind)} has no"
            f" {missing}; vidd.ports.kinds says what it must have",
            code=FaultCode.NOT_INSTALLED,
        )
    return module


def source_module(kind: str) -> Source:
    """The module of a source. Refused if there is none, or it is no source."""
    return _module("sources", kind, Source)  # type: ignore[type-abstract]  # mypy: a Protocol is no concrete class


def step_module(kind: str) -> Step:
    """The module of a step. Refused if there is none, or it is no step."""
    return _module("steps", kind, Step)  # type: ignore[type-abstract]


def publisher_module(kind: str) -> Publisher:
    """The module of a publisher or notice. Refused if there is none, or it is no publisher."""
    return _module("publishers", kind, Publisher)  # type: ignore[type-abstract]


def store_module(kind: str) -> StoreModule:
    """The module of a store. Refused if there is none."""
    return _module("stores", kind, StoreModule)  # type: ignore[type-abstract]


def queue_module(kind: str) -> QueueModule:
    """The module of a queue. Refused if there is none."""
    return _module("queues", kind, QueueModule)  # type: ignore[type-abstract]


def account_module(kind: str) -> AccountModule:
    """The module of an account. Refused if there is none."""
    return _module("accounts", kind, AccountModule)  # type: ignore[type-abstract]


def _entry(table: Mapping[str, E], family: str, kind: str, default: type[E]) -> E:
    if kind in table:
        return table[kind]
    module = module_of(family, kind)
    own = getattr(module, "ENTRY", None)
    if isinstance(own, default):
        return replace(own, module=module.__name__)
    if own is not None:
        raise Refused(
            f"ENTRY of the module {module.__name__} is no {default.__name__}: correct it in that package",
            code=FaultCode.NOT_INSTALLED,
        )
    return default(module=module.__name__, summary=(module.__doc__ or "").partition("\n")[0])


def source_entry(kind: str) -> SourceEntry:
    """The entry of a source, its own `ENTRY` if it is of another package. Refused as by `module_of`."""
    return _entry(SOURCES, "sources", kind, SourceEntry)


def step_entry(kind: str) -> StepEntry:
    """The entry of a step, its own `ENTRY` if it is of another package. Refused as by `module_of`."""
    return _entry(STEPS, "steps", kind, StepEntry)


def publisher_entry(kind: str) -> PublisherEntry:
    """The entry of a publisher, its own `ENTRY` if it is of another package. Refused as by `module_of`."""
    return _entry(PUBLISHERS, "publishers", kind, PublisherEntry)


def entry_of(family: str, kind: str) -> Entry:
    """The entry of a kind of any family. Refused as by `module_of`."""
    defaults: Mapping[str, type[Entry]] = {
        "sources": SourceEntry,
        "steps": StepEntry,
        "publishers": PublisherEntry,
        "stores": StoreEntry,
        "queues": QueueEntry,
        "accounts": AccountEntry,
    }
    return _entry(_TABLES[family], family, kind, defaults[family])
