"""The kinds of step. To add one: a file here, a line below, an example in etc/vidd.toml, a line in the README."""

KINDS = {
    "annotate": "vidd.steps.annotate",
    "command": "vidd.steps.command",
    "data_set": "vidd.steps.data_set",
    "describe": "vidd.steps.describe",
    "fetch": "vidd.steps.fetch",
    "frames": "vidd.steps.frames",
    "results": "vidd.steps.results",
    "scenes": "vidd.steps.scenes",
    "transcode": "vidd.steps.transcode",
    "trim": "vidd.steps.trim",
}
