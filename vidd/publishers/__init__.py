"""The kinds of publisher and notice. To add one: a file here, a line below, an example in etc/, the README."""

KINDS = {
    "data_set": "vidd.publishers.data_set",
    "facebook": "vidd.publishers.facebook",
    "folder": "vidd.publishers.folder",
    "mail": "vidd.publishers.mail",
    "mongo_tasks": "vidd.publishers.mongo_tasks",
    "pcloud": "vidd.publishers.pcloud",
    "s3": "vidd.publishers.s3",
    "sheet": "vidd.publishers.sheet",
    "sqs": "vidd.publishers.sqs",
    "webhook": "vidd.publishers.webhook",
    "youtube": "vidd.publishers.youtube",
}
