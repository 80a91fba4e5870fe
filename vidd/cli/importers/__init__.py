"""Translate the settings of systems that vidd replaces to vidd.toml.

To add a system: a module here with `translate(text)`, which returns `ImportedSettings`, and a line below.
"""

KINDS = {
    "annotation": "vidd.cli.importers.annotation",
    "premiere": "vidd.cli.importers.premiere",
}
