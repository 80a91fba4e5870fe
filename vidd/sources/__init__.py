"""The kinds of source. To add one: a file here, a line below, an example in etc/vidd.toml, a line in the README."""

KINDS = {
    "cms": "vidd.sources.cms",
    "data_sets": "vidd.sources.data_sets",
    "folder": "vidd.sources.folder",
    "process_content": "vidd.sources.process_content",
    "sheet": "vidd.sources.sheet",
    "sqs": "vidd.sources.sqs",
}
