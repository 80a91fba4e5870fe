"""So many calls a minute for each address, in a memory of bounded size."""

import pytest

from vidd.integrations.timeline import rate_limit
from vidd.integrations.timeline.rate_limit import RateLimit

NOW = 1_800_000_000.0


@pytest.mark.parametrize("per_minute", [1, 7, 30, 59, 1000])
def test_a_minutes_calls_may_come_at_once_and_then_one_an_interval(per_minute):
    limit = RateLimit()
    assert [limit.take("192.0.2.1", per_minute, NOW) for _ in range(per_minute)] == [None] * per_minute
    assert limit.take("192.0.2.1", per_minute, NOW) is not None
    assert limit.take("192.0.2.2", per_minute, NOW) is None
    assert limit.take("192.0.2.1", per_minute, NOW + 60 / per_minute) is None
    assert limit.take("192.0.2.1", per_minute, NOW + 60 / per_minute) is not None


def test_who_waits_as_long_as_he_is_told_may_call_again():
    limit = RateLimit()
    limit.take("a", 1, NOW)
    assert limit.take("a", 1, NOW + 12.5) == 48
    assert limit.take("a", 1, NOW + 12.5 + 48) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [("2001:db8::1", "2001:db8::ffff:2"), ("192.0.2.1", "::ffff:192.0.2.1"), ("fe80::1%eth0", "fe80::2%eth1")],
)
def test_addresses_of_one_network_count_as_one(one, other):
    limit = RateLimit()
    assert limit.take(one, 1, NOW) is None
    assert limit.take(other, 1, NOW) is not None


def test_networks_and_texts_that_are_no_addresses_count_by_themselves():
    limit = RateLimit()
    addresses = ["2001:db8::1", "2001:db8:0:1::1", "", "unknown", "192.0.2.1"]
    assert [limit.take(address, 1, NOW) for address in addresses] == [None] * 5


def test_the_addresses_that_called_last_are_kept(monkeypatch):
    monkeypatch.setattr(rate_limit, "_MOST", 3)
    limit = RateLimit()
    for address in "abcad":
        limit.take(address, 1, NOW)
    assert limit.take("a", 1, NOW) is not None
    assert limit.take("b", 1, NOW) is None
