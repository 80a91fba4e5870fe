"""The settings of systems that vidd takes the place of, as vidd.toml.

To add one: a file here with `translate(text)`, which returns `Made`, a line below, and a line in the README.
"""

KINDS = {
    "annotation": "vidd.cli.importers.annotation",
    "premiere": "vidd.cli.importers.premiere",
}
