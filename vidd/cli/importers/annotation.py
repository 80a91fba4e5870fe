"""Translates the content processor's config.cfg: MongoDB, bucket, content directory, detector, and the key of its callers."""

from __future__ import annotations

from configparser import Error, RawConfigParser
from math import nan
from typing import TYPE_CHECKING
from urllib.parse import quote

from vidd.cli.importers.output import ImportedSettings, toml
from vidd.settings.schema import SettingsFault

if TYPE_CHECKING:
    from collections.abc import Sequence

_KNOWN = {
    "MongoDB": ("user_name", "password", "db_name", "port"),
    "IP": ("server_ip",),
    "S3": ("region", "access_key_id", "secret_access_key", "bucket_name"),
    "Folders": ("content_base", "content_base_s3", "content_upload"),
    "Cores": ("cpu_cores",),
    "Content": ("frames_per_task",),
    "App": ("api_key",),
    "Inference": (
        "type",
        "labels_file",
        "weight_file",
        "config_file",
        "objectness_confidance",
        "nms_threshold",
        "default_net_width",
        "default_net_height",
    ),
}
_CALLER = "VIDD_ACCOUNTS__CALLER__VALUE"
_PASSWORD = "VIDD_ACCOUNTS__BASE__PASSWORD"  # noqa: S105 - the variable's name
_SECRET = "VIDD_ACCOUNTS__CONTENTS__SECRET_KEY"  # noqa: S105 - the variable's name
_TEMPLATE = """\
{notes}[daemon]
state = "/var/lib/vidd"
listen = "127.0.0.1:8081"

[limits]
encodes = {cores}

[accounts.base]               # better a replica set than a single server
kind = "mongodb"
uri = {uri}
database = {database}
{login}
[accounts.contents]
kind = "s3"
bucket = {bucket}
{region}{access}
[accounts.caller]
kind = "secret"

[sources.calls]
kind = "process_content"
account = "base"
auth_key = "caller.value"
root = {root}              # from state, where it is relative: correct it
prefix = {root}            # what content_path begins with for it
pipeline = "annotation"
# compatible = true           # answer when all is done, as the content processor did

[[pipelines.annotation.steps]]
kind = "frames"
per_task = {per_task}
images = true
thumbnails = true

{detector}
[[pipelines.annotation.publish]]
kind = "s3"
label = "files"
account = "contents"
files = ["tasks"]
prefix = {prefix}
overwrite = true

[[pipelines.annotation.publish]]
kind = "mongo_tasks"
account = "base"
files = "files"

[sources.data_sets]
kind = "data_sets"
account = "base"
pipeline = "datasets"

[[pipelines.datasets.steps]]
kind = "data_set"
database = "base"
account = "contents"

[[pipelines.datasets.publish]]
kind = "data_set"
database = "base"
account = "contents"
"""

_DETECTOR = """\
[[pipelines.annotation.steps]]   # a later model is a versions.2: auto_anno_version names it
kind = "annotate"

[pipelines.annotation.steps.versions.1]
kind = "darknet"
config = {config}          # these, too, are from state: correct them
weights = {weights}
labels_file = {labels}
{numbers}"""
_NO_DETECTOR = """\
# [[pipelines.annotation.steps]]   # automatic annotation: config.cfg names no model for OpenCV; etc/examples/annotation.toml has some
# kind = "annotate"
# versions.1 = {{ kind = "people" }}
"""


def translate(text: str) -> ImportedSettings:
    """The settings; SettingsFault with everything in the file that cannot be used."""
    config = _Config(text)
    host = config.text("IP", "server_ip")
    port, per_task, cores = (
        config.number(section, name, most)
        for section, name, most in (
            ("MongoDB", "port", 65535),
            ("Content", "frames_per_task", 100_000),
            ("Cores", "cpu_cores", 1024),
        )
    )
    database, bucket = config.text("MongoDB", "db_name"), config.text("S3", "bucket_name")
    root = config.text("Folders", "content_upload", "content_base")
    region, access, user = (
        config.text(*where, required=False)
        for where in (("S3", "region"), ("S3", "access_key_id"), ("MongoDB", "user_name"))
    )
    begin = config.text("Folders", "content_base_s3", required=False).strip("/") or "contents"
    if "{" in begin:
        config.faults.append("Folders.content_base_s3: has a brace, which would be a template")
    detector = _detector(config)
    config.check()
    login = bool(user and config.has("MongoDB", "password"))
    signed = bool(access and config.has("S3", "secret_access_key"))
    document = _TEMPLATE.format(
        notes="".join(f"# Not taken over: {toml(name)[1:-1]}\n" for name in config.unknown()),
        cores=cores,
        uri=toml(f"mongodb://{f'[{host}]' if ':' in host else host}:{port}/{quote(database, safe='')}"),
        database=toml(database),
        login=f"user = {toml(user)}\n" if login else "",
        bucket=toml(bucket),
        region=f"region = {toml(region)}\n" if region else "",
        access=f"access_key = {toml(access)}\n" if signed else "",
        root=toml(root),
        per_task=per_task,
        detector=detector,
        prefix=toml(f"{begin}/{{{{ facts.upload_dir }}}}"),
    )
    secrets = {_CALLER: "what callers send as auth_key (App.API_key of config.cfg)"}
    secrets |= {_PASSWORD: f"the password of {user}, as in config.cfg"} if login else {}
    secrets |= {_SECRET: "the secret key of the bucket's account, as in config.cfg"} if signed else {}
    return ImportedSettings(document, secrets)


def _detector(config: _Config) -> str:
    """The step `annotate` with the model that the service ran by OpenCV."""
    if config.text("Inference", "type", required=False) != "opencv-inference":
        return _NO_DETECTOR.format()
    files = {
        name: toml(config.text("Inference", key))
        for name, key in (("config", "config_file"), ("weights", "weight_file"), ("labels", "labels_file"))
    }
    numbers = {
        "confidence": config.share("Inference", "objectness_confidance"),
        "overlap": config.share("Inference", "nms_threshold"),
    }
    for name in ("width", "height"):
        if config.has("Inference", f"default_net_{name}"):
            numbers[name] = config.number("Inference", f"default_net_{name}", 4096, least=32)
    lines = [f"{name} = {toml(number)}\n" for name, number in numbers.items()]
    return _DETECTOR.format(**files, numbers="".join(lines))


class _Config:
    """The values of the file, and the faults found in it. No fault repeats a value: it may be a secret."""

    def __init__(self, text: str) -> None:
        self._cfg = RawConfigParser(strict=True)
        self.faults: list[str] = []
        try:
            self._cfg.read_string(text)
        except Error as error:
            line = getattr(error, "lineno", None) or next((at for at, _ in getattr(error, "errors", ())), None)
            where = f" (line {line})" if line else ""
            raise SettingsFault([f"config.cfg: is not of sections with names and values{where}"]) from None

    def has(self, section: str, name: str) -> bool:
        """Whether the key has a value."""
        return bool(self._value(section, name))

    def _value(self, section: str, name: str) -> str:
        return self._cfg.get(section, name, fallback="").strip().strip("'\"")

    def text(self, section: str, *names: str, required: bool = True) -> str:
        """The value of the first of these names that has one, of one line; "" and a fault if a required one is missing."""
        for name in names:
            found = self._value(section, name)
            if found and not found.isprintable():
                self.faults.append(f"{section}.{name}: is no line of text")
                return ""
            if found:
                return found
        if required:
            self.faults.append(f"{section}.{names[0]}: is not there")
        return ""

    def number(self, section: str, name: str, most: int, least: int = 1) -> int:
        """A whole number, `least` to `most`."""
        text = self._value(section, name)
        if not (text.isascii() and text.isdigit() and len(text) < 10) or not least <= int(text) <= most:
            self.faults.append(f"{section}.{name}: is no number from {least} to {most}")
            return 0
        return int(text)

    def share(self, section: str, name: str) -> float:
        """A number from 0 to 1."""
        try:
            found = float(self._value(section, name))
        except ValueError:
            found = nan
        if not 0 <= found <= 1:
            self.faults.append(f"{section}.{name}: is no number from 0 to 1")
        return found

    def unknown(self) -> Sequence[str]:
        """The sections, and the keys of known sections, that vidd does not know."""
        found = [section for section in self._cfg.sections() if section not in _KNOWN]
        found += [
            f"{section}.{name}"
            for section, names in _KNOWN.items()
            if self._cfg.has_section(section)
            for name in self._cfg.options(section)
            if name not in names
        ]
        return found

    def check(self) -> None:
        """SettingsFault with all faults, if there are any."""
        if self.faults:
            raise SettingsFault(self.faults)
