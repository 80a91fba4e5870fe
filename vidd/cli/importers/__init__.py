"""Translate the settings of systems that vidd replaces to vidd.toml.

To add a system: a module here with `translate(text)`, which returns `ImportedSettings`, and a line below. The settings of the
timeline service are in several places, which its `translate` gets.
"""

KINDS = {
    "annotation": "vidd.cli.importers.annotation",
    "premiere": "vidd.cli.importers.premiere",
    "timeline": "vidd.cli.importers.timeline",
}
