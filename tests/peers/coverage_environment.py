"""Lets the coverage of vidd's children be measured: vidd itself passes no variable on that only tests need."""

import os


def pass_on() -> None:
    """Add the variables that start a measurement in a process to those that children inherit."""
    if names := tuple(name for name in os.environ if name.startswith("COVERAGE_PROCESS_")):
        # Only then: this also runs in every child, and importing vidd takes a while.
        from vidd.processes import child

        child.INHERITED += names
