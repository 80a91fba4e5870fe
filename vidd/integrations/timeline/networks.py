"""The networks that timelines are read from.

To add a network, write `vidd/integrations/<network>/timeline.py` (`vidd.ports.posts` says what it must have) and an account
beside it, add an entry here, and list the module in `vidd.pipelines.conformance`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import cast

from vidd.errors import FaultCode, Refused
from vidd.ports.posts import PostNetwork


@dataclass(frozen=True, slots=True)
class Network:
    """A network: its name for people, and its module, which is loaded when it is used."""

    title: str
    module: str

    def load(self) -> PostNetwork:
        """What reads it."""
        return cast("PostNetwork", import_module(self.module))


NETWORKS: Mapping[str, Network] = {
    "bluesky": Network("Bluesky", "vidd.integrations.bluesky.timeline"),
    "feed": Network("Feed", "vidd.integrations.feed.timeline"),
    "mastodon": Network("Mastodon", "vidd.integrations.mastodon.timeline"),
    "x": Network("X", "vidd.integrations.x.timeline"),
}
"""By the name that requests and settings give, which is also the kind of the account."""


def find_network(name: str) -> Network:
    """The network of this name. Raises Refused if there is none."""
    if name not in NETWORKS:
        raise Refused(
            f"There is no network {name[:40]!a}: name one of {', '.join(NETWORKS)}.", code=FaultCode.BAD_INPUT
        )
    return NETWORKS[name]
