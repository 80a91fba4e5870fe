"""The kinds of queue."""

KINDS = {"local": "vidd.queues.local"}
