"""PREMIERE whole: what is uploaded to the CMS comes back analysed, to Spaces and pCloud, and people are told."""

import re
from contextlib import contextmanager

import boto3
import pytest
from aiosmtpd.controller import Controller
from peers.analysis import install
from peers.certificates import make_certificate
from peers.cms import a_video
from peers.cms_lab import a_cms
from peers.daemon import until
from peers.pcloud import PCloud
from peers.premiere import chain_of, published, text_of
from peers.servers import free_port, ministack
from peers.smtpd import Post

pytestmark = pytest.mark.daemon

VIDEO = a_video(0)
FOLDER, FILE = int(VIDEO["pCloudAnnotationsFolderId"]), int(VIDEO["pCloudFileId"])
SPACES = {
    "DO_SPACES_KEY": "KEY4711",
    "DO_SPACES_SECRET": "SECRET4711",
    "DO_SPACES_REGION": "us-east-1",
    "DO_SPACES_BUCKET": "annotated",
}
SECRETS = {
    "VIDD_ACCOUNTS__LAB__TOKEN": "labtoken",
    "VIDD_ACCOUNTS__PCLOUD__TOKEN": "OAUTHTOKEN4711SECRET",
    "VIDD_ACCOUNTS__POST__PASSWORD": "s3cret",
}
DAEMON = """
[daemon]
state = "{root}"
listen = "127.0.0.1:0"
grace = "5s"

[limits]
disk_reserve = "1MiB"

[retry]
first = "200ms"
longest = "1s"

"""


class Spaces:
    """A bucket, and what is in it."""

    def __init__(self, url):
        self.url = url
        made = {"aws_access_key_id": SPACES["DO_SPACES_KEY"], "aws_secret_access_key": SPACES["DO_SPACES_SECRET"]}
        self._client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **made)
        self._client.create_bucket(Bucket="annotated")

    def objects(self):
        """What each object holds, by key."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket="annotated")
        found = [one for page in pages for one in page.get("Contents", ())]
        bodies = (self._client.get_object(Bucket="annotated", Key=one["Key"])["Body"].read() for one in found)
        return {one["Key"]: body for one, body in zip(found, bodies, strict=True)}

    def close(self):
        self._client.close()


class Premiere:
    """Everything around the daemon."""

    def __init__(self, cms, cloud, spaces, post):
        self.cms, self.cloud, self.spaces, self.post = cms, cloud, spaces, post

    def on_pcloud(self):
        """What lies in the folder that the CMS made for the video, called as Spaces calls it."""
        tree = self.cloud.tree("/9000")
        return {name.replace("Bounding_Boxes", "BoundingBoxes"): data for name, data in tree.items()}

    def in_spaces(self):
        """What lies below the video's prefix."""
        prefix = f"annotations/{FOLDER}/"
        found = self.spaces.objects()
        assert all(key.startswith(prefix) for key in found), sorted(found)
        return {key.removeprefix(prefix): data for key, data in found.items()}

    def mails(self, address):
        """Subject and text of what somebody got."""
        return [
            f"{mail['Subject']}\n{mail.get_body(('plain',)).get_content()}".replace("\r", "")
            for one, mail in self.post.mails()
            if one == address
        ]


@contextmanager
def the_post(certificate):
    """A mail server that wants STARTTLS and a login."""
    post = Post()
    ways = {"tls_context": certificate.server(), "require_starttls": True, "auth_required": True}
    server = Controller(post, hostname="127.0.0.1", port=free_port(), authenticator=post.authenticate, **ways)
    server.start()
    post.port = server.port
    try:
        yield post
    finally:
        server.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("premiere"))


@pytest.fixture
def premiere(place, walk, certificate):
    cloud = PCloud()
    cloud.name_next(FOLDER)
    cloud.folder("/9000")
    cloud.name_next(FILE)
    cloud.put("/video.mp4", walk.read_bytes())
    with (
        cloud.serving(certificate),
        ministack() as url,
        the_post(certificate) as post,
        a_cms(place) as cms,
    ):
        spaces = Spaces(url)
        try:
            install(place.root / "site" / "tools")
            place.config.write_text(settings_of(place, certificate, cms, cloud, post))
            yield Premiere(cms, cloud, spaces, post)
        finally:
            spaces.close()


def settings_of(place, certificate, cms, cloud, post):
    """The example as it stands, but for where everybody is."""
    accounts = text_of("[accounts.lab]", "[sources.by_hand]")
    for old, new in (
        ('url = "https://cms.example.org/api/graphql"', f'url = "http://127.0.0.1:{cms.port}/api/graphql"'),
        ('region = "eu" ', f'region = "eu"\nurl = "{cloud.url}"\nca = "{certificate.file}" '),
        ('host = "mail.example.org"', f'host = "localhost"\nport = {post.port}\nca_file = "{certificate.file}"'),
        ('recheck = "1m"', 'recheck = "1s"'),
    ):
        assert old in accounts, old
        accounts = accounts.replace(old, new)
    publishers = text_of("[[pipelines.cms.publish]]").replace("/srv/premiere", f"{place.root}/srv")
    chain = chain_of(place).replace("# keep_files", "keep_files")
    before, begin, kept = publishers.partition("# [[pipelines.cms.publish]]")
    block, end, others = f"{begin}{kept}".partition("\n\n")
    return DAEMON.format(root=place.root) + accounts + chain + before + block.replace("# ", "") + end + others


def misbehaving(place, label, fault):
    """Have one of the programs do so."""
    program = {"arrange": "arrange_data", "mesh": "extract3Dmesh"}[label]
    words = f'environment = {{ ANALYSIS_FAULT = "{fault}", ANALYSIS_FAULT_IN = "{program}", MODELS_PATH = "models" }}'
    before, label_line, after = place.config.read_text().partition(f'label = "{label}"\n')
    own, begin, others = after.partition("[[pipelines")
    own = re.sub("environment = .*\n", "", own)
    place.config.write_text(f"{before}{label_line}{words}\n{own}{begin}{others}")


def kept_in(place):
    """What the folder of results that stay has of the annotations."""
    root = place.root / "srv/pcloudresults" / VIDEO["id"] / "annotationdata"
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def running(place, premiere):
    return place.daemon(**SPACES, **SECRETS, DO_SPACES_ENDPOINT=premiere.spaces.url)


def test_an_upload_comes_back_analysed_made_anew_and_brought_back(place, premiere, walk):
    misbehaving(place, "arrange", "greedy")
    with running(place, premiere) as killed:
        killed.ready()
        premiere.cms.upload(0)
        until(lambda: list(place.root.glob("jobs/*/pcloudresults/*/greedy")), "some of the poses are used up")
        killed.process.kill()
    with running(place, premiere) as daemon:
        job = published(daemon.ready(), 1)
        assert place.vidd("audit")[:2] == (0, "seen=1 processed=1 duplicate=0 missing=0\n")
        before = premiere.in_spaces()
        assert premiere.on_pcloud() == before
        folders = {name.partition("/")[0]: name for name in before}
        assert set(folders) == {"2d_poses", "3d_poses", "2d_BoundingBoxes", "3d_BoundingBoxes", "body"}
        assert len(before) == 20 + 75
        assert set(premiere.cloud.folder("/9000").folders) == {
            "2d_poses", "3d_poses", "2d_Bounding_Boxes", "3d_Bounding_Boxes", "body",
        }  # fmt: skip
        for address in ("one@example.org", "two@example.org"):
            (mail,) = premiere.mails(address)
            for words in (
                f"Video processed: {VIDEO['id']}\n",
                f"File on pCloud:  {FILE}\n",
                f"Folder:          {FOLDER}\n",
                f"Size:            {walk.stat().st_size / 1e6:.2f} MB\n",
                "Frame rate:      25.0\n",
                "Width x height:  96 x 64\n",
                "Scenes:          3\n",
                "spaces: ",
                "pcloud: ",
            ):
                assert words in mail, mail

        puts = len(premiere.cloud.called("POST", "/uploadfile"))
        words = ("--step", "process", "--", "--step", "4", "--removeshadows")
        assert place.vidd("rework", job["id"], *words)[0] == 0
        job = published(daemon, 2)
        after = premiere.in_spaces()
        changed = {name for name in before if before[name] != after[name]}
        assert (len(changed), after.keys()) == (40, before.keys())
        assert premiere.on_pcloud() == after
        assert len(premiere.cloud.called("POST", "/uploadfile")) - puts == len(changed)
        assert "40 changed" in premiere.mails("two@example.org")[-1]

        assert place.vidd("rework", job["id"], "--undo")[0] == 0
        published(daemon, 3)
        assert premiere.in_spaces() == premiere.on_pcloud() == kept_in(place) == before

        words = ("--step", "process", "--", "--step", "4", "--detectionthreshold", "1")
        assert place.vidd("rework", job["id"], *words)[0] == 0
        published(daemon, 4)
        of_nobody = {name for name in before if name.startswith("body/scene_000/")}
        assert len(of_nobody) == 30
        assert premiere.in_spaces().keys() == before.keys() - of_nobody
        assert premiere.on_pcloud() == kept_in(place) == premiere.in_spaces()
        assert "30 removed" in premiere.mails("two@example.org")[-1]
        assert (place.root / f"srv/pcloudvideos/{VIDEO['id']}.mp4").read_bytes() == walk.read_bytes()
        assert [len(premiere.mails(f"{who}@example.org")) for who in ("one", "two")] == [4, 4]
        daemon.stopped()
    assert not re.search("OAUTHTOKEN|SECRET4711|s3cret|labtoken", "".join(place.logs()))


def test_of_a_program_that_crashes_everybody_hears_once_with_its_last_words(place, premiere):
    misbehaving(place, "mesh", "crash")
    with running(place, premiere) as daemon:
        daemon.ready()
        premiere.cms.upload(0)
        job = daemon.job("refused")
        until(lambda: len(premiere.mails("two@example.org")) == 1, "the mails went out")
        for address in ("one@example.org", "two@example.org"):
            (mail,) = premiere.mails(address)
            for words in (VIDEO["id"], "RuntimeError: no frames could be decoded", f"vidd retry {job['id']}"):
                assert words in mail, mail
        assert premiere.in_spaces() == {}
        assert premiere.on_pcloud() == {}
        daemon.stopped()
