"""vidd: an arriving video becomes a published talk, unattended and exactly once."""

from importlib.metadata import version

__version__ = version("vidd")
