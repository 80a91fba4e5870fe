import random

from vidd.model.speeds import Amount, PartName, Speeds

TRIM = PartName("talks", "trim", "trim")


def test_what_never_ran_has_no_forecast():
    assert Speeds().predict(TRIM, Amount(60.0)) is None


def test_a_part_takes_as_long_for_each_second_of_media_as_before():
    speeds = Speeds()
    for minutes in (10, 20, 40):
        speeds.add(TRIM, minutes * 6, Amount(media=minutes * 60, size=1e9))
    assert speeds.predict(TRIM, Amount(media=1800, size=9e9)) == 180


def test_a_fetch_goes_by_bytes_where_these_fit_better_than_the_length():
    speeds = Speeds()
    for seconds, media, size in ((10, 50, 1e9), (20, 30, 2e9), (40, 40, 4e9)):
        speeds.add(TRIM, seconds, Amount(media, size))
    assert speeds.predict(TRIM, Amount(media=1000, size=3e9)) == 30


def test_a_mail_takes_what_mails_take():
    speeds = Speeds()
    for media in (60, 600, 6000):
        speeds.add(TRIM, 2.0, Amount(media))
    assert speeds.predict(TRIM, Amount(60000)) == 2.0


def test_where_the_amount_is_not_known_the_median_counts():
    speeds = Speeds()
    for seconds in (10, 12, 500):
        speeds.add(TRIM, seconds, Amount(seconds * 10))
    assert speeds.predict(TRIM, Amount()) == 12


def test_another_pipeline_is_asked_where_this_one_never_ran_it():
    speeds = Speeds()
    speeds.add(PartName("cms", "cut", "trim"), 30, Amount())
    assert speeds.predict(TRIM, Amount()) == 30
    speeds.add(TRIM, 10, Amount())
    assert speeds.predict(TRIM, Amount()) == 10


def test_only_the_newest_runs_count():
    speeds = Speeds()
    for seconds in [1000] * 30 + [10] * 30:
        speeds.add(TRIM, seconds, Amount())
    assert speeds.predict(TRIM, Amount()) == 10


def test_a_forecast_is_never_negative_nor_broken_by_strange_runs():
    speeds, chance = Speeds(), random.Random(1)
    for _ in range(40):
        amount = Amount(chance.choice([None, 0, 1e-9, 60]), chance.choice([None, 0, 1e9]))
        speeds.add(TRIM, chance.choice([-1, 0, 1e-9, 60]), amount)
        assert speeds.predict(TRIM, Amount(chance.choice([None, 0, 60]), chance.choice([None, 0, 1e9]))) >= 0
