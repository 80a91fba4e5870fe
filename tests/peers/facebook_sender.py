"""Publishes one file to a page in a process of its own and prints the most memory it took, in bytes."""

import asyncio
import json
import resource
import sys
from pathlib import Path

from builders_aws import Desk, a_job, the_tools

from vidd.clients.facebook import Account
from vidd.errors import AgainLater
from vidd.model.media import Artifact
from vidd.publishers import facebook


async def main(path: Path, account: Account) -> None:
    desk = Desk(a_job(path.as_uri()), path.parent, the_tools(path.parent, page=account))
    desk.artifacts["talk"] = Artifact("talk", path.name, path.stat().st_size, "video/mp4")
    try:
        await facebook.publish(facebook.Options(account="page"), desk.parcel)
    except AgainLater as processing:
        sys.stderr.write(processing.sentence)


asyncio.run(main(Path(sys.argv[1]), Account(**json.loads(sys.argv[2]))))
sys.stdout.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))
