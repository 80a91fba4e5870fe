"""Publishes one file to a page in a process of its own and prints the most memory it took, in bytes."""

import asyncio
import json
import sys
from pathlib import Path

from builders.aws import Desk, a_job, the_tools

from vidd.errors import RetryLater
from vidd.integrations.facebook import publisher as facebook_publisher
from vidd.integrations.facebook.account import Account
from vidd.model.media import Artifact


async def main(path: Path, account: Account) -> None:
    desk = Desk(a_job(path.as_uri()), path.parent, the_tools(path.parent, page=account))
    desk.artifacts["talk"] = Artifact("talk", path.name, path.stat().st_size, "video/mp4")
    try:
        await facebook_publisher.publish(facebook_publisher.Options(account="page"), desk.context)
    except RetryLater as processing:
        sys.stderr.write(processing.sentence)


asyncio.run(main(Path(sys.argv[1]), Account(**json.loads(sys.argv[2]))))
# getrusage would say the parent's peak, which a child inherits.
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
sys.stdout.write(str(int(peak.split()[1]) * 1024))
