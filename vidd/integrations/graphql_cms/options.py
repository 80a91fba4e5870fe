"""The settings of a source of kind `cms`, and the arrival that they make of an upload."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from vidd.display_text import printable
from vidd.errors import FaultCode, Refused
from vidd.integrations.graphql_cms.items import Paging, QuerySpec
from vidd.integrations.graphql_cms.queries import check_document
from vidd.integrations.graphql_cms.records import Fields, Upload
from vidd.integrations.graphql_cms.websocket import ConnectionOptions, Protocol
from vidd.model.job import Arrival
from vidd.settings.marks import AccountOf
from vidd.settings.templates import check_template, render
from vidd.settings.types import Duration
from vidd.settings.types import Options as Base

_FIELDS = "id pCloudAnnotationsFolderId pCloudFileId uploadedAt"
_PATH = r"^[A-Za-z_][A-Za-z0-9_.]*$"


_Template = Annotated[str, AfterValidator(check_template)]


class Options(Base):
    """Settings of a source of kind `cms`. Templates may name id, file_id, folder_id, uploaded_at and whatever is selected."""

    account: Annotated[str, AccountOf("cms")] = Field(description="The account of the CMS.")
    pipeline: str | None = Field(None, description="The pipeline of its uploads.")
    subscription: str = Field(
        f"subscription {{ videoObjectCreated {{ {_FIELDS} }} }}",
        description="The subscription that reports uploads; empty: none, vidd only queries.",
    )
    event: str = Field(
        "videoObjectCreated", pattern=_PATH, description="The path of the object, or a list, in an event."
    )
    query: str = Field(f"query {{ videoObjects {{ {_FIELDS} }} }}", description="The query that lists all uploads.")
    objects: str = Field("videoObjects", pattern=_PATH, description="The path of the list in the answer.")
    fields: Fields = Field(Fields(), description="The paths of the fields of an object.")
    variables: dict[str, Any] = Field({}, description="Constant variables of the query.")
    since_variable: str | None = Field(
        None,
        description="The query's variable for the time from which to list; without it, every query lists everything.",
    )
    paging: Paging | None = Field(None, description="How to ask for a long list by pages.")
    begin: AwareDatetime | None = Field(None, description="vidd ignores uploads before this time; default: none.")
    recording: _Template = Field("pcloud:{{ file_id }}", description="Template of the address of the file.")
    name: _Template = Field("{{ id }}.mp4", description="Template of the job's name.")
    fetch_account: Annotated[str, AccountOf("pcloud", "s3")] | None = Field(
        None, description="The account to fetch with, if the fetch step names none."
    )
    protocol: Protocol = Field("auto", description="The subscription's protocol; auto offers both.")
    ping: Duration = Field(20.0, ge=0, description="Interval of pings; 0: none.")
    pong: Duration = Field(10.0, gt=0, description="Longest wait for the answer to a ping.")
    greeting: Duration = Field(15.0, gt=0, description="Longest wait for the acknowledgement of a connection.")
    catch_up: Duration = Field(300.0, gt=0, description="Interval of queries for uploads that the subscription missed.")
    recheck: Duration = Field(60.0, gt=0, description="Interval of queries while uploads are incomplete.")
    overlap: Duration = Field(
        3600.0, ge=0, description="With since_variable: how far before the newest known upload a query begins."
    )
    whole: Duration = Field(
        21600.0, gt=0, description="With since_variable: interval of queries for everything; the first is at the start."
    )
    longest_wait: Duration = Field(60.0, gt=0, description="Longest wait before vidd connects again.")
    refused_wait: Duration = Field(900.0, gt=0, description="The same, after the CMS refused the connection.")
    priority: int = Field(0, description="Priority of the jobs; the highest goes first.")

    @model_validator(mode="after")
    def _documents_fit(self) -> Options:
        fields = self.fields
        selected = [fields.id, fields.file_id, fields.uploaded_at]
        if fields.folder_id and (fields.folder_needed or "folder_id" in fields.model_fields_set):
            selected.append(fields.folder_id)
        paged = self.paging
        variables = [self.since_variable, *(paged.variables if paged else ()), *self.variables]
        set_variables = [name for name in variables if name]
        try:
            what = "query"
            check_document(self.query, what, selects=(self.objects, *selected), variables=set_variables)
            if self.subscription:
                what = "subscription"
                check_document(self.subscription, what, selects=(self.event, *selected))
        except ValueError as error:
            raise ValueError(f"{what}: {error}") from None
        return self

    @property
    def query_spec(self) -> QuerySpec:
        """The query for the list of uploads."""
        return QuerySpec(self.query, self.objects, self.fields.id, self.variables, self.since_variable, self.paging)

    @property
    def connection_options(self) -> ConnectionOptions:
        """The options of the subscription's connection."""
        return ConnectionOptions(self.protocol, self.ping, self.pong, self.greeting)


def arrival_of(options: Options, source: str, upload: Upload) -> Arrival:
    """The arrival of a complete upload. Refused if a template cannot be rendered, or gives no address."""
    known = {"id": upload.id, "file_id": upload.file_id, "folder_id": upload.folder_id, "uploaded_at": upload.timestamp}
    # A template that names a missing field is refused; with None it would name a folder "None".
    known = {name: value for name, value in known.items() if value is not None}
    template_fields = {**upload.fields, **known}
    location = render(options.recording, template_fields).strip()
    if not location.isprintable() or " " in location or ".." in location.split("/"):
        raise Refused(
            f"the address {printable(location, 120)!r} that `recording` makes of it is none",
            code=FaultCode.BAD_SETTINGS,
        )
    return Arrival(
        key=f"cms:{source}:{upload.identity}",
        location=location,
        name=render(options.name, template_fields).strip(),
        # A field of the CMS must not be taken for a fact that steps read, such as size or checksum; and a job's name
        # with underscores must not be taken for a talk's.
        facts={
            **known,
            "object": dict(upload.fields),
            "talk": None,
            **({"account": options.fetch_account} if options.fetch_account else {}),
        },
        priority=options.priority,
        pipeline=options.pipeline,
    )
