from builders.engine import arrival, job

from vidd.engine.audit import compare_with_jobs
from vidd.engine.intake import key_of
from vidd.model.job import State
from vidd.ports import Listed


def a_thing(name, **changes):
    return Listed(name, arrival(name, key=f"cms:uploads:{name}", location=f"pcloud:{name}", **changes))


def its_job(thing, state, job_id="j", **changes):
    made = thing.arrival
    given = {"pipeline": "cms", "source": "uploads", "location": made.location, **changes}
    return job(job_id, state=state, key=key_of(given["pipeline"], made), **given).entry


def audited(*listed, jobs=()):
    return compare_with_jobs("uploads", "cms", "cms", listed, jobs)


def test_everything_that_is_there_and_published_once_is_well():
    things = [a_thing("a"), a_thing("b")]
    audit = audited(*things, jobs=[its_job(one, State.PUBLISHED, one.name) for one in things])
    assert audit.ok
    assert (audit.seen, len(audit.processed)) == (2, 2)


def test_each_thing_is_where_its_job_stands():
    states = dict(zip("abcdefghijk", State, strict=True))
    things = [a_thing(name) for name in states]
    jobs = [its_job(one, states[one.name], one.name, reason="Why.") for one in things]
    audit = audited(*things, jobs=jobs)
    found = {name: {states[one.name] for one in getattr(audit, name)} for name in ("processed", "under_way", "refused")}
    assert found == {
        "processed": {State.PUBLISHED},
        "under_way": {State.SEEN, State.READY, State.WORKING, State.HELD, State.PUBLISHING, State.WAITING},
        "refused": {State.REFUSED, State.UNSURE, State.EXCLUDED, State.CANCELLED},
    }
    assert audit.seen == len(State)
    assert not audit.ok
    assert {one.why for one in audit.refused} == {"Why."}


def test_what_has_no_job_is_missing_and_what_is_not_whole_waits():
    audit = audited(a_thing("a"), Listed("b", why="No id."), Listed("c", why="No file.", waits=True))
    assert [(one.name, one.why) for one in audit.missing] == [
        ("a", "It is there, and no job was made of it."),
        ("b", "No id."),
    ]
    assert [one.name for one in audit.waiting] == ["c"]
    assert (audit.seen, audit.ok) == (0, False)


def test_a_job_of_another_pipeline_is_no_job_of_it():
    thing = a_thing("a")
    assert audited(thing, jobs=[its_job(thing, State.PUBLISHED, pipeline="other")]).missing


def test_what_somebody_handed_in_besides_is_a_duplicate_unless_it_was_stopped():
    thing = a_thing("a")
    own = its_job(thing, State.PUBLISHED)
    second = job("k", pipeline="cms", source="submitted", location="pcloud:a", state=State.READY).entry
    stopped = job("l", pipeline="cms", source="submitted", location="pcloud:a", state=State.CANCELLED).entry
    (twice,) = audited(thing, jobs=[own, second, stopped]).duplicate
    assert [one.id for one in twice.jobs] == ["j", "k"]
    assert audited(thing, jobs=[own, stopped]).ok


def test_a_file_that_a_person_handed_in_before_its_folder_was_looked_at_is_one_job():
    thing = a_thing("a")
    audit = audited(thing, jobs=[its_job(thing, State.PUBLISHED, source="submitted")])
    assert audit.ok
    assert len(audit.processed[0].jobs) == 1


def test_what_a_person_handed_in_in_place_of_a_refused_job_is_processed():
    thing = a_thing("a")
    refused = its_job(thing, State.REFUSED)
    second = job("k", pipeline="cms", source="submitted", location="pcloud:a", state=State.PUBLISHED).entry
    audit = audited(thing, jobs=[refused, second])
    assert audit.ok
    assert [one.id for one in audit.processed[0].jobs] == ["k"]


def test_the_same_file_uploaded_anew_is_two_things_and_no_duplicate():
    first, second = a_thing("a@1"), a_thing("a@2")
    jobs = [its_job(first, State.PUBLISHED, "j1", location="pcloud:a"), its_job(second, State.PUBLISHED, "j2")]
    assert audited(second, jobs=jobs).ok
