"""Makes an SQS queue that the settings name."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from vidd.integrations.aws.errors import code_of, map_errors

_ABSENT = {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"}


async def create_queue(sqs: Any, name: str) -> str | None:
    """Make the queue, unless it is there; returns a sentence if vidd made it. A name that ends in .fifo makes a FIFO queue."""
    with map_errors(f"looking for the queue {name}"):
        try:
            await sqs.get_queue_url(QueueName=name)
        except ClientError as error:
            if code_of(error) not in _ABSENT:
                raise
        else:
            return None
    attributes = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
    with map_errors(f"making the queue {name}"):
        await sqs.create_queue(QueueName=name, Attributes=attributes)
    return f"vidd made the queue {name}."
