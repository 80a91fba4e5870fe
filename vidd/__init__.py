"""vidd: an arriving video becomes a published talk, unattended and exactly once."""


def __getattr__(name: str) -> str:
    if name == "__version__":
        # Every child of the daemon imports this package, and none asks for the version: this import took a third of its start.
        from importlib.metadata import version  # noqa: PLC0415

        return version("vidd")
    raise AttributeError(f"module 'vidd' has no attribute {name!r}")
